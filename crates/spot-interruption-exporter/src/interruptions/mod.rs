//! `/interruptions`: the last interruptions with instance names, which would be too many label values for metrics.
//!
//! The pipeline adds each interruption to a ring buffer of fixed size. The page copies its rows from the buffer.

mod page;
mod query;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

pub(crate) use self::page::route;
use crate::attribution::{Counted, Outcome, UnattributedCause};
use crate::event::{InterruptionReason, Reasons};
use crate::instance::{CompactRef, InstanceId, InstanceRef};
use crate::inventory::{Inventory, Profile, ProfileId};
use crate::source::Queue;

/// Path of the page.
pub(crate) const PATH: &str = "/interruptions";

/// Maximum number of interruptions.
pub(crate) const CAPACITY: usize = 1_000;

/// Maximum length of stored texts in bytes. Names at Google Cloud are shorter, but a message can contain any text.
const TEXT_BYTES: usize = 256;

/// The last interruptions in the order of their outcomes. Labels stay in the inventory, as a profile.
#[derive(Debug, Default)]
pub struct Recent {
    list: VecDeque<Interruption>,
    /// The number of the next interruption. Numbers start at zero.
    next: u64,
    /// The number of the first interruption that is not written to the durable state.
    unwritten: u64,
}

/// New interruptions for the durable state, each with its number.
#[derive(Debug, Clone, Default)]
pub struct RecentChanges(pub(crate) Vec<(u64, Interruption)>);

/// One interruption.
#[derive(Debug, Clone)]
pub(crate) struct Interruption {
    pub(crate) instance: CompactRef,
    pub(crate) at: Option<Timestamp>,
    pub(crate) decided_at: Timestamp,
    /// `None` if it belongs to no known cluster.
    pub(crate) profile: Option<ProfileId>,
    pub(crate) reason: InterruptionReason,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) queue: Queue,
    pub(crate) cause: Option<UnattributedCause>,
}

impl Recent {
    /// Adds an interruption, if the outcome is one. The oldest is dropped when the buffer is full.
    pub(crate) fn record(
        &mut self,
        instance: &CompactRef,
        queue: Queue,
        outcome: &Outcome,
        decided_at: Timestamp,
    ) {
        let (profile, reason, at, lifetime, cause) = match *outcome {
            Outcome::Counted(Counted { profile, reason, at, lifetime }) => {
                (Some(profile), reason, at, lifetime, None)
            }
            Outcome::Unattributed { reason, at, cause } => (None, reason, at, None, Some(cause)),
            _ => return,
        };
        if self.list.len() >= CAPACITY {
            self.list.pop_front();
        }
        self.next += 1;
        let instance = bounded(instance);
        let (at, decided_at) = (at.map(to_microseconds), to_microseconds(decided_at));
        self.list.push_back(Interruption {
            instance,
            at,
            decided_at,
            profile,
            reason,
            lifetime,
            queue,
            cause,
        });
    }

    /// Restores stored interruptions, given in any order.
    pub(crate) fn restore(mut rows: Vec<(u64, Interruption)>) -> Self {
        rows.sort_by_key(|(number, _)| *number);
        let next = rows.last().map_or(0, |(number, _)| number.saturating_add(1));
        Self { list: rows.into_iter().map(|(_, row)| row).collect(), next, unwritten: next }
    }

    /// Returns the interruptions added since the last call, unless they were dropped already.
    pub(crate) fn take_changes(&mut self) -> RecentChanges {
        let first = self.next - self.list.len() as u64;
        let known = self.unwritten.saturating_sub(first) as usize;
        let numbers = first.max(self.unwritten)..self.next;
        self.unwritten = self.next;
        RecentChanges(numbers.zip(self.list.iter().skip(known).cloned()).collect())
    }

    /// Returns the rows of the page, sorted by event time, newest first.
    pub(crate) fn rows(&self, inventory: &Inventory, reasons: &Reasons) -> Vec<Row> {
        let mut rows: Vec<(Timestamp, Row)> = self
            .list
            .iter()
            .rev()
            .map(|interruption| {
                let profile = interruption.profile.map(|profile| inventory.profile(profile));
                (interruption.at.unwrap_or(interruption.decided_at), interruption.row(profile, reasons))
            })
            .collect();
        rows.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        rows.into_iter().map(|(_, row)| row).collect()
    }
}

