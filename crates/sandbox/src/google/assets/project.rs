//! Projects in the inventory.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::google::{
    filter::{Filtered, Operator},
    names::ORGANIZATION,
};

/// The asset type of projects.
pub(super) const PROJECT_TYPE: &str = "cloudresourcemanager.googleapis.com/Project";

/// A project in the inventory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProjectAsset {
    /// The id.
    pub id: String,
    /// The number.
    pub number: u64,
    /// The display name.
    pub display_name: String,
    /// The lifecycle state.
    pub state: ProjectState,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The parent folders, nearest first: `folders/7`.
    pub folders: Vec<String>,
    /// The organization: `organizations/1`.
    pub organization: String,
}

/// The lifecycle state of a project.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum ProjectState {
    /// In use.
    #[default]
    Active,
    /// Shut down and marked for deletion.
    DeleteRequested,
}

impl ProjectState {
    /// Returns Google's name of the state.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::DeleteRequested => "DELETE_REQUESTED",
        }
    }

    pub(in crate::google) fn by_name(name: &str) -> Option<Self> {
        [Self::Active, Self::DeleteRequested].into_iter().find(|state| state.name() == name)
    }
}

impl ProjectAsset {
    /// Returns an active project of [`ORGANIZATION`] without labels and folders.
    #[must_use]
    pub fn new(id: impl Into<String>, number: u64) -> Self {
        let id = id.into();
        Self {
            display_name: id.clone(),
            id,
            number,
            state: ProjectState::Active,
            labels: BTreeMap::new(),
            folders: Vec::new(),
            organization: ORGANIZATION.to_owned(),
        }
    }

    /// Adds a folder above those that were added before.
    #[must_use]
    pub fn folder(mut self, name: impl Into<String>) -> Self {
        self.folders.push(name.into());
        self
    }

    /// Sets the organization.
    #[must_use]
    pub fn organization(mut self, name: impl Into<String>) -> Self {
        self.organization = name.into();
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Sets the state.
    #[must_use]
    pub fn state(mut self, state: ProjectState) -> Self {
        self.state = state;
        self
    }

    /// Returns whether the project is the scope or below it.
    pub(super) fn is_below(&self, scope: &str) -> bool {
        self.organization == scope
            || self.folders.iter().any(|folder| folder == scope)
            || scope
                .strip_prefix("projects/")
                .is_some_and(|name| name == self.id || name.parse() == Ok(self.number))
    }

    /// Returns the full resource name.
    pub(super) fn resource_name(&self) -> String {
        format!("//cloudresourcemanager.googleapis.com/projects/{}", self.id)
    }

    /// Returns the project as a search result.
    pub(super) fn result(&self) -> Value {
        let parent = self.folders.first().unwrap_or(&self.organization);
        let mut result = json!({
            "name": self.resource_name(),
            "assetType": PROJECT_TYPE,
            "project": format!("projects/{}", self.number),
            "displayName": self.display_name,
            "location": "global",
            "state": self.state.name(),
            "additionalAttributes": { "projectId": self.id },
            "organization": self.organization,
            "parentFullResourceName": format!("//cloudresourcemanager.googleapis.com/{parent}"),
        });
        // Google's APIs omit empty fields.
        if !self.labels.is_empty() {
            result["labels"] = json!(self.labels);
        }
        if !self.folders.is_empty() {
            result["folders"] = json!(self.folders);
        }
        result
    }
}

impl Filtered for ProjectAsset {
    /// `state` and `labels.KEY` support `:` and `=`.
    fn supports(field: &str, operator: Operator, _value: &str) -> bool {
        let is_label = field.strip_prefix("labels.").is_some_and(|key| !key.is_empty());
        (field == "state" || is_label) && operator != Operator::AtLeast
    }

    /// Comparisons ignore case. `:*` matches any value.
    fn matches(&self, field: &str, operator: Operator, value: &str) -> bool {
        let text = match field.strip_prefix("labels.") {
            Some(key) => self.labels.get(key).map(String::as_str),
            None => Some(self.state.name()),
        };
        text.is_some_and(|text| {
            (operator == Operator::Has && value == "*") || text.eq_ignore_ascii_case(value)
        })
    }
}
