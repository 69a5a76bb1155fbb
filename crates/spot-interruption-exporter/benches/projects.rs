//! Cost of many projects: 30,000 nodes in 1, 30 and 300 projects, with a Compute API that responds immediately or after
//! 100 ms; and the additional cost of operations, with Pub/Sub and instead of it.
//!
//! `cargo bench -p spot-interruption-exporter --bench projects` prints the tables of `BENCHMARKS.md`. CPU time and
//! memory of the exporter are read from `/proc`.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark run by hand")]

mod exporter;
mod google;

use std::thread::sleep;
use std::time::{Duration, Instant};

use harness::mebibytes;
use sandbox::google::Instance;
use sandbox::google::compute::{Compute, Operation, Reply};
use sandbox::google::pubsub::PubSub;
use tokio::runtime::Runtime;

use self::exporter::sum;
use self::google::{PROJECT, pubsub, start};

/// Number of measured rounds. Memory settles after some of them.
const ROUNDS: u32 = 8;

/// Interval of instance and operations listings where rounds are measured.
const ROUND: Duration = Duration::from_secs(10);

const NODES: u64 = 30_000;

/// Interval between listings of a project. Longer than any listing, so that rounds do not overlap.
const INTERVAL: Duration = Duration::from_secs(30);

fn main() {
    // `cargo test` runs bench targets too; skip the measurement there.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = Runtime::new().unwrap();
    println!(
        "| projects | nodes in each | response time | ready after | requests | CPU until ready | idle | ready | after another round | peak | its requests | its CPU |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for (projects, delay) in [(1, 0), (30, 0), (300, 0), (300, 100)] {
        measure(&runtime, projects, Duration::from_millis(delay));
    }
    println!("\n| operations | nodes | round | requests | CPU | resident | peak |");
    println!("|---|---|---|---|---|---|---|");
    for (operations, nodes) in [("off", NODES), ("off", 2 * NODES), ("reconcile", NODES), ("source", NODES)] {
        rounds(&runtime, operations, nodes);
    }
}

/// Measures each round with 300 projects.
fn rounds(runtime: &Runtime, operations: &str, nodes: u64) {
    const PROJECTS: u64 = 300;
    let (pubsub, compute, names) = simulate(runtime, PROJECTS, nodes);
    let (interval, projects) = (format!("{}s", ROUND.as_secs()), names.join(","));
    let variables = [
        ("SIE_COMPUTE__RESYNC_INTERVAL", interval.as_str()),
        ("SIE_COMPUTE__OPERATIONS_INTERVAL", interval.as_str()),
        ("SIE_COMPUTE__OPERATIONS", operations),
        ("SIE_GCP__PROJECTS", &projects),
    ];
    let endpoint = (operations != "source").then(|| pubsub.endpoint());
    let began = Instant::now();
    let exporter = start(endpoint.as_deref(), &compute.url(), &variables);
    while !exporter.is_ready() {
        sleep(Duration::from_millis(5));
    }
    let mut before = (exporter.usage(), compute.requests().len());
    for round in 1..=ROUNDS {
        sleep((began + (round + 1) * ROUND).saturating_duration_since(Instant::now()));
        let now = (exporter.usage(), compute.requests().len());
        println!(
            "| {operations} | {nodes} | {round} | {} | {:.2} s | {} | {} |",
            now.1 - before.1,
            (now.0.cpu - before.0.cpu).as_secs_f64(),
            mebibytes(now.0.resident),
            mebibytes(now.0.peak),
        );
        before = now;
    }
    assert_eq!(sum(&exporter.get("/metrics"), "spot_instances{"), nodes as f64);
}

/// Simulates projects with `nodes` nodes in total. Returns the names of all projects except the first.
fn simulate(runtime: &Runtime, projects: u64, nodes: u64) -> (PubSub, Compute, Vec<String>) {
    let names: Vec<String> = (1..projects).map(|number| format!("team-{number}")).collect();
    let (pubsub, compute) = runtime.block_on(async {
        let mut compute = Compute::builder().project(PROJECT, 1);
        for (number, name) in (2..).zip(&names) {
            compute = compute.add_project(name, number);
        }
        (pubsub().await, compute.start().await.unwrap())
    });
    let each = nodes / projects;
    for (number, project) in (0..).zip(compute.projects()) {
        project.insert_all((1..=each).map(|node| instance(number * each + node, number)));
    }
    (pubsub, compute, names)
}

fn measure(runtime: &Runtime, projects: u64, delay: Duration) {
    let (pubsub, compute, names) = simulate(runtime, projects, NODES);
    let each = NODES / projects;
    // Delays of concurrent responses do not add up.
    compute.override_reply(Operation::List, Reply::Delay(delay));

    let interval = format!("{}s", INTERVAL.as_secs());
    let projects_variable = names.join(",");
    let mut variables =
        vec![("SIE_COMPUTE__RESYNC_INTERVAL", interval.as_str()), ("SIE_COMPUTE__OPERATIONS", "off")];
    if projects > 1 {
        variables.push(("SIE_GCP__PROJECTS", &projects_variable));
    }
    let began = Instant::now();
    let exporter = start(Some(&pubsub.endpoint()), &compute.url(), &variables);
    let idle = exporter.usage().resident;
    while !exporter.is_ready() {
        sleep(Duration::from_millis(5));
    }
    let ready = began.elapsed();
    let (listed, requests) = (exporter.usage(), compute.requests().len());
    assert_eq!(sum(&exporter.get("/metrics"), "spot_instances{"), NODES as f64);

    // Scrapes are rare here, because they would be measured too.
    let cpu = exporter.usage().cpu;
    sleep((began + ready + INTERVAL).saturating_duration_since(Instant::now()));
    let listings =
        || sum(&exporter.get("/metrics"), "spot_interruption_exporter_resyncs_total{outcome=\"success\"}");
    while listings() < 2.0 * projects as f64 {
        sleep(Duration::from_millis(500));
    }
    let (after, all) = (exporter.usage(), compute.requests().len());
    println!(
        "| {projects} | {each} | {} ms | {:.2} s | {requests} | {:.2} s | {} | {} | {} | {} | {} | {:.2} s |",
        delay.as_millis(),
        ready.as_secs_f64(),
        listed.cpu.as_secs_f64(),
        mebibytes(idle),
        mebibytes(listed.resident),
        mebibytes(after.resident),
        mebibytes(after.peak),
        all - requests,
        (after.cpu - cpu).as_secs_f64(),
    );
}

/// A node. Each project has one cluster, with three zones and two node pools.
fn instance(id: u64, project: u64) -> Instance {
    let cluster = format!("cluster-{project}");
    let zone = ["europe-west1-b", "europe-west1-c", "europe-west1-d"][(id % 3) as usize];
    Instance::new(id, zone, format!("gke-{cluster}-{id:08x}")).spot().machine_type("n2-standard-4").gke(
        &cluster,
        "europe-west1",
        ["blue", "green"][(id % 2) as usize],
    )
}
