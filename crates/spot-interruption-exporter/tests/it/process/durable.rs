//! Durable state: what is counted stays counted, and counts once, whatever becomes of the process.

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

use super::world::{Way, World, node, total};

const CLUSTERS: [&str; 3] = ["blue", "green", "red"];
const STATE_ERRORS: &str = "spot_interruption_exporter_state_errors_total";

fn state(directory: &TempDir) -> (&'static str, &str) {
    ("SIE_STATE__PATH", directory.path().to_str().unwrap())
}

/// Nodes of the clusters in turn, all of them listed.
async fn world_with(nodes: usize) -> (World, Vec<Instance>) {
    let world = World::sandbox().await;
    let nodes: Vec<_> =
        (0..nodes).map(|number| node(number as u64 + 1, CLUSTERS[number % CLUSTERS.len()])).collect();
    world.compute.insert_all(nodes.clone());
    // The leases of the dead end soon.
    world.pubsub().set_faults(Faults { max_lease: Some(Duration::from_secs(1)), ..Faults::default() });
    (world, nodes)
}

fn publish(world: &World, entries: &[Value]) {
    world.pubsub().publish(&world.topic(Way::Interruption), entries.to_vec()).unwrap();
}

pub(super) async fn kill(mut exporter: Exporter) {
    exporter.signal("KILL");
    exporter.exit().await;
}

/// Interruptions by cluster, as a scrape shows them.
async fn counts(exporter: &Exporter) -> BTreeMap<&'static str, u64> {
    let scrape = exporter.scrape().await;
    let count = |cluster| scrape.sample(&total(cluster)).unwrap_or_default() as u64;
    CLUSTERS.map(|cluster| (cluster, count(cluster))).into()
}

/// How often a process is killed, and how many interruptions flow meanwhile: more of both with `LONG_TESTS` in the
/// environment.
fn lives_and_events() -> (usize, usize) {
    if std::env::var_os("LONG_TESTS").is_some() { (200, 100_000) } else { (20, 10_000) }
}

/// 5 % of the events are published twice, 5 % of the deliveries come again although they were acknowledged, and
/// their order is shuffled.
#[tokio::test]
async fn every_interruption_counts_once_however_often_the_process_is_killed() {
    let (mut world, nodes) = world_with(300).await;
    let directory = tempfile::tempdir().unwrap();
    let faults = Faults { duplicates: 0.05, reorder: 50, ..Faults::default() };
    world.pubsub().set_faults(Faults { max_lease: Some(Duration::from_secs(1)), ..faults.clone() });
    let (lives, events) = lives_and_events();
    let mut expected = BTreeMap::from(CLUSTERS.map(|cluster| (cluster, 0)));
    let mut seen = expected.clone();
    for life in 0..lives {
        let exporter = world.exporter(&[state(&directory)]).await;
        let mut entries = Vec::new();
        for number in life * events / lives..(life + 1) * events / lives {
            let place = number % nodes.len();
            *expected.entry(CLUSTERS[place % CLUSTERS.len()]).or_default() += 1;
            let entry = world.log.preempted(&nodes[place]);
            entries.extend(std::iter::repeat_n(entry, if number % 20 == 0 { 2 } else { 1 }));
        }
        publish(&world, &entries);
        // Any moment will do, and each life has another one.
        tokio::time::sleep(Duration::from_millis((life * life * 7919 % 900) as u64)).await;
        let now = counts(&exporter).await;
        assert!(now.iter().all(|(cluster, count)| count >= &seen[cluster]), "{now:?} after {seen:?}");
        seen = now;
        kill(exporter).await;
    }
    // The last one may take as long for a message as Pub/Sub lets it.
    world.pubsub().set_faults(faults);
    let exporter = world.exporter(&[state(&directory)]).await;
    let interruptions = world.subscription(Way::Interruption);
    let drained = world.pubsub().wait_until_drained(&interruptions);
    tokio::time::timeout(Duration::from_secs(300), drained).await.expect("everything is acknowledged");
    assert_eq!(counts(&exporter).await, expected);
    let unattributed = exporter.scrape().await.sample("interruption_events_unattributed_total");
    assert_eq!(unattributed, Some(0.0));
}

