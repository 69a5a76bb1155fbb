//! The rules of attribution and deduplication, one rule per test.

mod duplicates;
mod failed_creations;
mod holding;
mod inventory;
mod lookups;
mod matching;
mod restarted_instances;
mod returned_messages;

use std::time::Duration;

use spot_interruption_exporter::attribution::{Choice, Outcome};
use spot_interruption_exporter::event::{Entry, Event, FailedCreation, FailureReason, Ignored};
use spot_interruption_exporter::instance::{Instance, InstanceId, InstanceRef};
use spot_interruption_exporter::provider::google::audit_log::{self, InterruptionMethods};

use crate::fixture::*;

const SECOND: Duration = Duration::from_secs(1);

/// An interruption reported by `compute.instances.METHOD`, where two methods are configured.
fn lost<'a>(method: &str, id: u64, name: &'a str) -> Entry<'a> {
    let methods =
        InterruptionMethods::new(["compute.instances.preempted", "compute.instances.delete"]).unwrap();
    let mut entry = interruption(named(id, name));
    if let Event::Interruption { reason, .. } = &mut entry.event {
        *reason = methods.reason(&format!("compute.instances.{method}")).unwrap();
    }
    entry
}
