//! The JSON of operations.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use serde_json::json;

use super::{
    aggregated::Aggregated,
    json::{Json, Object},
    operations::OperationPage,
    zone_operation::ZoneOperation,
    zones::known_regions,
};
use crate::google::{fields::Fields, names::COMPUTE_ROOT, project::Project, time::pacific};

/// Returns the scopes of an aggregated list other than zones.
pub(super) fn other_scopes() -> Vec<String> {
    std::iter::once("global".to_owned())
        .chain(known_regions().map(|region| format!("regions/{region}")))
        .collect()
}

/// Returns the response to `globalOperations.aggregatedList`.
pub(super) fn aggregated_list(list: &Aggregated<'_>, page: &OperationPage<'_>) -> String {
    list.write(
        &page.operations,
        |operation| &operation.zone,
        |object, operation| write_operation(object, list.project, operation),
    )
}

/// Returns the response to `zoneOperations.list`.
pub(super) fn zone_list(
    project: &Project,
    zone: &str,
    page: &OperationPage<'_>,
    next_page_token: Option<&str>,
    fields: &Fields,
) -> String {
    let id = &project.id;
    let mut list = Object::new(fields, String::with_capacity(1024 + page.operations.len() * 1024));
    list.field("kind", "\"compute#operationList\"");
    list.field("id", Json(&format!("projects/{id}/zones/{zone}/operations")));
    if !page.operations.is_empty() {
        list.list("items", &page.operations, |object, operation| write_operation(object, project, operation));
    }
    if let Some(token) = next_page_token {
        list.field("nextPageToken", Json(token));
    }
    list.field("selfLink", Json(&format!("{COMPUTE_ROOT}/{id}/zones/{zone}/operations")));
    list.finish()
}

fn write_operation(object: &mut Object<'_>, project: &Project, operation: &ZoneOperation) {
    let ZoneOperation { name, operation_type, target, user, status_message, error, group, inserted, .. } =
        operation;
    let zone = operation.zone_link(&project.id);
    let time = pacific(*inserted);
    object.field("kind", "\"compute#operation\"");
    object.field("id", format_args!("\"{}\"", id_of(operation)));
    object.field("name", Json(name));
    object.field("zone", Json(&zone));
    if let Some(group) = group {
        object.field("operationGroupId", Json(group));
    }
    object.field("operationType", Json(operation_type));
    object.field("targetLink", Json(&operation.target_link(&project.id)));
    if let Some((_, id)) = target {
        object.field("targetId", format_args!("\"{id}\""));
    }
    object.field("status", "\"DONE\"");
    if let Some(message) = status_message {
        object.field("statusMessage", Json(message));
    }
    object.field("user", Json(user));
    object.field("progress", "100");
    for field in ["insertTime", "startTime", "endTime"] {
        object.field(field, Json(&time));
    }
    if let Some((code, message)) = error {
        object.value("error", || json!({ "errors": [{ "code": code, "message": message }] }));
        object.field("httpErrorStatusCode", "503");
        object.field("httpErrorMessage", "\"SERVICE UNAVAILABLE\"");
    }
    object.field("selfLink", Json(&format!("{zone}/operations/{name}")));
}

/// Returns an id in Compute Engine's format that is always the same for an operation.
fn id_of(operation: &ZoneOperation) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&operation.zone, &operation.name).hash(&mut hasher);
    hasher.finish() | 1 << 60
}
