//! `stacks`: the largest stacks, drift detection coverage and resources by vendor.

use std::collections::HashSet;
use std::fmt;

use exporter_common::metrics::Number;

use super::{Collector, Families, Point, Writer, first, parse, query};
use crate::schema::Amount;

pub(super) const COLLECTOR: Collector = Collector {
    name: "stacks",
    about: "Largest stacks, drift detection coverage, resources by vendor",
    on_by_default: false,
    fixed: true,
    query: |_| query::<Data>("PrometheusExporter_Stacks"),
    parse: parse::<Data>,
};

#[derive(cynic::QueryFragment, Debug)]
#[cynic(graphql_type = "Query", schema_module = "crate::schema")]
struct Data {
    metrics: Option<Metrics>,
}

#[derive(cynic::QueryFragment, Debug)]
#[cynic(schema_module = "crate::schema")]
struct Metrics {
    max_stack_size_by_resource_count: Vec<Point>,
    drift_detection_coverage: Vec<Point>,
    resources_count_by_vendor: Vec<Point>,
    has_stacks: bool,
    has_runs: bool,
    largest_stacks: Vec<LargestStack>,
}

#[derive(cynic::QueryFragment, Debug)]
#[cynic(schema_module = "crate::schema")]
struct LargestStack {
    stack_tile: StackTile,
    resources_count: Amount,
}

#[derive(cynic::QueryFragment, Debug)]
#[cynic(schema_module = "crate::schema")]
struct StackTile {
    name: String,
    slug: String,
    state: String,
}

impl Families for Data {
    fn write(&self, families: &mut Writer<'_, '_>) -> fmt::Result {
        let Some(metrics) = &self.metrics else { return Ok(()) };
        families.gauge(
            "spacelift_current_max_stack_size_by_resource_count",
            "Number of resources in the largest stack",
            first(&metrics.max_stack_size_by_resource_count),
        )?;
        families.gauge(
            "spacelift_current_drift_detection_coverage",
            "Share of stacks with drift detection, in the unit of the API",
            first(&metrics.drift_detection_coverage),
        )?;
        families.by_first_label(
            "spacelift_current_resources_count_by_vendor",
            "Resources by the vendor of their provider",
            "vendor",
            &metrics.resources_count_by_vendor,
        )?;
        families.gauge(
            "spacelift_current_has_stacks",
            "Whether the account has stacks (1) or not (0)",
            Number::from(metrics.has_stacks),
        )?;
        families.gauge(
            "spacelift_current_has_runs",
            "Whether the account has runs (1) or not (0)",
            Number::from(metrics.has_runs),
        )?;
        let mut seen = HashSet::new();
        families.gauges(
            "spacelift_largest_stack_resources",
            "Number of resources in each of the account's largest stacks",
            metrics.largest_stacks.iter().filter_map(|stack| {
                let tile = &stack.stack_tile;
                let labels = [
                    ("stack_slug", tile.slug.as_str()),
                    ("stack_name", tile.name.as_str()),
                    ("stack_state", tile.state.as_str()),
                ];
                seen.insert(labels).then(|| (labels, stack.resources_count.number()))
            }),
        )
    }
}
