//! The `process_*` families under the names that every Prometheus client library gives them.

use std::fmt;

use procfs::FromRead;
use procfs::process::{LimitValue, Process, Stat};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::Number;
use super::family::{counter, gauge};

/// Reads `/proc/self` at each scrape. Where there is no `/proc`, its families are absent.
#[derive(Debug)]
pub struct ProcessCollector {
    ticks_per_second: f64,
    page_size_bytes: f64,
    /// Unix seconds; `None` where `/proc/stat` cannot be read.
    boot_time: Option<f64>,
    /// The soft limit; `None` where there is none.
    max_fds: Option<Number>,
}

impl ProcessCollector {
    /// Asks the kernel once for what does not change.
    pub fn new() -> Self {
        Self {
            ticks_per_second: procfs::ticks_per_second() as f64,
            page_size_bytes: procfs::page_size() as f64,
            boot_time: procfs::boot_time_secs().ok().map(|seconds| seconds as f64),
            max_fds: max_open_files().map(|limit| Number(limit as f64)),
        }
    }

    fn start_time(&self, stat: &Stat) -> Option<Number> {
        self.boot_time.map(|boot| Number(boot + stat.starttime as f64 / self.ticks_per_second))
    }
}

impl Default for ProcessCollector {
    fn default() -> Self {
        Self::new()
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Ok(stat) = Stat::from_file("/proc/self/stat") else { return Ok(()) };
        let encoder = &mut encoder;

        let cpu_seconds = (stat.utime + stat.stime) as f64 / self.ticks_per_second;
        let resident = stat.rss as f64 * self.page_size_bytes;
        counter(
            encoder,
            "process_cpu_seconds",
            "Total user and system CPU time spent in seconds",
            Number(cpu_seconds),
        )?;
        gauge(
            encoder,
            "process_resident_memory_bytes",
            "Resident memory size in bytes",
            Some(Number(resident)),
        )?;
        gauge(
            encoder,
            "process_virtual_memory_bytes",
            "Virtual memory size in bytes",
            Some(Number(stat.vsize as f64)),
        )?;
        gauge(encoder, "process_open_fds", "Number of open file descriptors", open_fds())?;
        gauge(encoder, "process_max_fds", "Maximum number of open file descriptors", self.max_fds)?;
        gauge(
            encoder,
            "process_start_time_seconds",
            "Start time of the process since the Unix epoch in seconds",
            self.start_time(&stat),
        )?;
        gauge(
            encoder,
            "process_threads",
            "Number of threads of the process",
            Some(Number(stat.num_threads as f64)),
        )
    }
}

/// The soft limit on open file descriptors; `None` where there is none or it is not known.
pub(crate) fn max_open_files() -> Option<u64> {
    match Process::myself().ok()?.limits().ok()?.max_open_files.soft_limit {
        LimitValue::Value(limit) => Some(limit),
        LimitValue::Unlimited => None,
    }
}

/// Since Linux 6.2 the folder's size is the number of its entries; before, it is zero and they are counted.
fn open_fds() -> Option<Number> {
    let folder = "/proc/self/fd";
    let count = match std::fs::metadata(folder).ok()?.len() {
        // The folder that is being read is open as well, and does not count.
        0 => (std::fs::read_dir(folder).ok()?.count() as u64).saturating_sub(1),
        count => count,
    };
    Some(Number(count as f64))
}
