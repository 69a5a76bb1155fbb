//! The tables of the durable state.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::num::NonZeroI64;

use exporter_common::durable::{
    Clock, NUMBERS, StoreError, Tables, create_timelines, number, open_if_exists, read_timeline,
    write_timeline,
};
use jiff::Timestamp;
use redb::{Key, ReadTransaction, ReadableTable, Table, TableDefinition, Value, WriteTransaction};

use super::recent;
use super::store::Batch;
use crate::attribution::{Changes, Record};
use crate::dedup::HashKey;
use crate::event::{FailureReason, Reasons};
use crate::instance::InstanceId;
use crate::interruptions::Recent;
use crate::inventory::{
    InstanceKey, InstanceRecord, InstanceState, InventoryChanges, InventoryRecord, Loss, Profile, ProfileId,
    Scope,
};
use crate::ledger::{Interruptions, Ledger, OUTCOMES, Tally};

/// Names of this exporter's numbers, in addition to those of every store.
const HASH_KEY: [&str; 2] = ["hash_key_0", "hash_key_1"];
const UNATTRIBUTED: &str = "unattributed";

/// Profiles by number: cluster, location, node pool, machine type, zone and project.
const PROFILES: TableDefinition<'_, u32, [&str; 6]> = TableDefinition::new("profiles");

/// Clusters by number.
const CLUSTERS: TableDefinition<'_, u32, &str> = TableDefinition::new("clusters");

/// Instances by key: id, name, whether the instance has the name, creation in microseconds since 1970, profile, state,
/// whether it is a spot instance, whether its project is known.
const INSTANCES: TableDefinition<'_, InstanceKey, InstanceRow<'_>> = TableDefinition::new("instances");
type InstanceRow<'a> = (Option<u64>, &'a str, bool, Option<i64>, u32, u8, bool, bool);

/// By key of an interrupted instance: the reason, and the time in microseconds since 1970. Files of version 0.1.0 lack
/// this table. Version 0.1.0 also ignores it, so the version of the tables is unchanged.
const LOSSES: TableDefinition<'_, InstanceKey, LossRow<'_>> = TableDefinition::new("losses");
type LossRow<'a> = (&'a str, Option<i64>);

/// Numbers of the timelines.
const TOMBSTONES: u8 = 0;
const INTERRUPTION_IDS: u8 = 1;
const CREATION_IDS: u8 = 2;
const MESSAGE_IDS: u8 = 3;
const OPERATION_IDS: u8 = 4;

/// Interruptions by profile and reason: count, and the sum and buckets of lifetimes.
const INTERRUPTIONS: TableDefinition<'_, (u32, &str), (u64, f64, [u64; 13])> =
    TableDefinition::new("interruptions");

/// Failed creations by profile and reason. Files of version 0.1.0 lack this table.
const CREATION_FAILURES: TableDefinition<'_, (u32, &str), u64> = TableDefinition::new("creation_failures");

/// Sum and buckets of delivery times.
const DELIVERY: TableDefinition<'_, (), (f64, [u64; 13])> = TableDefinition::new("delivery");

/// Numbers of messages by source and outcome.
const MESSAGES: TableDefinition<'_, (u8, &str), u64> = TableDefinition::new("messages");

/// By scope: the time up to which its operations are processed, in microseconds since 1970. Files of version 0.1.0 lack
/// this table.
const CURSORS: TableDefinition<'_, &str, i64> = TableDefinition::new("cursors");

/// Creates and writes the tables.
#[derive(Debug)]
pub struct StateTables {
    pub(super) reasons: Reasons,
}

impl Tables for StateTables {
    const VERSION: u64 = 1;
    const OWNER: &'static str = "project";
    const AFTER_RESET: &'static str = "all counts start at zero, and the instances are listed again";
    type Batch = Batch;

