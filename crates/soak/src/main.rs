//! A soak test: runs both exporters as processes and scrapes them while events are published and faults are
//! injected.
//!
//! It prints a table of their resource usage. It fails if usage grows, if a scrape times out or fails, or if
//! the final counts are wrong. It expects the exporters' programs in its own directory.

#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used, reason = "failures of tests panic")]

mod promex;
mod scrapes;
mod spot;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use harness::{Usage, mebibytes};
use tokio::time::{Instant, interval, sleep_until};

use crate::scrapes::Scrapes;

/// Runs both exporters for a long time with recurring faults.
#[derive(Debug, Parser)]
struct Options {
    /// Duration of the test
    #[arg(long = "for", default_value = "1h", value_parser = humantime::parse_duration)]
    duration: Duration,

    /// Scrapes per second of each exporter
    #[arg(long, default_value_t = 10)]
    scrapes: u32,

    /// Interruptions per second
    #[arg(long, default_value_t = 1_000)]
    events: u32,

    /// Duration of each fault and of each pause between faults
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    fault: Duration,
}

/// The number of samples in the table.
const SAMPLES: u32 = 20;

/// The number of samples that are taken as the warm-up.
const WARM_UP: usize = 4;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let spot = spot::World::start().await;
    let promex = promex::World::start().await;
    let processes = [("spacelift-promex", &promex.exporter), ("spot-interruption-exporter", &spot.exporter)];
    let scrapes = processes.map(|(_, exporter)| Scrapes::start(exporter, options.scrapes));
    let end = Instant::now() + options.duration;

    println!("| minutes | process | resident | descriptors | threads | CPU | scrapes | interruptions |");
    println!("|---|---|---|---|---|---|---|---|");
    let mut samples: [Vec<Usage>; 2] = Default::default();
    let began = Instant::now();
    let sampling = async {
        let mut sample = interval(options.duration / SAMPLES);
        loop {
            let minutes = sample.tick().await.duration_since(began).as_secs_f64() / 60.0;
            for (((name, exporter), scrapes), samples) in processes.iter().zip(&scrapes).zip(&mut samples) {
                let usage = Usage::of(exporter.pid());
                let events =
                    if *name == "spacelift-promex" { String::new() } else { spot.published().to_string() };
                println!(
                    "| {minutes:.1} | {name} | {} | {} | {} | {:.1} s | {} | {events} |",
                    mebibytes(usage.resident),
                    usage.descriptors,
                    usage.threads,
                    usage.cpu.as_secs_f64(),
                    scrapes.completed(),
                );
                samples.push(usage);
            }
        }
    };
    tokio::select! {
        () = sleep_until(end) => {}
        never = sampling => never,
        never = spot.flow(options.events) => never,
        never = spot.faults(options.fault) => never,
        never = promex.faults(options.fault) => never,
    }

    let mut failures = Vec::new();
    for (((name, _), scrapes), samples) in processes.iter().zip(scrapes).zip(&samples) {
        failures.extend(scrapes.finish().await.into_iter().map(|failure| format!("{name}: {failure}")));
        failures.extend(growth(samples).map(|growth| format!("{name}: {growth}")));
    }
    failures.extend(spot.settle().await.err());
    failures.extend(promex.settle().await.err());
    for failure in &failures {
        println!("FAILED: {failure}");
    }
    if failures.is_empty() {
        println!("passed after {}", humantime::format_duration(options.duration));
        return ExitCode::SUCCESS;
    }
    ExitCode::FAILURE
}

/// Returns which resource usage has grown since the warm-up. The leeway covers memory of running requests.
fn growth(samples: &[Usage]) -> Option<String> {
    let (warm, late) = samples.split_at_checked(WARM_UP)?;
    let latest = &late[late.len().saturating_sub(WARM_UP)..];
    let grown = |what: &str, leeway: u64, of: fn(&Usage) -> u64| {
        let [before, after] = [warm, latest].map(|samples| samples.iter().map(of).max().unwrap_or_default());
        (after > before + before / 4 + leeway).then(|| format!("{what} grew from {before} to {after}"))
    };
    grown("resident memory, in KiB,", 8 * 1_024, |usage| usage.resident)
        .or_else(|| grown("the number of descriptors", 64, |usage| usage.descriptors as u64))
        .or_else(|| grown("the number of threads", 4, |usage| usage.threads))
}

/// Returns a program in the directory of this one, with an empty environment.
fn program(name: &str) -> tokio::process::Command {
    let here = std::env::current_exe().unwrap();
    // The test binary is one directory below.
    let found = here.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    let path: PathBuf =
        found.unwrap_or_else(|| panic!("{name} is not in the directory of {}", here.display()));
    let mut command = tokio::process::Command::new(path);
    command.env_clear();
    command
}
