//! Pub/Sub or the Compute API is unavailable, refuses requests or lacks a subscription.

use super::*;

#[tokio::test]
async fn everything_is_down_at_start_and_comes_up() {
    let (mut world, nodes) = world_with(1).await;
    world.compute.stop().await;
    world.pubsub().stop().await;
    let exporter = world.exporter(&[]).await;
    assert_eq!(exporter.get("/health").await.status, 200);
    exporter.log("cannot list all instances").await;
    exporter.log("Pub/Sub cannot be reached").await;
    let reason = exporter.readiness(503).await;
    assert_eq!(reason.lines().count(), 1, "{reason}");
    for part in [&world.subscription(Way::Interruption), &world.subscription(Way::Creation), "Compute API"] {
        assert!(reason.contains(part), "no {part} in {reason}");
    }
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.sample("interruption_events_unattributed_total"), Some(0.0));

    world.compute.restart().await.unwrap();
    world.pubsub().restart().await.unwrap();
    exporter.readiness(200).await;
    storm(&mut world, &nodes);
    counted(&exporter, 1.0).await;
}

#[tokio::test]
async fn interruptions_are_consumed_before_the_listing_works() {
    let (mut world, nodes) = world_with(1).await;
    world.compute.override_reply(Operation::List, Reply::status(503));
    world.compute.override_reply(Operation::Get, Reply::status(503));
    let exporter = world.exporter(&[]).await;
    storm(&mut world, &nodes);
    let held = "spot_interruption_exporter_held_interruptions";
    exporter.scraped("it is held", |scrape| scrape.sample(held) == Some(1.0)).await;
    assert!(exporter.readiness(503).await.contains("Compute API"));
    world.compute.clear_overrides();
    counted(&exporter, 1.0).await;
    exporter.readiness(200).await;
}

#[tokio::test]
async fn permission_denied() {
    let (mut world, nodes) = world_with(1).await;
    let interruptions = world.subscription(Way::Interruption);
    let refuse = Faults { refuse: Some(Code::PermissionDenied), ..Faults::default() };
    world.pubsub().set_subscription_faults(&interruptions, refuse);
    let exporter = world.exporter(&[]).await;
    let line = exporter.log("the stream ended").await;
    assert!(line.contains("PERMISSION_DENIED"), "{line}");
    let reason = exporter.readiness(503).await;
    assert!(reason.contains(&interruptions) && reason.contains("PERMISSION_DENIED"), "{reason}");
    world.pubsub().clear_faults();
    exporter.readiness(200).await;
    storm(&mut world, &nodes);
    counted(&exporter, 1.0).await;
    let restarts = format!(
        "spot_interruption_exporter_stream_restarts_total{{subscription=\"{}\"}}",
        world.short_subscription(Way::Interruption)
    );
    assert!(exporter.scrape().await.sample(&restarts).unwrap() >= 1.0);
}

/// Google's client takes these for troubles that pass, and tries again without a word.
#[tokio::test]
async fn troubles_that_the_client_keeps_to_itself_are_not_ready() {
    let (mut world, nodes) = world_with(1).await;
    let exporter = world.ready(&[]).await;
    for (code, words) in [
        (Code::Aborted, "ABORTED"),
        (Code::Internal, "INTERNAL"),
        (Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
    ] {
        world.pubsub().set_faults(Faults { refuse: Some(code), ..Faults::default() });
        let reason = exporter.readiness(503).await;
        assert!(reason.contains(words), "{reason}");
        world.pubsub().clear_faults();
        exporter.readiness(200).await;
    }
    storm(&mut world, &nodes);
    counted(&exporter, 1.0).await;
}

#[tokio::test]
async fn a_missing_subscription_that_appears_later() {
    for broker in [Broker::Sandbox, Broker::Emulator] {
        let Some(mut world) = World::without_subscriptions(broker).await else { continue };
        let instance = node(1, CLUSTER);
        world.compute.insert(instance.clone());
        let exporter = world.exporter(&[]).await;
        exporter.log("the stream ended").await;
        let reason = exporter.readiness(503).await;
        assert!(reason.contains("NOT_FOUND"), "{reason}");
        for way in [Way::Creation, Way::Interruption] {
            world.create(way).await;
        }
        exporter.readiness(200).await;
        world.preempted(&[instance]).await;
        counted(&exporter, 1.0).await;
    }
}

#[tokio::test]
async fn compute_says_no() {
    let world = World::sandbox().await;
    for (reply, words) in
        [(Reply::status(403), "403"), (Reply::status(500), "500"), (Reply::Reset, "Compute API")]
    {
        world.compute.override_reply(Operation::List, reply);
        let exporter = world.exporter(&[]).await;
        exporter.log("cannot list all instances").await;
        let reason = exporter.readiness(503).await;
        assert!(
            reason.contains("listing instances of project example-project") && reason.contains(words),
            "{reason}"
        );
        let failures = "spot_interruption_exporter_resyncs_total{outcome=\"failure\"}";
        assert!(exporter.scrape().await.sample(failures).unwrap() >= 1.0);
        world.compute.clear_overrides();
        exporter.readiness(200).await;
    }
}
