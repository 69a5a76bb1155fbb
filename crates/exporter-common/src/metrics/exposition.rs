//! Registries to bytes, in each format that Prometheus reads.

use std::fmt;

use prometheus_client::encoding::{prometheus_protobuf, text as openmetrics};
use prometheus_client::registry::Registry;
use prost::Message;

use super::order::order_family;
use super::text::{Dialect, TextWriter};

/// An exposition format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// The classic text format, 0.0.4.
    Text,
    /// OpenMetrics text, 1.0.0.
    OpenMetrics,
    /// OpenMetrics text for a client that asks for the draft version 0.0.1; the same text.
    OpenMetricsDraft,
    /// Delimited `io.prometheus.client.MetricFamily` messages.
    Protobuf,
}

impl Format {
    /// The `Content-Type` of an answer in this format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::OpenMetricsDraft => "application/openmetrics-text; version=0.0.1; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// A family could not be written. It takes a defect in a collector to see this.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// An encoder refused a value.
    #[error("cannot encode the metrics: {0}")]
    Format(#[from] fmt::Error),
    /// The protobuf message could not be written.
    #[error("cannot encode the metrics: {0}")]
    Protobuf(#[from] prost::EncodeError),
}

/// Writes the families of all `registries`, one after the other, as one exposition. `capacity` is a guess at
/// the size in bytes, such as the size of the last one.
///
/// # Errors
/// A collector produced what the format cannot hold.
pub fn encode(format: Format, registries: &[&Registry], capacity: usize) -> Result<Vec<u8>, EncodeError> {
    let dialect = match format {
        Format::Text => Dialect::Classic,
        Format::OpenMetrics | Format::OpenMetricsDraft => Dialect::OpenMetrics,
        Format::Protobuf => return encode_protobuf(registries, capacity),
    };
    let mut text = String::with_capacity(capacity);
    let mut writer = TextWriter::new(&mut text, dialect);
    for registry in registries {
        openmetrics::encode_registry(&mut writer, registry)?;
    }
    openmetrics::encode_eof(&mut writer)?;
    Ok(text.into_bytes())
}

fn encode_protobuf(registries: &[&Registry], capacity: usize) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::with_capacity(capacity);
    for registry in registries {
        for mut family in prometheus_protobuf::encode(registry)? {
            if family.help.ends_with('.') {
                family.help.pop();
            }
            order_family(&mut family);
            family.encode_length_delimited(&mut bytes)?;
        }
    }
    Ok(bytes)
}