    fn create(transaction: &WriteTransaction) -> Result<(), StoreError> {
        let HashKey(first, second) = HashKey::random();
        let mut numbers = transaction.open_table(NUMBERS)?;
        for (name, number) in [(HASH_KEY[0], first), (HASH_KEY[1], second), (UNATTRIBUTED, 0)] {
            numbers.insert(name, number)?;
        }
        transaction.open_table(PROFILES)?;
        transaction.open_table(CLUSTERS)?;
        transaction.open_table(INSTANCES)?;
        transaction.open_table(LOSSES)?;
        create_timelines(transaction)?;
        transaction.open_table(INTERRUPTIONS)?;
        transaction.open_table(DELIVERY)?;
        transaction.open_table(MESSAGES)?;
        Ok(())
    }

    fn write(&self, transaction: &WriteTransaction, batch: &Batch, clock: &Clock) -> Result<(), StoreError> {
        add(&mut transaction.open_table(NUMBERS)?, UNATTRIBUTED, batch.ledger.unattributed)?;
        let Changes { inventory, interruptions, creations, by_message, operations } = &batch.changes;
        write_inventory(transaction, inventory, &self.reasons)?;
        write_timeline(transaction, TOMBSTONES, &inventory.tombstones, clock)?;
        write_timeline(transaction, INTERRUPTION_IDS, interruptions, clock)?;
        write_timeline(transaction, CREATION_IDS, creations, clock)?;
        write_timeline(transaction, MESSAGE_IDS, by_message, clock)?;
        write_timeline(transaction, OPERATION_IDS, operations, clock)?;
        let mut cursors = transaction.open_table(CURSORS)?;
        for (scope, cursor) in &batch.cursors {
            cursors.insert(scope.name(), cursor.as_microsecond())?;
        }
        recent::write(transaction, &batch.recent, &self.reasons)?;
        write_ledger(transaction, &batch.ledger, &self.reasons)
    }
}

/// The content of the tables.
pub(super) struct Contents {
    pub(super) record: Record,
    pub(super) ledger: Ledger,
    pub(super) cursors: BTreeMap<Scope, Timestamp>,
    pub(super) recent: Recent,
}

/// Reads all tables. Adds unknown reasons to `reasons`.
pub(super) fn read(
    transaction: &ReadTransaction,
    clock: &Clock,
    reasons: &mut Reasons,
) -> Result<Contents, StoreError> {
    let inventory = InventoryRecord {
        profiles: in_order(
            transaction,
            PROFILES,
            |[cluster, location, node_pool, machine_type, zone, project]| Profile {
                cluster: cluster.into(),
                location: location.into(),
                node_pool: node_pool.into(),
                machine_type: machine_type.into(),
                zone: zone.into(),
                project: project.into(),
            },
        )?,
        clusters: in_order(transaction, CLUSTERS, str::to_owned)?,
        instances: read_instances(transaction, reasons)?,
        tombstones: read_timeline(transaction, TOMBSTONES, clock, |key| InstanceKey::try_from(key).ok())?,
    };
    let ids = |timeline| read_timeline(transaction, timeline, clock, Some);
    let record = Record {
        key: HashKey(number(transaction, HASH_KEY[0])?, number(transaction, HASH_KEY[1])?),
        interruptions: ids(INTERRUPTION_IDS)?,
        creations: ids(CREATION_IDS)?,
        by_message: ids(MESSAGE_IDS)?,
        operations: ids(OPERATION_IDS)?,
        inventory,
    };
    let profiles = record.inventory.profiles.len();
    Ok(Contents {
        record,
        ledger: read_ledger(transaction, profiles, reasons)?,
        cursors: read_cursors(transaction)?,
        recent: recent::read(transaction, profiles, reasons)?,
    })
}

fn read_cursors(transaction: &ReadTransaction) -> Result<BTreeMap<Scope, Timestamp>, StoreError> {
    let Some(table) = open_if_exists(transaction, CURSORS)? else { return Ok(BTreeMap::new()) };
    let mut cursors = BTreeMap::new();
    for row in table.iter()? {
        let (scope, cursor) = row?;
        let cursor = Timestamp::from_microsecond(cursor.value())
            .map_err(|error| StoreError::Record(format!("a cursor is not a valid time: {error}")))?;
        cursors.insert(Scope::project(scope.value()), cursor);
    }
    Ok(cursors)
}

