//! Durable state: counts survive kills, restarts and full disks, and each event is counted once.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use harness::{Exporter, run_to_end, skipped};
use sandbox::google::Instance;
use sandbox::google::pubsub::Faults;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::services::{EventKind, Services, node, total};

const CLUSTERS: [&str; 3] = ["blue", "green", "red"];
const STATE_ERRORS: &str = "spot_interruption_exporter_state_errors_total";

fn state(directory: &TempDir) -> (&'static str, &str) {
    ("SIE_STATE__PATH", directory.path().to_str().unwrap())
}

/// Services with this many listed nodes, distributed over the clusters.
async fn services_with(nodes: usize) -> (Services, Vec<Instance>) {
    let services = Services::sandbox().await;
    let nodes: Vec<_> =
        (0..nodes).map(|number| node(number as u64 + 1, CLUSTERS[number % CLUSTERS.len()])).collect();
    services.compute.insert_all(nodes.clone());
    // The leases of a killed process expire after one second.
    services.pubsub().set_faults(Faults { max_lease: Some(Duration::from_secs(1)), ..Faults::default() });
    (services, nodes)
}

fn publish(services: &Services, entries: &[Value]) {
    services.pubsub().publish(&services.topic(EventKind::Interruption), entries.to_vec()).unwrap();
}

pub(super) async fn kill(mut exporter: Exporter) {
    exporter.signal("KILL");
    exporter.exit().await;
}

/// Returns the interruptions by cluster from a scrape.
async fn counts(exporter: &Exporter) -> BTreeMap<&'static str, u64> {
    let scrape = exporter.scrape().await;
    let count = |cluster| scrape.sample(&total(cluster)).unwrap_or_default() as u64;
    CLUSTERS.map(|cluster| (cluster, count(cluster))).into()
}

/// Returns the number of kills and of interruptions; both are larger with `LONG_TESTS` in the environment.
fn kills_and_events() -> (usize, usize) {
    if std::env::var_os("LONG_TESTS").is_some() { (200, 100_000) } else { (20, 10_000) }
}

/// 5 % of the events are published twice, 5 % of the deliveries are repeated after their acknowledgement, and the order
/// is shuffled.
#[tokio::test]
async fn counts_every_interruption_once_across_kills() {
    let (mut services, nodes) = services_with(300).await;
    let directory = tempfile::tempdir().unwrap();
    let faults = Faults { duplicates: 0.05, reorder: 50, ..Faults::default() };
    services.pubsub().set_faults(Faults { max_lease: Some(Duration::from_secs(1)), ..faults.clone() });
    let (kills, events) = kills_and_events();
    let mut expected = BTreeMap::from(CLUSTERS.map(|cluster| (cluster, 0)));
    let mut seen = expected.clone();
    for run in 0..kills {
        let exporter = services.exporter(&[state(&directory)]).await;
        let mut entries = Vec::new();
        for number in run * events / kills..(run + 1) * events / kills {
            let index = number % nodes.len();
            *expected.entry(CLUSTERS[index % CLUSTERS.len()]).or_default() += 1;
            let entry = services.log.preempted(&nodes[index]);
            entries.extend(std::iter::repeat_n(entry, if number % 20 == 0 { 2 } else { 1 }));
        }
        publish(&services, &entries);
        // Each run is killed after another delay.
        tokio::time::sleep(Duration::from_millis((run * run * 7919 % 900) as u64)).await;
        let now = counts(&exporter).await;
        assert!(now.iter().all(|(cluster, count)| count >= &seen[cluster]), "{now:?} after {seen:?}");
        seen = now;
        kill(exporter).await;
    }
    // The last run has leases of normal length.
    services.pubsub().set_faults(faults);
    let exporter = services.exporter(&[state(&directory)]).await;
    let interruptions = services.subscription(EventKind::Interruption);
    let drained = services.pubsub().wait_until_drained(&interruptions);
    tokio::time::timeout(Duration::from_secs(300), drained).await.expect("everything is acknowledged");
    assert_eq!(counts(&exporter).await, expected);
    let unattributed = exporter.scrape().await.sample("interruption_events_unattributed_total");
    assert_eq!(unattributed, Some(0.0));
}

