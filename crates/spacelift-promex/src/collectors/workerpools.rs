//! `workerpools`: private worker pools and their workers.
//!
//! An account can have thousands of pools with many workers each. For that reason the response is not parsed into the
//! types of the query: workers are only counted, and ids and names share one buffer.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use exporter_common::metrics::Number;
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

use super::{Collector, Families, Writer, parse, query};
use crate::schema::Amount;

pub(super) const COLLECTOR: Collector = Collector {
    name: "workerpools",
    about: "Workers, busy and drained workers and pending runs of each private worker pool",
    on_by_default: true,
    fixed: true,
    query: |_| query::<selection::Query>("PrometheusExporter_WorkerPools"),
    parse: parse::<Data>,
};

/// The fields of the query.
mod selection {
    #![expect(dead_code, reason = "these types only describe the query")]

    use crate::schema::{Amount, Unread};

    #[derive(cynic::QueryFragment, Debug)]
    #[cynic(schema_module = "crate::schema")]
    pub(super) struct Query {
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
        /// Not used; the original exporter queries it, too.
        id: Unread,
        drained: bool,
    }
}

#[derive(serde::Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
struct Data {
    worker_pools: WorkerPools,
}

/// The pools, sorted by id and without duplicates.
#[derive(Debug, Default)]
struct WorkerPools {
    /// The ids and names of all pools.
    text: String,
    pools: Vec<WorkerPool>,
}

#[derive(Debug)]
struct WorkerPool {
    /// Position in [`WorkerPools::text`].
    id: Range<usize>,
    /// Position in [`WorkerPools::text`].
    name: Range<usize>,
    pending_runs: Amount,
    busy_workers: Amount,
    workers: WorkerCounts,
}

/// A pool as it is in the response.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct ParsedPool<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    pending_runs: Amount,
    busy_workers: Amount,
    workers: WorkerCounts,
}

impl WorkerPools {
    fn push(&mut self, pool: &ParsedPool<'_>) {
        let id = self.append(&pool.id);
        let name = self.append(&pool.name);
        let ParsedPool { pending_runs, busy_workers, workers, .. } = *pool;
        self.pools.push(WorkerPool { id, name, pending_runs, busy_workers, workers });
    }

    fn append(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }

    /// Sorts the pools by id, which is the order of their series. Of several pools with one id, the first is kept.
    fn sort(&mut self) {
        let Self { text, pools } = self;
        let id = |pool: &WorkerPool| &text[pool.id.clone()];
        if !pools.is_sorted_by(|one, other| id(one) < id(other)) {
            pools.sort_by(|one, other| id(one).cmp(id(other)));
            pools.dedup_by(|one, other| id(one) == id(other));
        }
    }
}

impl<'de> Deserialize<'de> for WorkerPools {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PoolsVisitor;

        impl<'de> Visitor<'de> for PoolsVisitor {
            type Value = WorkerPools;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of worker pools")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<WorkerPools, A::Error> {
                let mut pools = WorkerPools::default();
                while let Some(pool) = list.next_element::<ParsedPool<'de>>()? {
                    pools.push(&pool);
                }
                pools.sort();
                Ok(pools)
            }
        }

        deserializer.deserialize_seq(PoolsVisitor)
    }
}

/// The number of workers of a pool.
#[derive(Debug, Clone, Copy, Default)]
struct WorkerCounts {
    all: u32,
    drained: u32,
}

impl<'de> Deserialize<'de> for WorkerCounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Worker {
            drained: bool,
        }

        struct WorkersVisitor;

        impl<'de> Visitor<'de> for WorkersVisitor {
            type Value = WorkerCounts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of workers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut workers: A) -> Result<WorkerCounts, A::Error> {
                let mut counts = WorkerCounts::default();
                while let Some(worker) = workers.next_element::<Worker>()? {
                    counts.all += 1;
                    counts.drained += u32::from(worker.drained);
                }
                Ok(counts)
            }
        }

        deserializer.deserialize_seq(WorkersVisitor)
    }
}

impl Families for Data {
    fn write(&self, families: &mut Writer<'_, '_>) -> fmt::Result {
        type Measure = fn(&WorkerPool) -> Number;
        let measures: [(&'static str, &'static str, Measure); 4] = [
            ("spacelift_worker_pool_runs_pending", "Runs that wait for a worker of the pool", |pool| {
                pool.pending_runs.number()
            }),
            ("spacelift_worker_pool_workers_busy", "Workers of the pool that are busy", |pool| {
                pool.busy_workers.number()
            }),
            ("spacelift_worker_pool_workers", "Workers of the pool: busy, idle and drained", |pool| {
                Number(pool.workers.all.into())
            }),
            (
                "spacelift_worker_pool_workers_drained",
                "Workers of the pool that are drained and take no more runs",
                |pool| Number(pool.workers.drained.into()),
            ),
        ];
        let WorkerPools { text, pools } = &self.worker_pools;
        for (name, help, measure) in measures {
            families.gauges(
                name,
                help,
                pools.iter().map(|pool| {
                    let labels = [
                        ("worker_pool_id", &text[pool.id.clone()]),
                        ("worker_pool_name", &text[pool.name.clone()]),
                    ];
                    (labels, measure(pool))
                }),
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_first_of_equal_ids_and_sorts() {
        let json = r#"{"workerPools": [
            {"id": "b", "name": "tw\u00f6", "pendingRuns": 1, "busyWorkers": 2, "workers": [{"id": "x", "drained": true}, {"id": "y", "drained": false}]},
            {"id": "a", "name": "one", "pendingRuns": 3, "busyWorkers": 4, "workers": []},
            {"id": "b", "name": "again", "pendingRuns": 5, "busyWorkers": 6, "workers": []}
        ]}"#;
        let WorkerPools { text, pools } = serde_json::from_str::<Data>(json).unwrap().worker_pools;
        let pools: Vec<_> = pools
            .iter()
            .map(|pool| {
                (&text[pool.id.clone()], &text[pool.name.clone()], pool.workers.all, pool.workers.drained)
            })
            .collect();
        assert_eq!(pools, [("a", "one", 0, 0), ("b", "tw\u{f6}", 2, 1)]);
    }
}
