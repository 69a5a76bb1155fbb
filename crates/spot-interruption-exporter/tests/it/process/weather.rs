//! Bad weather between the exporter and Google, around them, and on the exporter's own pages. While it lasts, `/ready`
//! says what is wrong; once it is over, nobody has to do anything, and every interruption has counted once.

use std::time::Duration;

use harness::{Clock, Crowd, End, Exporter, Hosts, Link, PATIENCE, Usage, Weather};
use sandbox::google::Instance;
use sandbox::google::compute::{Operation, Reply};
use sandbox::google::pubsub::Faults;
use serde_json::Value;
use tokio::time::{sleep, timeout};
use tonic::Code;

use super::world::{Way, World, node, total};

const CLUSTER: &str = "weather";

/// A world of so many nodes, all of them listed, in which leases end soon.
async fn world_with(nodes: u64) -> (World, Vec<Instance>) {
    let world = World::sandbox().await;
    let nodes: Vec<Instance> = (1..=nodes).map(|id| node(id, CLUSTER)).collect();
    world.compute.insert_all(nodes.clone());
    world.pubsub().set_faults(short_leases());
    (world, nodes)
}

fn short_leases() -> Faults {
    Faults { max_lease: Some(Duration::from_secs(1)), ..Faults::default() }
}

fn interrupt(world: &mut World, nodes: &[Instance]) -> Vec<Value> {
    let entries: Vec<Value> = nodes.iter().map(|node| world.log.preempted(node)).collect();
    publish(world, &entries);
    entries
}

fn publish(world: &World, entries: &[Value]) {
    world.pubsub().publish(&world.topic(Way::Interruption), entries.to_vec()).unwrap();
}

/// Waits until nothing is left in Pub/Sub; then each of `count` has counted once and nothing else has.
async fn each_counted_once(world: &World, exporter: &Exporter, count: usize) {
    exporter
        .scraped(&format!("{count} are counted"), |scrape| {
            scrape.sample(&total(CLUSTER)) >= Some(count as f64)
        })
        .await;
    let interruptions = world.subscription(Way::Interruption);
    let drained = world.pubsub().wait_until_drained(&interruptions);
    timeout(PATIENCE, drained).await.expect("something is never acknowledged");
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.sum("interruption_events_total"), count as f64);
    assert_eq!(scrape.sum("interruption_events_unattributed_total"), 0.0);
}

/// Waits for longer than the requests to Google may take, until `/ready` says no in such words. Scrapes are answered
/// all the while.
pub(crate) async fn unready(exporter: &Exporter, parts: &[&str]) {
    let mut last = String::new();
    let told = async {
        loop {
            let answer = exporter.get("/ready").await;
            last = answer.text();
            if answer.status == 503 && parts.iter().all(|part| last.contains(part)) {
                return;
            }
            exporter.scrape().await;
            sleep(Duration::from_millis(100)).await;
        }
    };
    let told = timeout(PATIENCE, told).await;
    assert!(told.is_ok(), "no {parts:?} in {last}\n{}", exporter.log_text());
}

/// Interruptions before, in and after a storm on the way to Pub/Sub.
async fn a_storm_on_the_way_to_pubsub(weather: Weather, reason: &str) {
    let (mut world, nodes) = world_with(300).await;
    let link = Link::to(world.pubsub().address()).await;
    let exporter = world.ready(&[("SIE_PUBSUB__ENDPOINT", &format!("http://{}", link.address))]).await;
    interrupt(&mut world, &nodes[..100]);
    each_counted_once(&world, &exporter, 100).await;

    link.turn(weather).await;
    interrupt(&mut world, &nodes[100..200]);
    let subscription = format!("Pub/Sub subscription {}: ", world.subscription(Way::Interruption));
    unready(&exporter, &[&subscription, reason]).await;
    assert_eq!(exporter.get("/health").await.status, 200);

    link.turn(Weather::Fair).await;
    exporter.readiness(200).await;
    interrupt(&mut world, &nodes[200..]);
    each_counted_once(&world, &exporter, 300).await;
}

#[tokio::test]
async fn what_is_sent_to_pubsub_does_not_arrive() {
    a_storm_on_the_way_to_pubsub(Weather::Deaf(End::Service), "no answer within 5 s").await;
}

#[tokio::test]
async fn what_pubsub_sends_does_not_arrive() {
    a_storm_on_the_way_to_pubsub(Weather::Deaf(End::Client), "no answer within 5 s").await;
}

#[tokio::test]
async fn connections_to_pubsub_are_half_open() {
    a_storm_on_the_way_to_pubsub(Weather::HalfOpen, "no answer within 5 s").await;
}

#[tokio::test]
async fn connections_to_pubsub_are_reset() {
    a_storm_on_the_way_to_pubsub(Weather::Reset, "transport error: ").await;
}

