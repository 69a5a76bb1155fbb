//! `dora`: the four DORA metrics of a time window that ends now.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Collector, Families, Point, QueryContext, Writer, first, parse, query_with};

pub(super) const COLLECTOR: Collector = Collector {
    name: "dora",
    about: "Lead time, time to recovery, change failure rate and deployment frequency",
    on_by_default: false,
    fixed: false,
    query: |context| query_with::<Data, Window>("PrometheusExporter_Dora", Window::ending_at(context)),
    parse: parse::<Data>,
};

#[derive(cynic::QueryVariables, Debug)]
#[cynic(schema_module = "crate::schema")]
struct Window {
    input: MetricsInput,
}

#[derive(cynic::InputObject, Debug)]
#[cynic(schema_module = "crate::schema")]
struct MetricsInput {
    start_time: i32,
    end_time: i32,
}

impl Window {
    fn ending_at(context: &QueryContext) -> Self {
        let start = context.now.checked_sub(context.dora_window).unwrap_or(UNIX_EPOCH);
        Self { input: MetricsInput { start_time: unix_seconds(start), end_time: unix_seconds(context.now) } }
    }
}

/// Returns Unix seconds, at most the largest GraphQL `Int`, which has 32 bits (year 2038).
fn unix_seconds(time: SystemTime) -> i32 {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

#[derive(cynic::QueryFragment, Debug)]
#[cynic(graphql_type = "Query", variables = "Window", schema_module = "crate::schema")]
struct Data {
    #[arguments(input: $input)]
    metrics_range: Option<MetricsRange>,
}

#[derive(cynic::QueryFragment, Debug)]
#[cynic(schema_module = "crate::schema")]
struct MetricsRange {
    average_lead_time_for_changes_value: Vec<Point>,
    median_lead_time_for_changes_value: Vec<Point>,
    average_time_to_recovery_value: Vec<Point>,
    median_time_to_recovery_value: Vec<Point>,
    change_failure_rate_value: Vec<Point>,
    deployment_frequency_rate_value: Vec<Point>,
}

impl Families for Data {
    fn write(&self, families: &mut Writer<'_, '_>) -> fmt::Result {
        let Some(range) = &self.metrics_range else { return Ok(()) };
        families.gauge(
            "spacelift_dora_average_lead_time_for_changes_seconds",
            "Average lead time for changes in the time range --dora-window, in seconds",
            first(&range.average_lead_time_for_changes_value),
        )?;
        families.gauge(
            "spacelift_dora_median_lead_time_for_changes_seconds",
            "Median lead time for changes in the time range --dora-window, in seconds",
            first(&range.median_lead_time_for_changes_value),
        )?;
        families.gauge(
            "spacelift_dora_average_time_to_recovery_seconds",
            "Average time to recovery in the time range --dora-window, in seconds",
            first(&range.average_time_to_recovery_value),
        )?;
        families.gauge(
            "spacelift_dora_median_time_to_recovery_seconds",
            "Median time to recovery in the time range --dora-window, in seconds",
            first(&range.median_time_to_recovery_value),
        )?;
        families.gauge(
            "spacelift_dora_change_failure_rate",
            "Share of deployments that failed in the time range --dora-window",
            first(&range.change_failure_rate_value),
        )?;
        families.gauge(
            "spacelift_dora_deployment_frequency_rate",
            "Deployment frequency in the time range --dora-window, in the unit of the API",
            first(&range.deployment_frequency_rate_value),
        )
    }
}
