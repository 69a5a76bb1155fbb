//! `aggregates`: stacks, resources and run durations of the whole account.

use std::fmt;

use super::{Collector, Families, Point, Writer, first, parse, query, seconds};

pub(super) const COLLECTOR: Collector = Collector {
    name: "aggregates",
    about: "Stacks by state, resources by drift, stack size and run durations",
    on_by_default: true,
    fixed: true,
    query: |_| query::<Data>("PrometheusExporter_Aggregates"),
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
    stacks_count_by_state: Vec<Point>,
    resources_count_by_drift: Vec<Point>,
    avg_stack_size_by_resource_count: Vec<Point>,
    average_run_duration: Vec<Point>,
    median_run_duration: Vec<Point>,
}

impl Families for Data {
    fn write(&self, families: &mut Writer<'_, '_>) -> fmt::Result {
        let Some(metrics) = &self.metrics else { return Ok(()) };
        let average = first(&metrics.average_run_duration);
        let median = first(&metrics.median_run_duration);
        families.by_first_label(
            "spacelift_current_stacks_count_by_state",
            "Stacks by state",
            "state",
            &metrics.stacks_count_by_state,
        )?;
        families.by_first_label(
            "spacelift_current_resources_count_by_drift",
            "Resources by drift state",
            "state",
            &metrics.resources_count_by_drift,
        )?;
        families.gauge(
            "spacelift_current_avg_stack_size_by_resource_count",
            "Average number of resources in a stack",
            first(&metrics.avg_stack_size_by_resource_count),
        )?;
        families.gauge(
            "spacelift_current_average_run_duration",
            "Average duration of a run, in nanoseconds",
            average,
        )?;
        families.gauge(
            "spacelift_current_average_run_duration_seconds",
            "Average duration of a run, in seconds",
            average.map(seconds),
        )?;
        families.gauge(
            "spacelift_current_median_run_duration",
            "Median duration of a run, in nanoseconds",
            median,
        )?;
        families.gauge(
            "spacelift_current_median_run_duration_seconds",
            "Median duration of a run, in seconds",
            median.map(seconds),
        )
    }
}
