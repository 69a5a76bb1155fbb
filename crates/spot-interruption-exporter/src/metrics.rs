//! What is counted, and the families that show it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use exporter_common::metrics::{Number, gauge, gauges};
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric, LabelSetEncoder, MetricEncoder,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::attribution::{Attribution, Counted, Outcome};
use crate::audit_log::{InterruptionMethods, InterruptionReason};
use crate::inventory::{Profile, ProfileId};

/// Bounds of the age at interruption, in seconds: a spot VM may live for minutes or for weeks.
const LIFETIME_BUCKETS: [f64; 12] = [
    60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0, 43_200.0, 86_400.0, 259_200.0,
    604_800.0,
];

/// Bounds of the time from an event to its being counted, in seconds.
const DELIVERY_BUCKETS: [f64; 12] =
    [0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 3_600.0];

/// What the pipeline knows and has counted, shared with the scrape. The lock is held for the time of a batch or
/// of a scrape, never across an await.
#[derive(Debug)]
pub struct State<T> {
    /// The state machine.
    pub attribution: Attribution<T>,
    /// The counts so far.
    pub ledger: Ledger,
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
    /// Shares a fresh state.
    pub fn new(attribution: Attribution<T>, ledger: Ledger) -> Self {
        Self(Arc::new(Mutex::new(State { attribution, ledger })))
    }

    /// The state, for a moment.
    pub fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Counts are single additions; a panic elsewhere in the holder leaves none of them half-done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Shared<T> {
    /// Drops the tokens of everything that is held, and with them the claim on their messages.
    pub(crate) fn forget_held(&self) {
        self.lock().attribution.forget_held();
    }
}

/// One of the two subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Creation events.
    Creations,
    /// Interruption events.
    Interruptions,
}

/// The values of the `outcome` label of messages.
const OUTCOMES: [&str; 6] = ["counted", "unattributed", "added", "duplicate", "ignored", "invalid"];

/// The counts. An interruption is counted in one place, by profile and reason; the families are sums over it.
#[derive(Debug)]
pub struct Ledger {
    cluster_label: Arc<str>,
    methods: InterruptionMethods,
    interruptions: HashMap<(ProfileId, InterruptionReason), u64>,
    unattributed: u64,
    lifetimes: HashMap<Box<str>, Histogram>,
    delivery: Histogram,
    messages: [[u64; OUTCOMES.len()]; 2],
    subscriptions: [Box<str>; 2],
    /// Profiles that have or had spot instances, or an interruption: they are shown from zero on and for good.
    spot: Vec<bool>,
}

impl Ledger {
    /// Nothing counted yet.
    pub fn new(
        cluster_label: &str,
        methods: InterruptionMethods,
        creations: &str,
        interruptions: &str,
    ) -> Self {
        Self {
            cluster_label: cluster_label.into(),
            methods,
            interruptions: HashMap::new(),
            unattributed: 0,
            lifetimes: HashMap::new(),
            delivery: Histogram::new(DELIVERY_BUCKETS),
            messages: Default::default(),
            subscriptions: [creations.into(), interruptions.into()],
            spot: Vec::new(),
        }
    }

    /// Counts what a message amounted to. `now` is the wall clock's.
    pub fn record(&mut self, source: Source, outcome: &Outcome, profiles: &[Profile], now: Timestamp) {
        if let Some(index) = OUTCOMES.iter().position(|name| *name == outcome.label()) {
            self.messages[source as usize][index] += 1;
        }
        match outcome {
            Outcome::Counted(counted) => self.count(counted, profiles, now),
            Outcome::Unattributed { at, .. } => {
                self.unattributed += 1;
                self.delivered(*at, now);
            }
            Outcome::Added | Outcome::Duplicate | Outcome::Ignored(_) | Outcome::Invalid(_) => {}
        }
    }

    /// Notices which profiles have spot instances now; `running` is their number by profile.
    pub fn notice(&mut self, running: &[u32]) {
        if self.spot.len() < running.len() {
            self.spot.resize(running.len(), false);
        }
        for (spot, running) in self.spot.iter_mut().zip(running) {
            *spot |= *running > 0;
        }
    }

    /// All interruptions so far, attributed or not.
    pub fn total(&self) -> u64 {
        self.interruptions.values().sum::<u64>() + self.unattributed
    }

    fn count(&mut self, counted: &Counted, profiles: &[Profile], now: Timestamp) {
        *self.interruptions.entry((counted.profile, counted.reason)).or_default() += 1;
        let index = counted.profile.index();
        if self.spot.len() <= index {
            self.spot.resize(index + 1, false);
        }
        self.spot[index] = true;
        self.delivered(counted.at, now);
        if let Some(lifetime) = counted.lifetime
            && let Some(profile) = profiles.get(counted.profile.index())
        {
            let histogram = match self.lifetimes.get(&profile.cluster) {
                Some(histogram) => histogram,
                None => self
                    .lifetimes
                    .entry(profile.cluster.clone())
                    .or_insert_with(|| Histogram::new(LIFETIME_BUCKETS)),
            };
            histogram.observe(lifetime.as_secs_f64());
        }
    }

