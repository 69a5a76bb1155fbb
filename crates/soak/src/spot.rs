//! spot-interruption-exporter with durable state, and its simulated Google Cloud.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use harness::Exporter;
use sandbox::google::Instance;
use sandbox::google::audit_log::AuditLog;
use sandbox::google::compute::{Compute, Operation, Reply};
use sandbox::google::pubsub::{Faults, PubSub};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tonic::Code;

use crate::program;

const PROJECT: &str = "example-project";
const INTERRUPTIONS: &str = "projects/example-project/topics/interruption";
const INTERRUPTIONS_SUBSCRIPTION: &str = "projects/example-project/subscriptions/interruption";
const CLUSTERS: u64 = 5;
const NODES: u64 = 1_000;

/// Batches per second.
const BATCHES: u32 = 10;

/// One of this many events is published twice.
const DUPLICATE_EVERY: u64 = 20;

/// The timeout for the remaining messages at the end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(300);

pub(crate) struct World {
    pubsub: PubSub,
    compute: Compute,
    nodes: Vec<Instance>,
    published: Mutex<Published>,
    pub(crate) exporter: Exporter,
    _state: TempDir,
}

struct Published {
    log: AuditLog,
    count: u64,
    by_cluster: BTreeMap<String, u64>,
}

impl World {
    pub(crate) async fn start() -> Self {
        let pubsub = PubSub::builder().start().await.unwrap();
        for name in ["creation", "interruption"] {
            let (topic, subscription) = (
                format!("projects/{PROJECT}/topics/{name}"),
                format!("projects/{PROJECT}/subscriptions/{name}"),
            );
            pubsub.create_topic(&topic).unwrap();
            pubsub.create_subscription(&subscription, &topic).unwrap();
        }
        let compute = Compute::builder().project(PROJECT, 1).start().await.unwrap();
        let nodes: Vec<Instance> = (1..=NODES).map(node).collect();
        compute.insert_all(nodes.clone());
        let state = tempfile::tempdir().unwrap();
        let mut command = program("spot-interruption-exporter");
        command
            .env("SIE_PROJECT_NAME", PROJECT)
            .env("SIE_PUBSUB__INSTANCE_CREATION_SUBSCRIPTION_NAME", "creation")
            .env("SIE_PUBSUB__INSTANCE_INTERRUPTION_SUBSCRIPTION_NAME", "interruption")
            .env("SIE_PUBSUB__ENDPOINT", pubsub.endpoint())
            .env("SIE_COMPUTE__ENDPOINT", compute.url())
            .env("SIE_COMPUTE__RESYNC_INTERVAL", "5s")
            .env("SIE_DEDUP_WINDOW", "2m")
            .env("SIE_PROMETHEUS__ADDRESS", "127.0.0.1:0")
            .env("SIE_STATE__PATH", state.path());
        let exporter = Exporter::run(command).await;
        exporter.readiness(200).await;
        let published = Published { log: AuditLog::new(PROJECT, 1), count: 0, by_cluster: BTreeMap::new() };
        Self { pubsub, compute, nodes, published: published.into(), exporter, _state: state }
    }

    /// Returns the number of published interruptions.
    pub(crate) fn published(&self) -> u64 {
        self.published.lock().unwrap().count
    }

    /// Publishes interruptions at a fixed rate. Never returns.
    pub(crate) async fn flow<T>(&self, in_a_second: u32) -> T {
        let mut pace = interval(Duration::from_secs(1) / BATCHES);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pace.tick().await;
            let entries = self.published.lock().unwrap().batch(&self.nodes, in_a_second / BATCHES);
            self.pubsub.publish(INTERRUPTIONS, entries).unwrap();
        }
    }

    /// Injects each fault of Pub/Sub and Compute Engine in turn. Never returns.
    pub(crate) async fn faults<T>(&self, each: Duration) -> T {
        let faults = [
            Faults { duplicates: 0.05, reorder: 100, ..Faults::default() },
            Faults { reset_every: Some(Duration::from_secs(1)), ..Faults::default() },
            Faults { lost_acks: 0.1, ..Faults::default() },
            Faults { refuse: Some(Code::Unavailable), ..Faults::default() },
            Faults { refuse: Some(Code::PermissionDenied), ..Faults::default() },
            Faults { freeze: true, ..Faults::default() },
        ];
        loop {
            for faults in &faults {
                self.pubsub.set_faults(faults.clone());
                self.compute.override_reply(Operation::List, Reply::status(503));
                sleep(each).await;
                self.pubsub.clear_faults();
                self.compute.clear_overrides();
                sleep(each).await;
            }
        }
    }

    /// Returns an error unless each interruption is counted exactly once, for its own cluster, after the last
    /// fault.
    pub(crate) async fn settle(&self) -> Result<(), String> {
        self.pubsub.clear_faults();
        self.compute.clear_overrides();
        let drained = self.pubsub.wait_until_drained(INTERRUPTIONS_SUBSCRIPTION);
        if timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            let left = self.pubsub.unacked(INTERRUPTIONS_SUBSCRIPTION);
            return Err(format!("{left} messages remain:\n{}", self.exporter.log_text()));
        }
        let scrape = self.exporter.scrape().await;
        let Published { by_cluster: expected, count, .. } = &*self.published.lock().unwrap();
        let series = |cluster: &str| format!("interruption_events_total{{kubernetes_cluster=\"{cluster}\"}}");
        let counted = |cluster: &str| scrape.sample(&series(cluster)).unwrap_or_default() as u64;
        let wrong: Vec<String> = expected
            .iter()
            .filter(|(cluster, published)| counted(cluster) != **published)
            .map(|(cluster, published)| {
                format!("{cluster}: {published} published, {} counted", counted(cluster))
            })
            .collect();
        println!("\n{count} interruptions of {} clusters were published.", expected.len());
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }
}

impl Published {
    /// Returns the next interruptions.
    fn batch(&mut self, nodes: &[Instance], number: u32) -> Vec<Value> {
        let mut entries = Vec::new();
        for _ in 0..number {
            let id = self.count % NODES;
            self.count += 1;
            *self.by_cluster.entry(cluster(id + 1)).or_default() += 1;
            let entry = self.log.preempted(&nodes[id as usize]);
            entries.extend(std::iter::repeat_n(
                entry,
                if self.count.is_multiple_of(DUPLICATE_EVERY) { 2 } else { 1 },
            ));
        }
        entries
    }
}

fn cluster(id: u64) -> String {
    format!("cluster-{}", id % CLUSTERS)
}

fn node(id: u64) -> Instance {
    let name = format!("gke-{}-{id:08x}", cluster(id));
    Instance::new(id, "europe-west1-c", name).spot().machine_type("n2-standard-4").gke(
        &cluster(id),
        "europe-west1",
        "spot-pool",
    )
}