fn write_inventory(
    transaction: &WriteTransaction,
    changes: &InventoryChanges,
    reasons: &Reasons,
) -> Result<(), StoreError> {
    let mut profiles = transaction.open_table(PROFILES)?;
    let (first, added) = &changes.profiles;
    for (number, profile) in (*first as u32..).zip(added) {
        let Profile { cluster, location, node_pool, machine_type, zone, project } = profile;
        let texts: [&str; 6] = [cluster, location, node_pool, machine_type, zone, project];
        profiles.insert(number, texts)?;
    }
    let mut clusters = transaction.open_table(CLUSTERS)?;
    let (first, added) = &changes.clusters;
    for (number, cluster) in (*first as u32..).zip(added) {
        clusters.insert(number, &**cluster)?;
    }
    let mut instances = transaction.open_table(INSTANCES)?;
    let mut losses = transaction.open_table(LOSSES)?;
    for (key, record) in &changes.instances {
        match record {
            Some(record) => instances.insert(key, instance_row(record))?,
            None => instances.remove(key)?,
        };
        let loss = record.as_ref().and_then(|record| record.loss);
        match loss.and_then(|loss| Some((reasons.label(loss.reason?), loss.at))) {
            Some((reason, at)) => losses.insert(key, (reason, at.map(Timestamp::as_microsecond)))?,
            None => losses.remove(key)?,
        };
    }
    Ok(())
}

fn instance_row(record: &InstanceRecord) -> InstanceRow<'_> {
    let state = match record.state {
        InstanceState::Running => 0,
        InstanceState::Stopped => 1,
        InstanceState::Interrupted => 2,
    };
    (
        record.id.map(InstanceId::get),
        &record.name,
        record.has_name,
        record.created_at.map(NonZeroI64::get),
        record.profile.index() as u32,
        state,
        record.spot,
        record.is_project_known,
    )
}

fn read_instances(
    transaction: &ReadTransaction,
    reasons: &mut Reasons,
) -> Result<Vec<(InstanceKey, InstanceRecord)>, StoreError> {
    let losses = open_if_exists(transaction, LOSSES)?;
    let mut loss = |key: InstanceKey| -> Result<Option<Loss>, StoreError> {
        let row = losses.as_ref().map(|losses| losses.get(key)).transpose()?.flatten();
        Ok(row.map(|row| {
            let (reason, at) = row.value();
            Loss {
                reason: Some(reasons.labelled(reason)),
                at: at.and_then(|at| Timestamp::from_microsecond(at).ok()),
            }
        }))
    };
    let table = transaction.open_table(INSTANCES)?;
    let mut instances = Vec::new();
    for row in table.iter()? {
        let (key, row) = row?;
        let (id, name, has_name, created_at, profile, state, spot, is_project_known) = row.value();
        let state = match state {
            0 => InstanceState::Running,
            1 => InstanceState::Stopped,
            2 => InstanceState::Interrupted,
            other => return Err(StoreError::Record(format!("an instance has the unknown state {other}"))),
        };
        instances.push((
            key.value(),
            InstanceRecord {
                id: id.and_then(InstanceId::new),
                name: name.into(),
                has_name,
                created_at: created_at.and_then(NonZeroI64::new),
                profile: ProfileId::of(profile as usize),
                state,
                spot,
                is_project_known,
                loss: loss(key.value())?,
            },
        ));
    }
    Ok(instances)
}

