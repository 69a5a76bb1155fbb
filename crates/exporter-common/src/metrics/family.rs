//! Families that a collector writes from plain data, without a metric object for each series.

use std::fmt;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, GaugeValueEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;

/// A sample's value. A whole number is written without a fraction (`6`, not `6.0`), as Go's client does.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Number(pub f64);

/// Up to here every whole number has exactly one `f64`.
const LAST_EXACT_INTEGER: f64 = 9_007_199_254_740_992.0;

impl EncodeGaugeValue for Number {
    fn encode(&self, encoder: &mut GaugeValueEncoder<'_>) -> fmt::Result {
        if self.0.fract() == 0.0 && self.0.abs() <= LAST_EXACT_INTEGER {
            // The cast is exact: the value is whole and within the range checked above.
            EncodeGaugeValue::encode(&(self.0 as i64), encoder)
        } else {
            EncodeGaugeValue::encode(&self.0, encoder)
        }
    }
}

impl EncodeCounterValue for Number {
    fn encode(&self, encoder: &mut prometheus_client::encoding::CounterValueEncoder<'_>) -> fmt::Result {
        if self.0.fract() == 0.0 && (0.0..=LAST_EXACT_INTEGER).contains(&self.0) {
            EncodeCounterValue::encode(&(self.0 as u64), encoder)
        } else {
            EncodeCounterValue::encode(&self.0, encoder)
        }
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self(value)
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self(if value { 1.0 } else { 0.0 })
    }
}

/// Writes a gauge family of one series without labels; nothing where there is no value.
///
/// # Errors
/// Those of the encoder.
pub fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &'static str,
    help: &'static str,
    value: Option<Number>,
) -> fmt::Result {
    let Some(value) = value else { return Ok(()) };
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
}

/// Writes a gauge family, a series for each pair of labels and value; nothing where there are none.
///
/// # Errors
/// Those of the encoder.
pub fn gauges<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &'static str,
    help: &'static str,
    series: impl IntoIterator<Item = (L, Number)>,
) -> fmt::Result {
    let mut series = series.into_iter().peekable();
    if series.peek().is_none() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in series {
        family.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}

/// Writes a counter family of one series without labels.
pub(crate) fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &'static str,
    help: &'static str,
    value: Number,
) -> fmt::Result {
    encoder
        .encode_descriptor(name, help, None, MetricType::Counter)?
        .encode_counter::<NoLabelSet, Number, f64>(&value, None)
}
