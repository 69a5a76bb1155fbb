//! `publicworkerpool`: Spacelift's shared workers.

use std::fmt;

use super::{Collector, Families, Writer, parse, query};
use crate::schema::Amount;

pub(super) const COLLECTOR: Collector = Collector {
    name: "publicworkerpool",
    about: "Parallelism, busy workers and pending runs of the public worker pool",
    on_by_default: true,
    fixed: true,
    query: |_| query::<Data>("PrometheusExporter_PublicWorkerPool"),
    parse: parse::<Data>,
};

#[derive(cynic::QueryFragment, Debug)]
#[cynic(graphql_type = "Query", schema_module = "crate::schema")]
struct Data {
    public_worker_pool: Option<PublicWorkerPool>,
}

#[derive(cynic::QueryFragment, Debug)]
#[cynic(schema_module = "crate::schema")]
struct PublicWorkerPool {
    parallelism: Amount,
    busy_workers: Amount,
    pending_runs: Amount,
}

impl Families for Data {
    fn write(&self, families: &mut Writer<'_, '_>) -> fmt::Result {
        let Some(pool) = &self.public_worker_pool else { return Ok(()) };
        families.gauge(
            "spacelift_public_worker_pool_parallelism",
            "Runs that the public worker pool may execute at the same time for this account",
            pool.parallelism.number(),
        )?;
        families.gauge(
            "spacelift_public_worker_pool_workers_busy",
            "Workers of the public worker pool that are busy for this account",
            pool.busy_workers.number(),
        )?;
        families.gauge(
            "spacelift_public_worker_pool_runs_pending",
            "Runs of this account that wait for a public worker",
            pool.pending_runs.number(),
        )
    }
}
