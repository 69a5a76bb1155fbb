//! Logs on standard error: JSON lines, logfmt, or text for people.
//!
//! Logging never blocks, see `writer`. The process has one writer, because it has one standard error.

mod filter;
mod logfmt;
mod writer;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::OnceLock;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{ConfigError, Environment, Loaded, Setting};
use crate::metrics::{Number, counter};
use logfmt::Logfmt;
use writer::LogWriter;

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// Text for people at a terminal.
    Text,
}

/// The logging options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logging {
    /// The format of log lines.
    pub format: LogFormat,
    /// The level of targets that `RUST_LOG` does not name.
    pub level: LevelFilter,
    /// Whether the level is from a flag, which overrides a level in `RUST_LOG`.
    pub level_wins: bool,
}

impl Default for Logging {
    fn default() -> Self {
        Self { format: LogFormat::Json, level: LevelFilter::INFO, level_wins: false }
    }
}

/// The keys of the two options.
const LEVEL: &str = "log_level";
const FORMAT: &str = "log_format";

/// The prefix of all targets of this crate.
const OWN: &str = "exporter_common";

impl Logging {
    /// Returns the two options. `variable` returns the environment variable of a key; `level` and `format` are the
    /// documented defaults.
    pub fn settings(
        variable: impl Fn(&str) -> String,
        level: &'static str,
        format: &'static str,
    ) -> [Setting; 2] {
        [
            Setting::new(LEVEL, variable(LEVEL), "Level of logs: trace, debug, info, warn, error or off")
                .flag("log.level")
                .value_name("LEVEL")
                .default(level),
            Setting::new(FORMAT, variable(FORMAT), "Format of logs: json, logfmt or text (human-readable)")
                .flag("log.format")
                .value_name("FORMAT")
                .default(format),
        ]
    }

    /// Validates both options; `defaults` are used for missing ones.
    ///
    /// # Errors
    /// A level or format is invalid. The error names key, source and what is allowed.
    pub fn validate<W>(
        loaded: &Loaded<W>,
        level: Option<&String>,
        format: Option<&String>,
        defaults: Self,
    ) -> Result<Self, ConfigError> {
        let level = loaded.optional(LEVEL, level, |text| {
            parse_level(text).ok_or_else(|| {
                "is not a level; allowed are trace, debug, info, warn, error and off".to_owned()
            })
        })?;
        let format = loaded.optional(FORMAT, format, |text| {
            parse_format(text).ok_or_else(|| "is not a format; allowed are json, logfmt and text".to_owned())
        })?;
        Ok(Self {
            format: format.unwrap_or(defaults.format),
            level: level.unwrap_or(defaults.level),
            level_wins: level.is_some() && loaded.is_from_flag(LEVEL),
        })
    }
}

/// The writer of the process, started with the first line.
static WRITER: OnceLock<Option<LogWriter>> = OnceLock::new();

/// Returns the writer; `None` if no descriptor or thread was available for it.
fn writer() -> Option<&'static LogWriter> {
    WRITER.get_or_init(|| LogWriter::to_stderr().ok()).as_ref()
}

/// Starts logging for the process, including panics. `RUST_LOG` (such as `debug` or `info,hyper=debug`) overrides a level
/// that is not from a flag. It can name this crate, its libraries and `targets`, which are crates or prefixes of their
/// names.
///
/// # Errors
/// `RUST_LOG` is invalid.
pub fn init(logging: Logging, targets: &[&str], environment: &Environment) -> Result<(), ConfigError> {
    let known = [targets, &[OWN]].concat();
    let directives = environment.get("RUST_LOG")?.unwrap_or_default();
    let filter = filter::parse(&directives, logging.level, logging.level_wins, &known)
        .map_err(|problem| ConfigError::new(format!("variable RUST_LOG: {problem}")))?;
    let text = || tracing_subscriber::fmt::layer().with_writer(line_sink).log_internal_errors(false);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match logging.format {
        LogFormat::Json => {
            text().json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
        LogFormat::Logfmt => text().event_format(Logfmt).boxed(),
        LogFormat::Text => text().with_ansi(io::stderr().is_terminal()).boxed(),
    };
    // A second initialisation (several exporters in one process) keeps the subscriber of the first one.
    if tracing_subscriber::registry().with(lines.with_filter(filter.targets)).try_init().is_ok() {
        panic::set_hook(Box::new(log_panic));
    }
    if !filter.unknown.is_empty() {
        let likely = filter.unknown.iter().find_map(|target| filter::likely(target, &known));
        let likely = likely.map(|target| format!("; did you mean {target}?")).unwrap_or_default();
        tracing::warn!("variable RUST_LOG names unknown targets: {}{likely}", filter.unknown.join(", "));
    }
    Ok(())
}

/// Passes log lines to the writer. Without a writer they are dropped, because a direct write could block.
struct LineSink(Option<&'static LogWriter>);

fn line_sink() -> LineSink {
    LineSink(writer())
}

impl Write for LineSink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(writer) = self.0 {
            writer.push(line.to_vec());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Logs a panic. The standard hook would write to standard error directly, which can block.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(location, backtrace, "panic: {message}");
}

/// Writes the last line of a process as plain text. It is queued even if the queue is full.
pub(crate) fn last_line(line: &str) {
    match writer() {
        Some(writer) => writer.push_last(format!("{line}\n").into_bytes()),
        None => drop(writeln!(io::stderr(), "{line}")),
    }
}

/// Waits until all log lines are written, at most for `timeout`.
pub(crate) fn flush(timeout: Duration) {
    if let Some(Some(writer)) = WRITER.get() {
        writer.flush(timeout);
    }
}

/// The collector of `exporter_log_lines_dropped_total`.
#[derive(Debug, Default)]
pub struct LogCollector;

impl Collector for LogCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let dropped = WRITER.get().and_then(Option::as_ref).map_or(0, LogWriter::dropped);
        counter(
            &mut encoder,
            "exporter_log_lines_dropped",
            "Log lines that were dropped because they could not be written to standard error in time",
            Number(dropped as f64),
        )
    }
}

/// Parses a level by its name in Rust or in Go's loggers; `None` for any other text.
pub fn parse_level(text: &str) -> Option<LevelFilter> {
    match text.trim().to_ascii_lowercase().as_str() {
        "trace" => Some(LevelFilter::TRACE),
        "debug" => Some(LevelFilter::DEBUG),
        "info" => Some(LevelFilter::INFO),
        "warn" | "warning" => Some(LevelFilter::WARN),
        "error" | "dpanic" | "panic" | "fatal" => Some(LevelFilter::ERROR),
        "off" => Some(LevelFilter::OFF),
        _ => None,
    }
}

fn parse_format(text: &str) -> Option<LogFormat> {
    match text.trim().to_ascii_lowercase().as_str() {
        "json" => Some(LogFormat::Json),
        "logfmt" => Some(LogFormat::Logfmt),
        "text" => Some(LogFormat::Text),
        _ => None,
    }
}
