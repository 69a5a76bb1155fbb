//! `workerpools`: the account's own worker pools, the metrics that people scale by.

use std::collections::HashSet;
use std::fmt;

use exporter_common::metrics::Number;

use super::{Collector, Families, Writer, answer, question};
use crate::schema::{Amount, Unread};

pub(super) const COLLECTOR: Collector = Collector {
    name: "workerpools",
    about: "Workers, busy and drained workers and pending runs of each private worker pool",
    on_by_default: true,
    fixed: true,
    ask: |_| question::<Answer>("PrometheusExporter_WorkerPools"),
    read: answer::<Answer>,
};

#[derive(cynic::QueryFragment, Debug)]
#[cynic(graphql_type = "Query", schema_module = "crate::schema")]
struct Answer {
    worker_pools: Vec<WorkerPool>,
}

#[derive(cynic::QueryFragment, Debug)]
#[cynic(schema_module = "crate::schema")]
struct WorkerPool {
    id: cynic::Id,
    name: String,
    pending_runs: Amount,
    busy_workers: Amount,
    workers: Vec<Worker>,
}

#[derive(cynic::QueryFragment, Debug)]
#[cynic(schema_module = "crate::schema")]
struct Worker {
    #[expect(dead_code, reason = "asked for like the original does; only the number of workers counts")]
    id: Unread,
    drained: bool,
}

impl WorkerPool {
    fn drained(&self) -> usize {
        self.workers.iter().filter(|worker| worker.drained).count()
    }
}

impl Families for Answer {
    fn write(&self, families: &mut Writer<'_, '_>) -> fmt::Result {
        type Measure = fn(&WorkerPool) -> Number;
        let measures: [(&'static str, &'static str, Measure); 4] = [
            ("spacelift_worker_pool_runs_pending", "Runs that wait for a worker of the pool", |pool| {
                pool.pending_runs.number()
            }),
            ("spacelift_worker_pool_workers_busy", "Workers of the pool that are busy", |pool| {
                pool.busy_workers.number()
            }),
            ("spacelift_worker_pool_workers", "Workers of the pool, busy, idle and drained", |pool| {
                Number(pool.workers.len() as f64)
            }),
            (
                "spacelift_worker_pool_workers_drained",
                "Workers of the pool that are drained and take no more runs",
                |pool| Number(pool.drained() as f64),
            ),
        ];
        let mut seen = HashSet::new();
        let mut pools: Vec<&WorkerPool> =
            self.worker_pools.iter().filter(|pool| seen.insert(pool.id.inner())).collect();
        // Once for all families, each of which has its series in this order.
        pools.sort_by_key(|pool| pool.id.inner());
        for (name, help, measure) in measures {
            families.gauges(
                name,
                help,
                pools.iter().map(|pool| {
                    let labels =
                        [("worker_pool_id", pool.id.inner()), ("worker_pool_name", pool.name.as_str())];
                    (labels, measure(pool))
                }),
            )?;
        }
        Ok(())
    }
}
