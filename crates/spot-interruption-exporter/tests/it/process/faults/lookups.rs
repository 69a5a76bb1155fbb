//! Lookups of instances that fail or are many.

use super::*;

#[tokio::test]
async fn a_look_up_that_is_answered_with_nonsense_is_repeated() {
    let (mut world, nodes) = world_with(1).await;
    world.compute.override_reply(Operation::List, Reply::Json("{}".to_owned()));
    let nonsense = ["null", "{}"].map(|body| Reply::Json(body.to_owned()));
    for reply in nonsense.into_iter().chain([Reply::Endless, Reply::Truncated]) {
        world.compute.override_reply(Operation::Get, reply.once());
    }
    let exporter = world.ready(&[]).await;
    world.preempted(&nodes).await;
    counted(&exporter, 1.0).await;
    assert_eq!(world.compute.count(Operation::Get), 5);
    let peak = Usage::of(exporter.pid()).peak / 1_024;
    assert!(peak < 60, "{peak} MiB");
}

#[tokio::test]
async fn many_unknown_instances_are_looked_up_over_few_connections_and_in_time() {
    let (mut world, _) = world_with(0).await;
    let exporter = world.ready(&[("SIE_ATTRIBUTION_GRACE", "15s")]).await;
    let nodes: Vec<Instance> = (1..=400).map(|id| node(id, CLUSTER)).collect();
    world.compute.insert_all(nodes.clone());
    storm(&mut world, &nodes);
    counted(&exporter, 400.0).await;
    assert_eq!(world.compute.count(Operation::Get), 400, "each is asked for once");
    let connections: BTreeSet<u64> =
        world.compute.requests().iter().map(|request| request.connection).collect();
    assert!(connections.len() <= 17, "{} connections", connections.len());
}

#[tokio::test]
async fn a_look_up_that_fails_is_tried_again_and_lets_others_pass() {
    let (mut world, _) = world_with(0).await;
    let exporter = world.ready(&[]).await;
    let nodes: Vec<Instance> = (1..=20).map(|id| node(id, CLUSTER)).collect();
    world.compute.insert_all(nodes.clone());
    world.compute.override_reply(Operation::Get, Reply::status(503).times(18));
    storm(&mut world, &nodes);
    exporter.log("cannot look an instance up").await;
    counted(&exporter, 20.0).await;
    assert_eq!(
        exporter.log_text().matches("cannot look an instance up").count(),
        1,
        "{}",
        exporter.log_text()
    );
}

#[tokio::test]
async fn names_that_would_mean_something_in_a_url_are_not_asked_for() {
    let world = World::sandbox().await;
    let exporter = world.ready(&[("SIE_ATTRIBUTION_GRACE", "500ms")]).await;
    let entries = ["projects/p/zones/../instances/..", "projects/p/zones/a/instances/b?c#d", "projects/p/zones/a/instances/%2f"]
        .map(|name| format!("{{\"protoPayload\":{{\"methodName\":\"compute.instances.preempted\",\"resourceName\":\"{name}\"}}}}"));
    world.publish(Way::Interruption, entries).await;
    let unattributed = "interruption_events_unattributed_total";
    exporter.scraped("they are unattributed", |scrape| scrape.sample(unattributed) == Some(3.0)).await;
    assert_eq!(world.compute.count(Operation::Get), 0);
}
