//! `kill -9` at any moment, also between counting an operation and writing down the cursor: each preemption counts once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use harness::{Answer, Exporter};
use sandbox::google::Instance;
use tempfile::TempDir;

use super::durable::kill;
use super::operations::{OFTEN, listings, preemption};
use super::world::{Way, World, node, source_command, total};

const CLUSTERS: [&str; 3] = ["blue", "green", "red"];

/// How often the process is killed: more often with `LONG_TESTS` in the environment.
fn lives() -> u64 {
    if std::env::var_os("LONG_TESTS").is_some() { 200 } else { 20 }
}

/// Numbers that look random: the same ones for the same seed.
struct Numbers(u64);

impl Numbers {
    /// Seeded by `KILL_SEED`, else by the time. A test that fails shows the seed.
    #[expect(clippy::print_stdout, reason = "a test that fails shows what it printed")]
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

/// Instances for each life; none is preempted twice, for two losses within a minute are one.
const NODES_A_LIFE: u64 = 250;

/// Preempts instances, and knows how many.
struct Preemptions {
    world: World,
    nodes: Vec<Instance>,
    /// Whether Pub/Sub tells of some of them.
    has_messages: bool,
    expected: BTreeMap<&'static str, u64>,
    number: usize,
}

impl Preemptions {
    async fn new(has_messages: bool) -> Self {
        let world = World::sandbox().await;
        let nodes = 0..lives() * NODES_A_LIFE;
        let nodes: Vec<_> = nodes.map(|id| node(id + 1, CLUSTERS[id as usize % CLUSTERS.len()])).collect();
        world.compute.insert_all(nodes.clone());
        Self { world, nodes, has_messages, expected: BTreeMap::new(), number: 0 }
    }

    fn exporter(&self, directory: &TempDir) -> impl Future<Output = Exporter> + use<> {
        let mut command = if self.has_messages {
            let mut command = self.world.command();
            command.envs([OFTEN, ("SIE_ATTRIBUTION_GRACE", "300ms")]);
            command
        } else {
            source_command(&self.world.compute.url())
        };
        command.env("SIE_STATE__PATH", directory.path());
        Exporter::run(command)
    }

    /// One preemption, while there are nodes. With Pub/Sub, of three one has only an operation, one only a message, and
    /// one has both.
    fn next(&mut self) {
        let Some(instance) = self.nodes.get(self.number) else { return };
        let (entry, operation) = preemption(&mut self.world.log, instance);
        // Each cluster has all three kinds.
        let kind = (self.number / CLUSTERS.len()) % 3;
        if self.has_messages && kind != 0 {
            self.world.pubsub().publish(&self.world.topic(Way::Interruption), vec![entry]).unwrap();
        }
        if !self.has_messages || kind != 1 {
            self.world.compute.insert_operation(operation);
        }
        *self.expected.entry(CLUSTERS[self.number % CLUSTERS.len()]).or_default() += 1;
        self.number += 1;
    }
}

async fn every_preemption_counts_once(has_messages: bool) {
    let mut numbers = Numbers::new();
    let mut preemptions = Preemptions::new(has_messages).await;
    let directory = tempfile::tempdir().unwrap();
    // Before the first cursor, what has happened is not wanted.
    let mut exporter = preemptions.exporter(&directory).await;
    exporter.readiness(200).await;
    listings(&exporter, 3.0).await;
    for _ in 0..lives() {
        let end = Instant::now() + Duration::from_millis(numbers.below(500));
        while Instant::now() < end {
            preemptions.next();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        kill(exporter).await;
        // It goes on while nobody looks.
        for _ in 0..numbers.below(10) {
            preemptions.next();
        }
        exporter = preemptions.exporter(&directory).await;
    }
    exporter.readiness(200).await;
    for (cluster, expected) in &preemptions.expected {
        let expected = *expected as f64;
        let reached = |scrape: &Answer| scrape.sample(&total(cluster)) >= Some(expected);
        exporter.scraped("all are counted", reached).await;
    }
    // What is offered again by then would count now, and what is held for the grace.
    listings(&exporter, 4.0).await;
    let scrape = exporter.scrape().await;
    for (cluster, expected) in &preemptions.expected {
        assert_eq!(scrape.sample(&total(cluster)), Some(*expected as f64), "{cluster}");
    }
    assert_eq!(scrape.sample("interruption_events_unattributed_total"), Some(0.0));
}

#[tokio::test]
async fn as_the_source() {
    every_preemption_counts_once(false).await;
}

#[tokio::test]
async fn beside_pubsub() {
    every_preemption_counts_once(true).await;
}
