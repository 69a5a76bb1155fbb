//! `pools`: users, settings and schedulable runs of worker pools.

use std::fmt;

use exporter_common::metrics::Number;

use super::{Collector, Families, Writer, parse, query};
use crate::schema::Amount;

pub(super) const COLLECTOR: Collector = Collector {
    name: "pools",
    about: "Stacks, modules and intent projects that use worker pools, schedulable runs, and settings of the pools",
    on_by_default: false,
    fixed: true,
    query: |_| query::<Data>("PrometheusExporter_Pools"),
    parse: parse::<Data>,
};

#[derive(cynic::QueryFragment, Debug)]
#[cynic(graphql_type = "Query", schema_module = "crate::schema")]
struct Data {
    public_worker_pool: Option<PublicWorkerPool>,
    worker_pools: Vec<WorkerPool>,
}

#[derive(cynic::QueryFragment, Debug)]
#[cynic(schema_module = "crate::schema")]
struct PublicWorkerPool {
    users_count: Amount,
    intent_projects_count: Amount,
    schedulable_runs_count: Amount,
}

#[derive(cynic::QueryFragment, Debug)]
#[cynic(schema_module = "crate::schema")]
struct WorkerPool {
    id: cynic::Id,
    name: String,
    users_count: Amount,
    intent_projects_count: Amount,
    schedulable_runs_count: Amount,
    notification_count: Amount,
    drift_detection_run_limit: Option<Amount>,
    #[cynic(rename = "managedByK8sController")]
    managed_by_k8s_controller: bool,
}

impl Families for Data {
    fn write(&self, families: &mut Writer<'_, '_>) -> fmt::Result {
        if let Some(pool) = &self.public_worker_pool {
            families.gauge(
                "spacelift_public_worker_pool_users",
                "Stacks and modules that use the public worker pool",
                pool.users_count.number(),
            )?;
            families.gauge(
                "spacelift_public_worker_pool_intent_projects",
                "Intent projects that use the public worker pool",
                pool.intent_projects_count.number(),
            )?;
            families.gauge(
                "spacelift_public_worker_pool_runs_schedulable",
                "Runs that the public worker pool could start now",
                pool.schedulable_runs_count.number(),
            )?;
        }
        type Measure = fn(&WorkerPool) -> Option<Number>;
        let measures: [(&'static str, &'static str, Measure); 6] = [
            ("spacelift_worker_pool_users", "Stacks and modules that use the pool", |pool| {
                Some(pool.users_count.number())
            }),
            ("spacelift_worker_pool_intent_projects", "Intent projects that use the pool", |pool| {
                Some(pool.intent_projects_count.number())
            }),
            ("spacelift_worker_pool_runs_schedulable", "Runs that the pool could start now", |pool| {
                Some(pool.schedulable_runs_count.number())
            }),
            ("spacelift_worker_pool_notifications", "Unread notifications about the pool", |pool| {
                Some(pool.notification_count.number())
            }),
            (
                "spacelift_worker_pool_drift_detection_run_limit",
                "Maximum number of drift detection runs on the pool; absent if there is no limit",
                |pool| pool.drift_detection_run_limit.map(Amount::number),
            ),
            (
                "spacelift_worker_pool_managed_by_k8s_controller",
                "Whether the Kubernetes controller manages the pool (1) or not (0)",
                |pool| Some(pool.managed_by_k8s_controller.into()),
            ),
        ];
        let mut pools: Vec<&WorkerPool> = self.worker_pools.iter().collect();
        // This is also the order of the series. Of several pools with one id, the first is kept.
        pools.sort_by_key(|pool| pool.id.inner());
        pools.dedup_by_key(|pool| pool.id.inner());
        for (name, help, measure) in measures {
            families.gauges(
                name,
                help,
                pools.iter().filter_map(|pool| {
                    let labels =
                        [("worker_pool_id", pool.id.inner()), ("worker_pool_name", pool.name.as_str())];
                    Some((labels, measure(pool)?))
                }),
            )?;
        }
        Ok(())
    }
}
