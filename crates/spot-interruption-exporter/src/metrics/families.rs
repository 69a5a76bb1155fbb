//! Metric families of the pipeline's state.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use exporter_common::metrics::{Number, gauge, gauges};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric, LabelSetEncoder, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use crate::event::{FailureReason, Reasons};
use crate::inventory::{Profile, ProfileId};
use crate::ledger::{Bounds, DELIVERY, LIFETIME, Ledger, OUTCOMES, Tally};
use crate::source::Queue;
use crate::state::{PipelineState, SharedState};

/// Labels of the families.
#[derive(Debug, Clone)]
pub struct Labels {
    /// Name of the label that contains the cluster.
    pub cluster: Arc<str>,
    /// The reasons of interruptions.
    pub reasons: Reasons,
    /// The queues that deliver messages, with their names.
    pub subscriptions: Vec<(Queue, Arc<str>)>,
}

/// The metric families of the state.
#[derive(Debug)]
pub struct StateFamilies<T> {
    /// The state to export.
    pub state: SharedState<T>,
    /// Labels of the families.
    pub labels: Labels,
}

impl<T: fmt::Debug + Send + 'static> Collector for StateFamilies<T> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let labels = &self.labels;
        let state = &mut *self.state.lock();
        state.notice();
        let PipelineState { attribution, ledger, shown, .. } = state;
        let inventory = attribution.inventory();
        let profiles = inventory.profiles();
        let encoder = &mut encoder;

        let mut by_cluster: HashMap<&str, (u64, Tally)> = HashMap::new();
        for ((profile, _), interruptions) in &ledger.interruptions {
            let (count, lifetimes) = by_cluster.entry(&inventory.profile(*profile).cluster).or_default();
            *count += interruptions.count;
            lifetimes.add(&interruptions.lifetimes);
        }
        counters(
            encoder,
            "interruption_events",
            "The total number of interruption events for a given cluster",
            inventory.clusters().iter().map(|cluster| {
                let count = by_cluster.get(&**cluster).map_or(0, |(count, _)| *count);
                ([(&*labels.cluster, &**cluster)], count)
            }),
        )?;
        counter(
            encoder,
            "interruption_events_unattributed",
            "Interruptions that belong to no known cluster",
            ledger.unattributed,
        )?;
        counters(
            encoder,
            "spot_interruptions",
            "Interruptions by cluster, location, node pool, machine type, zone, project and reason",
            labels.detailed(ledger, profiles, shown),
        )?;
        counters(
            encoder,
            "spot_creation_failures",
            "Failed creations of spot nodes, by cluster, node pool, machine type, zone and reason",
            labels.failures(ledger, profiles, shown),
        )?;
        gauges(
            encoder,
            "spot_instances",
            "Running spot instances",
            profiles
                .iter()
                .zip(inventory.spot_running())
                .zip(&*shown)
                .filter(|(_, shown)| **shown)
                .map(|((profile, running), _)| (labels.of(profile, None), Number(f64::from(*running)))),
        )?;
        // Exported as soon as the cluster is known: `increase()` would miss the first observation of a new series.
        let mut clusters = inventory.clusters().iter().peekable();
        if clusters.peek().is_some() {
            let mut family = encoder.encode_descriptor(
                "spot_instance_lifetime_seconds",
                "Age of spot instances at their interruption, since their creation",
                None,
                MetricType::Histogram,
            )?;
            for cluster in clusters {
                let tally = by_cluster.get(&**cluster).map(|(_, lifetimes)| *lifetimes).unwrap_or_default();
                let labels = [(&*labels.cluster, &**cluster)];
                histogram(family.encode_family(&labels)?, &LIFETIME, &tally)?;
            }
        }
        let delivery = encoder.encode_descriptor(
            "spot_interruption_delivery_seconds",
            "Time from the timestamp of an interruption until it was counted",
            None,
            MetricType::Histogram,
        )?;
        histogram(delivery, &DELIVERY, &ledger.delivery)?;
        counters(
            encoder,
            "spot_interruption_exporter_messages",
            "Messages processed, by outcome",
            labels.subscriptions.iter().flat_map(|(queue, subscription)| {
                let counts = &ledger.messages[queue.number()];
                OUTCOMES.iter().zip(counts).map(move |(outcome, count)| {
                    ([("subscription", &**subscription), ("outcome", *outcome)], *count)
                })
            }),
        )?;
        counters(
            encoder,
            "spot_interruption_exporter_operations",
            "Operations of Compute Engine processed, by outcome",
            (0..OUTCOMES.len()).map(|outcome| {
                let count = [Queue::Operations, Queue::Reconciled]
                    .map(|queue| ledger.messages[queue.number()][outcome])
                    .iter()
                    .sum();
                ([("outcome", OUTCOMES[outcome])], count)
            }),
        )?;
        counter(
            encoder,
            "spot_interruption_exporter_reconciled",
            "Interruptions whose Pub/Sub message was missing and that were counted by their operations",
            ledger.reconciled(),
        )?;
        gauge(
            encoder,
            "spot_interruption_exporter_inventory_instances",
            "Known instances, including interrupted ones until they are removed",
            Some(Number(inventory.len() as f64)),
        )?;
        gauge(
            encoder,
            "spot_interruption_exporter_held_interruptions",
            "Interruptions that are held until their instance becomes known",
            Some(Number(attribution.held_interruptions() as f64)),
        )
    }
}

