//! `attention`: runs that need an action, and upcoming drift detection.

use std::fmt;

use exporter_common::metrics::Number;

use super::{Collector, Families, Writer, parse, query};
use crate::schema::Unread;

pub(super) const COLLECTOR: Collector = Collector {
    name: "attention",
    about: "Runs that need approval or attention, upcoming drift detection schedules",
    on_by_default: false,
    fixed: true,
    query: |_| query::<Data>("PrometheusExporter_Attention"),
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
    needs_approval_runs: Vec<MetricsRun>,
    runs_requiring_attention: Vec<MetricsRun>,
    upcoming_drift_detection_schedules: Vec<DriftDetectionSchedule>,
}

#[derive(cynic::QueryFragment, Debug)]
#[cynic(schema_module = "crate::schema")]
struct MetricsRun {
    #[expect(dead_code, reason = "runs are counted, not named")]
    id: Unread,
}

#[derive(cynic::QueryFragment, Debug)]
#[cynic(schema_module = "crate::schema")]
struct DriftDetectionSchedule {
    #[expect(dead_code, reason = "schedules are counted, not named")]
    stack_tile: StackTile,
}

#[derive(cynic::QueryFragment, Debug)]
#[cynic(schema_module = "crate::schema")]
struct StackTile {
    #[expect(dead_code, reason = "schedules are counted, not named")]
    slug: Unread,
}

impl Families for Data {
    fn write(&self, families: &mut Writer<'_, '_>) -> fmt::Result {
        let Some(metrics) = &self.metrics else { return Ok(()) };
        families.gauge(
            "spacelift_runs_needing_approval",
            "Runs that wait for an approval",
            Number(metrics.needs_approval_runs.len() as f64),
        )?;
        families.gauge(
            "spacelift_runs_requiring_attention",
            "Runs that require attention",
            Number(metrics.runs_requiring_attention.len() as f64),
        )?;
        families.gauge(
            "spacelift_drift_detection_schedules_upcoming",
            "Upcoming drift detection schedules",
            Number(metrics.upcoming_drift_detection_schedules.len() as f64),
        )
    }
}
