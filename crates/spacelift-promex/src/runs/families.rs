//! Writes the metric families of the collector `runs`.

use std::collections::BTreeMap;
use std::fmt;

use exporter_common::metrics::{Number, gauge, gauges};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, LabelSetEncoder, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;

use super::counts::{Counter, Distribution, FamilyInfo, Histogram, Labels};
use super::state::SharedRuns;
use super::tracker::Tracker;
use super::update::Timestamp;

/// The families of the collector `runs`.
#[derive(Debug)]
pub(crate) struct RunFamilies(pub(crate) SharedRuns);

impl Collector for RunFamilies {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.view(|tracker, counts, last_delivery| {
            for counter in Counter::ALL {
                let info = (counter.info(), MetricType::Counter);
                write_family(&mut encoder, counter, info, &counts.counters, |encoder, count| {
                    write_counter(encoder, *count)
                })?;
            }
            for distribution in Distribution::ALL {
                let info = (distribution.info(), MetricType::Histogram);
                write_family(&mut encoder, distribution, info, &counts.histograms, |encoder, histogram| {
                    write_histogram(encoder, distribution, histogram)
                })?;
            }
            write_runs(&mut encoder, tracker)?;
            gauge(
                &mut encoder,
                "spacelift_webhook_last_delivery_timestamp_seconds",
                "Time of the last delivery with a valid signature, in seconds since 1970",
                last_delivery.map(number),
            )
        })
    }
}

/// Writes the series of one family. A family without series is left out.
fn write_family<F: Copy + Ord, V>(
    encoder: &mut DescriptorEncoder<'_>,
    family: F,
    (info, metric_type): (FamilyInfo, MetricType),
    series: &BTreeMap<(F, Labels), V>,
    write: impl Fn(MetricEncoder<'_>, &V) -> fmt::Result,
) -> fmt::Result {
    let first = (family, Labels::default());
    let mut series = series.range(first..).take_while(|((other, _), _)| *other == family).peekable();
    if series.peek().is_none() {
        return Ok(());
    }
    let FamilyInfo { name, help, labels } = info;
    let mut encoder = encoder.encode_descriptor(name, help, None, metric_type)?;
    for ((_, values), value) in series {
        if labels.is_empty() {
            return write(encoder, value);
        }
        write(encoder.encode_family(&LabelPairs(labels, values))?, value)?;
    }
    Ok(())
}

fn write_counter(mut encoder: MetricEncoder<'_>, count: f64) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, Number, f64>(&Number(count), None)
}

fn write_histogram(
    mut encoder: MetricEncoder<'_>,
    distribution: Distribution,
    histogram: &Histogram,
) -> fmt::Result {
    let bounds = distribution.bounds().iter().copied().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(histogram.buckets.iter().copied()).collect();
    encoder.encode_histogram::<NoLabelSet>(histogram.sum, histogram.count(), &buckets, None)
}

fn write_runs(encoder: &mut DescriptorEncoder<'_>, tracker: &mut Tracker) -> fmt::Result {
    let active = tracker.active();
    gauges(
        encoder,
        "spacelift_runs_active",
        "Active runs by state",
        active.runs.iter().map(|([state, run_type, worker_pool], count)| {
            let labels = [("state", state), ("run_type", run_type), ("worker_pool", worker_pool)];
            (labels.map(|(name, value)| (name, value.as_str())), Number(*count as f64))
        }),
    )?;
    gauges(
        encoder,
        "spacelift_run_state_oldest_timestamp_seconds",
        "Time at which the run that has been longest in the state entered it, in seconds since 1970",
        active
            .oldest
            .iter()
            .map(|([stack, state], since)| ([("stack", stack.as_str()), ("state", state)], number(*since))),
    )?;
    gauges(
        encoder,
        "spacelift_stack_last_run_info",
        "Final state of the last run of a stack and type; always 1",
        tracker.last_runs().map(|(stack, run_type, last)| {
            let labels = [("stack", stack), ("run_type", run_type), ("final_state", &*last.final_state)];
            (labels, Number(1.0))
        }),
    )?;
    gauges(
        encoder,
        "spacelift_stack_last_run_timestamp_seconds",
        "Time at which the last run of a stack and type ended, in seconds since 1970",
        tracker
            .last_runs()
            .map(|(stack, run_type, last)| ([("stack", stack), ("run_type", run_type)], number(last.ended))),
    )
}

fn number(timestamp: Timestamp) -> Number {
    Number(timestamp.seconds())
}

/// Label names and their values.
struct LabelPairs<'a>(&'a [&'static str], &'a Labels);

impl EncodeLabelSet for LabelPairs<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self(names, values) = self;
        for (name, value) in names.iter().zip(values.iter()) {
            [(*name, &**value)].encode(encoder)?;
        }
        Ok(())
    }
}
