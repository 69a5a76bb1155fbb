//! Impaired network conditions between the exporter and Google, DNS failures, clock jumps and slow clients. Meanwhile
//! `/ready` reports the reason; afterwards the exporter recovers by itself and every interruption is counted once.

use std::time::Duration;

use harness::{Clock, End, Exporter, Hosts, Link, NetworkConditions, SlowClients, TIMEOUT, Usage};
use sandbox::google::Instance;
use sandbox::google::compute::{Operation, Reply};
use sandbox::google::pubsub::Faults;
use serde_json::Value;
use tokio::time::{sleep, timeout};
use tonic::Code;

use super::services::{EventKind, Services, node, total};

const CLUSTER: &str = "network";

/// Services with this many listed nodes and leases of one second.
async fn services_with(nodes: u64) -> (Services, Vec<Instance>) {
    let services = Services::sandbox().await;
    let nodes: Vec<Instance> = (1..=nodes).map(|id| node(id, CLUSTER)).collect();
    services.compute.insert_all(nodes.clone());
    services.pubsub().set_faults(short_leases());
    (services, nodes)
}

fn short_leases() -> Faults {
    Faults { max_lease: Some(Duration::from_secs(1)), ..Faults::default() }
}

fn interrupt(services: &mut Services, nodes: &[Instance]) -> Vec<Value> {
    let entries: Vec<Value> = nodes.iter().map(|node| services.log.preempted(node)).collect();
    publish(services, &entries);
    entries
}

fn publish(services: &Services, entries: &[Value]) {
    services.pubsub().publish(&services.topic(EventKind::Interruption), entries.to_vec()).unwrap();
}

/// Waits until all messages are acknowledged and asserts that exactly `count` interruptions are counted.
async fn assert_each_counted_once(services: &Services, exporter: &Exporter, count: usize) {
    exporter
        .scraped(&format!("{count} are counted"), |scrape| {
            scrape.sample(&total(CLUSTER)) >= Some(count as f64)
        })
        .await;
    let interruptions = services.subscription(EventKind::Interruption);
    let drained = services.pubsub().wait_until_drained(&interruptions);
    timeout(TIMEOUT, drained).await.expect("a message is never acknowledged");
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.sum("interruption_events_total"), count as f64);
    assert_eq!(scrape.sum("interruption_events_unattributed_total"), 0.0);
}

/// Waits until `/ready` returns 503 with all `parts`, for longer than the timeouts of requests to Google. Scrapes must
/// succeed meanwhile.
pub(crate) async fn wait_until_unready(exporter: &Exporter, parts: &[&str]) {
    let mut last = String::new();
    let reported = async {
        loop {
            let response = exporter.get("/ready").await;
            last = response.text();
            if response.status == 503 && parts.iter().all(|part| last.contains(part)) {
                return;
            }
            exporter.scrape().await;
            sleep(Duration::from_millis(100)).await;
        }
    };
    let reported = timeout(TIMEOUT, reported).await;
    assert!(reported.is_ok(), "no {parts:?} in {last}\n{}", exporter.log_text());
}

/// Publishes interruptions before, during and after these conditions on the link to Pub/Sub.
async fn check_recovery_of_pubsub(weather: NetworkConditions, reason: &str) {
    let (mut services, nodes) = services_with(300).await;
    let link = Link::to(services.pubsub().address()).await;
    let exporter =
        services.ready_exporter(&[("SIE_PUBSUB__ENDPOINT", &format!("http://{}", link.address))]).await;
    interrupt(&mut services, &nodes[..100]);
    assert_each_counted_once(&services, &exporter, 100).await;

    link.set(weather).await;
    interrupt(&mut services, &nodes[100..200]);
    let subscription = format!("Pub/Sub subscription {}: ", services.subscription(EventKind::Interruption));
    wait_until_unready(&exporter, &[&subscription, reason]).await;
    assert_eq!(exporter.get("/health").await.status, 200);

    link.set(NetworkConditions::Normal).await;
    exporter.readiness(200).await;
    interrupt(&mut services, &nodes[200..]);
    assert_each_counted_once(&services, &exporter, 300).await;
}

#[tokio::test]
async fn recovers_when_requests_to_pubsub_are_lost() {
    check_recovery_of_pubsub(NetworkConditions::Partition(End::Service), "no response within 5 s").await;
}

#[tokio::test]
async fn recovers_when_responses_of_pubsub_are_lost() {
    check_recovery_of_pubsub(NetworkConditions::Partition(End::Client), "no response within 5 s").await;
}

#[tokio::test]
async fn recovers_from_half_open_connections_to_pubsub() {
    check_recovery_of_pubsub(NetworkConditions::HalfOpen, "no response within 5 s").await;
}

#[tokio::test]
async fn recovers_from_reset_connections_to_pubsub() {
    check_recovery_of_pubsub(NetworkConditions::Reset, "transport error: ").await;
}

