//! The tables of the durable state of runs.
//!
//! Runs, stacks and histograms are stored as JSON, because they are read only once, at start.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Instant;

use exporter_common::durable::{
    self, Clock, NUMBERS, OpenError, StoreError, Tables, create_timelines, read_timeline, write_timeline,
};
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::counts::{Counter, Counts, Distribution, Histogram, Labels, belongs_to_stacks};
use super::record::TrackerRecord;
use super::run::Run;
use super::stack::Stack;
use super::state::Gathered;
use super::update::Timestamp;

/// By family name and label values (a JSON list).
const COUNTERS: TableDefinition<'_, (&str, &str), f64> = TableDefinition::new("counters");
/// By family name and label values (a JSON list): a [`Histogram`] as JSON.
const HISTOGRAMS: TableDefinition<'_, (&str, &str), &str> = TableDefinition::new("histograms");
/// By id: a [`Run`] as JSON.
const RUNS: TableDefinition<'_, &str, &str> = TableDefinition::new("runs");
/// By id: a [`Stack`] as JSON.
const STACKS: TableDefinition<'_, &str, &str> = TableDefinition::new("stacks");
/// Numbers of the timelines, whose values are hashes of ids.
const ENDED: u8 = 0;
const DELIVERIES: u8 = 1;
const FLAGS: u8 = 2;
/// Name of the number: the last delivery in microseconds since 1970; 0 if there was none.
const LAST_DELIVERY: &str = "last_delivery";

/// An open state directory.
pub(crate) type Store = durable::Store<RunTables>;

/// Creates and writes the tables.
#[derive(Debug)]
pub(crate) struct RunTables;

/// The data of one commit.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) gathered: Gathered,
    /// The time of the current attempt to write it.
    pub(crate) now: Instant,
}

impl durable::Batch for Batch {
    fn moment(&self) -> Instant {
        self.now
    }

    fn renew(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.now);
        let changes = &mut self.gathered.changes;
        for timeline in [&mut changes.ended, &mut changes.flags, &mut changes.deliveries] {
            timeline.postpone(passed);
        }
        self.now = now;
    }
}

/// The stored state.
#[derive(Debug, Default)]
pub(crate) struct SavedRuns {
    /// Runs, stacks and ids.
    pub(crate) record: TrackerRecord,
    /// All counts.
    pub(crate) counts: Counts,
    /// The time of the last delivery with a valid signature.
    pub(crate) last_delivery: Option<Timestamp>,
}

/// Opens a directory, or creates it, and reads the state of `account`. An unusable file is set aside, which is logged.
///
/// # Errors
/// Returns an error if the directory cannot be used, is in use, or belongs to another account.
pub(crate) fn open(directory: &Path, account: &str, now: Instant) -> Result<(Store, SavedRuns), OpenError> {
    Store::open(directory, account, now, |transaction, clock| Ok((RunTables, read(transaction, clock)?)))
}

impl Tables for RunTables {
    const VERSION: u64 = 1;
    const OWNER: &'static str = "account";
    const AFTER_RESET: &'static str =
        "all counts start at zero, and an active run is known again from its next delivery on";
    type Batch = Batch;

    fn create(transaction: &WriteTransaction) -> Result<(), StoreError> {
        transaction.open_table(COUNTERS)?;
        transaction.open_table(HISTOGRAMS)?;
        transaction.open_table(RUNS)?;
        transaction.open_table(STACKS)?;
        create_timelines(transaction)?;
        transaction.open_table(NUMBERS)?.insert(LAST_DELIVERY, 0)?;
        Ok(())
    }

    fn write(&self, transaction: &WriteTransaction, batch: &Batch, clock: &Clock) -> Result<(), StoreError> {
        let Gathered { counts, removed_stacks, changes, last_delivery } = &batch.gathered;
        write_counts(transaction, counts, removed_stacks)?;
        write_records(transaction, RUNS, &changes.runs)?;
        write_records(transaction, STACKS, &changes.stacks)?;
        write_timeline(transaction, ENDED, &changes.ended, clock)?;
        write_timeline(transaction, FLAGS, &changes.flags, clock)?;
        write_timeline(transaction, DELIVERIES, &changes.deliveries, clock)?;
        if let Some(Timestamp(microseconds)) = last_delivery {
            transaction.open_table(NUMBERS)?.insert(LAST_DELIVERY, *microseconds)?;
        }
        Ok(())
    }
}

