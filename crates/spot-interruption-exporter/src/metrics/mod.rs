//! The families that show what is known and counted, and the exporter's own health.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use exporter_common::metrics::{Number, gauge, gauges};
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric, LabelSetEncoder, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::attribution::Attribution;
use crate::event::{FailureReason, Reasons};
use crate::instance::Instance;
use crate::inventory::{Profile, ProfileId};
use crate::ledger::{Bounds, DELIVERY, LIFETIME, Ledger, OUTCOMES, Tally};

/// What the pipeline knows and has counted, shared with the scrape. The lock is held for the time of a batch or
/// of a scrape, never across an await.
#[derive(Debug)]
pub struct State<T> {
    /// The state machine.
    pub attribution: Attribution<T>,
    /// The counts so far. With durable state, those that are safe.
    pub ledger: Ledger,
    /// By profile: whether it has or had spot instances, or an interruption. It is shown from zero on and for good.
    shown: Vec<bool>,
}

/// A handle to the state.
#[derive(Debug)]
pub struct Shared<T>(Arc<Mutex<State<T>>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Shared<T> {
    /// Shares a state.
    pub fn new(attribution: Attribution<T>, ledger: Ledger) -> Self {
        Self(Arc::new(Mutex::new(State { attribution, ledger, shown: Vec::new() })))
    }

    /// The state, for a moment.
    ///
    /// # Panics
    /// Somebody panicked with the state in hand. What that left half-done is neither shown nor written down: whoever
    /// needs the state ends too, and with the pipeline the process.
    pub fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().expect("a panic has left the state half-done")
    }
}

impl<T> Shared<T> {
    /// Drops the tokens of everything that is held, and with them the claim on their messages.
    pub(crate) fn forget_held(&self) {
        self.lock().attribution.forget_held();
    }
}

impl<T> State<T> {
    /// Notices which profiles are to be shown from now on.
    pub fn notice(&mut self) {
        let running = self.attribution.inventory().spot_running();
        self.shown.resize(running.len().max(self.shown.len()), false);
        for (shown, running) in self.shown.iter_mut().zip(running) {
            *shown |= *running > 0;
        }
        for (profile, _) in self.ledger.interruptions.keys() {
            if let Some(shown) = self.shown.get_mut(profile.index()) {
                *shown = true;
            }
        }
    }
}

/// What the families of the state are labelled with.
#[derive(Debug, Clone)]
pub struct Labels {
    /// The name of the label that names a cluster.
    pub cluster: Arc<str>,
    /// The reasons of interruptions.
    pub reasons: Reasons,
    /// The names of the subscriptions, creations first.
    pub subscriptions: [Arc<str>; 2],
}

/// The families of the state.
#[derive(Debug)]
pub struct StateFamilies<T> {
    /// What they show.
    pub state: Shared<T>,
    /// Under which labels.
    pub labels: Labels,
}

impl<T: fmt::Debug + Send + 'static> Collector for StateFamilies<T> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let labels = &self.labels;
        let state = &mut *self.state.lock();
        state.notice();
        let State { attribution, ledger, shown } = state;
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
            "Interruptions in detail: which machines, where, and why",
            labels.detailed(ledger, profiles, shown),
        )?;
        counters(
            encoder,
            "spot_creation_failures",
            "Creations of spot nodes that failed, by what was to be created and why",
            labels.failures(ledger, profiles, shown),
        )?;
        gauges(
            encoder,
            "spot_instances",
            "Spot instances that are known to run",
            profiles
                .iter()
                .zip(inventory.spot_running())
                .zip(&*shown)
                .filter(|(_, shown)| **shown)
                .map(|((profile, running), _)| (labels.of(profile, None), Number(f64::from(*running)))),
        )?;
        // Like the counts, they are there from the moment the cluster is known: a series that appears with its first
        // observation hides it from `increase()`.
        let mut clusters = inventory.clusters().iter().peekable();
        if clusters.peek().is_some() {
            let mut family = encoder.encode_descriptor(
                "spot_instance_lifetime_seconds",
                "Age of spot instances at their interruption, from creation to preemption",
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
            "Time from an interruption, by its timestamp, to its being counted",
            None,
            MetricType::Histogram,
        )?;
        histogram(delivery, &DELIVERY, &ledger.delivery)?;
        counters(
            encoder,
            "spot_interruption_exporter_messages",
            "Messages that were dealt with, by what they amounted to",
            labels.subscriptions.iter().zip(&ledger.messages).flat_map(|(subscription, counts)| {
                OUTCOMES.iter().zip(counts).map(move |(outcome, count)| {
                    ([("subscription", &**subscription), ("outcome", *outcome)], *count)
                })
            }),
        )?;
        gauge(
            encoder,
            "spot_interruption_exporter_inventory_instances",
            "Instances that are known, interrupted ones included until they are forgotten",
            Some(Number(inventory.len() as f64)),
        )?;
        gauge(
            encoder,
            "spot_interruption_exporter_held_interruptions",
            "Interruptions that wait for their instance to become known",
            Some(Number(attribution.held_interruptions() as f64)),
        )
    }
}

impl Labels {
    /// A series for each profile that is shown, and each reason.
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