#[tokio::test]
async fn recovers_from_refused_connections_to_pubsub() {
    check_recovery_of_pubsub(NetworkConditions::Refused, "Connection refused").await;
}

/// Publishes interruptions of instances that must be looked up during these conditions on the link to Compute.
async fn check_recovery_of_compute(weather: NetworkConditions, reason: &str) {
    let (mut services, _) = services_with(0).await;
    let link = Link::to(services.compute.address()).await;
    let endpoint = format!("http://{}", link.address);
    let variables = [
        ("SIE_COMPUTE__ENDPOINT", endpoint.as_str()),
        ("SIE_COMPUTE__RESYNC_INTERVAL", "500ms"),
        ("SIE_ATTRIBUTION_GRACE", "2m"),
    ];
    let exporter = services.ready_exporter(&variables).await;
    link.set(weather).await;
    let nodes: Vec<Instance> = (1..=40).map(|id| node(id, CLUSTER)).collect();
    services.compute.insert_all(nodes.clone());
    interrupt(&mut services, &nodes);
    let held = "spot_interruption_exporter_held_interruptions";
    exporter.scraped("all are held", |scrape| scrape.sample(held) == Some(40.0)).await;
    wait_until_unready(&exporter, &["Compute API, listing instances", reason]).await;

    link.set(NetworkConditions::Normal).await;
    exporter.readiness(200).await;
    assert_each_counted_once(&services, &exporter, 40).await;
}

#[tokio::test]
async fn recovers_when_requests_to_compute_are_lost() {
    check_recovery_of_compute(NetworkConditions::Partition(End::Service), "no response within 30 s").await;
}

#[tokio::test]
async fn recovers_from_half_open_connections_to_compute() {
    check_recovery_of_compute(NetworkConditions::HalfOpen, "no response within 30 s").await;
}

#[tokio::test]
async fn recovers_from_reset_connections_to_compute() {
    check_recovery_of_compute(NetworkConditions::Reset, "error sending request").await;
}

#[tokio::test]
async fn recovers_from_refused_connections_to_compute() {
    check_recovery_of_compute(NetworkConditions::Refused, "Connection refused").await;
}

#[tokio::test]
async fn counts_once_over_slow_and_lossy_links() {
    let (mut services, nodes) = services_with(2_000).await;
    services.pubsub().clear_faults();
    let links = [Link::to(services.pubsub().address()).await, Link::to(services.compute.address()).await];
    let jitter = Duration::from_millis(50);
    for link in &links {
        link.set(NetworkConditions::Slow { delay: Duration::from_millis(300), jitter, loss: 0.02 }).await;
    }
    let [pubsub, compute] = links.each_ref().map(|link| format!("http://{}", link.address));
    let exporter = services
        .ready_exporter(&[
            ("SIE_PUBSUB__ENDPOINT", pubsub.as_str()),
            ("SIE_COMPUTE__ENDPOINT", compute.as_str()),
        ])
        .await;
    interrupt(&mut services, &nodes);
    assert_each_counted_once(&services, &exporter, 2_000).await;
    assert_eq!(exporter.get("/ready").await.status, 200);
}

#[tokio::test]
async fn recovers_from_dns_failure() {
    let Some(hosts) = Hosts::empty().await else { return };
    let (mut services, nodes) = services_with(2).await;
    let mut command = services.command();
    let (pubsub, compute) = (services.pubsub().address().port(), services.compute.address().port());
    command.env("SIE_PUBSUB__ENDPOINT", format!("http://pubsub.invalid:{pubsub}"));
    command.env("SIE_COMPUTE__ENDPOINT", format!("http://compute.invalid:{compute}"));
    let exporter = Exporter::run(hosts.wrap(&command)).await;
    exporter.log("cannot list all instances").await;
    exporter.log("Pub/Sub cannot be reached").await;
    let reason = exporter.readiness(503).await;
    assert_eq!(reason.matches("failed to lookup address information").count(), 3, "{reason}");
    assert_eq!(exporter.scrape().await.sum("interruption_events_total"), 0.0);

    hosts.set("127.0.0.1 pubsub.invalid compute.invalid\n");
    exporter.readiness(200).await;
    interrupt(&mut services, &nodes);
    assert_each_counted_once(&services, &exporter, 2).await;
}

#[tokio::test]
async fn counts_once_when_the_clock_jumps() {
    let Some(clock) = Clock::accurate().await else { return };
    let (mut services, nodes) = services_with(40).await;
    let mut command = services.command();
    clock.apply_to(&mut command);
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    let mut entries = Vec::new();
    for (jump, nodes) in ["+0", "+6h", "-6h", "+0"].into_iter().zip(nodes.chunks(10)) {
        clock.set(jump);
        entries.extend(interrupt(&mut services, nodes));
        assert_each_counted_once(&services, &exporter, entries.len()).await;
        // The deduplication window uses a monotonic clock.
        publish(&services, &entries);
        assert_each_counted_once(&services, &exporter, entries.len()).await;
    }
    // By the exporter's clock, ten were counted six hours after their timestamps. Negative delays are not added.
    let delivery = exporter.scrape().await.sample("spot_interruption_delivery_seconds_sum").unwrap();
    let hours = delivery / 3_600.0;
    assert!((60.0..61.0).contains(&hours), "{hours} hours");
    assert_eq!(exporter.get("/ready").await.status, 200);
}

