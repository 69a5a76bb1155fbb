//! The `process_*` families, with the names that all Prometheus client libraries use.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;

use procfs::FromRead;
use procfs::process::{LimitValue, Process, Stat};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::Number;
use super::family::{counter, gauge};

/// More than the 52 numbers and the name in `/proc/self/stat` need, in bytes.
const STAT_BYTES: usize = 2048;

/// Reads `/proc/self` on each scrape. Without `/proc`, the families are absent.
#[derive(Debug)]
pub struct ProcessCollector {
    /// `/proc/self/stat`, kept open so that a scrape needs a single read. The kernel writes its content for each read.
    stat: Option<File>,
    ticks_per_second: f64,
    page_size_bytes: f64,
    /// Unix seconds; `None` if `/proc/stat` cannot be read.
    boot_time: Option<f64>,
    /// The soft limit; `None` if there is no limit.
    max_fds: Option<Number>,
}

impl ProcessCollector {
    /// Reads the values that do not change.
    pub fn new() -> Self {
        Self {
            stat: File::open("/proc/self/stat").ok(),
            ticks_per_second: procfs::ticks_per_second() as f64,
            page_size_bytes: procfs::page_size() as f64,
            boot_time: procfs::boot_time_secs().ok().map(|seconds| seconds as f64),
            max_fds: max_open_files().map(|limit| Number(limit as f64)),
        }
    }

    fn stat(&self) -> Option<Stat> {
        let mut buffer = [0; STAT_BYTES];
        let length = self.stat.as_ref()?.read_at(&mut buffer, 0).ok()?;
        Stat::from_read(&buffer[..length]).ok()
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
        let Some(stat) = self.stat() else { return Ok(()) };
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

/// Returns the soft limit on open file descriptors, or `None` if there is no limit or it is unknown.
pub(crate) fn max_open_files() -> Option<u64> {
    match Process::myself().ok()?.limits().ok()?.max_open_files.soft_limit {
        LimitValue::Value(limit) => Some(limit),
        LimitValue::Unlimited => None,
    }
}

/// Returns the number of open file descriptors. Since Linux 6.2 this is the size of the directory. Before, the size is 0, and
/// the entries are counted.
fn open_fds() -> Option<Number> {
    let directory = "/proc/self/fd";
    let count = match std::fs::metadata(directory).ok()?.len() {
        // The descriptor of the directory itself is not counted.
        0 => (std::fs::read_dir(directory).ok()?.count() as u64).saturating_sub(1),
        count => count,
    };
    Some(Number(count as f64))
}
