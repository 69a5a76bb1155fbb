//! `limits`: allowed usage, seats and retention of the account.

use std::fmt;

use super::{Collector, Families, Writer, parse, query};
use crate::schema::Amount;

pub(super) const COLLECTOR: Collector = Collector {
    name: "limits",
    about: "Allowed and total usage in the billing period, seats, and retention of logs and audit trail",
    on_by_default: false,
    fixed: true,
    query: |_| query::<Data>("PrometheusExporter_Limits"),
    parse: parse::<Data>,
};

#[derive(cynic::QueryFragment, Debug)]
#[cynic(graphql_type = "Query", schema_module = "crate::schema")]
struct Data {
    usage: Usage,
    seats: Seats,
    audit_trail_retention_days: Amount,
    run_log_retention_days: Amount,
}

#[derive(cynic::QueryFragment, Debug)]
#[cynic(schema_module = "crate::schema")]
struct Usage {
    allowed_minutes: Amount,
    allowed_seats: Amount,
    used_minutes: Amount,
    used_workers: Amount,
}

#[derive(cynic::QueryFragment, Debug)]
#[cynic(schema_module = "crate::schema")]
struct Seats {
    user: SeatUsage,
    api_key: SeatUsage,
}

#[derive(cynic::QueryFragment, Debug)]
#[cynic(schema_module = "crate::schema")]
struct SeatUsage {
    limit: Amount,
    in_use: Amount,
}

impl Families for Data {
    fn write(&self, families: &mut Writer<'_, '_>) -> fmt::Result {
        let Self { usage, seats, .. } = self;
        families.gauge(
            "spacelift_current_billing_period_allowed_seconds",
            "Allowed worker time in the current billing period, in seconds",
            usage.allowed_minutes.minutes(),
        )?;
        families.gauge(
            "spacelift_current_billing_period_allowed_seats",
            "Allowed seats in the current billing period",
            usage.allowed_seats.number(),
        )?;
        families.gauge(
            "spacelift_current_billing_period_used_seconds",
            "Time used on public and private workers in the current billing period, in seconds",
            usage.used_minutes.minutes(),
        )?;
        families.gauge(
            "spacelift_current_billing_period_used_workers",
            "Maximum number of concurrent private workers in the current billing period",
            usage.used_workers.number(),
        )?;
        let kinds = [("user", &seats.user), ("api_key", &seats.api_key)];
        families.gauges(
            "spacelift_seats_limit",
            "Maximum number of seats by type; -1 means unlimited",
            kinds.map(|(kind, seats)| ([("type", kind)], seats.limit.number())),
        )?;
        families.gauges(
            "spacelift_seats_in_use",
            "Seats in use by type",
            kinds.map(|(kind, seats)| ([("type", kind)], seats.in_use.number())),
        )?;
        families.gauge(
            "spacelift_audit_trail_retention_days",
            "Retention of the built-in audit trail, in days",
            self.audit_trail_retention_days.number(),
        )?;
        families.gauge(
            "spacelift_run_log_retention_days",
            "Retention of run logs, in days",
            self.run_log_retention_days.number(),
        )
    }
}