fn write_ledger(
    transaction: &WriteTransaction,
    ledger: &Ledger,
    reasons: &Reasons,
) -> Result<(), StoreError> {
    let mut interruptions = transaction.open_table(INTERRUPTIONS)?;
    for ((profile, reason), counted) in &ledger.interruptions {
        let key = (profile.index() as u32, reasons.label(*reason));
        let mut total = interruptions.get(key)?.map(|row| interruptions_of(row.value())).unwrap_or_default();
        total.add(counted);
        let Interruptions { count, lifetimes: Tally { sum, buckets } } = total;
        interruptions.insert(key, (count, sum, buckets))?;
    }
    let mut failures = transaction.open_table(CREATION_FAILURES)?;
    for ((profile, reason), count) in &ledger.creation_failures {
        add(&mut failures, (profile.index() as u32, reason.label()), *count)?;
    }
    let mut delivery = transaction.open_table(DELIVERY)?;
    let mut total = delivery.get(())?.map(|row| tally_of(row.value())).unwrap_or_default();
    total.add(&ledger.delivery);
    delivery.insert((), (total.sum, total.buckets))?;
    let mut messages = transaction.open_table(MESSAGES)?;
    for (source, counts) in (0_u8..).zip(&ledger.messages) {
        for (outcome, count) in OUTCOMES.iter().zip(counts) {
            add(&mut messages, (source, *outcome), *count)?;
        }
    }
    Ok(())
}

fn read_ledger(
    transaction: &ReadTransaction,
    profiles: usize,
    reasons: &mut Reasons,
) -> Result<Ledger, StoreError> {
    let mut ledger = Ledger::default();
    for row in transaction.open_table(INTERRUPTIONS)?.iter()? {
        let (key, row) = row?;
        let (profile, reason) = key.value();
        if profile as usize >= profiles {
            return Err(StoreError::Record("an interruption refers to an unknown profile".to_owned()));
        }
        let key = (ProfileId::of(profile as usize), reasons.labelled(reason));
        ledger.interruptions.insert(key, interruptions_of(row.value()));
    }
    if let Some(failures) = open_if_exists(transaction, CREATION_FAILURES)? {
        for row in failures.iter()? {
            let (key, count) = row?;
            let (profile, label) = key.value();
            let reason = FailureReason::ALL.into_iter().find(|reason| reason.label() == label);
            let Some(reason) = reason.filter(|_| (profile as usize) < profiles) else {
                return Err(StoreError::Record(
                    "a failed creation refers to an unknown profile or reason".to_owned(),
                ));
            };
            ledger.creation_failures.insert((ProfileId::of(profile as usize), reason), count.value());
        }
    }
    let numbers = transaction.open_table(NUMBERS)?;
    ledger.unattributed = numbers.get(UNATTRIBUTED)?.map_or(0, |row| row.value());
    let delivery = transaction.open_table(DELIVERY)?;
    ledger.delivery = delivery.get(())?.map(|row| tally_of(row.value())).unwrap_or_default();
    let messages = transaction.open_table(MESSAGES)?;
    for (source, counts) in (0_u8..).zip(&mut ledger.messages) {
        for (outcome, count) in OUTCOMES.iter().zip(counts) {
            *count = messages.get((source, *outcome))?.map_or(0, |row| row.value());
        }
    }
    Ok(ledger)
}

fn interruptions_of((count, sum, buckets): (u64, f64, [u64; 13])) -> Interruptions {
    Interruptions { count, lifetimes: Tally { sum, buckets } }
}

fn tally_of((sum, buckets): (f64, [u64; 13])) -> Tally {
    Tally { sum, buckets }
}

/// Adds to a number, and creates it if it is missing. Adding 0 writes nothing.
fn add<'k, K: Key + 'static>(
    table: &mut Table<'_, K, u64>,
    key: impl Borrow<K::SelfType<'k>>,
    number: u64,
) -> Result<(), StoreError> {
    if number > 0 {
        let total = table.get(key.borrow())?.map_or(0, |row| row.value());
        table.insert(key, total + number)?;
    }
    Ok(())
}

/// Reads the rows of a table whose keys are numbered from zero without gaps.
fn in_order<V: Value + 'static, R>(
    transaction: &ReadTransaction,
    definition: TableDefinition<'_, u32, V>,
    read: impl Fn(V::SelfType<'_>) -> R,
) -> Result<Vec<R>, StoreError> {
    let table = transaction.open_table(definition)?;
    let mut rows = Vec::new();
    for row in table.iter()? {
        let (number, row) = row?;
        if number.value() as usize != rows.len() {
            return Err(StoreError::Record(format!("row {} of {table:?}", number.value())));
        }
        rows.push(read(row.value()));
    }
    Ok(rows)
}
