//! A page of `aggregated/operations`, or of a zone's, and what an operation of Compute Engine tells.
//!
//! Like a list of instances, the frame is read strictly and the operations in it leniently.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::MapAccess;
use serde::{Deserialize, Deserializer};

use super::audit_log::InterruptionMethods;
use super::listing::Warning;
use super::names::{instance_from_path, unseen_part};
use crate::event::{Entry, Event};
use crate::instance::{InstanceId, InstanceRef};
use crate::inventory::Unseen;
use crate::lenient::{self, Lenient, Object};

/// The type of an operation that creates something.
pub(super) const INSERT: &str = "insert";

/// The fields that are read of an operation.
const FIELDS: &str = "name,operationType,targetLink,targetId,insertTime,error";

/// The field mask for all that is read of a page.
pub(super) fn aggregated_fields() -> String {
    format!("items/*/operations({FIELDS}),items/*/warning/code,nextPageToken,unreachables,warning/code")
}

/// The field mask for all that is read of a zone's page.
pub(super) fn zone_fields() -> String {
    format!("items({FIELDS}),nextPageToken,warning/code")
}

/// What a page consists of.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) operations: Vec<Operation>,
    /// Every zone that the page names, with operations or without.
    pub(super) zones: Vec<String>,
    /// Where the next page begins.
    pub(super) next: Option<String>,
    /// The parts of the project that could not be seen.
    pub(super) unseen: Unseen,
    /// What the API says of the first of them.
    pub(super) reason: Option<String>,
}

/// An operation, as far as it says something here.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operation {
    /// Unique in its project.
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) instance: InstanceRef<'static>,
    pub(super) at: Timestamp,
}

impl Operation {
    /// The event that it tells of.
    pub(super) fn entry(self, methods: &InterruptionMethods) -> Option<Entry<'static>> {
        let event = match methods.reason(&self.kind) {
            Some(reason) => Event::Interruption { instance: self.instance, reason },
            None if self.kind == INSERT => Event::UnlabelledCreation(self.instance),
            None => return None,
        };
        Some(Entry { insert_id: None, operation_id: Some(self.name.into()), timestamp: Some(self.at), event })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Aggregated<'a> {
    #[serde(borrow)]
    items: Option<BTreeMap<String, Option<Part<'a>>>>,
    next_page_token: Option<String>,
    unreachables: Option<Vec<String>>,
    warning: Option<Warning>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    operations: Option<Vec<RawOperation<'a>>>,
    warning: Option<Warning>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfZone<'a> {
    #[serde(borrow)]
    items: Option<Vec<RawOperation<'a>>>,
    next_page_token: Option<String>,
    warning: Option<Warning>,
}

impl Page {
    /// Reads an answer about all zones.
    pub(super) fn aggregated(answer: &[u8]) -> Result<Self, String> {
        let answer: Aggregated<'_> = serde_json::from_slice(answer).map_err(|error| no_page(&error))?;
        let mut page = Self { next: next(answer.next_page_token), ..Self::default() };
        for name in answer.unreachables.into_iter().flatten() {
            page.is_blind(&name, format!("{name} cannot be reached"));
        }
        for (name, part) in answer.items.unwrap_or_default() {
            page.zones.extend(name.strip_prefix("zones/").map(str::to_owned));
            let Some(part) = part else { continue };
            if let Some(code) = part.warning.and_then(Warning::trouble) {
                page.is_blind(&name, format!("{name}: {code}"));
            }
            page.extend(part.operations);
        }
        page.warn(answer.warning);
        Ok(page)
    }

    /// Reads an answer about one zone.
    pub(super) fn of_zone(answer: &[u8]) -> Result<Self, String> {
        let answer: OfZone<'_> = serde_json::from_slice(answer).map_err(|error| no_page(&error))?;
        let mut page = Self { next: next(answer.next_page_token), ..Self::default() };
        page.extend(answer.items);
        page.warn(answer.warning);
        Ok(page)
    }

    fn extend(&mut self, operations: Option<Vec<RawOperation<'_>>>) {
        self.operations.extend(operations.into_iter().flatten().filter_map(RawOperation::into_operation));
    }

    fn is_blind(&mut self, name: &str, reason: String) {
        match unseen_part(name) {
            Some(zone) => self.unseen.add_zone(zone),
            None => self.unseen.add_everything(),
        }
        self.reason.get_or_insert(reason);
    }

    fn warn(&mut self, warning: Option<Warning>) {
        if let Some(code) = warning.and_then(Warning::trouble)
            && self.unseen.is_empty()
        {
            self.unseen.add_everything();
            self.reason.get_or_insert(code);
        }
    }
}