/// The second process counts exactly the messages that Pub/Sub has no acknowledgement for.
#[tokio::test]
async fn without_state_a_kill_recounts_only_unacknowledged_messages() {
    let (mut services, nodes) = services_with(300).await;
    let interruptions = services.subscription(EventKind::Interruption);
    let exporter = services.ready_exporter(&[]).await;
    let entries: Vec<_> =
        (0..10_000).map(|number| services.log.preempted(&nodes[number % nodes.len()])).collect();
    publish(&services, &entries);
    services.pubsub().wait_until(&interruptions, |counts| counts.acked > 500).await;
    kill(exporter).await;
    let acknowledged = services.pubsub().acked(&interruptions);

    let exporter = services.ready_exporter(&[]).await;
    services.pubsub().wait_until_drained(&interruptions).await;
    let counted = exporter.scrape().await.sum("interruption_events_total") as u64;
    assert_eq!(counted, 10_000 - acknowledged);
}

/// The instance is known only from its creation event, and no longer exists when the exporter starts again.
#[tokio::test]
async fn attributes_preemptions_that_happened_while_down() {
    let (mut services, _) = services_with(0).await;
    let directory = tempfile::tempdir().unwrap();
    let instance = node(1, "blue");
    let exporter = services.ready_exporter(&[state(&directory)]).await;
    services.created(std::slice::from_ref(&instance)).await;
    services.pubsub().wait_until_drained(&services.subscription(EventKind::Creation)).await;
    kill(exporter).await;

    let entry = services.log.preempted(&instance);
    publish(&services, &[entry]);
    let exporter = services.ready_exporter(&[state(&directory), ("SIE_ATTRIBUTION_GRACE", "100ms")]).await;
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("blue")) == Some(1.0)).await;
    let is_blue =
        |line: &str| line.starts_with("spot_instances{") && line.contains("kubernetes_cluster=\"blue\"");
    exporter
        .scraped("the instance is no longer running", |scrape| {
            scrape.text().lines().any(|line| is_blue(line) && line.ends_with(" 0"))
        })
        .await;
}

#[tokio::test]
async fn counters_continue_after_a_clean_exit() {
    let (mut services, nodes) = services_with(30).await;
    let directory = tempfile::tempdir().unwrap();
    let mut exporter = services.ready_exporter(&[state(&directory)]).await;
    let entries: Vec<_> = nodes.iter().map(|node| services.log.preempted(node)).collect();
    publish(&services, &entries);
    exporter.scraped("all are counted", |scrape| scrape.sum("interruption_events_total") == 30.0).await;
    let before = exporter.scrape().await;
    exporter.signal("TERM");
    assert_eq!(exporter.exit().await.code(), Some(0));

    let exporter = services.exporter(&[state(&directory)]).await;
    let after = exporter.scrape().await;
    for family in [
        "interruption_events_total",
        "spot_interruptions_total",
        "spot_interruption_delivery_seconds_bucket",
        "spot_interruption_delivery_seconds_sum",
        "spot_interruption_exporter_messages_total",
    ] {
        let samples = |scrape: &harness::HttpResponse| -> Vec<String> {
            let text = scrape.text();
            text.lines().filter(|line| line.starts_with(family)).map(str::to_owned).collect()
        };
        assert!(!samples(&before).is_empty(), "{family}");
        assert_eq!(samples(&before), samples(&after));
    }
    publish(&services, &entries);
    exporter
        .scraped("all are recognised as duplicates", |scrape| {
            scrape.text().lines().any(|line| line.contains("outcome=\"duplicate\"") && line.ends_with(" 30"))
        })
        .await;
    assert_eq!(exporter.scrape().await.sum("interruption_events_total"), 30.0);
}

#[tokio::test]
async fn rejects_a_second_process_on_the_same_directory() {
    let (services, _) = services_with(0).await;
    let directory = tempfile::tempdir().unwrap();
    let first = services.ready_exporter(&[state(&directory)]).await;
    let mut second = services.command();
    second.envs([state(&directory)]);
    let (code, _, stderr) = run_to_end(second).await;
    assert_eq!(code, Some(1), "{stderr}");
    let last = stderr.lines().last().unwrap();
    assert!(
        last.starts_with("error: state.path: ") && last.contains("in use by another process"),
        "{stderr}"
    );
    first.scrape().await;
}

#[tokio::test]
async fn rejects_a_directory_that_cannot_be_created() {
    let (services, _) = services_with(0).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = services.command();
    command.env("SIE_STATE__PATH", file.path().join("state"));
    let (code, _, stderr) = run_to_end(command).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("allowed is a directory that can be written to"), "{stderr}");
}

