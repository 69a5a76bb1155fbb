//! What goes wrong between the exporter and Google, and what it does about it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use harness::{Exporter, HUNG, Usage};
use sandbox::google::Instance;
use sandbox::google::compute::{Hold, Operation, Reply};
use sandbox::google::pubsub::Faults;
use serde_json::Value;
use tonic::Code;

use super::world::{Broker, Way, World, node, total};

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
async fn a_zone_that_cannot_be_listed() {
    let (world, _) = world_with(3).await;
    world.compute.set_unreachable([super::world::ZONE]);
    let exporter = world.exporter(&[("SIE_COMPUTE__RESYNC_INTERVAL", "200ms")]).await;
    let impaired = exporter.readiness(200).await;
    exporter.log("listed a part of the instances").await;
    assert!(impaired.contains(super::world::ZONE), "{impaired}");
    let partial = "spot_interruption_exporter_scopes{state=\"partial\"}";
    exporter.scraped("it is partial", |scrape| scrape.sample(partial) == Some(1.0)).await;
    world.compute.set_unreachable::<&str>([]);
    exporter.scraped("all are known", |scrape| scrape.sum("spot_instances") == 3.0).await;
}

#[tokio::test]
async fn a_listing_of_many_pages() {
    let (world, _) = world_with(1_234).await;
    let exporter = world.ready(&[]).await;
    assert_eq!(exporter.scrape().await.sum("spot_instances"), 1_234.0);
}

#[tokio::test]
async fn what_two_resyncs_miss_is_dropped() {
    let (world, nodes) = world_with(2).await;
    let exporter = world.ready(&[("SIE_COMPUTE__RESYNC_INTERVAL", "200ms")]).await;
    world.compute.remove(&nodes[0].zone, &nodes[0].name);
    exporter.scraped("one is left", |scrape| scrape.sum("spot_instances") == 1.0).await;
}

/// Five seconds, or a whole minute with `LONG_TESTS` in the environment.
fn duration_of_trouble() -> Duration {
    Duration::from_secs(if std::env::var_os("LONG_TESTS").is_some() { 60 } else { 5 })
}

#[tokio::test]
async fn a_stream_that_dies_every_second() {
    let (mut world, nodes) = world_with(2_000).await;
    world.pubsub().set_faults(Faults {
        reset_every: Some(Duration::from_secs(1)),
        duplicates: 0.05,
        reorder: 50,
        ..Faults::default()
    });
    let exporter = world.ready(&[]).await;
    for nodes in nodes.chunks(nodes.len() / 20) {
        storm(&mut world, nodes);
        // The trouble itself takes its time; nothing is waited for.
        tokio::time::sleep(duration_of_trouble() / 20).await;
    }
    counted(&exporter, 2_000.0).await;
    world.pubsub().wait_until_drained(&world.subscription(Way::Interruption)).await;
    counted(&exporter, 2_000.0).await;
}

#[tokio::test]
async fn a_connection_that_is_dead_without_knowing_it() {
    let (mut world, nodes) = world_with(1).await;
    let exporter = world.ready(&[]).await;
    world.pubsub().set_faults(Faults { freeze: true, ..Faults::default() });
    storm(&mut world, &nodes);
    let line = exporter.log("Pub/Sub cannot be reached").await;
    assert!(line.contains("no answer within"), "{line}");
    world.pubsub().clear_faults();
    counted(&exporter, 1.0).await;
}

#[tokio::test]
async fn sigterm_under_load_loses_no_acknowledgement() {
    let (mut world, nodes) = world_with(10_000).await;
    let interruptions = world.subscription(Way::Interruption);
    let mut first = world.ready(&[]).await;
    storm(&mut world, &nodes);
    world.pubsub().wait_until(&interruptions, |counts| counts.acked > 500).await;
    let began = Instant::now();
    first.signal("TERM");
    assert_eq!(first.exit().await.code(), Some(0));
    assert!(began.elapsed() < HUNG, "{:?}", began.elapsed());
    let line: Value = serde_json::from_str(&first.log("\"stopped\"").await).unwrap();
    let counted_first = line["interruptions"].as_u64().unwrap();
    let acked_first = world.pubsub().acked(&interruptions);
    assert_eq!(acked_first, counted_first, "counted and acknowledged are the same");

    let second = world.ready(&[]).await;
    world.pubsub().wait_until_drained(&interruptions).await;
    counted(&second, (10_000 - counted_first) as f64).await;
}

#[tokio::test]
async fn kill_between_count_and_acknowledgement_leads_to_redelivery() {
    let (mut world, nodes) = world_with(500).await;
    let interruptions = world.subscription(Way::Interruption);
    // Every acknowledgement is lost on its way, and the leases of the dead end soon.
    world.pubsub().set_faults(Faults {
        lost_acks: 1.0,
        max_lease: Some(Duration::from_secs(2)),
        ..Faults::default()
    });
    let mut first = world.ready(&[]).await;
    storm(&mut world, &nodes);
    counted(&first, 500.0).await;
    first.signal("KILL");
    first.exit().await;
    assert_eq!(world.pubsub().acked(&interruptions), 0);

    world.pubsub().clear_faults();
    let second = world.ready(&[]).await;
    counted(&second, 500.0).await;
    world.pubsub().wait_until_drained(&interruptions).await;
    counted(&second, 500.0).await;
}

#[tokio::test]
async fn acknowledgements_that_are_lost_count_once() {
    let (mut world, nodes) = world_with(300).await;
    world.pubsub().set_faults(Faults {
        lost_acks: 0.5,
        max_lease: Some(Duration::from_secs(1)),
        ..Faults::default()
    });
    let exporter = world.ready(&[]).await;
    storm(&mut world, &nodes);
    world.pubsub().wait_until_drained(&world.subscription(Way::Interruption)).await;
    counted(&exporter, 300.0).await;
}

#[tokio::test]
async fn sigterm_does_not_wait_for_look_ups() {
    let mut world = World::sandbox().await;
    let never = Hold::new();
    world.compute.override_reply(Operation::Get, Reply::Hold(never.clone()));
    let mut exporter = world.ready(&[]).await;
    let unknown: Vec<Instance> = (1..=40).map(|id| node(id, CLUSTER)).collect();
    world.preempted(&unknown).await;
    never.arrived(16).await;
    exporter.signal("TERM");
    let began = Instant::now();
    assert_eq!(exporter.exit().await.code(), Some(0));
    assert!(began.elapsed() < HUNG, "{:?}", began.elapsed());
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
