//! Executes a parsed request.

use std::collections::{BTreeSet, HashMap};

use super::{
    aggregated::Aggregated,
    api_error::ApiError,
    call::{Call, Start, Target},
    operations::OperationPage,
    project::ProjectCompute,
    render_instance, render_operation,
    zone_operation::ZoneOperation,
    zones::known_zones,
};
use crate::google::{
    fields::Fields,
    filter::{Filter, Filtered},
    instance::Instance,
};

/// The maximum and the default number of elements on a page.
const MAX_RESULTS: usize = 500;

/// Returns the JSON of the response.
pub(super) fn execute(
    project: Option<&ProjectCompute>,
    call: &Call,
    query: &HashMap<String, String>,
) -> Result<String, ApiError> {
    let project = project.ok_or_else(|| ApiError::NotFound(format!("projects/{}", call.project)))?;
    let (permission, resource) = call.permission(project.id());
    project.check_access(permission, &resource)?;
    let fields = match parameter(query, "fields") {
        None => Fields::everything(),
        Some(fields) => Fields::parse(fields).ok_or_else(|| ApiError::invalid("fields", fields))?,
    };
    match &call.target {
        Target::Instances(start) => instances(project, start, query, &fields),
        Target::Instance { zone, name } => match project.fleet().get(zone, name) {
            Some(instance) => Ok(render_instance::instance(project.project(), instance, &fields)),
            None => Err(ApiError::NotFound(resource)),
        },
        Target::Operations(start) => operations(project, start, query, &fields),
        Target::ZoneOperations { zone, start } => zone_operations(project, zone, start, query, &fields),
    }
}

fn instances(
    project: &ProjectCompute,
    start: &Start,
    query: &HashMap<String, String>,
    fields: &Fields,
) -> Result<String, ApiError> {
    let filter = filter::<Instance>(query)?;
    let count = max_results(query)?;
    let fleet = project.fleet();
    let page = fleet.page(start.after.clone(), count, &filter);
    let last = page.instances.last().filter(|_| !page.is_last);
    let list = Aggregated {
        kind: "compute#instanceAggregatedList",
        collection: "instances",
        other_scopes: Vec::new(),
        project: project.project(),
        unreachable: &fleet.unreachable,
        next_page_token: last.map(|instance| start.next(&instance.zone, &instance.name)),
        fields,
    };
    Ok(render_instance::aggregated_list(&list, &page))
}

fn operations(
    project: &ProjectCompute,
    start: &Start,
    query: &HashMap<String, String>,
    fields: &Fields,
) -> Result<String, ApiError> {
    let (filter, count) = (filter::<ZoneOperation>(query)?, max_results(query)?);
    let unreachable = unreachable(project);
    // Without `returnPartialSuccess`, Google returns either the complete list or an error.
    if !unreachable.is_empty() && parameter(query, "returnPartialSuccess") != Some("true") {
        return Err(ApiError::Unreachable);
    }
    let operations = project.operations();
    let page = operations.page(
        None,
        start.after.as_ref(),
        count,
        |zone| unreachable.contains(zone),
        |operation| filter.matches(operation),
    );
    let list = Aggregated {
        kind: "compute#operationAggregatedList",
        collection: "operations",
        other_scopes: render_operation::other_scopes(),
        project: project.project(),
        unreachable: &unreachable,
        next_page_token: next_page(start, &page),
        fields,
    };
    Ok(render_operation::aggregated_list(&list, &page))
}

fn zone_operations(
    project: &ProjectCompute,
    zone: &str,
    start: &Start,
    query: &HashMap<String, String>,
    fields: &Fields,
) -> Result<String, ApiError> {
    let (filter, count) = (filter::<ZoneOperation>(query)?, max_results(query)?);
    if unreachable(project).contains(zone) {
        return Err(ApiError::Unreachable);
    }
    let operations = project.operations();
    if !operations.has_zone(zone) && known_zones().all(|known| known != zone) {
        return Err(ApiError::invalid("zone", zone));
    }
    let page = operations.page(
        Some(zone),
        start.after.as_ref(),
        count,
        |_| false,
        |operation| filter.matches(operation),
    );
    let next = next_page(start, &page);
    Ok(render_operation::zone_list(project.project(), zone, &page, next.as_deref(), fields))
}

/// Returns the zones whose operations are unreachable.
fn unreachable(project: &ProjectCompute) -> BTreeSet<String> {
    let mut zones = project.fleet().unreachable.clone();
    zones.extend(project.operations().unreachable.iter().cloned());
    zones
}

fn next_page(start: &Start, page: &OperationPage<'_>) -> Option<String> {
    let last = page.operations.last().filter(|_| !page.is_last)?;
    Some(start.next(&last.zone, &last.name))
}

fn filter<T: Filtered>(query: &HashMap<String, String>) -> Result<Filter, ApiError> {
    match parameter(query, "filter") {
        None => Ok(Filter::everything()),
        Some(filter) => Filter::parse::<T>(filter).ok_or_else(|| ApiError::invalid("filter", filter)),
    }
}

fn max_results(query: &HashMap<String, String>) -> Result<usize, ApiError> {
    let Some(text) = query.get("maxResults") else { return Ok(MAX_RESULTS) };
    match text.parse() {
        Ok(0) => Ok(MAX_RESULTS),
        Ok(count @ ..=MAX_RESULTS) => Ok(count),
        _ => Err(ApiError::invalid("maxResults", text)),
    }
}

/// Returns a parameter that is not empty.
fn parameter<'a>(query: &'a HashMap<String, String>, name: &str) -> Option<&'a str> {
    query.get(name).map(|text| text.trim()).filter(|text| !text.is_empty())
}
