//! Resource usage of a process, from `/proc`.

use std::path::PathBuf;
use std::time::Duration;

/// Linux counts CPU time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// The resource usage of a process at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Resident memory, in KiB.
    pub resident: u64,
    /// Maximum resident memory so far, in KiB.
    pub peak: u64,
    /// Open file descriptors.
    pub descriptors: usize,
    /// Threads.
    pub threads: u64,
    /// User and system CPU time so far.
    pub cpu: Duration,
}

impl Usage {
    /// Reads the usage of a running process.
    pub fn of(pid: u32) -> Self {
        let proc = |file: &str| format!("/proc/{pid}/{file}");
        let status = std::fs::read_to_string(proc("status")).unwrap();
        let number = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        let stat = std::fs::read_to_string(proc("stat")).unwrap();
        // The process name before it can contain any characters.
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

/// Formats KiB as MiB.
pub fn mebibytes(kibibytes: u64) -> String {
    format!("{:.1} MiB", kibibytes as f64 / 1_024.0)
}

/// Returns the program to measure: the one in the variable `EXPORTER`, or `built`.
pub fn measured(built: &str) -> PathBuf {
    std::env::var_os("EXPORTER").map_or_else(|| PathBuf::from(built), PathBuf::from)
}
