//! Converts simulated events to log entries and operations.

use std::time::SystemTime;

use bytes::Bytes;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;

use super::{
    audit_log::{AuditLog, Naming},
    compute::ZoneOperation,
    world::Event,
};

/// The share of log entries that Cloud Logging publishes twice.
const REPEATED: f64 = 0.01;
/// The share of creations whose resource names contain the project's number.
const NUMBERED: f64 = 0.3;

/// Creates the log entries of one project.
pub(super) struct EventLog {
    log: AuditLog,
    rng: StdRng,
}

/// Log entries to publish, and the corresponding operations.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) interruptions: Vec<Bytes>,
    pub(super) creations: Vec<Bytes>,
    pub(super) operations: Vec<ZoneOperation>,
}

impl EventLog {
    /// Returns the log of a project.
    pub(super) fn new(project: &str, number: u64, seed: u64) -> Self {
        Self { log: AuditLog::new(project, number), rng: StdRng::seed_from_u64(seed) }
    }

    /// Returns the entries and the operations of events that happen now.
    pub(super) fn entries(&mut self, events: &[Event], now: SystemTime) -> Entries {
        self.log.at(now);
        let mut entries = Entries::default();
        for event in events {
            self.add(event, now, &mut entries);
        }
        entries
    }

    fn add(&mut self, event: &Event, now: SystemTime, entries: &mut Entries) {
        let Self { log, rng } = self;
        let naming = if rng.random_bool(NUMBERED) { Naming::Number } else { Naming::Id };
        let user = log.service_account();
        match event {
            Event::Created(instance, version) => {
                let operation = log.through(*version).named_by(naming).inserted(instance);
                let name = operation_name(&operation.first);
                entries.operations.push(ZoneOperation::inserted(name, instance, now).user(user));
                entries.creations.extend([&operation.first, &operation.last].map(payload));
            }
            Event::BulkCreated(instances, version) => {
                let bulk = log.through(*version).named_by(naming).bulk_inserted(instances);
                let parent = operation_name(&bulk.parent.first);
                if let Some(instance) = instances.first() {
                    let operation = ZoneOperation::new(parent, "bulkInsert", instance, now).without_target();
                    entries.operations.push(operation.user(&user).group(parent));
                }
                for (entry, instance) in bulk.instances.iter().zip(instances) {
                    let operation = ZoneOperation::inserted(operation_name(entry), instance, now);
                    entries.operations.push(operation.user(&user).group(parent));
                }
                entries.creations.push(payload(&bulk.parent.first));
                entries.creations.extend(bulk.instances.iter().map(payload));
                entries.creations.push(payload(&bulk.parent.last));
            }
            Event::Failed(instance, version) => {
                let entry = log.through(*version).insert_failed(instance);
                let message = entry["protoPayload"]["status"]["message"].as_str().unwrap_or_default();
                let (code, message) = message.split_once(": ").unwrap_or(("", message));
                let operation = ZoneOperation::inserted(operation_name(&entry), instance, now).user(user);
                entries.operations.push(operation.error(code, message));
                entries.creations.push(payload(&entry));
            }
            Event::Preempted(instance) => {
                let entry = log.named_by(Naming::Id).preempted(instance);
                entries.operations.push(ZoneOperation::preempted(operation_name(&entry), instance, now));
                let entry = payload(&entry);
                if rng.random_bool(REPEATED) {
                    entries.interruptions.push(entry.clone());
                }
                entries.interruptions.push(entry);
            }
            // The log sinks exclude deletions.
            Event::Deleted(instance) => {
                let entry = log.deleted(instance);
                let operation = ZoneOperation::new(operation_name(&entry), "delete", instance, now);
                entries.operations.push(operation.user(user));
            }
        }
    }
}

/// Returns the name of the operation of an entry.
fn operation_name(entry: &Value) -> &str {
    entry["operation"]["id"].as_str().unwrap_or_default()
}

fn payload(entry: &Value) -> Bytes {
    entry.to_string().into()
}