fn no_page(error: &serde_json::Error) -> String {
    format!("the answer is no list of operations: {error}")
}

fn next(token: Option<String>) -> Option<String> {
    token.filter(|token| !token.is_empty())
}

#[derive(Default)]
struct RawOperation<'a> {
    name: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    target_link: Option<Cow<'a, str>>,
    target_id: Option<InstanceId>,
    insert_time: Option<Cow<'a, str>>,
    error: Object<Anything>,
}

/// What it says does not matter.
#[derive(Default)]
struct Anything;

impl Lenient<'_> for Anything {}

impl<'de> Lenient<'de> for RawOperation<'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "name" => lenient::value(object, &mut self.name),
            "operationType" => lenient::value(object, &mut self.kind),
            "targetLink" => lenient::value(object, &mut self.target_link),
            "targetId" => lenient::value(object, &mut self.target_id),
            "insertTime" => lenient::value(object, &mut self.insert_time),
            "error" => lenient::value(object, &mut self.error),
            _ => lenient::skip(object),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawOperation<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut operation = RawOperation::default();
        lenient::document(deserializer, &mut operation)?;
        Ok(operation)
    }
}

impl RawOperation<'_> {
    /// `None` for one that failed, that is about something else than an instance, or that lacks what tells it apart.
    fn into_operation(self) -> Option<Operation> {
        let target = instance_from_path(self.target_link?)?;
        let own = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        (!self.error.is_there).then_some(Operation {
            name: self.name?.into_owned(),
            kind: self.kind?.into_owned(),
            at: self.insert_time?.parse().ok()?,
            instance: InstanceRef {
                id: self.target_id,
                project: own(target.project),
                zone: own(target.zone),
                name: own(target.name),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREEMPTED: &str = r#"{"kind": "compute#operation", "id": "6231412341234", "name": "systemevent-1", "operationType":
        "compute.instances.preempted", "targetLink":
        "https://www.googleapis.com/compute/v1/projects/P/zones/us-central1-a/instances/gke-c1-spot-df29e951", "targetId":
        "1844488190000000001", "status": "DONE", "user": "system", "insertTime": "2025-05-07T08:20:20.201-07:00"}"#;

    #[test]
    fn an_operation_names_an_instance_and_a_time() {
        let failed = PREEMPTED.replace("\"kind\"", "\"error\": {\"errors\": []}, \"kind\"");
        let disk = PREEMPTED.replace("instances/gke", "disks/gke");
        let text = format!(
            r#"{{"items": {{"zones/a": {{"operations": [{PREEMPTED}, {failed}, {disk}, {{"name": 7}}]}},
                "zones/b": {{"warning": {{"code": "NO_RESULTS_ON_PAGE"}}}}, "global": null}}, "nextPageToken": "t"}}"#
        );
        let page = Page::aggregated(text.as_bytes()).unwrap();
        assert_eq!((page.operations.len(), page.next.as_deref()), (1, Some("t")));
        assert_eq!(page.zones, ["a", "b"]);
        assert!(page.unseen.is_empty());
        let operation = page.operations[0].clone();
        assert_eq!(operation.at, "2025-05-07T15:20:20.201Z".parse().unwrap());
        let entry = operation.entry(&InterruptionMethods::default()).unwrap();
        assert_eq!(entry.operation_id.as_deref(), Some("systemevent-1"));
        let Event::Interruption { instance, .. } = entry.event else { panic!("no interruption") };
        assert_eq!(instance.id.map(InstanceId::get), Some(1_844_488_190_000_000_001));
        assert_eq!(instance.zone_and_name(), Some(("us-central1-a", "gke-c1-spot-df29e951")));
    }

    #[test]
    fn what_cannot_be_reached_is_said() {
        for (answer, reason) in [
            (r#"{"items": {"zones/b": {"warning": {"code": "UNREACHABLE"}}}}"#, "zones/b: UNREACHABLE"),
            (r#"{"unreachables": ["projects/p/zones/b"]}"#, "projects/p/zones/b cannot be reached"),
            (r#"{"warning": {"code": "UNREACHABLE"}}"#, "UNREACHABLE"),
        ] {
            let page = Page::aggregated(answer.as_bytes()).unwrap();
            assert!(page.reason.as_deref() == Some(reason) && !page.unseen.is_empty(), "{answer}");
        }
        assert_eq!(Page::of_zone(br#"{"items": []}"#).unwrap().reason, None);
        for answer in ["", "null", "[]", r#"{"items": 7}"#] {
            assert!(
                Page::aggregated(answer.as_bytes()).is_err() && Page::of_zone(answer.as_bytes()).is_err()
            );
        }
    }
}
