//! Subscriptions that receive no messages, or whose configuration may not be read.

use sandbox::google::pubsub::Faults;
use tonic::Code;

use super::services::{Broker, EventKind, Services, node, total};

/// Returns the number of log lines that contain `text`.
fn count_lines(log: &str, text: &str) -> usize {
    log.lines().filter(|line| line.contains(text)).count()
}

#[tokio::test]
async fn is_not_ready_after_a_topic_is_deleted() {
    for broker in [Broker::Sandbox, Broker::Emulator] {
        let Some(mut services) = Services::new(broker).await else { continue };
        let instance = node(1, "before");
        services.compute.insert(instance.clone());
        let exporter = services.ready_exporter(&[]).await;
        services.delete_topic(EventKind::Interruption).await;
        let reason = exporter.readiness(503).await;
        assert!(reason.contains(&services.subscription(EventKind::Interruption)), "{reason}");
        assert!(reason.contains("topic was deleted (_deleted-topic_)"), "{reason}");
        assert!(!reason.contains(&services.subscription(EventKind::Creation)), "{reason}");
        let line = exporter.log("no more messages arrive").await;
        assert!(line.contains("_deleted-topic_") && line.contains("\"ERROR\""), "{line}");
        assert_eq!(exporter.get("/health").await.status, 200);

        // Terraform also recreates the subscription with its topic.
        services.delete_subscription(EventKind::Interruption).await;
        services.create(EventKind::Interruption).await;
        exporter.readiness(200).await;
        services.preempted(&[instance]).await;
        exporter.scraped("it is counted", |scrape| scrape.sample(&total("before")) == Some(1.0)).await;
        let log = exporter.log_text();
        assert_eq!(count_lines(&log, "no more messages arrive"), 1, "{log}");
    }
}

#[tokio::test]
async fn counts_messages_published_before_the_topic_was_deleted() {
    let mut services = Services::sandbox().await;
    let instance = node(1, "retained");
    services.compute.insert(instance.clone());
    services.preempted(&[instance]).await;
    services.delete_topic(EventKind::Interruption).await;
    let exporter = services.exporter(&[]).await;
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("retained")) == Some(1.0)).await;
    assert!(exporter.readiness(503).await.contains("_deleted-topic_"));
}

#[tokio::test]
async fn logs_a_missing_permission_on_the_subscription_once() {
    let mut services = Services::sandbox().await;
    let instance = node(1, "unseen");
    services.compute.insert(instance.clone());
    let refuse_get = Faults { refuse_get: Some(Code::PermissionDenied), ..Faults::default() };
    services.pubsub().set_subscription_faults(&services.subscription(EventKind::Interruption), refuse_get);
    let exporter = services.ready_exporter(&[]).await;
    let line = exporter.log("pubsub.subscriptions.get is missing").await;
    assert!(line.contains(&services.subscription(EventKind::Interruption)), "{line}");
    // Another stream probes the subscription again, which is not logged again.
    services.pubsub().reset_all_streams();
    services.preempted(&[instance]).await;
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("unseen")) == Some(1.0)).await;
    exporter.readiness(200).await;
    let log = exporter.log_text();
    assert_eq!(count_lines(&log, "pubsub.subscriptions.get is missing"), 1, "{log}");
}