#[tokio::test]
async fn connections_to_pubsub_are_refused() {
    a_storm_on_the_way_to_pubsub(Weather::Refused, "Connection refused").await;
}

/// Interruptions in a storm on the way to Compute, of instances that only Compute knows.
async fn a_storm_on_the_way_to_compute(weather: Weather, reason: &str) {
    let (mut world, _) = world_with(0).await;
    let link = Link::to(world.compute.address()).await;
    let endpoint = format!("http://{}", link.address);
    let variables = [
        ("SIE_COMPUTE__ENDPOINT", endpoint.as_str()),
        ("SIE_COMPUTE__RESYNC_INTERVAL", "500ms"),
        ("SIE_ATTRIBUTION_GRACE", "2m"),
    ];
    let exporter = world.ready(&variables).await;
    link.turn(weather).await;
    let nodes: Vec<Instance> = (1..=40).map(|id| node(id, CLUSTER)).collect();
    world.compute.insert_all(nodes.clone());
    interrupt(&mut world, &nodes);
    let held = "spot_interruption_exporter_held_interruptions";
    exporter.scraped("they are held", |scrape| scrape.sample(held) == Some(40.0)).await;
    unready(&exporter, &["Compute API, listing instances", reason]).await;

    link.turn(Weather::Fair).await;
    exporter.readiness(200).await;
    each_counted_once(&world, &exporter, 40).await;
}

#[tokio::test]
async fn what_is_sent_to_compute_does_not_arrive() {
    a_storm_on_the_way_to_compute(Weather::Deaf(End::Service), "no answer within 30 s").await;
}

#[tokio::test]
async fn connections_to_compute_are_half_open() {
    a_storm_on_the_way_to_compute(Weather::HalfOpen, "no answer within 30 s").await;
}

#[tokio::test]
async fn connections_to_compute_are_reset() {
    a_storm_on_the_way_to_compute(Weather::Reset, "error sending request").await;
}

#[tokio::test]
async fn connections_to_compute_are_refused() {
    a_storm_on_the_way_to_compute(Weather::Refused, "Connection refused").await;
}

#[tokio::test]
async fn slow_and_lossy_links_cost_time_only() {
    let (mut world, nodes) = world_with(2_000).await;
    world.pubsub().clear_faults();
    let links = [Link::to(world.pubsub().address()).await, Link::to(world.compute.address()).await];
    let jitter = Duration::from_millis(50);
    for link in &links {
        link.turn(Weather::Slow { delay: Duration::from_millis(300), jitter, loss: 0.02 }).await;
    }
    let [pubsub, compute] = links.each_ref().map(|link| format!("http://{}", link.address));
    let exporter = world
        .ready(&[("SIE_PUBSUB__ENDPOINT", pubsub.as_str()), ("SIE_COMPUTE__ENDPOINT", compute.as_str())])
        .await;
    interrupt(&mut world, &nodes);
    each_counted_once(&world, &exporter, 2_000).await;
    assert_eq!(exporter.get("/ready").await.status, 200);
}

#[tokio::test]
async fn names_that_do_not_resolve() {
    let Some(hosts) = Hosts::none().await else { return };
    let (mut world, nodes) = world_with(2).await;
    let mut command = world.command();
    let (pubsub, compute) = (world.pubsub().address().port(), world.compute.address().port());
    command.env("SIE_PUBSUB__ENDPOINT", format!("http://pubsub.invalid:{pubsub}"));
    command.env("SIE_COMPUTE__ENDPOINT", format!("http://compute.invalid:{compute}"));
    let exporter = Exporter::run(hosts.around(&command)).await;
    exporter.log("cannot list all instances").await;
    exporter.log("Pub/Sub cannot be reached").await;
    let words = exporter.readiness(503).await;
    assert_eq!(words.matches("failed to lookup address information").count(), 3, "{words}");
    assert_eq!(exporter.scrape().await.sum("interruption_events_total"), 0.0);

    hosts.set("127.0.0.1 pubsub.invalid compute.invalid\n");
    exporter.readiness(200).await;
    interrupt(&mut world, &nodes);
    each_counted_once(&world, &exporter, 2).await;
}

#[tokio::test]
async fn the_time_of_day_jumps() {
    let Some(clock) = Clock::right().await else { return };
    let (mut world, nodes) = world_with(40).await;
    let mut command = world.command();
    clock.show_to(&mut command);
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    let mut entries = Vec::new();
    for (jump, nodes) in ["+0", "+6h", "-6h", "+0"].into_iter().zip(nodes.chunks(10)) {
        clock.set(jump);
        entries.extend(interrupt(&mut world, nodes));
        each_counted_once(&world, &exporter, entries.len()).await;
        // The window in which an event counts once is one of time that passes, not of the time of day.
        publish(&world, &entries);
        each_counted_once(&world, &exporter, entries.len()).await;
    }
    // Ten were counted six hours after they happened, as far as the exporter can tell; and none before.
    let delivery = exporter.scrape().await.sample("spot_interruption_delivery_seconds_sum").unwrap();
    let hours = delivery / 3_600.0;
    assert!((60.0..61.0).contains(&hours), "{hours} hours");
    assert_eq!(exporter.get("/ready").await.status, 200);
}

