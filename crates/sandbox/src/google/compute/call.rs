//! What a request asks for, by its path and its query.

use std::collections::HashMap;

use super::{page_token::parse_token, recorded::Operation, refusal::Refusal};
use crate::query::percent_decoded;

/// A request that was understood.
pub(super) enum Call {
    List { project: String, page: usize, after: Option<(String, String)> },
    Get { project: String, zone: String, name: String },
}

impl Call {
    pub(super) fn parse(path: &str, query: &HashMap<String, String>) -> Result<Self, Refusal> {
        let path = path.strip_prefix("/compute/v1/projects/").unwrap_or_default();
        let parts: Vec<String> = path.split('/').map(percent_decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts[..] {
            [project, "aggregated", "instances"] => {
                let token = query.get("pageToken").filter(|token| !token.is_empty());
                let (page, after) = match token {
                    None => (1, None),
                    Some(token) => {
                        let (page, zone, name) =
                            parse_token(token).ok_or_else(|| Refusal::invalid("pageToken", token))?;
                        (page, Some((zone, name)))
                    }
                };
                Ok(Self::List { project: project.to_owned(), page, after })
            }
            [project, "zones", zone, "instances", name] => {
                Ok(Self::Get { project: project.to_owned(), zone: zone.to_owned(), name: name.to_owned() })
            }
            _ => Err(Refusal::Path),
        }
    }

    /// The project as the path names it.
    pub(super) fn project(&self) -> &str {
        let (Self::List { project, .. } | Self::Get { project, .. }) = self;
        project
    }

    /// What the caller needs, and on which resource of the project.
    pub(super) fn permission(&self, project: &str) -> (&'static str, String) {
        match self {
            Self::List { .. } => ("compute.instances.list", format!("projects/{project}")),
            Self::Get { zone, name, .. } => {
                ("compute.instances.get", format!("projects/{project}/zones/{zone}/instances/{name}"))
            }
        }
    }

    pub(super) fn operation(&self) -> Operation {
        match self {
            Self::List { page, .. } => Operation::Page(*page),
            Self::Get { .. } => Operation::Get,
        }
    }
}
