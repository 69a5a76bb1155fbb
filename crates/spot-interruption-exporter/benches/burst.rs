//! Cost of the exporter: runs the release binary as a process against a simulated Pub/Sub and Compute API in the
//! benchmark's process.
//!
//! `cargo bench -p spot-interruption-exporter --bench burst` prints the table of `BENCHMARKS.md`. CPU time and memory
//! of the exporter are read from `/proc`. The variable `EXPORTER` selects another program, such as one from an image.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark run by hand")]

mod exporter;
mod google;

use std::path::Path;
use std::time::{Duration, Instant};

use harness::mebibytes;
use sandbox::google::Instance;
use sandbox::google::audit_log::AuditLog;
use sandbox::google::compute::Compute;
use tokio::runtime::Runtime;

use self::exporter::sum;
use self::google::{PROJECT, pubsub, start, subscription, topic};

fn main() {
    // `cargo test` runs bench targets too; skip the measurement there.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    println!(
        "| instances | interruptions | state | ready after | idle or listed | after | peak | CPU a message | messages a second | commits | mean commit | file |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for state in [None, Some(tempfile::tempdir().unwrap())] {
        for (instances, interruptions) in [(0, 0), (20_000, 20_000), (100_000, 0), (100_000, 100_000)] {
            // Each run starts with an empty state directory.
            let state = state.as_ref().map(|state| state.path().join(format!("{instances}-{interruptions}")));
            measure(&runtime, instances, interruptions, state.as_deref());
        }
    }
}

fn measure(runtime: &Runtime, instances: u64, interruptions: usize, state: Option<&Path>) {
    let (pubsub, compute) = runtime
        .block_on(async { (pubsub().await, Compute::builder().project(PROJECT, 1).start().await.unwrap()) });
    let nodes: Vec<Instance> = (1..=instances).map(node).collect();
    compute.insert_all(nodes.clone());
    let mut log = AuditLog::new(PROJECT, 1);
    let burst: Vec<String> =
        nodes.iter().take(interruptions).map(|node| log.preempted(node).to_string()).collect();

    let began = Instant::now();
    let variables = state.map(|state| ("SIE_STATE__PATH", state.to_str().unwrap()));
    let exporter = start(Some(&pubsub.endpoint()), &compute.url(), variables.as_slice());
    while !exporter.is_ready() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let ready = began.elapsed();
    let listed = exporter.usage().resident;

    let cpu = exporter.usage().cpu;
    let began = Instant::now();
    if interruptions > 0 {
        pubsub.publish(&topic("interruption"), burst).unwrap();
        let drained = async {
            let drained = subscription("interruption");
            tokio::time::timeout(Duration::from_secs(300), pubsub.wait_until_drained(&drained)).await
        };
        runtime.block_on(drained).unwrap();
    }
    let took = began.elapsed();
    let cpu = exporter.usage().cpu - cpu;
    let metrics = exporter.get("/metrics");
    let sum = |beginning| sum(&metrics, beginning);
    assert_eq!(sum("interruption_events_total{"), interruptions as f64);
    let commits = sum("spot_interruption_exporter_state_commit_duration_seconds_count");
    let commit = sum("spot_interruption_exporter_state_commit_duration_seconds_sum") / commits.max(1.0);
    let each = |total: f64| if interruptions > 0 { total / interruptions as f64 } else { 0.0 };
    println!(
        "| {instances} | {interruptions} | {} | {:.2} s | {} | {} | {} | {:.1} us | {:.0} | {commits} | {:.1} ms | {} |",
        if state.is_some() { "durable" } else { "none" },
        ready.as_secs_f64(),
        mebibytes(listed),
        mebibytes(exporter.usage().resident),
        mebibytes(exporter.usage().peak),
        each(cpu.as_secs_f64() * 1e6),
        interruptions as f64 / took.as_secs_f64(),
        commit * 1e3,
        mebibytes(sum("spot_interruption_exporter_state_size_bytes") as u64 / 1_024),
    );
}

/// A node of one of twenty clusters, with three zones and four node pools each.
fn node(id: u64) -> Instance {
    let cluster = format!("cluster-{}", id % 20);
    let zone = ["europe-west1-b", "europe-west1-c", "europe-west1-d"][(id % 3) as usize];
    Instance::new(id, zone, format!("gke-{cluster}-{id:08x}"))
        .spot()
        .machine_type(["n2-standard-4", "c3-standard-8"][(id % 2) as usize])
        .gke(&cluster, "europe-west1", ["blue", "green", "red", "grey"][(id % 4) as usize])
}
