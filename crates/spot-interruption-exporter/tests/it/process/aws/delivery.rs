//! Messages of SQS: deleted after they are recorded, kept while they are held, and counted once.

use harness::{Exporter, TIMEOUT};
use sandbox::aws::{Operation, QueueFaults, StaleReceipts};
use tempfile::TempDir;
use tokio::time::timeout;

use super::super::durable::kill;
use super::super::services::total;
use super::{MOMENT, Services, messages, node};

fn state(directory: &TempDir) -> (&'static str, &str) {
    ("SIE_STATE__PATH", directory.path().to_str().unwrap())
}

async fn counted(exporter: &Exporter, count: f64) {
    exporter.scraped("all are counted", |scrape| scrape.sample(&total("prod")) == Some(count)).await;
}

#[tokio::test]
async fn deletes_again_what_failed_in_a_batch() {
    let (services, nodes) = Services::with_nodes(40).await;
    let exporter = services.ready_exporter(&[]).await;
    services.aws.queue().fail_entries(15, "InternalError");
    for node in &nodes {
        services.aws.warn(&node.id).unwrap();
    }
    counted(&exporter, 40.0).await;
    services.aws.queue().wait_until_deleted(40).await;
    assert_eq!(messages(&exporter.scrape().await, "duplicate"), 0.0);
}

#[tokio::test]
async fn counts_repeated_and_reordered_messages_once() {
    let (services, nodes) = Services::with_nodes(200).await;
    let exporter = services.ready_exporter(&[]).await;
    services.aws.queue().set_faults(QueueFaults {
        duplicate_sends: 0.2,
        duplicate_receives: 0.2,
        lost_deletes: 0.1,
        reorder: 50,
        stale_receipts: StaleReceipts::Ignore,
        ..QueueFaults::default()
    });
    for node in &nodes {
        services.aws.warn(&node.id).unwrap();
    }
    counted(&exporter, 200.0).await;
    exporter.scraped("some are duplicates", |scrape| messages(scrape, "duplicate") > 0.0).await;
    assert_eq!(exporter.scrape().await.sample(&total("prod")), Some(200.0));
}

#[tokio::test]
async fn counts_once_when_killed_between_count_and_delete() {
    let (services, nodes) = Services::with_nodes(20).await;
    let directory = tempfile::tempdir().unwrap();
    let variables = [state(&directory), ("SIE_ATTRIBUTION_GRACE", "0s")];
    // Deletions fail, so the counted messages stay in the queue.
    services.aws.fail(Operation::DeleteMessageBatch, "ServiceUnavailable");
    let exporter = services.ready_exporter(&variables).await;
    for node in &nodes {
        services.aws.warn(&node.id).unwrap();
    }
    counted(&exporter, 20.0).await;
    kill(exporter).await;
    assert_eq!(services.aws.queue().deleted(), 0);
    services.aws.clear_overrides();
    services.aws.queue().expire_all();
    let exporter = services.ready_exporter(&variables).await;
    services.aws.queue().wait_until_deleted(20).await;
    let scrape =
        exporter.scraped("they are duplicates", |scrape| messages(scrape, "duplicate") == 20.0).await;
    assert_eq!(scrape.sample(&total("prod")), Some(20.0));
}

#[tokio::test]
async fn returns_held_messages_at_shutdown() {
    let services = Services::new().await;
    // The instance cannot be looked up, so its warning is held.
    let node = node(1, "prod");
    let exporter = services.ready_exporter(&[]).await;
    services.aws.fail(Operation::DescribeInstances, "InternalError");
    services.aws.launch(node.clone());
    services.aws.warn(&node.id).unwrap();
    let held = "spot_interruption_exporter_held_interruptions";
    exporter.scraped("it is held", |scrape| scrape.sample(held) == Some(1.0)).await;
    let mut exporter = exporter;
    exporter.signal("TERM");
    assert!(exporter.exit().await.success());
    assert_eq!(services.aws.queue().visible(), 1, "the next process receives it at once");
    services.aws.clear_overrides();
    let exporter = services.ready_exporter(&[]).await;
    counted(&exporter, 1.0).await;
}

#[tokio::test]
async fn deletes_processed_messages_before_it_exits() {
    let (services, nodes) = Services::with_nodes(95).await;
    let mut exporter = services.ready_exporter(&[]).await;
    for node in &nodes {
        services.aws.warn(&node.id).unwrap();
    }
    counted(&exporter, 95.0).await;
    exporter.signal("TERM");
    assert!(exporter.exit().await.success());
    assert_eq!((services.aws.queue().visible(), services.aws.queue().in_flight()), (0, 0));
    exporter.log("\"interruptions\":95").await;
}

#[tokio::test]
async fn receives_one_message_at_once_and_many_in_parallel() {
    let (services, nodes) = Services::with_nodes(500).await;
    let exporter = services.ready_exporter(&[]).await;
    // A long poll is running.
    timeout(TIMEOUT, services.aws.wait_for(Operation::ReceiveMessage, 2)).await.unwrap();
    tokio::time::sleep(MOMENT).await;
    assert!(services.aws.count(Operation::ReceiveMessage) <= 3, "an idle queue is not polled often");
    services.aws.warn(&nodes[0].id).unwrap();
    counted(&exporter, 1.0).await;
    for node in &nodes[1..] {
        services.aws.warn(&node.id).unwrap();
    }
    counted(&exporter, 500.0).await;
    services.aws.queue().wait_until_deleted(500).await;
    let deletions = services.aws.count(Operation::DeleteMessageBatch);
    assert!(deletions < 200, "deletions are sent in batches: {deletions}");
}

#[tokio::test]
async fn holds_messages_while_ec2_is_down() {
    let services = Services::new().await;
    let exporter = services.ready_exporter(&[("SIE_ATTRIBUTION_GRACE", "30s")]).await;
    services.aws.fail(Operation::DescribeInstances, "Unavailable");
    let nodes: Vec<_> = (1..=50).map(|number| node(number, "prod")).collect();
    services.aws.launch_all(nodes.clone());
    for node in &nodes {
        services.aws.warn(&node.id).unwrap();
    }
    let held = "spot_interruption_exporter_held_interruptions";
    exporter.scraped("all are held", |scrape| scrape.sample(held) == Some(50.0)).await;
    services.aws.clear_overrides();
    counted(&exporter, 50.0).await;
    services.aws.queue().wait_until_deleted(50).await;
}
