//! Projects as the inventory knows them.

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
    /// The name that people gave it.
    pub display_name: String,
    /// Whether it is in use.
    pub state: ProjectState,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The folders above it, the nearest first: `folders/7`.
    pub folders: Vec<String>,
    /// The organization above it: `organizations/1`.
    pub organization: String,
}

/// Whether a project is in use.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum ProjectState {
    /// It is.
    #[default]
    Active,
    /// It is shut down and will be deleted.
    DeleteRequested,
}

impl ProjectState {
    /// Google's name of it.
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
    /// An active project without labels, in no folder of [`ORGANIZATION`].
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

    /// Adds a folder above it and above the ones that were added before.
    #[must_use]
    pub fn folder(mut self, name: impl Into<String>) -> Self {
        self.folders.push(name.into());
        self
    }

    /// Changes the organization.
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

    /// Changes its state.
    #[must_use]
    pub fn state(mut self, state: ProjectState) -> Self {
        self.state = state;
        self
    }

    /// Whether it is a scope itself, or below it.
    pub(super) fn is_below(&self, scope: &str) -> bool {
        self.organization == scope
            || self.folders.iter().any(|folder| folder == scope)
            || scope
                .strip_prefix("projects/")
                .is_some_and(|name| name == self.id || name.parse() == Ok(self.number))
    }

    /// The full name of the resource.
    pub(super) fn resource_name(&self) -> String {
        format!("//cloudresourcemanager.googleapis.com/projects/{}", self.id)
    }

    /// The project as a search finds it.
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
        // As in all of Google's answers, what is empty is left out.
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
    /// `state` and `labels.KEY` can be compared with `:` and `=`.
    fn supports(field: &str, operator: Operator, _value: &str) -> bool {
        let is_label = field.strip_prefix("labels.").is_some_and(|key| !key.is_empty());
        (field == "state" || is_label) && operator != Operator::AtLeast
    }

    /// Values are compared without regard to case. `:*` matches any value.
    fn matches(&self, field: &str, operator: Operator, value: &str) -> bool {
        let text = match field.strip_prefix("labels.") {
            Some(key) => self.labels.get(key).map(String::as_str),
            None => Some(self.state.name()),
        };
        text.is_some_and(|text| (operator == Operator::Has && value == "*") || text.eq_ignore_ascii_case(value))
    }
}
