//! The `process_*` families under the names that every Prometheus client library gives them.

use std::fmt;

use procfs::process::{Process, Stat};
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
}

impl ProcessCollector {
    /// Asks the kernel once for what does not change.
    pub fn new() -> Self {
        Self {
            ticks_per_second: procfs::ticks_per_second() as f64,
            page_size_bytes: procfs::page_size() as f64,
            boot_time: procfs::boot_time_secs().ok().map(|seconds| seconds as f64),
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
        let Ok(process) = Process::myself() else { return Ok(()) };
        let Ok(stat) = process.stat() else { return Ok(()) };
        let encoder = &mut encoder;

        let cpu_seconds = (stat.utime + stat.stime) as f64 / self.ticks_per_second;
        let resident = stat.rss as f64 * self.page_size_bytes;
        let open_fds = process.fd_count().ok().map(|count| Number(count as f64));
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
        gauge(encoder, "process_open_fds", "Number of open file descriptors", open_fds)?;
        gauge(encoder, "process_max_fds", "Maximum number of open file descriptors", max_fds(&process))?;
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

fn max_fds(process: &Process) -> Option<Number> {
    match process.limits().ok()?.max_open_files.soft_limit {
        procfs::process::LimitValue::Value(limit) => Some(Number(limit as f64)),
        procfs::process::LimitValue::Unlimited => None,
    }
}
