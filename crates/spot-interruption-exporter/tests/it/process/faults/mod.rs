//! What goes wrong between the exporter and Google, and what it does about it.

mod listings;
mod lookups;
mod shutdown;
mod streams;
mod unavailable;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use harness::{Exporter, HUNG, Usage};
use sandbox::google::Instance;
use sandbox::google::compute::{Hold, Operation, Reply};
use sandbox::google::pubsub::Faults;
use serde_json::Value;
use tonic::Code;

use crate::process::world::{Broker, Way, World, node, total};

const CLUSTER: &str = "storm";

/// A world whose cluster has this many nodes, all of them listed.
async fn world_with(nodes: u64) -> (World, Vec<Instance>) {
    let world = World::sandbox().await;
    let nodes: Vec<Instance> = (1..=nodes).map(|id| node(id, CLUSTER)).collect();
    world.compute.insert_all(nodes.clone());
    (world, nodes)
}

/// Publishes an interruption of each node, in this process and so at once.
fn storm(world: &mut World, nodes: &[Instance]) {
    let entries: Vec<Value> = nodes.iter().map(|node| world.log.preempted(node)).collect();
    let topic = world.topic(Way::Interruption);
    world.pubsub().publish(&topic, entries).unwrap();
}

async fn counted(exporter: &Exporter, count: f64) {
    exporter
        .scraped(&format!("{count} are counted"), |scrape| scrape.sample(&total(CLUSTER)) == Some(count))
        .await;
}