/// A row of the page. Unknown values are `null`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Row {
    /// Time of the event.
    #[serde(serialize_with = "as_text")]
    time: Option<Timestamp>,
    instance: Option<String>,
    /// A text, because JavaScript numbers cannot represent all ids.
    id: Option<String>,
    project: Option<String>,
    zone: Option<String>,
    cluster: Option<String>,
    node_pool: Option<String>,
    machine_type: Option<String>,
    reason: String,
    lifetime_seconds: Option<f64>,
    /// Seconds from the event until it was counted.
    delay_seconds: Option<f64>,
    /// How the interruption became known: `message`, `operation` or `listing`.
    #[serde(rename = "learnt_by")]
    reported_by: &'static str,
    /// Why it belongs to no known cluster.
    unattributed: Option<&'static str>,
}

impl Interruption {
    fn row(&self, profile: Option<&Profile>, reasons: &Reasons) -> Row {
        let InstanceRef { id, project, zone, name } = self.instance.get();
        let known =
            |field: fn(&Profile) -> &str| profile.map(field).filter(|text| !text.is_empty()).map(truncated);
        let delay = self.at.map(|at| Duration::try_from(self.decided_at.duration_since(at)));
        Row {
            time: self.at,
            instance: name.map(Cow::into_owned),
            id: id.map(InstanceId::get).map(|id| id.to_string()),
            project: project.map(Cow::into_owned).or_else(|| known(|profile| &profile.project)),
            // The source of an event may name only the region.
            zone: known(|profile| &profile.zone).or_else(|| zone.map(Cow::into_owned)),
            cluster: known(|profile| &profile.cluster),
            node_pool: known(|profile| &profile.node_pool),
            machine_type: known(|profile| &profile.machine_type),
            reason: reasons.label(self.reason).to_owned(),
            lifetime_seconds: self.lifetime.map(|lifetime| lifetime.as_secs_f64()),
            // The clock of the event may be ahead.
            delay_seconds: delay.map(|delay| delay.unwrap_or_default().as_secs_f64()),
            reported_by: match self.queue {
                Queue::Creations | Queue::Interruptions | Queue::Mixed(_) => "message",
                Queue::Operations | Queue::Reconciled => "operation",
                Queue::Listed => "listing",
            },
            unattributed: self.cause.map(UnattributedCause::label),
        }
    }
}

fn as_text<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}

/// Truncates a time to microseconds, the precision of the durable state, so that a restart does not change the page.
fn to_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

/// Truncates the texts of a reference.
fn bounded(instance: &CompactRef) -> CompactRef {
    let InstanceRef { id, project, zone, name } = instance.get();
    if [&project, &zone, &name].into_iter().flatten().all(|text| text.len() <= TEXT_BYTES) {
        return instance.clone();
    }
    let [project, zone, name] = [project, zone, name].map(|text| text.map(|text| truncated(&text).into()));
    CompactRef::from(&InstanceRef { id, project, zone, name })
}

