//! A search: what it asks for, and what it finds.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    project::{PROJECT_TYPE, ProjectAsset},
    recorded::Operation,
};
use crate::google::{api_error::error_body, fields::Fields, filter::Filter};

/// The message of a 403 for a caller that lacks the role.
pub(super) const FORBIDDEN: &str =
    "The caller does not have permission 'cloudasset.assets.searchAllResources'";

/// How many results a page has at most, and unless more or fewer are asked for.
const MAX_PAGE_SIZE: usize = 500;
const DEFAULT_PAGE_SIZE: usize = 100;

/// A request that was understood.
pub(super) struct Search {
    pub(super) scope: String,
    page: usize,
    /// How many results stand on the pages before.
    skipped: usize,
}

/// Why a search is refused.
pub(super) enum Refusal {
    /// There is no such path here.
    Path,
    Invalid(String),
    /// There is no such scope, or it may not be searched; Google does not say which.
    Scope(String),
}

impl Refusal {
    /// The HTTP status, and the body for it; none for a path that there is not.
    pub(super) fn answer(&self) -> Option<(u16, String)> {
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
    pub(super) fn parse(path: &str, query: &HashMap<String, String>) -> Result<Self, Refusal> {
        let scope = path.strip_prefix("/v1/").and_then(|rest| rest.strip_suffix(":searchAllResources"));
        let scope = scope.ok_or(Refusal::Path)?;
        let is_good = match scope.split_once('/') {
            Some(("folders" | "organizations", id)) => {
                !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())
            }
            Some(("projects", id)) => !id.is_empty() && !id.contains('/'),
            _ => return Err(Refusal::Path),
        };
        if !is_good {
            return Err(Refusal::Invalid(format!("Invalid scope: {scope}.")));
        }
        let (page, skipped) = match query.get("pageToken").filter(|token| !token.is_empty()) {
            None => (1, 0),
            Some(token) => {
                parse_token(token).ok_or_else(|| Refusal::Invalid("Invalid page token.".to_owned()))?
            }
        };
        Ok(Self { scope: scope.to_owned(), page, skipped })
    }

    pub(super) fn operation(&self) -> Operation {
        Operation::Page(self.page)
    }

    /// The answer's JSON.
    pub(super) fn execute<'a>(
        &self,
        pairs: &[(String, String)],
        projects: impl Iterator<Item = &'a ProjectAsset>,
        is_scope: bool,
    ) -> Result<String, Refusal> {
        if !is_scope {
            return Err(Refusal::Scope(self.scope.clone()));
        }
        let parameter = |name: &str| {
            let found = pairs.iter().rev().find(|(key, _)| key == name);
            found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
        };
        let fields = match parameter("fields") {
            None => Fields::everything(),
            Some(text) => Fields::parse(text)
                .ok_or_else(|| Refusal::Invalid(format!("Invalid field selection {text}")))?,
        };
        let filter = match parameter("query") {
            None => Filter::everything(),
            Some(text) => Filter::parse::<ProjectAsset>(text)
                .ok_or_else(|| Refusal::Invalid(format!("Invalid search query: {text}.")))?,
        };
        let count = match parameter("pageSize").map(str::parse) {
            None => DEFAULT_PAGE_SIZE,
            // The page size is capped, and what is not positive asks for the default.
            Some(Ok(..=0_i64)) => DEFAULT_PAGE_SIZE,
            Some(Ok(size)) => usize::try_from(size).unwrap_or(MAX_PAGE_SIZE).min(MAX_PAGE_SIZE),
            Some(Err(_)) => return Err(Refusal::Invalid("Invalid value at 'page_size'".to_owned())),
        };
        let mut found: Vec<&ProjectAsset> = if has_projects(pairs) {
            projects.filter(|project| project.is_below(&self.scope) && filter.matches(*project)).collect()
        } else {
            Vec::new()
        };
        found.sort_by(|a, b| a.id.cmp(&b.id));
        let results: Vec<Value> = found
            .iter()
            .skip(self.skipped)
            .take(count)
            .map(|project| project.result())
            .collect();
        let end = self.skipped + results.len();
        let mut answer = Map::new();
        if !results.is_empty() {
            answer.insert("results".to_owned(), results.into());
        }
        if end < found.len() {
            answer.insert("nextPageToken".to_owned(), token(self.page + 1, end).into());
        }
        let mut answer = Value::Object(answer);
        fields.mask(&mut answer);
        Ok(answer.to_string())
    }
}

/// Whether projects are among the asset types that are searched for; with none named every type is.
fn has_projects(pairs: &[(String, String)]) -> bool {
    let mut types =
        pairs.iter().filter(|(key, _)| key == "assetTypes").map(|(_, value)| value.as_str()).peekable();
    types.peek().is_none()
        || types.any(|value| value == PROJECT_TYPE || value == "cloudresourcemanager.googleapis.com.*")
}

/// Says where a page begins, in a form that nobody is tempted to read.
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
    fn tokens_come_back() {
        assert_eq!(parse_token(&token(12, 1_100)), Some((12, 1_100)));
        for bad in ["", "Ca", "Ca1", "Cagg", "x1g2"] {
            assert_eq!(parse_token(bad), None, "{bad}");
        }
    }
}
