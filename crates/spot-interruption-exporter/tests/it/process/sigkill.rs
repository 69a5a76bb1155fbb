//! SIGKILL at random times, also between counting an operation and committing the cursor: each preemption is counted once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use harness::{Exporter, HttpResponse};
use sandbox::google::Instance;
use tempfile::TempDir;

use super::durable::kill;
use super::operations::{OFTEN, listings, preemption};
use super::services::{EventKind, Services, node, operations_command, total};

const CLUSTERS: [&str; 3] = ["blue", "green", "red"];

/// Returns the number of kills, which is larger with `LONG_TESTS` in the environment.
fn kills() -> u64 {
    if std::env::var_os("LONG_TESTS").is_some() { 200 } else { 20 }
}

/// A pseudo-random generator.
struct Numbers(u64);

impl Numbers {
    /// Seeded by `KILL_SEED`, or else by the time. A failing test prints the seed.
    #[expect(clippy::print_stdout, reason = "the output of a failing test is shown")]
    fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let given = std::env::var("KILL_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or(u64::from(now.subsec_nanos()));
        println!("KILL_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Instances for each run. No instance is preempted twice, because two preemptions within a minute count as one.
const NODES_PER_RUN: u64 = 250;

/// Preempts instances and records how many.
struct Preemptions {
    services: Services,
    nodes: Vec<Instance>,
    /// Whether some preemptions are published to Pub/Sub.
    has_messages: bool,
    expected: BTreeMap<&'static str, u64>,
    number: usize,
}

impl Preemptions {
    async fn new(has_messages: bool) -> Self {
        let services = Services::sandbox().await;
        let nodes = 0..kills() * NODES_PER_RUN;
        let nodes: Vec<_> = nodes.map(|id| node(id + 1, CLUSTERS[id as usize % CLUSTERS.len()])).collect();
        services.compute.insert_all(nodes.clone());
        Self { services, nodes, has_messages, expected: BTreeMap::new(), number: 0 }
    }

    fn exporter(&self, directory: &TempDir) -> impl Future<Output = Exporter> + use<> {
        let mut command = if self.has_messages {
            let mut command = self.services.command();
            command.envs([OFTEN, ("SIE_ATTRIBUTION_GRACE", "300ms")]);
            command
        } else {
            operations_command(&self.services.compute.url())
        };
        command.env("SIE_STATE__PATH", directory.path());
        Exporter::run(command)
    }

    /// Preempts the next node, if any. With Pub/Sub, of three preemptions one has only an operation, one only a message,
    /// and one has both.
    fn next(&mut self) {
        let Some(instance) = self.nodes.get(self.number) else { return };
        let (entry, operation) = preemption(&mut self.services.log, instance);
        // Each cluster has all three variants.
        let variant = (self.number / CLUSTERS.len()) % 3;
        if self.has_messages && variant != 0 {
            self.services
                .pubsub()
                .publish(&self.services.topic(EventKind::Interruption), vec![entry])
                .unwrap();
        }
        if !self.has_messages || variant != 1 {
            self.services.compute.insert_operation(operation);
        }
        *self.expected.entry(CLUSTERS[self.number % CLUSTERS.len()]).or_default() += 1;
        self.number += 1;
    }
}

async fn check_counts_across_kills(has_messages: bool) {
    let mut numbers = Numbers::new();
    let mut preemptions = Preemptions::new(has_messages).await;
    let directory = tempfile::tempdir().unwrap();
    // Operations before the first cursor are not counted.
    let mut exporter = preemptions.exporter(&directory).await;
    exporter.readiness(200).await;
    listings(&exporter, 3.0).await;
    for _ in 0..kills() {
        let end = Instant::now() + Duration::from_millis(numbers.below(500));
        while Instant::now() < end {
            preemptions.next();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        kill(exporter).await;
        // Preemptions continue while the exporter is down.
        for _ in 0..numbers.below(10) {
            preemptions.next();
        }
        exporter = preemptions.exporter(&directory).await;
    }
    exporter.readiness(200).await;
    for (cluster, expected) in &preemptions.expected {
        let expected = *expected as f64;
        let reached = |scrape: &HttpResponse| scrape.sample(&total(cluster)) >= Some(expected);
        exporter.scraped("all are counted", reached).await;
    }
    // Operations that are received again, or held for the grace, would be counted by then.
    listings(&exporter, 4.0).await;
    let scrape = exporter.scrape().await;
    for (cluster, expected) in &preemptions.expected {
        assert_eq!(scrape.sample(&total(cluster)), Some(*expected as f64), "{cluster}");
    }
    assert_eq!(scrape.sample("interruption_events_unattributed_total"), Some(0.0));
}

#[tokio::test]
async fn counts_once_with_operations_as_the_source() {
    check_counts_across_kills(false).await;
}

#[tokio::test]
async fn counts_once_with_operations_and_pubsub() {
    check_counts_across_kills(true).await;
}