fn write_counts(
    transaction: &WriteTransaction,
    counts: &Counts,
    removed_stacks: &[Box<str>],
) -> Result<(), StoreError> {
    let mut counters = transaction.open_table(COUNTERS)?;
    if !removed_stacks.is_empty() {
        let stacks: HashSet<&str> = removed_stacks.iter().map(|stack| &**stack).collect();
        let is_kept = |family: &str, labels: &str| {
            let labels: Option<Labels> = from_json(labels).ok();
            let counter = Counter::ALL.into_iter().find(|counter| counter.info().name == family);
            let series = counter.zip(labels);
            series.is_none_or(|(counter, labels)| !belongs_to_stacks(counter, &labels, &stacks))
        };
        counters.retain(|(family, labels), _| is_kept(family, labels))?;
    }
    for ((counter, labels), by) in &counts.counters {
        let labels = to_json(labels)?;
        let key = (counter.info().name, &*labels);
        let count = counters.get(key)?.map_or(0.0, |count| count.value());
        counters.insert(key, count + by)?;
    }
    let mut histograms = transaction.open_table(HISTOGRAMS)?;
    for ((distribution, labels), more) in &counts.histograms {
        let labels = to_json(labels)?;
        let key = (distribution.info().name, &*labels);
        let stored = histograms.get(key)?.map(|histogram| from_json(histogram.value())).transpose()?;
        let mut histogram: Histogram = stored.unwrap_or_default();
        histogram.add(more);
        histograms.insert(key, &*to_json(&histogram)?)?;
    }
    Ok(())
}

fn write_records<K: AsRef<str>, V: Serialize>(
    transaction: &WriteTransaction,
    table: TableDefinition<'_, &'static str, &'static str>,
    records: &[(K, Option<V>)],
) -> Result<(), StoreError> {
    let mut table = transaction.open_table(table)?;
    for (id, record) in records {
        match record {
            Some(record) => drop(table.insert(id.as_ref(), &*to_json(record)?)?),
            None => drop(table.remove(id.as_ref())?),
        }
    }
    Ok(())
}

fn read(transaction: &ReadTransaction, clock: &Clock) -> Result<SavedRuns, StoreError> {
    let mut counts = Counts::default();
    for row in transaction.open_table(COUNTERS)?.iter()? {
        let (key, count) = row?;
        let (name, labels) = key.value();
        let counter = Counter::ALL.into_iter().find(|counter| counter.info().name == name);
        let counter = counter.ok_or_else(|| unknown(name))?;
        let labels = labels_of(labels, counter.info().labels.len())?;
        counts.counters.insert((counter, labels), count.value());
    }
    for row in transaction.open_table(HISTOGRAMS)?.iter()? {
        let (key, histogram) = row?;
        let (name, labels) = key.value();
        let distribution =
            Distribution::ALL.into_iter().find(|distribution| distribution.info().name == name);
        let distribution = distribution.ok_or_else(|| unknown(name))?;
        let labels = labels_of(labels, distribution.info().labels.len())?;
        let histogram: Histogram = from_json(histogram.value())?;
        if histogram.buckets.len() != distribution.bounds().len() + 1 {
            return Err(StoreError::Record(format!("{name} has a different number of buckets")));
        }
        counts.histograms.insert((distribution, labels), histogram);
    }
    let mut runs = Vec::new();
    for row in transaction.open_table(RUNS)?.iter()? {
        let (id, run) = row?;
        runs.push((id.value().into(), from_json::<Run>(run.value())?));
    }
    let mut stacks = BTreeMap::new();
    for row in transaction.open_table(STACKS)?.iter()? {
        let (id, stack) = row?;
        stacks.insert(id.value().into(), from_json::<Stack>(stack.value())?);
    }
    let ended = read_timeline(transaction, ENDED, clock, Some)?;
    let flags = read_timeline(transaction, FLAGS, clock, Some)?;
    let deliveries = read_timeline(transaction, DELIVERIES, clock, Some)?;
    let last_delivery = durable::number(transaction, LAST_DELIVERY)?;
    let last_delivery = (last_delivery > 0).then_some(Timestamp(last_delivery));
    Ok(SavedRuns { record: TrackerRecord { runs, stacks, ended, flags, deliveries }, counts, last_delivery })
}

fn labels_of(json: &str, expected: usize) -> Result<Labels, StoreError> {
    let labels: Labels = from_json(json)?;
    if labels.len() == expected { Ok(labels) } else { Err(unknown(json)) }
}

fn unknown(what: &str) -> StoreError {
    StoreError::Record(format!("{what} is unknown"))
}

fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Record(error.to_string()))
}

fn from_json<T: DeserializeOwned>(json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| StoreError::Record(error.to_string()))
}
