//! `usage`: the current billing period.

use std::fmt;

use super::{Collector, Families, Writer, parse, query};
use crate::schema::Amount;

pub(super) const COLLECTOR: Collector = Collector {
    name: "usage",
    about: "Usage in the current billing period",
    on_by_default: true,
    fixed: true,
    query: |_| query::<Data>("PrometheusExporter_Usage"),
    parse: parse::<Data>,
};

#[derive(cynic::QueryFragment, Debug)]
#[cynic(graphql_type = "Query", schema_module = "crate::schema")]
struct Data {
    usage: Usage,
}

#[derive(cynic::QueryFragment, Debug)]
#[cynic(schema_module = "crate::schema")]
struct Usage {
    billing_period_start: Amount,
    billing_period_end: Amount,
    used_private_minutes: Amount,
    used_public_minutes: Amount,
    used_seats: Amount,
}

impl Families for Data {
    fn write(&self, families: &mut Writer<'_, '_>) -> fmt::Result {
        let usage = &self.usage;
        families.gauge(
            "spacelift_current_billing_period_start_timestamp_seconds",
            "Start of the current billing period, in Unix seconds",
            usage.billing_period_start.number(),
        )?;
        families.gauge(
            "spacelift_current_billing_period_end_timestamp_seconds",
            "End of the current billing period, in Unix seconds",
            usage.billing_period_end.number(),
        )?;
        families.gauge(
            "spacelift_current_billing_period_used_private_seconds",
            "Time used on private workers in the current billing period, in seconds",
            usage.used_private_minutes.minutes(),
        )?;
        families.gauge(
            "spacelift_current_billing_period_used_public_seconds",
            "Time used on public workers in the current billing period, in seconds",
            usage.used_public_minutes.minutes(),
        )?;
        families.gauge(
            "spacelift_current_billing_period_used_seats",
            "Seats used in the current billing period",
            usage.used_seats.number(),
        )
    }
}
