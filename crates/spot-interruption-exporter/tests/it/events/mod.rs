//! Parsing of log entries: as Cloud Logging writes them, as written by hand, and malformed ones.

mod creations;
mod failed_creations;
mod identity;
mod interruptions;
mod labels;
mod listed_instances;
mod malformed;

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::{Value, json};
use spot_interruption_exporter::event::{Entry, Event, FailedCreation, FailureReason, Ignored, Invalid};
use spot_interruption_exporter::instance::{Instance, InstanceId, InstanceRef};
use spot_interruption_exporter::provider::google::audit_log::{
    self, InterruptionMethods, InvalidMethods, parse,
};
use spot_interruption_exporter::provider::google::resource::Resource;

const INTERRUPTION: &str = include_str!("../fixtures/interruption.json");
const INTERRUPTION_README: &str = include_str!("../fixtures/interruption_readme.json");
const CREATION: &str = include_str!("../fixtures/creation.json");
const CREATION_END: &str = include_str!("../fixtures/creation_end.json");
const CREATION_FAILED: &str = include_str!("../fixtures/creation_failed.json");
const CREATION_README: &str = include_str!("../fixtures/creation_readme.json");
const CREATION_TARGET_ONLY: &str = include_str!("../fixtures/creation_target_only.json");
const BULK_REQUEST: &str = include_str!("../fixtures/bulk_request.json");
const BULK_INSTANCE: &str = include_str!("../fixtures/bulk_instance.json");
const LISTED: &str = include_str!("../fixtures/listed.json");

const ID: u64 = 1_844_488_190_000_000_001;

fn read(text: &str) -> Result<Entry<'_>, Invalid> {
    parse(text.as_bytes(), &InterruptionMethods::default())
}

fn event(text: &str) -> Event<'_> {
    read(text).unwrap().event
}

/// Parses a fixture in which the value at a path such as `/protoPayload/request/labels` is replaced.
fn event_with(fixture: &str, path: &str, value: Value) -> Result<Event<'static>, Invalid> {
    let mut entry: Value = serde_json::from_str(fixture).unwrap();
    let (parent, key) = path.rsplit_once('/').unwrap();
    entry.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
    // The event borrows from the text, so the test leaks the text.
    read(entry.to_string().leak()).map(|entry| entry.event)
}

fn creation_with(path: &str, value: Value) -> Instance<'static> {
    match event_with(CREATION, path, value).unwrap() {
        Event::Creation(instance) => instance,
        other => panic!("{other:?}"),
    }
}

fn instance<'a>(id: Option<u64>, project: Option<&'a str>, name: &'a str) -> InstanceRef<'a> {
    InstanceRef {
        id: id.and_then(InstanceId::new),
        project: project.map(Cow::from),
        zone: Some("europe-west1-c".into()),
        name: Some(name.into()),
    }
}

fn time(text: &str) -> Option<Timestamp> {
    Some(text.parse().unwrap())
}

fn gke_n1() -> Instance<'static> {
    Instance {
        instance: instance(Some(ID), Some("mock-project"), "gke-n1"),
        cluster: Some("kubernetes-cluster".into()),
        location: Some("europe-west1".into()),
        node_pool: Some("spot-pool".into()),
        machine_type: Some("n2-standard-8".into()),
        spot: true,
        running: true,
        created_at: time("2023-09-16T08:42:31.325309Z"),
    }
}
