//! Pub/Sub or the Compute API is unavailable, refuses requests or lacks a subscription.

use super::*;

#[tokio::test]
async fn recovers_when_all_services_are_down_at_start() {
    let (mut services, nodes) = services_with(1).await;
    services.compute.stop().await;
    services.pubsub().stop().await;
    let exporter = services.exporter(&[]).await;
    assert_eq!(exporter.get("/health").await.status, 200);
    exporter.log("cannot list all instances").await;
    exporter.log("Pub/Sub cannot be reached").await;
    let reason = exporter.readiness(503).await;
    assert_eq!(reason.lines().count(), 1, "{reason}");
    for part in [
        &services.subscription(EventKind::Interruption),
        &services.subscription(EventKind::Creation),
        "Compute API",
    ] {
        assert!(reason.contains(part), "no {part} in {reason}");
    }
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.sample("interruption_events_unattributed_total"), Some(0.0));

    services.compute.restart().await.unwrap();
    services.pubsub().restart().await.unwrap();
    exporter.readiness(200).await;
    publish_burst(&mut services, &nodes);
    wait_until_counted(&exporter, 1.0).await;
}

#[tokio::test]
async fn consumes_interruptions_before_the_initial_listing() {
    let (mut services, nodes) = services_with(1).await;
    services.compute.override_reply(Operation::List, Reply::status(503));
    services.compute.override_reply(Operation::Get, Reply::status(503));
    let exporter = services.exporter(&[]).await;
    publish_burst(&mut services, &nodes);
    let held = "spot_interruption_exporter_held_interruptions";
    exporter.scraped("it is held", |scrape| scrape.sample(held) == Some(1.0)).await;
    assert!(exporter.readiness(503).await.contains("Compute API"));
    services.compute.clear_overrides();
    wait_until_counted(&exporter, 1.0).await;
    exporter.readiness(200).await;
}

#[tokio::test]
async fn recovers_from_permission_denied() {
    let (mut services, nodes) = services_with(1).await;
    let interruptions = services.subscription(EventKind::Interruption);
    let refuse = Faults { refuse: Some(Code::PermissionDenied), ..Faults::default() };
    services.pubsub().set_subscription_faults(&interruptions, refuse);
    let exporter = services.exporter(&[]).await;
    let line = exporter.log("the stream ended").await;
    assert!(line.contains("PERMISSION_DENIED"), "{line}");
    let reason = exporter.readiness(503).await;
    assert!(reason.contains(&interruptions) && reason.contains("PERMISSION_DENIED"), "{reason}");
    services.pubsub().clear_faults();
    exporter.readiness(200).await;
    publish_burst(&mut services, &nodes);
    wait_until_counted(&exporter, 1.0).await;
    let restarts = format!(
        "spot_interruption_exporter_stream_restarts_total{{subscription=\"{}\"}}",
        services.short_subscription(EventKind::Interruption)
    );
    assert!(exporter.scrape().await.sample(&restarts).unwrap() >= 1.0);
}

/// Google's client library retries these errors without reporting them.
#[tokio::test]
async fn is_not_ready_while_the_client_library_retries_silently() {
    let (mut services, nodes) = services_with(1).await;
    let exporter = services.ready_exporter(&[]).await;
    for (code, status) in [
        (Code::Aborted, "ABORTED"),
        (Code::Internal, "INTERNAL"),
        (Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
    ] {
        services.pubsub().set_faults(Faults { refuse: Some(code), ..Faults::default() });
        let reason = exporter.readiness(503).await;
        assert!(reason.contains(status), "{reason}");
        services.pubsub().clear_faults();
        exporter.readiness(200).await;
    }
    publish_burst(&mut services, &nodes);
    wait_until_counted(&exporter, 1.0).await;
}

#[tokio::test]
async fn recovers_when_a_missing_subscription_is_created() {
    for broker in [Broker::Sandbox, Broker::Emulator] {
        let Some(mut services) = Services::without_subscriptions(broker).await else { continue };
        let instance = node(1, CLUSTER);
        services.compute.insert(instance.clone());
        let exporter = services.exporter(&[]).await;
        exporter.log("the stream ended").await;
        let reason = exporter.readiness(503).await;
        assert!(reason.contains("NOT_FOUND"), "{reason}");
        for kind in [EventKind::Creation, EventKind::Interruption] {
            services.create(kind).await;
        }
        exporter.readiness(200).await;
        services.preempted(&[instance]).await;
        wait_until_counted(&exporter, 1.0).await;
    }
}

#[tokio::test]
async fn reports_errors_of_compute_and_recovers() {
    let services = Services::sandbox().await;
    for (reply, text) in
        [(Reply::status(403), "403"), (Reply::status(500), "500"), (Reply::Reset, "Compute API")]
    {
        services.compute.override_reply(Operation::List, reply);
        let exporter = services.exporter(&[]).await;
        exporter.log("cannot list all instances").await;
        let reason = exporter.readiness(503).await;
        assert!(
            reason.contains("listing instances of project example-project") && reason.contains(text),
            "{reason}"
        );
        let failures = "spot_interruption_exporter_resyncs_total{outcome=\"failure\"}";
        assert!(exporter.scrape().await.sample(failures).unwrap() >= 1.0);
        services.compute.clear_overrides();
        exporter.readiness(200).await;
    }
}