#[tokio::test]
async fn storms_of_refusals_come_and_go() {
    let (mut world, _) = world_with(0).await;
    let exporter =
        world.ready(&[("SIE_COMPUTE__RESYNC_INTERVAL", "200ms"), ("SIE_ATTRIBUTION_GRACE", "2m")]).await;
    let nodes: Vec<Instance> = (1..=300).map(|id| node(id, CLUSTER)).collect();
    let storms = [(Code::ResourceExhausted, 429), (Code::Internal, 500), (Code::Unavailable, 503)];
    for ((code, status), nodes) in storms.into_iter().zip(nodes.chunks(100)) {
        let before = world.compute.count(Operation::List);
        world.pubsub().set_faults(Faults { refuse: Some(code), ..short_leases() });
        for operation in [Operation::List, Operation::Get] {
            world.compute.override_reply(operation, Reply::status(status));
        }
        world.compute.insert_all(nodes.to_vec());
        interrupt(&mut world, nodes);
        let [creations, interruptions] =
            [Way::Creation, Way::Interruption].map(|way| world.subscription(way));
        unready(&exporter, &[&creations, &interruptions, &format!("HTTP {status}")]).await;
        let asked = world.compute.count(Operation::List) - before;
        assert!(asked < 20, "{asked} listings in a storm");
        world.compute.clear_overrides();
        world.pubsub().set_faults(short_leases());
        exporter.readiness(200).await;
    }
    each_counted_once(&world, &exporter, 300).await;
}

#[tokio::test]
async fn messages_and_answers_that_are_too_deep_or_too_long() {
    let (mut world, nodes) = world_with(2).await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!("{{\"protoPayload\":{{\"resourceName\":\"{}\"}}}}", "x".repeat(9_900_000));
    let inner = format!("{{\"protoPayload\":{{\"request\":{deep}}}}}");
    let padded = world.log.preempted(&nodes[0]).to_string().replacen('{', &format!("{{\"x\":{deep},"), 1);

    world.compute.override_reply(Operation::List, Reply::Json(deep.clone()));
    let exporter = world.exporter(&[]).await;
    exporter.log("cannot list all instances").await;
    let words = exporter.readiness(503).await;
    assert!(words.contains("Compute API"), "{words}");
    world.compute.override_reply(Operation::List, Reply::Endless);
    unready(&exporter, &["Compute API, listing instances", "larger than 64 MiB"]).await;
    // A page that is a hundred times as long as the API makes them is read all the same.
    let page = format!("{{\"items\":{{}},\"x\":\"{}\"}}", "x".repeat(60 << 20));
    world.compute.clear_overrides();
    world.compute.override_reply(Operation::List, Reply::Json(page).once());
    world.compute.override_reply(Operation::List, Reply::status(503));
    let listed = "spot_interruption_exporter_resyncs_total{outcome=\"success\"}";
    exporter.scraped("it is read", |scrape| scrape.sample(listed) == Some(1.0)).await;
    let peak = Usage::of(exporter.pid()).peak / 1_024;
    assert!(peak < 200, "{peak} MiB");
    world.compute.clear_overrides();
    drop(exporter);

    let exporter = world.ready(&[]).await;
    world.publish(Way::Interruption, [&deep, &inner, &long, &padded]).await;
    interrupt(&mut world, &nodes[1..]);
    each_counted_once(&world, &exporter, 2).await;
    let outcome = format!(
        "spot_interruption_exporter_messages_total{{subscription=\"{}\",outcome=\"invalid\"}}",
        world.short_subscription(Way::Interruption)
    );
    assert!(exporter.scrape().await.sample(&outcome) >= Some(1.0));
    let peak = Usage::of(exporter.pid()).peak / 1_024;
    assert!(peak < 200, "{peak} MiB");
}

#[tokio::test]
async fn ten_thousand_idle_and_slow_clients_keep_nobody_waiting() {
    let (mut world, nodes) = world_with(1_000).await;
    let exporter = world.ready(&[]).await;
    let Some(crowd) = Crowd::of(10_000, &exporter.address) else { return };
    interrupt(&mut world, &nodes);
    let (most, last) = crowd.scrape_amid(&exporter, Duration::from_secs(5)).await;
    assert!(most < 1_000.0 && (500.0..600.0).contains(&last), "{most} descriptors, {last} at last");
    each_counted_once(&world, &exporter, 1_000).await;
}