/// What Pub/Sub has an acknowledgement for is never counted again, and nothing else is left out.
#[tokio::test]
async fn without_state_a_kill_counts_again_what_was_not_acknowledged_and_no_more() {
    let (mut world, nodes) = world_with(300).await;
    let interruptions = world.subscription(Way::Interruption);
    let exporter = world.ready(&[]).await;
    let entries: Vec<_> =
        (0..10_000).map(|number| world.log.preempted(&nodes[number % nodes.len()])).collect();
    publish(&world, &entries);
    world.pubsub().wait_until(&interruptions, |counts| counts.acked > 500).await;
    kill(exporter).await;
    let acknowledged = world.pubsub().acked(&interruptions);

    let exporter = world.ready(&[]).await;
    world.pubsub().wait_until_drained(&interruptions).await;
    let counted = exporter.scrape().await.sum("interruption_events_total") as u64;
    assert_eq!(counted, 10_000 - acknowledged);
}

/// The instance is known from its creation only, and is gone when the exporter comes back.
#[tokio::test]
async fn what_was_preempted_while_the_exporter_was_down_is_attributed() {
    let (mut world, _) = world_with(0).await;
    let directory = tempfile::tempdir().unwrap();
    let instance = node(1, "blue");
    let exporter = world.ready(&[state(&directory)]).await;
    world.created(std::slice::from_ref(&instance)).await;
    world.pubsub().wait_until_drained(&world.subscription(Way::Creation)).await;
    kill(exporter).await;

    let entry = world.log.preempted(&instance);
    publish(&world, &[entry]);
    let exporter = world.ready(&[state(&directory), ("SIE_ATTRIBUTION_GRACE", "100ms")]).await;
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("blue")) == Some(1.0)).await;
    let is_blue =
        |line: &str| line.starts_with("spot_instances{") && line.contains("kubernetes_cluster=\"blue\"");
    exporter
        .scraped("it runs no more", |scrape| {
            scrape.text().lines().any(|line| is_blue(line) && line.ends_with(" 0"))
        })
        .await;
}

#[tokio::test]
async fn counters_go_on_after_a_clean_end_too() {
    let (mut world, nodes) = world_with(30).await;
    let directory = tempfile::tempdir().unwrap();
    let mut exporter = world.ready(&[state(&directory)]).await;
    let entries: Vec<_> = nodes.iter().map(|node| world.log.preempted(node)).collect();
    publish(&world, &entries);
    exporter.scraped("all are counted", |scrape| scrape.sum("interruption_events_total") == 30.0).await;
    let before = exporter.scrape().await;
    exporter.signal("TERM");
    assert_eq!(exporter.exit().await.code(), Some(0));

    let exporter = world.exporter(&[state(&directory)]).await;
    let after = exporter.scrape().await;
    for family in [
        "interruption_events_total",
        "spot_interruptions_total",
        "spot_interruption_delivery_seconds_bucket",
        "spot_interruption_delivery_seconds_sum",
        "spot_interruption_exporter_messages_total",
    ] {
        let samples = |scrape: &harness::Answer| -> Vec<String> {
            let text = scrape.text();
            text.lines().filter(|line| line.starts_with(family)).map(str::to_owned).collect()
        };
        assert!(!samples(&before).is_empty(), "{family}");
        assert_eq!(samples(&before), samples(&after));
    }
    publish(&world, &entries);
    exporter
        .scraped("they are known", |scrape| {
            scrape.text().lines().any(|line| line.contains("outcome=\"duplicate\"") && line.ends_with(" 30"))
        })
        .await;
    assert_eq!(exporter.scrape().await.sum("interruption_events_total"), 30.0);
}

#[tokio::test]
async fn a_second_process_on_the_same_directory_is_refused() {
    let (world, _) = world_with(0).await;
    let directory = tempfile::tempdir().unwrap();
    let first = world.ready(&[state(&directory)]).await;
    let mut second = world.command();
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
async fn a_directory_that_cannot_be_made_is_refused() {
    let (world, _) = world_with(0).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = world.command();
    command.env("SIE_STATE__PATH", file.path().join("state"));
    let (code, _, stderr) = run_to_end(command).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("allowed is a directory that can be written to"), "{stderr}");
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_said_so() {
    let (mut world, nodes) = world_with(3).await;
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("state.redb");
    fs::write(&database, "no database").unwrap();
    let exporter = world.ready(&[state(&directory)]).await;
    let line = exporter.log("set aside").await;
    assert!(line.contains("state.redb.unusable-"), "{line}");
    let entries: Vec<_> = nodes.iter().map(|node| world.log.preempted(node)).collect();
    publish(&world, &entries);
    exporter.scraped("all are counted", |scrape| scrape.sum("interruption_events_total") == 3.0).await;
}

/// The command with a file system of its own, of a few MiB, in place of a directory.
fn on_a_small_disk(command: &Command, directory: &Path) -> Command {
    let mut small = Command::new("unshare");
    let script = "mount -t tmpfs -o size=8m none \"$0\" && exec \"$1\"";
    small.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).arg(directory);
    small.arg(command.as_std().get_program());
    small.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    small.envs(command.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))));
    small
}

