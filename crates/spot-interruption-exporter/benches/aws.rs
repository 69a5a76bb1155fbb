//! Cost of the exporter on AWS: runs the release binary as a process against a simulated SQS and EC2 in the benchmark's
//! process.
//!
//! `cargo bench -p spot-interruption-exporter --bench aws` prints the table of `BENCHMARKS.md`. CPU time and memory of the
//! exporter are read from `/proc`. The variable `EXPORTER` selects another program, such as one from an image.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark run by hand")]

mod exporter;

use std::path::Path;
use std::time::{Duration, Instant};

use harness::mebibytes;
use sandbox::aws::{Aws, Event, Instance};
use tokio::runtime::Runtime;

use self::exporter::{Exporter, command, sum};

/// Bytes added to the description of an instance, so that it has the size of a real one.
const PADDING: usize = 5_000;

fn main() {
    // `cargo test` runs bench targets too; skip the measurement there.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    println!(
        "| instances | warnings | state | ready after | listed | after | peak | CPU to list | CPU a message | messages a second |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for state in [None, Some(tempfile::tempdir().unwrap())] {
        for (instances, warnings) in [(0, 0), (10_000, 10_000), (50_000, 50_000)] {
            // Each run starts with an empty state directory.
            let state = state.as_ref().map(|state| state.path().join(instances.to_string()));
            measure(&runtime, instances, warnings, state.as_deref());
        }
    }
}

fn measure(runtime: &Runtime, instances: u64, warnings: usize, state: Option<&Path>) {
    let aws = runtime.block_on(Aws::builder().start()).unwrap();
    aws.configure_ec2(|ec2| ec2.padding = PADDING);
    let nodes: Vec<Instance> = (1..=instances).map(node).collect();
    aws.launch_all(nodes.clone());
    let warned: Vec<String> =
        nodes.iter().take(warnings).map(|node| Event::interruption_warning(node).body()).collect();

    let began = Instant::now();
    let mut command = command();
    command
        .env("SIE_AWS__QUEUE_URLS", aws.queue().aws_url())
        .env("SIE_AWS__SQS_ENDPOINT", aws.url())
        .env("SIE_AWS__EC2_ENDPOINT", aws.url());
    if let Some(state) = state {
        command.env("SIE_STATE__PATH", state);
    }
    let exporter = Exporter::run(command);
    while !exporter.is_ready() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let ready = began.elapsed();
    let (listed, cpu) = (exporter.usage().resident, exporter.usage().cpu);

    let began = Instant::now();
    aws.queue().send_all(warned);
    let drained =
        async { tokio::time::timeout(Duration::from_secs(300), aws.queue().wait_until_drained()).await };
    runtime.block_on(drained).unwrap();
    let took = began.elapsed();
    let usage = exporter.usage();
    assert_eq!(sum(&exporter.get("/metrics"), "interruption_events_total{"), warnings as f64);
    let each = |total: f64| if warnings > 0 { total / warnings as f64 } else { 0.0 };
    println!(
        "| {instances} | {warnings} | {} | {:.2} s | {} | {} | {} | {:.2} s | {:.1} us | {:.0} |",
        if state.is_some() { "durable" } else { "none" },
        ready.as_secs_f64(),
        mebibytes(listed),
        mebibytes(usage.resident),
        mebibytes(usage.peak),
        cpu.as_secs_f64(),
        each((usage.cpu - cpu).as_secs_f64() * 1e6),
        warnings as f64 / took.as_secs_f64(),
    );
}

/// A node of one of twenty clusters, with four node groups each.
fn node(number: u64) -> Instance {
    let zone = ["eu-central-1a", "eu-central-1b", "eu-central-1c"][(number % 3) as usize];
    let group = ["blue", "green", "red", "grey"][(number % 4) as usize];
    Instance::spot(number, zone).eks(&format!("cluster-{}", number % 20), group)
}
