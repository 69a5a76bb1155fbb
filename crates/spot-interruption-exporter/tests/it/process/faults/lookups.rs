//! Lookups of instances that fail or are many.

use super::*;

#[tokio::test]
async fn retries_a_lookup_with_an_invalid_response() {
    let (mut services, nodes) = services_with(1).await;
    services.compute.override_reply(Operation::List, Reply::Json("{}".to_owned()));
    let invalid = ["null", "{}"].map(|body| Reply::Json(body.to_owned()));
    for reply in invalid.into_iter().chain([Reply::Endless, Reply::Truncated]) {
        services.compute.override_reply(Operation::Get, reply.once());
    }
    let exporter = services.ready_exporter(&[]).await;
    services.preempted(&nodes).await;
    wait_until_counted(&exporter, 1.0).await;
    assert_eq!(services.compute.count(Operation::Get), 5);
    let peak = Usage::of(exporter.pid()).peak / 1_024;
    assert!(peak < 60, "{peak} MiB");
}

#[tokio::test]
async fn looks_up_many_instances_over_few_connections_within_the_grace() {
    let (mut services, _) = services_with(0).await;
    let exporter = services.ready_exporter(&[("SIE_ATTRIBUTION_GRACE", "15s")]).await;
    let nodes: Vec<Instance> = (1..=400).map(|id| node(id, CLUSTER)).collect();
    services.compute.insert_all(nodes.clone());
    publish_burst(&mut services, &nodes);
    wait_until_counted(&exporter, 400.0).await;
    assert_eq!(services.compute.count(Operation::Get), 400, "each is looked up once");
    let connections: BTreeSet<u64> =
        services.compute.requests().iter().map(|request| request.connection).collect();
    assert!(connections.len() <= 17, "{} connections", connections.len());
}

#[tokio::test]
async fn retries_a_failed_lookup_without_delaying_others() {
    let (mut services, _) = services_with(0).await;
    let exporter = services.ready_exporter(&[]).await;
    let nodes: Vec<Instance> = (1..=20).map(|id| node(id, CLUSTER)).collect();
    services.compute.insert_all(nodes.clone());
    services.compute.override_reply(Operation::Get, Reply::status(503).times(18));
    publish_burst(&mut services, &nodes);
    exporter.log("cannot look an instance up").await;
    wait_until_counted(&exporter, 20.0).await;
    assert_eq!(
        exporter.log_text().matches("cannot look an instance up").count(),
        1,
        "{}",
        exporter.log_text()
    );
}

#[tokio::test]
async fn does_not_look_up_names_with_url_syntax() {
    let services = Services::sandbox().await;
    let exporter = services.ready_exporter(&[("SIE_ATTRIBUTION_GRACE", "500ms")]).await;
    let entries = ["projects/p/zones/../instances/..", "projects/p/zones/a/instances/b?c#d", "projects/p/zones/a/instances/%2f"]
        .map(|name| format!("{{\"protoPayload\":{{\"methodName\":\"compute.instances.preempted\",\"resourceName\":\"{name}\"}}}}"));
    services.publish(EventKind::Interruption, entries).await;
    let unattributed = "interruption_events_unattributed_total";
    exporter.scraped("all are unattributed", |scrape| scrape.sample(unattributed) == Some(3.0)).await;
    assert_eq!(services.compute.count(Operation::Get), 0);
}