/// Whether this machine lets us mount file systems.
async fn can_mount(directory: &Path) -> bool {
    let mut attempt = on_a_small_disk(&Command::new("true"), directory);
    attempt.stdout(Stdio::null()).stderr(Stdio::null());
    attempt.status().await.is_ok_and(|status| status.success())
}

#[tokio::test]
async fn a_full_disk_stops_acknowledging_and_recovers() {
    let (mut world, nodes) = world_with(30).await;
    world.pubsub().clear_faults();
    let directory = tempfile::tempdir().unwrap();
    if !can_mount(directory.path()).await {
        return skipped("user namespaces are not allowed here");
    }
    let mut command = world.command();
    command.envs([state(&directory)]);
    let exporter = Exporter::run(on_a_small_disk(&command, directory.path())).await;
    exporter.readiness(200).await;

    let disk = PathBuf::from(format!("/proc/{}/root{}", exporter.pid(), directory.path().display()));
    let filler = disk.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    // More than the room that is left in the file itself.
    let interruptions = world.subscription(Way::Interruption);
    let entries: Vec<_> =
        (0..30_000).map(|number| world.log.preempted(&nodes[number % nodes.len()])).collect();
    publish(&world, &entries);
    let reason = exporter.readiness(503).await;
    assert!(reason.contains("durable state: ") && reason.contains("No space left"), "{reason}");
    let scrape = exporter.scraped("it is counted", |scrape| scrape.sample(STATE_ERRORS) > Some(0.0)).await;
    let counted = scrape.sum("interruption_events_total");
    assert!(counted < 30_000.0, "{counted}");
    assert_eq!(world.pubsub().acked(&interruptions), counted as u64, "only what is safe is acknowledged");

    drop(file);
    fs::remove_file(&filler).unwrap();
    exporter.readiness(200).await;
    world.pubsub().wait_until_drained(&interruptions).await;
    assert_eq!(exporter.scrape().await.sum("interruption_events_total"), 30_000.0);
}

/// The leases end while nothing can be written, so that each message comes again and again, for longer than the window
/// in which an event is recognised.
#[tokio::test]
async fn a_disk_that_stays_full_for_longer_than_the_window_counts_nothing_twice() {
    let (mut world, nodes) = world_with(30).await;
    let directory = tempfile::tempdir().unwrap();
    if !can_mount(directory.path()).await {
        return skipped("user namespaces are not allowed here");
    }
    let mut command = world.command();
    command.envs([state(&directory), ("SIE_DEDUP_WINDOW", "4s")]);
    let exporter = Exporter::run(on_a_small_disk(&command, directory.path())).await;
    exporter.readiness(200).await;
    let disk = PathBuf::from(format!("/proc/{}/root{}", exporter.pid(), directory.path().display()));
    let filler = disk.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}

    let interruptions = world.subscription(Way::Interruption);
    let entries: Vec<_> =
        (0..5_000).map(|number| world.log.preempted(&nodes[number % nodes.len()])).collect();
    publish(&world, &entries);
    exporter.readiness(503).await;
    let counts = world.pubsub().counts(&interruptions);
    // Trouble takes its time; nothing is waited for but that messages come again.
    tokio::time::sleep(Duration::from_secs(8)).await;
    world.pubsub().wait_until(&interruptions, |now| now.redeliveries > counts.redeliveries).await;
    drop(file);
    fs::remove_file(&filler).unwrap();
    world.pubsub().clear_faults();
    world.pubsub().wait_until_drained(&interruptions).await;
    exporter.readiness(200).await;
    assert_eq!(exporter.scrape().await.sum("interruption_events_total"), 5_000.0);
}