#[tokio::test]
async fn logs_that_a_damaged_file_is_set_aside() {
    let (mut services, nodes) = services_with(3).await;
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("state.redb");
    fs::write(&database, "no database").unwrap();
    let exporter = services.ready_exporter(&[state(&directory)]).await;
    let line = exporter.log("set aside").await;
    assert!(line.contains("state.redb.unusable-"), "{line}");
    let entries: Vec<_> = nodes.iter().map(|node| services.log.preempted(node)).collect();
    publish(&services, &entries);
    exporter.scraped("all are counted", |scrape| scrape.sum("interruption_events_total") == 3.0).await;
}

/// Wraps the command to run with a file system of 8 MiB mounted on `directory`.
fn on_small_disk(command: &Command, directory: &Path) -> Command {
    let mut small = Command::new("unshare");
    let script = "mount -t tmpfs -o size=8m none \"$0\" && exec \"$1\"";
    small.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).arg(directory);
    small.arg(command.as_std().get_program());
    small.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    small.envs(command.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))));
    small
}

/// Returns whether this machine allows mounts in a user namespace.
async fn can_mount(directory: &Path) -> bool {
    let mut attempt = on_small_disk(&Command::new("true"), directory);
    attempt.stdout(Stdio::null()).stderr(Stdio::null());
    attempt.status().await.is_ok_and(|status| status.success())
}

#[tokio::test]
async fn stops_acknowledging_on_a_full_disk_and_recovers() {
    let (mut services, nodes) = services_with(30).await;
    services.pubsub().clear_faults();
    let directory = tempfile::tempdir().unwrap();
    if !can_mount(directory.path()).await {
        return skipped("user namespaces are not allowed here");
    }
    let mut command = services.command();
    command.envs([state(&directory)]);
    let exporter = Exporter::run(on_small_disk(&command, directory.path())).await;
    exporter.readiness(200).await;

    let disk = PathBuf::from(format!("/proc/{}/root{}", exporter.pid(), directory.path().display()));
    let filler = disk.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    // More messages than the free space within the database file can hold.
    let interruptions = services.subscription(EventKind::Interruption);
    let entries: Vec<_> =
        (0..30_000).map(|number| services.log.preempted(&nodes[number % nodes.len()])).collect();
    publish(&services, &entries);
    let reason = exporter.readiness(503).await;
    assert!(reason.contains("durable state: ") && reason.contains("No space left"), "{reason}");
    let scrape =
        exporter.scraped("the error is counted", |scrape| scrape.sample(STATE_ERRORS) > Some(0.0)).await;
    let counted = scrape.sum("interruption_events_total");
    assert!(counted < 30_000.0, "{counted}");
    assert_eq!(
        services.pubsub().acked(&interruptions),
        counted as u64,
        "only committed messages are acknowledged"
    );

    drop(file);
    fs::remove_file(&filler).unwrap();
    exporter.readiness(200).await;
    services.pubsub().wait_until_drained(&interruptions).await;
    assert_eq!(exporter.scrape().await.sum("interruption_events_total"), 30_000.0);
}

/// The leases expire while nothing can be written, so each message is redelivered for longer than the deduplication
/// window.
#[tokio::test]
async fn counts_once_with_a_disk_full_for_longer_than_the_window() {
    let (mut services, nodes) = services_with(30).await;
    let directory = tempfile::tempdir().unwrap();
    if !can_mount(directory.path()).await {
        return skipped("user namespaces are not allowed here");
    }
    let mut command = services.command();
    command.envs([state(&directory), ("SIE_DEDUP_WINDOW", "4s")]);
    let exporter = Exporter::run(on_small_disk(&command, directory.path())).await;
    exporter.readiness(200).await;
    let disk = PathBuf::from(format!("/proc/{}/root{}", exporter.pid(), directory.path().display()));
    let filler = disk.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}

    let interruptions = services.subscription(EventKind::Interruption);
    let entries: Vec<_> =
        (0..5_000).map(|number| services.log.preempted(&nodes[number % nodes.len()])).collect();
    publish(&services, &entries);
    exporter.readiness(503).await;
    let counts = services.pubsub().counts(&interruptions);
    // The disk must stay full for longer than the window, and messages must be redelivered.
    tokio::time::sleep(Duration::from_secs(8)).await;
    services.pubsub().wait_until(&interruptions, |now| now.redeliveries > counts.redeliveries).await;
    drop(file);
    fs::remove_file(&filler).unwrap();
    services.pubsub().clear_faults();
    services.pubsub().wait_until_drained(&interruptions).await;
    exporter.readiness(200).await;
    assert_eq!(exporter.scrape().await.sum("interruption_events_total"), 5_000.0);
}
