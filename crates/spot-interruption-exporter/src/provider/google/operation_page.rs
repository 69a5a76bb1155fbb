//! A page of the operations of all zones or of one zone, and the event of an operation.
//!
//! As for instances, the [structure](super::page) is parsed strictly and the operations leniently.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use super::audit_log::InterruptionMethods;
use super::names::instance_from_path;
use super::page::{Item, Page};
use crate::event::{Entry, Event};
use crate::instance::{InstanceId, InstanceRef};
use crate::lenient::{self, Lenient, Object};

/// Operation type of a creation.
pub(super) const INSERT: &str = "insert";

/// The fields of an operation that are used.
const FIELDS: &str = "name,operationType,targetLink,targetId,insertTime,error";

/// Field mask with all fields of an aggregated page that are used.
pub(super) fn aggregated_fields() -> String {
    format!("items/*/operations({FIELDS}),items/*/warning/code,nextPageToken,unreachables,warning/code")
}

/// Field mask with all fields of a zone's page that are used.
pub(super) fn zone_fields() -> String {
    format!("items({FIELDS}),nextPageToken,warning/code")
}

/// A page of operations.
pub(super) type OperationPage = Page<Operation>;

impl Item for Operation {
    type Raw<'a> = RawOperation<'a>;

    const PLURAL: &'static str = "operations";

    fn read(raw: RawOperation<'_>) -> Option<Self> {
        raw.into_operation()
    }
}

/// The fields of an operation that are used.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operation {
    /// Unique in its project.
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) instance: InstanceRef<'static>,
    pub(super) at: Timestamp,
}

impl Operation {
    /// The event of the operation, if it is an interruption or a creation.
    pub(super) fn entry(self, methods: &InterruptionMethods) -> Option<Entry<'static>> {
        let event = match methods.reason(&self.kind) {
            Some(reason) => Event::Interruption { instance: self.instance, reason },
            None if self.kind == INSERT => Event::UnlabelledCreation(self.instance),
            None => return None,
        };
        Some(Entry { insert_id: None, operation_id: Some(self.name.into()), timestamp: Some(self.at), event })
    }
}

/// An operation as the API encodes it.
#[derive(Default)]
pub(super) struct RawOperation<'a> {
    name: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    target_link: Option<Cow<'a, str>>,
    target_id: Option<InstanceId>,
    insert_time: Option<Cow<'a, str>>,
    error: Object<Anything>,
}

/// An object whose fields are skipped.
#[derive(Default)]
struct Anything;

impl Lenient<'_> for Anything {}

lenient::fields!(RawOperation {
    "name" => name,
    "operationType" => kind,
    "targetLink" => target_link,
    "targetId" => target_id,
    "insertTime" => insert_time,
    "error" => error,
});

impl<'de: 'a, 'a> Deserialize<'de> for RawOperation<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut operation = RawOperation::default();
        lenient::document(deserializer, &mut operation)?;
        Ok(operation)
    }
}

impl RawOperation<'_> {
    /// Returns `None` for an operation that failed, that is not about an instance, or that lacks a required field.
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
    fn reads_the_instance_and_time_of_an_operation() {
        let failed = PREEMPTED.replace("\"kind\"", "\"error\": {\"errors\": []}, \"kind\"");
        let disk = PREEMPTED.replace("instances/gke", "disks/gke");
        let text = format!(
            r#"{{"items": {{"zones/a": {{"operations": [{PREEMPTED}, {failed}, {disk}, {{"name": 7}}]}},
                "zones/b": {{"warning": {{"code": "NO_RESULTS_ON_PAGE"}}}}, "global": null}}, "nextPageToken": "t"}}"#
        );
        let page = OperationPage::aggregated(text.as_bytes()).unwrap();
        assert_eq!((page.items.len(), page.next.as_deref()), (1, Some("t")));
        assert_eq!(page.zones, ["a", "b"]);
        assert!(page.unseen.is_empty());
        let operation = page.items[0].clone();
        assert_eq!(operation.at, "2025-05-07T15:20:20.201Z".parse().unwrap());
        let entry = operation.entry(&InterruptionMethods::default()).unwrap();
        assert_eq!(entry.operation_id.as_deref(), Some("systemevent-1"));
        let Event::Interruption { instance, .. } = entry.event else { panic!("no interruption") };
        assert_eq!(instance.id.map(InstanceId::get), Some(1_844_488_190_000_000_001));
        assert_eq!(instance.zone_and_name(), Some(("us-central1-a", "gke-c1-spot-df29e951")));
    }

    #[test]
    fn reports_unreachable_zones() {
        for (response, reason) in [
            (r#"{"items": {"zones/b": {"warning": {"code": "UNREACHABLE"}}}}"#, "zones/b: UNREACHABLE"),
            (r#"{"unreachables": ["projects/p/zones/b"]}"#, "projects/p/zones/b cannot be reached"),
            (r#"{"warning": {"code": "UNREACHABLE"}}"#, "UNREACHABLE"),
        ] {
            let page = OperationPage::aggregated(response.as_bytes()).unwrap();
            assert!(page.reason.as_deref() == Some(reason) && !page.unseen.is_empty(), "{response}");
        }
        assert_eq!(OperationPage::of_zone(br#"{"items": []}"#).unwrap().reason, None);
        for response in ["", "null", "[]", r#"{"items": 7}"#] {
            assert!(
                OperationPage::aggregated(response.as_bytes()).is_err()
                    && OperationPage::of_zone(response.as_bytes()).is_err()
            );
        }
    }
}