impl Labels {
    /// A series for each shown profile and each reason.
    fn detailed<'a>(
        &'a self,
        ledger: &'a Ledger,
        profiles: &'a [Profile],
        shown: &'a [bool],
    ) -> impl Iterator<Item = (Detailed<'a>, u64)> {
        let shown = profiles.iter().zip(shown).enumerate().filter(|(_, (_, shown))| **shown);
        shown.flat_map(move |(index, (profile, _))| {
            self.reasons.iter().map(move |reason| {
                let counted = ledger.interruptions.get(&(ProfileId::of(index), reason));
                let count = counted.map_or(0, |interruptions| interruptions.count);
                (self.of(profile, Some(self.reasons.label(reason))), count)
            })
        })
    }

    /// A series for each shown or failed kind of node and each reason.
    fn failures<'a>(
        &'a self,
        ledger: &Ledger,
        profiles: &'a [Profile],
        shown: &[bool],
    ) -> impl Iterator<Item = ([(&'a str, &'a str); 5], u64)> {
        let mut counts = BTreeMap::new();
        let shown =
            shown.iter().enumerate().filter(|(_, shown)| **shown).map(|(index, _)| ProfileId::of(index));
        let failed = ledger.creation_failures.keys().map(|(profile, _)| *profile);
        for profile in shown.chain(failed).collect::<BTreeSet<_>>() {
            // Profiles with equal values of these labels are added up.
            let Some(Profile { cluster, node_pool, machine_type, zone, .. }) = profiles.get(profile.index())
            else {
                continue;
            };
            for reason in FailureReason::ALL {
                let labels = [
                    (&*self.cluster, &**cluster),
                    ("node_pool", node_pool),
                    ("machine_type", machine_type),
                    ("zone", zone),
                    ("reason", reason.label()),
                ];
                let count = ledger.creation_failures.get(&(profile, reason)).copied().unwrap_or_default();
                *counts.entry(labels).or_default() += count;
            }
        }
        counts.into_iter()
    }

    fn of<'a>(&'a self, profile: &'a Profile, reason: Option<&'a str>) -> Detailed<'a> {
        Detailed { cluster_label: &self.cluster, profile, reason }
    }
}

/// The labels of a profile and optionally a reason.
struct Detailed<'a> {
    cluster_label: &'a str,
    profile: &'a Profile,
    reason: Option<&'a str>,
}

impl EncodeLabelSet for Detailed<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Profile { cluster, location, node_pool, machine_type, zone, project, .. } = self.profile;
        let labels: [(&str, &str); 6] = [
            (self.cluster_label, cluster),
            ("cluster_location", location),
            ("node_pool", node_pool),
            ("machine_type", machine_type),
            ("zone", zone),
            ("project", project),
        ];
        labels.encode(encoder)?;
        match self.reason {
            Some(reason) => [("reason", reason)].encode(encoder),
            None => Ok(()),
        }
    }
}

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &'static str,
    help: &'static str,
    count: u64,
) -> fmt::Result {
    ConstCounter::new(count).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
}

fn counters<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &'static str,
    help: &'static str,
    series: impl IntoIterator<Item = (L, u64)>,
) -> fmt::Result {
    let mut series = series.into_iter().peekable();
    if series.peek().is_none() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, count) in series {
        ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn histogram(mut encoder: MetricEncoder<'_>, bounds: &Bounds, tally: &Tally) -> fmt::Result {
    let bounds = bounds.iter().copied().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(tally.buckets).collect();
    encoder.encode_histogram::<NoLabelSet>(tally.sum, tally.count(), &buckets, None)
}
