//! Benchmarks of the core: events per second, scaling with the inventory, and memory per instance and per held
//! interruption. Uses its own harness, because half of the results are not times.
//!
//! `cargo bench -p spot-interruption-exporter` prints one line for each result. Without `--bench`, as under `cargo
//! test`, each benchmark runs once at small scale.

#![expect(clippy::print_stdout, reason = "prints its results")]

use std::env;
use std::fs;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use spot_interruption_exporter::attribution::{Attribution, OPERATION_LATENESS, Outcome, Settings};
use spot_interruption_exporter::instance::{Instance, InstanceId, InstanceRef};
use spot_interruption_exporter::inventory::{Moment, Scope, Unseen};
use spot_interruption_exporter::provider::google::audit_log::{self, InterruptionMethods};

const INTERRUPTION: &str = include_str!("../tests/it/fixtures/interruption.json");
const CREATION: &str = include_str!("../tests/it/fixtures/creation.json");
const ID: &str = "1844488190000000001";

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if let [_, child, measure, number] = &arguments[..]
        && child == "--child"
    {
        return measure_memory(measure, number.parse().unwrap_or_default());
    }
    let scale = if arguments.iter().any(|argument| argument == "--bench") { 1 } else { 1000 };

    for (name, template) in [("interruption", INTERRUPTION), ("creation", CREATION)] {
        let messages = messages(template, 1000, 1000);
        let methods = InterruptionMethods::default();
        let per_second = rate(1_000_000 / scale, |number| {
            black_box(audit_log::parse(messages[number % messages.len()].as_bytes(), &methods).is_ok());
        });
        println!("parse {name} ({} bytes): {per_second:.0} events/s", template.len());
    }
    for instances in [1000, 10_000, 100_000, 1_000_000] {
        burst(instances / scale.min(instances), 1_000_000 / scale);
    }
    for (measure, number) in
        [("instances", 100_000), ("instances", 1_000_000), ("interrupted", 100_000), ("held", 100_000)]
    {
        memory(measure, number / scale);
    }
}

/// Measures a burst: interruptions of known instances, from bytes to counters.
fn burst(instances: usize, events: usize) {
    let methods = InterruptionMethods::default();
    let started = Instant::now();
    let mut attribution = attribution();
    list_all(&mut attribution, instances, started);
    // Each event is different, so that none is a duplicate.
    let events = messages(INTERRUPTION, events, instances);
    let ids: Vec<String> = (0..events.len()).map(|number| number.to_string()).collect();
    let mut counters = vec![0_u64; attribution.inventory().profiles().len()];
    let mut others = 0;
    let per_second = rate(events.len(), |number| {
        let parsed = audit_log::parse(events[number].as_bytes(), &methods);
        attribution.message(&ids[number], parsed, (), started);
        while let Some(resolved) = attribution.poll_resolved() {
            match resolved.outcome {
                Outcome::Counted(counted) => counters[counted.profile.index()] += 1,
                _ => others += 1,
            }
        }
    });
    let counted: u64 = counters.iter().sum();
    println!(
        "parse, attribute and count with {instances} instances: {per_second:.0} events/s ({counted} counted, {others} not, {} held)",
        attribution.held_interruptions()
    );
}

fn rate(times: usize, mut each: impl FnMut(usize)) -> f64 {
    let started = Instant::now();
    for number in 0..times {
        each(number);
    }
    times as f64 / started.elapsed().as_secs_f64()
}

/// Builds messages about instances numbered from one, each with its own `insertId`.
fn messages(template: &str, number: usize, instances: usize) -> Vec<String> {
    (0..number)
        .map(|number| {
            let instance = number % instances + 1;
            template
                .replace(ID, &instance.to_string())
                .replace("gke-n1", &name(instance))
                .replace("qnwer3e38dfz", &format!("q{number:011}"))
        })
        .collect()
}

/// As long as names of GKE nodes.
fn name(instance: usize) -> String {
    format!("gke-production-eu-spot-pool-{:08x}-{:04x}", instance / 100, instance % 65_536)
}

fn attribution<T>() -> Attribution<T> {
    Attribution::new(Settings {
        project: "mock-project".to_owned(),
        attribution_grace: Duration::from_secs(60),
        dedup_window: Duration::from_secs(600),
        tombstone_ttl: Duration::from_secs(600),
        fixed_scopes: Vec::new(),
        lateness: OPERATION_LATENESS,
    })
}

/// Lists instances of ten clusters with four node pools and three machine types each.
fn list_all<T>(attribution: &mut Attribution<T>, instances: usize, now: Instant) {
    let scope = Scope::project("mock-project");
    attribution.begin_listing(&scope, Moment { instant: now, timestamp: Timestamp::now() });
    for number in 1..=instances {
        let name = name(number);
        attribution.list(
            &scope,
            &Instance {
                instance: reference(number, &name),
                cluster: Some(format!("cluster-{}", number % 10).into()),
                location: Some("europe-west1".into()),
                node_pool: Some(format!("pool-{}", number / 10 % 4).into()),
                machine_type: Some(
                    ["n2-standard-8", "e2-standard-4", "c3-standard-22"][number / 40 % 3].into(),
                ),
                spot: true,
                running: true,
                created_at: "2023-09-16T08:42:31Z".parse().ok(),
            },
            now,
        );
    }
    attribution.finish_listing(&scope, &Unseen::default(), now);
}

fn reference(number: usize, name: &str) -> InstanceRef<'_> {
    InstanceRef {
        id: InstanceId::new(number as u64),
        project: Some("mock-project".into()),
        zone: Some("europe-west1-c".into()),
        name: Some(name.into()),
    }
}

/// Measures memory in a child process without earlier allocations.
fn memory(measure: &str, number: usize) {
    let Ok(program) = env::current_exe() else { return };
    let output = Command::new(program).args(["--child", measure, &number.to_string()]).output();
    if let Ok(output) = output {
        print!("{}", String::from_utf8_lossy(&output.stdout));
    }
}

fn measure_memory(measure: &str, number: usize) {
    let now = Instant::now();
    let before = status("VmRSS:");
    let mut attribution = attribution::<u64>();
    let listing = Instant::now();
    if measure != "held" {
        list_all(&mut attribution, number, now);
    }
    let listing = listing.elapsed();
    if measure != "instances" {
        let methods = InterruptionMethods::default();
        for instance in 1..=number {
            let event = INTERRUPTION
                .replace(ID, &instance.to_string())
                .replace("gke-n1", &name(instance))
                .replace("qnwer3e38dfz", &format!("q{instance:011}"));
            let parsed = audit_log::parse(event.as_bytes(), &methods);
            attribution.message(&instance.to_string(), parsed, 0, now);
            while attribution.poll_resolved().is_some() {}
        }
    }
    let after = status("VmRSS:");
    let each = after.saturating_sub(before) as f64 / number as f64;
    println!(
        "memory of {number} {measure}: {:.1} MiB, {each:.0} bytes each; the process {:.1} MiB, at most {:.1} MiB; listed in {:.3} s",
        after.saturating_sub(before) as f64 / 1_048_576.0,
        after as f64 / 1_048_576.0,
        status("VmHWM:") as f64 / 1_048_576.0,
        listing.as_secs_f64()
    );
    black_box(attribution);
}

/// A field of the process's status in bytes, such as its resident memory. Zero without `/proc`.
fn status(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default() * 1024
}
