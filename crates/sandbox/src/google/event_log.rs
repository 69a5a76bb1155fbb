//! What is published of the events in a world.

use std::time::SystemTime;

use bytes::Bytes;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;

use super::{
    audit_log::{AuditLog, Naming},
    world::Event,
};

/// The share of log entries that Cloud Logging delivers twice.
const REPEATED: f64 = 0.01;
/// The share of creations whose names carry the project's number.
const NUMBERED: f64 = 0.3;

/// Writes the log entries of one project.
pub(super) struct EventLog {
    log: AuditLog,
    rng: StdRng,
}

/// Log entries to be published.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) interruptions: Vec<Bytes>,
    pub(super) creations: Vec<Bytes>,
}

impl EventLog {
    /// The log of a project.
    pub(super) fn new(project: &str, number: u64, seed: u64) -> Self {
        Self { log: AuditLog::new(project, number), rng: StdRng::seed_from_u64(seed) }
    }

    /// The entries about events of this moment.
    pub(super) fn entries(&mut self, events: &[Event], now: SystemTime) -> Entries {
        self.log.at(now);
        let mut entries = Entries::default();
        for event in events {
            self.add(event, &mut entries);
        }
        entries
    }

    fn add(&mut self, event: &Event, entries: &mut Entries) {
        let Self { log, rng } = self;
        let naming = if rng.random_bool(NUMBERED) { Naming::Number } else { Naming::Id };
        match event {
            Event::Created(instance, version) => {
                let operation = log.through(*version).named_by(naming).inserted(instance);
                entries.creations.extend([&operation.first, &operation.last].map(payload));
            }
            Event::BulkCreated(instances, version) => {
                let bulk = log.through(*version).named_by(naming).bulk_inserted(instances);
                entries.creations.push(payload(&bulk.parent.first));
                entries.creations.extend(bulk.instances.iter().map(payload));
                entries.creations.push(payload(&bulk.parent.last));
            }
            Event::Failed(instance, version) => {
                entries.creations.push(payload(&log.through(*version).insert_failed(instance)));
            }
            Event::Preempted(instance) => {
                let entry = payload(&log.named_by(Naming::Id).preempted(instance));
                if rng.random_bool(REPEATED) {
                    entries.interruptions.push(entry.clone());
                }
                entries.interruptions.push(entry);
            }
            // The sinks leave deletions out.
            Event::Deleted(_) => {}
        }
    }
}

fn payload(entry: &Value) -> Bytes {
    entry.to_string().into()
}
