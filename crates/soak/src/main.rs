//! A soak test: both exporters as processes, scraped again and again while events flow and faults come and go.
//!
//! It prints a table of what the processes cost over time, and fails if one of them grows, if a scrape hangs or is
//! refused, or if the counts are not exact at the end. The exporters are the programs beside this one.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

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

/// Runs both exporters for long, with faults that come and go.
#[derive(Debug, Parser)]
struct Options {
    /// How long
    #[arg(long = "for", default_value = "1h", value_parser = humantime::parse_duration)]
    duration: Duration,

    /// Scrapes of each exporter in a second
    #[arg(long, default_value_t = 10)]
    scrapes: u32,

    /// Interruptions in a second
    #[arg(long, default_value_t = 1_000)]
    events: u32,

    /// How long each fault lasts, and each time without one
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    fault: Duration,
}

/// Samples in the table.
const SAMPLES: u32 = 20;

/// The first samples are of processes that still warm up.
const WARM: usize = 4;

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
                    scrapes.answered(),
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

    let mut complaints = Vec::new();
    for (((name, _), scrapes), samples) in processes.iter().zip(scrapes).zip(&samples) {
        complaints.extend(scrapes.finish().await.into_iter().map(|failure| format!("{name}: {failure}")));
        complaints.extend(growth(samples).map(|growth| format!("{name}: {growth}")));
    }
    complaints.extend(spot.settle().await.err());
    complaints.extend(promex.settle().await.err());
    for complaint in &complaints {
        println!("FAILED: {complaint}");
    }
    if complaints.is_empty() {
        println!("passed after {}", humantime::format_duration(options.duration));
        return ExitCode::SUCCESS;
    }
    ExitCode::FAILURE
}

/// What has grown since the process was warm, if anything has. Memory may differ by the size of what is in flight.
fn growth(samples: &[Usage]) -> Option<String> {
    let (warm, late) = samples.split_at_checked(WARM)?;
    let latest = &late[late.len().saturating_sub(WARM)..];
    let grown = |what: &str, leeway: u64, of: fn(&Usage) -> u64| {
        let [before, after] = [warm, latest].map(|samples| samples.iter().map(of).max().unwrap_or_default());
        (after > before + before / 4 + leeway).then(|| format!("{what} grew from {before} to {after}"))
    };
    grown("resident memory, in KiB,", 8 * 1_024, |usage| usage.resident)
        .or_else(|| grown("the number of descriptors", 64, |usage| usage.descriptors as u64))
        .or_else(|| grown("the number of threads", 4, |usage| usage.threads))
}

/// A program beside this one, with nothing of this process's environment.
fn program(name: &str) -> tokio::process::Command {
    let here = std::env::current_exe().unwrap();
    // The test of this program is one folder further down.
    let found = here.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    let path: PathBuf = found.unwrap_or_else(|| panic!("there is no {name} beside {}", here.display()));
    let mut command = tokio::process::Command::new(path);
    command.env_clear();
    command
}
