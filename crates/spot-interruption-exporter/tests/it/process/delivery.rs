//! Subscriptions that exist and get no messages, and those that cannot be looked at.

use sandbox::google::pubsub::Faults;
use tonic::Code;

use super::world::{Broker, Way, World, node, total};

/// How often a line with these words was logged.
fn lines(log: &str, words: &str) -> usize {
    log.lines().filter(|line| line.contains(words)).count()
}

#[tokio::test]
async fn a_deleted_topic_is_not_ready() {
    for broker in [Broker::Sandbox, Broker::Emulator] {
        let Some(mut world) = World::new(broker).await else { continue };
        let instance = node(1, "before");
        world.compute.insert(instance.clone());
        let exporter = world.ready(&[]).await;
        world.delete_topic(Way::Interruption).await;
        let reason = exporter.readiness(503).await;
        assert!(reason.contains(&world.subscription(Way::Interruption)), "{reason}");
        assert!(reason.contains("topic was deleted (_deleted-topic_)"), "{reason}");
        assert!(!reason.contains(&world.subscription(Way::Creation)), "{reason}");
        let line = exporter.log("no message arrives any more").await;
        assert!(line.contains("_deleted-topic_") && line.contains("\"ERROR\""), "{line}");
        assert_eq!(exporter.get("/health").await.status, 200);

        // The subscription is made anew with its topic, as terraform does it.
        world.delete_subscription(Way::Interruption).await;
        world.create(Way::Interruption).await;
        exporter.readiness(200).await;
        world.preempted(&[instance]).await;
        exporter.scraped("it is counted", |scrape| scrape.sample(&total("before")) == Some(1.0)).await;
        let log = exporter.log_text();
        assert_eq!(lines(&log, "no message arrives any more"), 1, "{log}");
    }
}

#[tokio::test]
async fn what_was_published_before_the_topic_was_deleted_still_counts() {
    let mut world = World::sandbox().await;
    let instance = node(1, "retained");
    world.compute.insert(instance.clone());
    world.preempted(&[instance]).await;
    world.delete_topic(Way::Interruption).await;
    let exporter = world.exporter(&[]).await;
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("retained")) == Some(1.0)).await;
    assert!(exporter.readiness(503).await.contains("_deleted-topic_"));
}

#[tokio::test]
async fn who_may_not_look_at_the_subscription_is_told_so_once() {
    let mut world = World::sandbox().await;
    let instance = node(1, "unseen");
    world.compute.insert(instance.clone());
    let refuse_get = Faults { refuse_get: Some(Code::PermissionDenied), ..Faults::default() };
    world.pubsub().set_subscription_faults(&world.subscription(Way::Interruption), refuse_get);
    let exporter = world.ready(&[]).await;
    let line = exporter.log("pubsub.subscriptions.get is missing").await;
    assert!(line.contains(&world.subscription(Way::Interruption)), "{line}");
    // Another stream, and with it other probes, is no news.
    world.pubsub().reset_all_streams();
    world.preempted(&[instance]).await;
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("unseen")) == Some(1.0)).await;
    exporter.readiness(200).await;
    let log = exporter.log_text();
    assert_eq!(lines(&log, "pubsub.subscriptions.get is missing"), 1, "{log}");
}