    fn delivered(&self, at: Option<Timestamp>, now: Timestamp) {
        if let Some(at) = at {
            // Clocks disagree a little; a delivery before the event took no time.
            let delay = Duration::try_from(now.duration_since(at)).unwrap_or_default();
            self.delivery.observe(delay.as_secs_f64());
        }
    }
}

/// The families of the state.
#[derive(Debug)]
pub struct StateFamilies<T>(pub Shared<T>);

impl<T: fmt::Debug + Send + 'static> Collector for StateFamilies<T> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let state = &mut *self.0.lock();
        let State { attribution, ledger } = state;
        let inventory = attribution.inventory();
        let profiles = inventory.profiles();
        let running = inventory.spot_running();
        ledger.notice(running);
        let ledger = &*ledger;
        let encoder = &mut encoder;

        let mut by_cluster: HashMap<&str, u64> = HashMap::new();
        for ((profile, _), count) in &ledger.interruptions {
            if let Some(profile) = profiles.get(profile.index()) {
                *by_cluster.entry(&profile.cluster).or_default() += count;
            }
        }
        counters(
            encoder,
            "interruption_events",
            "The total number of interruption events for a given cluster",
            inventory.clusters().iter().map(|cluster| {
                let count = by_cluster.get(&**cluster).copied().unwrap_or(0);
                ([(&*ledger.cluster_label, &**cluster)], count)
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
            ledger.detailed(profiles),
        )?;
        gauges(
            encoder,
            "spot_instances",
            "Spot instances that are known to run",
            profiles
                .iter()
                .zip(running)
                .zip(&ledger.spot)
                .filter(|(_, spot)| **spot)
                .map(|((profile, running), _)| (ledger.labels(profile, None), Number(f64::from(*running)))),
        )?;
        if !ledger.lifetimes.is_empty() {
            let mut family = encoder.encode_descriptor(
                "spot_instance_lifetime_seconds",
                "Age of spot instances at their interruption, from creation to preemption",
                None,
                MetricType::Histogram,
            )?;
            for (cluster, histogram) in &ledger.lifetimes {
                let labels = [(&*ledger.cluster_label, &**cluster)];
                histogram.encode(family.encode_family(&labels)?)?;
            }
        }
        histogram(
            encoder,
            "spot_interruption_delivery_seconds",
            "Time from an interruption, by its timestamp, to its being counted",
            &ledger.delivery,
        )?;
        counters(
            encoder,
            "spot_interruption_exporter_messages",
            "Messages that were dealt with, by what they amounted to",
            ledger.subscriptions.iter().zip(&ledger.messages).flat_map(|(subscription, counts)| {
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

impl Ledger {
    /// A series for each profile that is shown, and each reason.
    fn detailed<'a>(&'a self, profiles: &'a [Profile]) -> impl Iterator<Item = (Detailed<'a>, u64)> {
        let shown = profiles.iter().zip(&self.spot).enumerate();
        shown.flat_map(move |(index, (profile, spot))| {
            self.methods.reasons().filter(move |_| *spot).map(move |reason| {
                let count = self.interruptions.get(&(ProfileId::of(index), reason)).copied().unwrap_or(0);
                (self.labels(profile, Some(self.methods.label(reason))), count)
            })
        })
    }

    fn labels<'a>(&'a self, profile: &'a Profile, reason: Option<&'a str>) -> Detailed<'a> {
        Detailed { cluster_label: &self.cluster_label, profile, reason }
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

fn histogram(
    encoder: &mut DescriptorEncoder<'_>,
    name: &'static str,
    help: &'static str,
    histogram: &Histogram,
) -> fmt::Result {
    let family: MetricEncoder<'_> = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    histogram.encode(family)
}

/// Handles of the families about the exporter's own dealings with Google.
#[derive(Debug, Clone)]
pub struct Health {
    restarts: Family<SubscriptionLabel, Counter>,
    resyncs: Family<OutcomeLabel, Counter>,
    last_resync: prometheus_client::metrics::gauge::Gauge,
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

impl Health {
    /// Registers the families, each series from zero on.
    pub fn register(registry: &mut Registry, subscriptions: [&str; 2]) -> Self {
        let health =
            Self { restarts: Family::default(), resyncs: Family::default(), last_resync: Default::default() };
        for subscription in subscriptions {
            drop(health.restarts.get_or_create(&SubscriptionLabel { subscription: subscription.to_owned() }));
        }
        for outcome in [SUCCESS, FAILURE] {
            drop(health.resyncs.get_or_create(&outcome));
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
}
