//! Parses and executes a search.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    project::{PROJECT_TYPE, ProjectAsset},
    recorded::Operation,
};
use crate::google::{api_error::error_body, fields::Fields, filter::Filter};

/// The message of HTTP 403 for a caller without the role.
pub(super) const FORBIDDEN: &str =
    "The caller does not have permission 'cloudasset.assets.searchAllResources'";

/// The maximum and the default number of results on a page.
const MAX_PAGE_SIZE: usize = 500;
const DEFAULT_PAGE_SIZE: usize = 100;

/// A parsed request.
pub(super) struct Search {
    pub(super) scope: String,
    page: usize,
    /// The number of results on the pages before.
    skipped: usize,
}

/// Why a search is rejected.
pub(super) enum SearchError {
    /// The path is unknown.
    Path,
    Invalid(String),
    /// The scope does not exist or the caller may not search it. Google does not distinguish the two.
    Scope(String),
}

impl SearchError {
    /// Returns the HTTP status and the body; `None` for an unknown path.
    pub(super) fn status_and_body(&self) -> Option<(u16, String)> {
        match self {
            Self::Path => None,
            Self::Invalid(message) => Some((400, error_body(400, "badRequest", "INVALID_ARGUMENT", message))),
            Self::Scope(scope) => {
                let message = format!("{FORBIDDEN} on '{scope}'");
                Some((403, error_body(403, "forbidden", "PERMISSION_DENIED", &message)))
            }
        }
    }
}

impl Search {
    pub(super) fn parse(path: &str, query: &HashMap<String, String>) -> Result<Self, SearchError> {
        let scope = path.strip_prefix("/v1/").and_then(|rest| rest.strip_suffix(":searchAllResources"));
        let scope = scope.ok_or(SearchError::Path)?;
        let is_good = match scope.split_once('/') {
            Some(("folders" | "organizations", id)) => {
                !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())
            }
            Some(("projects", id)) => !id.is_empty() && !id.contains('/'),
            _ => return Err(SearchError::Path),
        };
        if !is_good {
            return Err(SearchError::Invalid(format!("Invalid scope: {scope}.")));
        }
        let (page, skipped) = match query.get("pageToken").filter(|token| !token.is_empty()) {
            None => (1, 0),
            Some(token) => {
                parse_token(token).ok_or_else(|| SearchError::Invalid("Invalid page token.".to_owned()))?
            }
        };
        Ok(Self { scope: scope.to_owned(), page, skipped })
    }

    pub(super) fn operation(&self) -> Operation {
        Operation::Page(self.page)
    }

    /// Returns the JSON of the response.
    pub(super) fn execute<'a>(
        &self,
        pairs: &[(String, String)],
        projects: impl Iterator<Item = &'a ProjectAsset>,
        is_scope: bool,
    ) -> Result<String, SearchError> {
        if !is_scope {
            return Err(SearchError::Scope(self.scope.clone()));
        }
        let parameter = |name: &str| {
            let found = pairs.iter().rev().find(|(key, _)| key == name);
            found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
        };
        let fields = match parameter("fields") {
            None => Fields::everything(),
            Some(text) => Fields::parse(text)
                .ok_or_else(|| SearchError::Invalid(format!("Invalid field selection {text}")))?,
        };
        let filter = match parameter("query") {
            None => Filter::everything(),
            Some(text) => Filter::parse::<ProjectAsset>(text)
                .ok_or_else(|| SearchError::Invalid(format!("Invalid search query: {text}.")))?,
        };
        let count = match parameter("pageSize").map(str::parse) {
            None => DEFAULT_PAGE_SIZE,
            // Large page sizes are capped, and zero or less selects the default.
            Some(Ok(..=0_i64)) => DEFAULT_PAGE_SIZE,
            Some(Ok(size)) => usize::try_from(size).unwrap_or(MAX_PAGE_SIZE).min(MAX_PAGE_SIZE),
            Some(Err(_)) => return Err(SearchError::Invalid("Invalid value at 'page_size'".to_owned())),
        };
        let mut found: Vec<&ProjectAsset> = if has_projects(pairs) {
            projects.filter(|project| project.is_below(&self.scope) && filter.matches(*project)).collect()
        } else {
            Vec::new()
        };
        found.sort_by(|a, b| a.id.cmp(&b.id));
        let results: Vec<Value> =
            found.iter().skip(self.skipped).take(count).map(|project| project.result()).collect();
        let end = self.skipped + results.len();
        let mut response = Map::new();
        if !results.is_empty() {
            response.insert("results".to_owned(), results.into());
        }
        if end < found.len() {
            response.insert("nextPageToken".to_owned(), token(self.page + 1, end).into());
        }
        let mut response = Value::Object(response);
        fields.mask(&mut response);
        Ok(response.to_string())
    }
}

/// Returns whether the search includes projects. Without asset types it includes every type.
fn has_projects(pairs: &[(String, String)]) -> bool {
    let mut types =
        pairs.iter().filter(|(key, _)| key == "assetTypes").map(|(_, value)| value.as_str()).peekable();
    types.peek().is_none()
        || types.any(|value| value == PROJECT_TYPE || value == "cloudresourcemanager.googleapis.com.*")
}

/// Returns an opaque token for the start of a page.
fn token(page: usize, skipped: usize) -> String {
    format!("Ca{page:x}g{skipped:x}")
}

fn parse_token(token: &str) -> Option<(usize, usize)> {
    let (page, skipped) = token.strip_prefix("Ca")?.split_once('g')?;
    Some((usize::from_str_radix(page, 16).ok()?, usize::from_str_radix(skipped, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_its_own_tokens() {
        assert_eq!(parse_token(&token(12, 1_100)), Some((12, 1_100)));
        for bad in ["", "Ca", "Ca1", "Cagg", "x1g2"] {
            assert_eq!(parse_token(bad), None, "{bad}");
        }
    }
}
