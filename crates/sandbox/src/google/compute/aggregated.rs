//! Aggregated lists: one list over all zones.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    json::{Json, Object},
    zones::known_zones,
};
use crate::google::{fields::Fields, names::COMPUTE_ROOT, project::Project};

/// A page of an aggregated list, without its elements.
pub(super) struct Aggregated<'a> {
    /// The kind of the list: `compute#instanceAggregatedList`.
    pub(super) kind: &'static str,
    /// The name of the listed collection: `instances`.
    pub(super) collection: &'static str,
    /// Scopes other than zones. They are always empty.
    pub(super) other_scopes: Vec<String>,
    pub(super) project: &'a Project,
    /// Unreachable zones.
    pub(super) unreachable: &'a BTreeSet<String>,
    pub(super) next_page_token: Option<String>,
    pub(super) fields: &'a Fields,
}

impl<'a> Aggregated<'a> {
    /// Returns the JSON of the page. `elements` are sorted by zone.
    pub(super) fn write<T>(
        &self,
        elements: &[T],
        zone_of: impl Fn(&T) -> &str,
        write: impl Fn(&mut Object<'a>, &T),
    ) -> String {
        let Self { kind, collection, other_scopes, project, unreachable, next_page_token, fields } = self;
        let id = &project.id;
        // Zones that Google does not have are allowed.
        let used = elements.iter().map(|element| zone_of(element).to_owned());
        let zones: BTreeSet<String> = known_zones().chain(used).chain(unreachable.iter().cloned()).collect();
        let mut rest = elements;

        let mut list = Object::new(fields, String::with_capacity(64 * 1024 + elements.len() * 4096));
        list.field("kind", Json(kind));
        list.field("id", format_args!("\"projects/{id}/aggregated/{collection}\""));
        list.object("items", |items| {
            for scope in other_scopes {
                items.object(scope, |object| object.value("warning", || nothing_in(scope)));
            }
            for zone in &zones {
                let count = rest.iter().take_while(|element| zone_of(element) == zone).count();
                let (here, further) = rest.split_at(count);
                rest = further;
                let scope = format!("zones/{zone}");
                items.object(&scope, |object| {
                    if unreachable.contains(zone) {
                        object.value("warning", || unreachable_scope(&scope));
                    } else if here.is_empty() {
                        object.value("warning", || nothing_in(&scope));
                    } else {
                        object.list(collection, here, &write);
                    }
                });
            }
        });
        if let Some(token) = next_page_token {
            list.field("nextPageToken", Json(token));
        }
        if !unreachable.is_empty() {
            let links: Vec<String> = unreachable
                .iter()
                .map(|zone| Json(&format!("{COMPUTE_ROOT}/{id}/zones/{zone}/{collection}")).to_string())
                .collect();
            list.field("unreachables", format_args!("[{}]", links.join(",")));
        }
        list.field("selfLink", format_args!("\"{COMPUTE_ROOT}/{id}/aggregated/{collection}\""));
        list.finish()
    }
}

/// Returns the warning of an empty scope.
fn nothing_in(scope: &str) -> Value {
    warning(scope, "NO_RESULTS_ON_PAGE", &format!("There are no results for scope '{scope}' on this page."))
}

fn unreachable_scope(scope: &str) -> Value {
    warning(scope, "UNREACHABLE", &format!("Scope '{scope}' is currently unreachable."))
}

fn warning(scope: &str, code: &str, message: &str) -> Value {
    json!({ "code": code, "message": message, "data": [{ "key": "scope", "value": scope }] })
}
