//! Faults of Pub/Sub and the Compute API, and recovery from them.

mod listings;
mod lookups;
mod shutdown;
mod streams;
mod unavailable;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use harness::{Exporter, HANG_TIMEOUT, Usage};
use sandbox::google::Instance;
use sandbox::google::compute::{Hold, Operation, Reply};
use sandbox::google::pubsub::Faults;
use serde_json::Value;
use tonic::Code;

use super::services::{Broker, EventKind, Services, node, total};

const CLUSTER: &str = "faults";

/// Services with this many listed nodes.
async fn services_with(nodes: u64) -> (Services, Vec<Instance>) {
    let services = Services::sandbox().await;
    let nodes: Vec<Instance> = (1..=nodes).map(|id| node(id, CLUSTER)).collect();
    services.compute.insert_all(nodes.clone());
    (services, nodes)
}

/// Publishes an interruption of each node in one burst.
fn publish_burst(services: &mut Services, nodes: &[Instance]) {
    let entries: Vec<Value> = nodes.iter().map(|node| services.log.preempted(node)).collect();
    let topic = services.topic(EventKind::Interruption);
    services.pubsub().publish(&topic, entries).unwrap();
}

async fn wait_until_counted(exporter: &Exporter, count: f64) {
    exporter
        .scraped(&format!("{count} are counted"), |scrape| scrape.sample(&total(CLUSTER)) == Some(count))
        .await;
}