/// Truncates a text to the maximum length.
fn truncated(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::{Attribution, OPERATION_LATENESS, Settings};

    fn instance(id: u64, name: &str) -> CompactRef {
        let name = Some(name.into());
        CompactRef::from(&InstanceRef {
            id: InstanceId::new(id),
            project: Some("p".into()),
            zone: Some("z".into()),
            name,
        })
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn unattributed(at: i64, reasons: &mut Reasons) -> Outcome {
        Outcome::Unattributed {
            reason: reasons.labelled("preempted"),
            at: Some(second(at)),
            cause: UnattributedCause::NotFound,
        }
    }

    fn rows(recent: &Recent, reasons: &Reasons) -> Vec<Row> {
        let settings = Settings {
            attribution_grace: Duration::ZERO,
            dedup_window: Duration::ZERO,
            tombstone_ttl: Duration::ZERO,
            fixed_scopes: Vec::new(),
            lateness: OPERATION_LATENESS,
            project: "p".to_owned(),
        };
        let attribution: Attribution<()> = Attribution::new(settings);
        recent.rows(attribution.inventory(), reasons)
    }

    #[test]
    fn keeps_the_last_thousand() {
        let (mut recent, mut reasons) = (Recent::default(), Reasons::default());
        for id in 1..=1_500 {
            let outcome = unattributed(id, &mut reasons);
            recent.record(&instance(id as u64, "i"), Queue::Interruptions, &outcome, second(2_000));
        }
        let rows = rows(&recent, &reasons);
        assert_eq!(rows.len(), CAPACITY);
        assert_eq!(rows.first().unwrap().id.as_deref(), Some("1500"));
        assert_eq!(rows.last().unwrap().id.as_deref(), Some("501"));
    }

    #[test]
    fn sorts_by_time_of_the_event_newest_first() {
        let (mut recent, mut reasons) = (Recent::default(), Reasons::default());
        for (at, queue) in [(20, Queue::Interruptions), (30, Queue::Operations), (10, Queue::Reconciled)] {
            let outcome = unattributed(at, &mut reasons);
            recent.record(&instance(at as u64, "i"), queue, &outcome, second(25));
        }
        let rows = rows(&recent, &reasons);
        let shown: Vec<_> = rows.iter().map(|row| (row.id.as_deref(), row.reported_by)).collect();
        let expected = [(Some("30"), "operation"), (Some("20"), "message"), (Some("10"), "operation")];
        assert_eq!(shown, expected);
        assert_eq!(rows[0].delay_seconds, Some(0.0), "the event is in the future");
        assert_eq!(rows[2].delay_seconds, Some(15.0));
        assert_eq!(rows[0].unattributed, Some("not_found"));
    }

    #[test]
    fn ignores_outcomes_that_are_not_interruptions() {
        let mut recent = Recent::default();
        for outcome in [Outcome::Duplicate, Outcome::Added] {
            recent.record(&instance(1, "i"), Queue::Interruptions, &outcome, second(1));
        }
        assert!(recent.list.is_empty());
    }

    #[test]
    fn returns_each_unwritten_interruption_once() {
        let (mut recent, mut reasons) = (Recent::default(), Reasons::default());
        let numbers =
            |changes: &RecentChanges| changes.0.iter().map(|(number, _)| *number).collect::<Vec<_>>();
        let mut add = |recent: &mut Recent, count| {
            for at in 0..count {
                let outcome = unattributed(at, &mut reasons);
                recent.record(&instance(1, "i"), Queue::Interruptions, &outcome, second(at));
            }
        };
        assert!(numbers(&recent.take_changes()).is_empty());
        add(&mut recent, 3);
        assert_eq!(numbers(&recent.take_changes()), [0, 1, 2]);
        add(&mut recent, 1_500);
        let changes = recent.take_changes();
        assert_eq!(numbers(&changes), (503..1_503).collect::<Vec<_>>(), "earlier ones were dropped");
        let mut rows = changes.0;
        rows.reverse();
        let mut again = Recent::restore(rows);
        assert!(numbers(&again.take_changes()).is_empty());
        add(&mut again, 1);
        assert_eq!(numbers(&again.take_changes()), [1_503]);
        assert_eq!(again.list.len(), CAPACITY);
    }

    #[test]
    fn bounds_the_length_of_texts() {
        let (mut recent, mut reasons) = (Recent::default(), Reasons::default());
        let outcome = unattributed(1, &mut reasons);
        recent.record(&instance(1, &"ä".repeat(1_000_000)), Queue::Interruptions, &outcome, second(1));
        assert_eq!(rows(&recent, &reasons)[0].instance.as_deref(), Some(&*"ä".repeat(128)));
        assert_eq!(truncated(&format!("a{}", "ä".repeat(128))).len(), 255, "characters stay complete");
    }
}

#[cfg(test)]
mod tests_rows {
    use super::Row;

    /// Builds a row for tests.
    pub(super) fn row(id: &str, cluster: Option<&str>, zone: &str, machine_type: Option<&str>) -> Row {
        Row {
            time: None,
            instance: Some(format!("instance-{id}")),
            id: Some(id.to_owned()),
            project: Some("p".to_owned()),
            zone: Some(zone.to_owned()),
            cluster: cluster.map(str::to_owned),
            node_pool: None,
            machine_type: machine_type.map(str::to_owned),
            reason: "preempted".to_owned(),
            lifetime_seconds: Some(60.0),
            delay_seconds: None,
            reported_by: "message",
            unattributed: None,
        }
    }
}