    /// A series for each kind of node that is shown or has failed, and each reason.
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
            // Profiles have more labels than these.
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

/// The labels of a profile, and of a reason where there is one.
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

/// Handles of the families about the exporter's own dealings with Google.
#[derive(Debug, Clone)]
pub struct Health {
    restarts: Family<SubscriptionLabel, Counter>,
    resyncs: Family<OutcomeLabel, Counter>,
    last_resync: Gauge,
    lookups: Family<OutcomeLabel, Counter>,
    rate_limits: Counter,
    given_back: Counter,
    state_errors: Counter,
    state_commits: Histogram,
    state_size: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SubscriptionLabel {
    subscription: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

const SUCCESS: OutcomeLabel = OutcomeLabel { outcome: "success" };
const FAILURE: OutcomeLabel = OutcomeLabel { outcome: "failure" };
const FOUND: OutcomeLabel = OutcomeLabel { outcome: "found" };
const MISSING: OutcomeLabel = OutcomeLabel { outcome: "missing" };
const FAILED: OutcomeLabel = OutcomeLabel { outcome: "failed" };

/// Bounds of the time of a commit, in seconds.
const COMMIT_BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

impl Health {
    /// Registers the families, each series from zero on.
    pub fn register(registry: &mut Registry, subscriptions: [&str; 2]) -> Self {
        let health = Self {
            restarts: Family::default(),
            resyncs: Family::default(),
            last_resync: Gauge::default(),
            lookups: Family::default(),
            rate_limits: Counter::default(),
            given_back: Counter::default(),
            state_errors: Counter::default(),
            state_commits: Histogram::new(COMMIT_BUCKETS),
            state_size: Gauge::default(),
        };
        for subscription in subscriptions {
            drop(health.restarts.get_or_create(&SubscriptionLabel { subscription: subscription.to_owned() }));
        }
        for outcome in [SUCCESS, FAILURE] {
            drop(health.resyncs.get_or_create(&outcome));
        }
        for outcome in [FOUND, MISSING, FAILED] {
            drop(health.lookups.get_or_create(&outcome));
        }
        registry.register(
            "spot_interruption_exporter_stream_restarts",
            "Times that the stream of a subscription ended and was opened anew",
            health.restarts.clone(),
        );
        registry.register(
            "spot_interruption_exporter_resyncs",
            "Listings of all instances, by outcome",
            health.resyncs.clone(),
        );
        registry.register(
            "spot_interruption_exporter_last_resync_timestamp_seconds",
            "End of the last successful listing of all instances, in Unix seconds; 0 before the first",
            health.last_resync.clone(),
        );
        registry.register(
            "spot_interruption_exporter_lookups",
            "Requests for single instances that an event is about, by outcome",
            health.lookups.clone(),
        );
        registry.register(
            "spot_interruption_exporter_compute_rate_limits",
            "Answers of the Compute API that asked to wait before the next request, which is done",
            health.rate_limits.clone(),
        );
        registry.register(
            "spot_interruption_exporter_messages_given_back",
            "Messages of held events that went back to Pub/Sub to make room for others; they come again",
            health.given_back.clone(),
        );
        registry.register(
            "spot_interruption_exporter_state_errors",
            "Commits of the durable state that failed; they are tried again, and nothing is acknowledged meanwhile",
            health.state_errors.clone(),
        );
        registry.register(
            "spot_interruption_exporter_state_commit_duration_seconds",
            "Time that a commit of the durable state took until it was safe",
            health.state_commits.clone(),
        );
        registry.register(
            "spot_interruption_exporter_state_size_bytes",
            "Size of the durable state's file; 0 without one",
            health.state_size.clone(),
        );
        health
    }

    /// Counts and logs a stream that ended.
    pub(crate) fn stream_restarted(&self, subscription: &str, reason: &str) {
        self.restarts.get_or_create(&SubscriptionLabel { subscription: subscription.to_owned() }).inc();
        tracing::warn!(subscription, reason, "the stream ended, opening it anew");
    }

    /// Counts and logs a complete listing.
    pub(crate) fn resynced(&self, instances: usize, dropped: usize, took: Duration) {
        self.resyncs.get_or_create(&SUCCESS).inc();
        self.last_resync.set(Timestamp::now().as_second());
        tracing::info!(instances, dropped, seconds = took.as_secs_f64(), "listed all instances");
    }

    /// Counts and logs a listing that failed.
    pub(crate) fn resync_failed(&self, reason: &str) {
        self.resyncs.get_or_create(&FAILURE).inc();
        tracing::warn!(reason, "cannot list all instances");
    }

    /// Counts a look-up by what came of it.
    pub(crate) fn looked_up<E>(&self, answer: &Result<Option<Instance<'static>>, E>) {
        let outcome = match answer {
            Ok(Some(_)) => FOUND,
            Ok(None) => MISSING,
            Err(_) => FAILED,
        };
        self.lookups.get_or_create(&outcome).inc();
    }

    /// Counts an answer of the Compute API with `Retry-After`.
    pub(crate) fn compute_rate_limited(&self) {
        self.rate_limits.inc();
    }

    /// Counts messages that go back to Pub/Sub.
    pub(crate) fn given_back(&self, messages: usize) {
        self.given_back.inc_by(messages as u64);
    }

    /// Takes note of the size of the durable state, in bytes.
    pub(crate) fn state_size(&self, size: u64) {
        self.state_size.set(i64::try_from(size).unwrap_or(i64::MAX));
    }

    /// Counts a commit of the durable state.
    pub(crate) fn committed(&self, took: Duration, size: u64) {
        self.state_commits.observe(took.as_secs_f64());
        self.state_size(size);
    }

    /// Counts and logs a commit that failed.
    pub(crate) fn commit_failed(&self, reason: &str) {
        self.state_errors.inc();
        tracing::error!(reason, "the state cannot be written; nothing is acknowledged until it can");
    }
}
