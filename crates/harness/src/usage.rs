//! What a process costs, from `/proc`.

use std::path::PathBuf;
use std::time::Duration;

/// Linux counts CPU time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// What a process has of the machine at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Resident memory, in KiB.
    pub resident: u64,
    /// The most resident memory so far, in KiB.
    pub peak: u64,
    /// Open file descriptors.
    pub descriptors: usize,
    /// Threads.
    pub threads: u64,
    /// User and system CPU time so far.
    pub cpu: Duration,
}

impl Usage {
    /// That of a process that runs.
    pub fn of(pid: u32) -> Self {
        let proc = |file: &str| format!("/proc/{pid}/{file}");
        let status = std::fs::read_to_string(proc("status")).unwrap();
        let number = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        let stat = std::fs::read_to_string(proc("stat")).unwrap();
        // The name before it may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks = |field: usize| fields[field].parse::<u32>().unwrap();
        Self {
            resident: number("VmRSS:"),
            peak: number("VmHWM:"),
            descriptors: std::fs::read_dir(proc("fd")).unwrap().count(),
            threads: number("Threads:"),
            cpu: TICK * (ticks(11) + ticks(12)),
        }
    }
}

/// KiB as people read them.
pub fn mebibytes(kibibytes: u64) -> String {
    format!("{:.1} MiB", kibibytes as f64 / 1_024.0)
}

/// The program that a benchmark is about: the one that `EXPORTER` names, or else the one that was built.
pub fn measured(built: &str) -> PathBuf {
    std::env::var_os("EXPORTER").map_or_else(|| PathBuf::from(built), PathBuf::from)
}