#[tokio::test]
async fn recovers_from_bursts_of_errors() {
    let (mut services, _) = services_with(0).await;
    let exporter = services
        .ready_exporter(&[("SIE_COMPUTE__RESYNC_INTERVAL", "200ms"), ("SIE_ATTRIBUTION_GRACE", "2m")])
        .await;
    let nodes: Vec<Instance> = (1..=300).map(|id| node(id, CLUSTER)).collect();
    let errors = [(Code::ResourceExhausted, 429), (Code::Internal, 500), (Code::Unavailable, 503)];
    for ((code, status), nodes) in errors.into_iter().zip(nodes.chunks(100)) {
        let before = services.compute.count(Operation::List);
        services.pubsub().set_faults(Faults { refuse: Some(code), ..short_leases() });
        for operation in [Operation::List, Operation::Get] {
            services.compute.override_reply(operation, Reply::status(status));
        }
        services.compute.insert_all(nodes.to_vec());
        interrupt(&mut services, nodes);
        let [creations, interruptions] =
            [EventKind::Creation, EventKind::Interruption].map(|kind| services.subscription(kind));
        wait_until_unready(&exporter, &[&creations, &interruptions, &format!("HTTP {status}")]).await;
        let listings = services.compute.count(Operation::List) - before;
        assert!(listings < 20, "{listings} listings during the errors");
        services.compute.clear_overrides();
        services.pubsub().set_faults(short_leases());
        exporter.readiness(200).await;
    }
    assert_each_counted_once(&services, &exporter, 300).await;
}

#[tokio::test]
async fn rejects_oversized_and_deeply_nested_input() {
    let (mut services, nodes) = services_with(2).await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!("{{\"protoPayload\":{{\"resourceName\":\"{}\"}}}}", "x".repeat(9_900_000));
    let inner = format!("{{\"protoPayload\":{{\"request\":{deep}}}}}");
    let padded = services.log.preempted(&nodes[0]).to_string().replacen('{', &format!("{{\"x\":{deep},"), 1);

    services.compute.override_reply(Operation::List, Reply::Json(deep.clone()));
    let exporter = services.exporter(&[]).await;
    exporter.log("cannot list all instances").await;
    let reason = exporter.readiness(503).await;
    assert!(reason.contains("Compute API"), "{reason}");
    services.compute.override_reply(Operation::List, Reply::Endless);
    wait_until_unready(&exporter, &["Compute API, listing instances", "larger than 64 MiB"]).await;
    // A page that is a hundred times larger than those of the API is still read.
    let page = format!("{{\"items\":{{}},\"x\":\"{}\"}}", "x".repeat(60 << 20));
    services.compute.clear_overrides();
    services.compute.override_reply(Operation::List, Reply::Json(page).once());
    services.compute.override_reply(Operation::List, Reply::status(503));
    let listed = "spot_interruption_exporter_resyncs_total{outcome=\"success\"}";
    exporter.scraped("the listing succeeds", |scrape| scrape.sample(listed) == Some(1.0)).await;
    let peak = Usage::of(exporter.pid()).peak / 1_024;
    assert!(peak < 200, "{peak} MiB");
    services.compute.clear_overrides();
    drop(exporter);

    let exporter = services.ready_exporter(&[]).await;
    services.publish(EventKind::Interruption, [&deep, &inner, &long, &padded]).await;
    interrupt(&mut services, &nodes[1..]);
    assert_each_counted_once(&services, &exporter, 2).await;
    let outcome = format!(
        "spot_interruption_exporter_messages_total{{subscription=\"{}\",outcome=\"invalid\"}}",
        services.short_subscription(EventKind::Interruption)
    );
    assert!(exporter.scrape().await.sample(&outcome) >= Some(1.0));
    let peak = Usage::of(exporter.pid()).peak / 1_024;
    assert!(peak < 200, "{peak} MiB");
}

#[tokio::test]
async fn serves_scrapes_with_ten_thousand_idle_and_slow_clients() {
    let (mut services, nodes) = services_with(1_000).await;
    let exporter = services.ready_exporter(&[]).await;
    let Some(crowd) = SlowClients::connect(10_000, &exporter.address) else { return };
    interrupt(&mut services, &nodes);
    let (peak, last) = crowd.scrape_meanwhile(&exporter, Duration::from_secs(5)).await;
    assert!(peak < 1_000.0 && (500.0..600.0).contains(&last), "descriptors: at most {peak}, finally {last}");
    assert_each_counted_once(&services, &exporter, 1_000).await;
}
