//! Parses the path and the query of a request.

use std::collections::HashMap;

use super::{
    api_error::ApiError,
    page_token::{parse_token, token},
    recorded::Operation,
};
use crate::query::percent_decoded;

/// A parsed request.
pub(super) struct Call {
    /// The project as named in the path.
    pub(super) project: String,
    pub(super) target: Target,
}

/// The requested resource of the project.
pub(super) enum Target {
    Instances(Start),
    Instance { zone: String, name: String },
    Operations(Start),
    ZoneOperations { zone: String, start: Start },
}

/// The start of a page.
pub(super) struct Start {
    /// The page number, counted from 1.
    pub(super) page: usize,
    /// The zone and the name of the last element of the previous page.
    pub(super) after: Option<(String, String)>,
}

impl Call {
    pub(super) fn parse(path: &str, query: &HashMap<String, String>) -> Result<Self, ApiError> {
        let path = path.strip_prefix("/compute/v1/projects/").unwrap_or_default();
        let parts: Vec<String> = path.split('/').map(percent_decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (project, target) = match parts[..] {
            [project, "aggregated", "instances"] => (project, Target::Instances(Start::parse(query)?)),
            [project, "zones", zone, "instances", name] => {
                (project, Target::Instance { zone: zone.to_owned(), name: name.to_owned() })
            }
            [project, "aggregated", "operations"] => (project, Target::Operations(Start::parse(query)?)),
            [project, "zones", zone, "operations"] => {
                let start = Start::parse(query)?;
                (project, Target::ZoneOperations { zone: zone.to_owned(), start })
            }
            _ => return Err(ApiError::Path),
        };
        Ok(Self { project: project.to_owned(), target })
    }

    pub(super) fn operation(&self) -> Operation {
        match &self.target {
            Target::Instances(start) => Operation::Page(start.page),
            Target::Instance { .. } => Operation::Get,
            Target::Operations(start) => Operation::OperationsPage(start.page),
            Target::ZoneOperations { start, .. } => Operation::ZoneOperationsPage(start.page),
        }
    }

    /// Returns the required permission and the resource.
    pub(super) fn permission(&self, project: &str) -> (&'static str, String) {
        let whole = format!("projects/{project}");
        match &self.target {
            Target::Instances(_) => ("compute.instances.list", whole),
            Target::Instance { zone, name } => {
                ("compute.instances.get", format!("{whole}/zones/{zone}/instances/{name}"))
            }
            Target::Operations(_) => ("compute.globalOperations.list", whole),
            Target::ZoneOperations { .. } => ("compute.zoneOperations.list", whole),
        }
    }
}

impl Start {
    fn parse(query: &HashMap<String, String>) -> Result<Self, ApiError> {
        match query.get("pageToken").filter(|token| !token.is_empty()) {
            None => Ok(Self { page: 1, after: None }),
            Some(token) => {
                let (page, zone, name) =
                    parse_token(token).ok_or_else(|| ApiError::invalid("pageToken", token))?;
                Ok(Self { page, after: Some((zone, name)) })
            }
        }
    }

    /// Returns the token of the next page. It starts after the element with this zone and name.
    pub(super) fn next(&self, zone: &str, name: &str) -> String {
        token(self.page + 1, zone, name)
    }
}
