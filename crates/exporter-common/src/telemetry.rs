//! Logs: JSON lines on standard error, or human-readable ones in development.

use std::io::{IsTerminal, stderr};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{ConfigError, Environment};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For a person at a terminal.
    Human,
}

/// Libraries whose chatter would drown the exporter's own lines; `RUST_LOG` can turn each up again.
const QUIET: [&str; 6] = ["h2", "hyper", "hyper_util", "rustls", "tonic", "tower"];

/// Starts logging for the whole process. `RUST_LOG` (such as `debug` or `info,hyper=debug`) wins over `level`.
///
/// # Errors
/// `RUST_LOG` cannot be understood.
pub fn init(format: LogFormat, level: LevelFilter, environment: &Environment) -> Result<(), ConfigError> {
    let filter = match environment.get("RUST_LOG")? {
        Some(directives) => directives.parse().map_err(|error| {
            ConfigError::new(format!(
                "variable RUST_LOG: {directives:?} is no log filter ({error}); allowed is a level or target=level, separated by commas"
            ))
        })?,
        None => QUIET
            .iter()
            .fold(Targets::new().with_default(level), |targets, name| targets.with_target(*name, level.min(LevelFilter::WARN))),
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr);
    let lines = match format {
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
        LogFormat::Human => lines.with_ansi(stderr().is_terminal()).boxed(),
    };
    // A second initialisation (several exporters in one process) keeps the first one's logs.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
    Ok(())
}

/// Reads a level by the names that Go's loggers and Rust's use; `None` for any other text.
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
