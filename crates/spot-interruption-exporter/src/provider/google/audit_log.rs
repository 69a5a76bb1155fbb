//! Decodes the bytes of a message into an event, or into the reason why the message is not an event.
//!
//! Messages are `LogEntry` objects of Cloud Logging that contain a Cloud Audit `AuditLog`. Users also publish hand-made
//! messages with only the few fields that matter. So every field is optional here until an event needs it, and a field
//! of an unexpected type counts as absent. Other fields are skipped without being built: the request of a creation can
//! contain megabytes of start-up scripts.

use std::borrow::Cow;
use std::mem;

use jiff::Timestamp;
use serde::de::MapAccess;
use thiserror::Error;

use super::names::{ProjectNumbers, instance_from_path, is_project_id, last_segment, project_number};
use crate::event::{
    Entry, Event, FailedCreation, FailureReason, Ignored, InterruptionReason, Invalid, Reasons,
};
use crate::instance::{InstanceId, InstanceRef};
use crate::lenient::{self, Lenient, Object};
use crate::provider::google::resource::Resource;

/// A log entry that is not an audit log entry.
pub const NO_PROTO_PAYLOAD: Invalid = Invalid::NotAnEvent {
    label: "no_proto_payload",
    text: "not an audit log entry: `protoPayload` is missing",
};

/// JSON that is not an object.
pub const NOT_AN_OBJECT: Invalid =
    Invalid::NotAnEvent { label: "not_an_object", text: "not a log entry: the message is not a JSON object" };

/// The entry contains no method.
pub const NO_METHOD_NAME: Invalid =
    Invalid::NotAnEvent { label: "no_method_name", text: "`protoPayload.methodName` is missing" };

/// The entry names no instance.
pub const NO_INSTANCE: Invalid = Invalid::NotAnEvent {
    label: "no_instance",
    text: "no instance is named: neither `protoPayload.resourceName` nor `protoPayload.response.targetLink` nor \
           `resource.labels` has one",
};

/// The labels of a created instance are neither a list nor an object.
pub const MALFORMED_LABELS: Invalid = Invalid::NotAnEvent {
    label: "malformed_labels",
    text: "`protoPayload.request.labels` is neither a list nor an object",
};

/// Decodes a message.
///
/// # Errors
///
/// Returns an error if the message is not an event. A redelivery would not change that.
pub fn parse<'a>(bytes: &'a [u8], methods: &InterruptionMethods) -> Result<Entry<'a>, Invalid> {
    parse_with(bytes, methods, &ProjectNumbers::default())
}

/// Decodes a message. Adds project numbers found in it to `numbers`, and uses them where the message has no project id.
pub(super) fn parse_with<'a>(
    bytes: &'a [u8],
    methods: &InterruptionMethods,
    numbers: &ProjectNumbers,
) -> Result<Entry<'a>, Invalid> {
    let mut entry: Object<RawEntry<'a>> = Object::default();
    match str::from_utf8(bytes) {
        // It is faster to validate the whole message once than each of its texts.
        Ok(text) => read(serde_json::Deserializer::from_str(text), &mut entry)?,
        // Invalid UTF-8 is accepted in fields that are skipped.
        Err(_) => read(serde_json::Deserializer::from_slice(bytes), &mut entry)?,
    }

    if !entry.is_there {
        return Err(NOT_AN_OBJECT);
    }
    let entry = &mut entry.fields;
    if !entry.payload.is_there {
        return Err(NO_PROTO_PAYLOAD);
    }
    let method = entry.payload.fields.method.take().ok_or(NO_METHOD_NAME)?;
    let timestamp = entry.timestamp.take().and_then(|time| time.parse().ok());
    let event = match (methods.reason(&method), Creation::of(&method)) {
        (Some(reason), _) => {
            let instance = instance(entry, numbers).ok_or(NO_INSTANCE)?;
            Event::Interruption { instance, reason }
        }
        (None, Some(kind)) => creation(entry, kind, timestamp, numbers)?,
        (None, None) => Event::Ignored(Ignored::OtherMethod),
    };
    Ok(Entry { insert_id: entry.insert_id.take(), operation_id: entry.operation.id.take(), timestamp, event })
}

fn read<'a, R: serde_json::de::Read<'a>>(
    mut json: serde_json::Deserializer<R>,
    entry: &mut Object<RawEntry<'a>>,
) -> Result<(), serde_json::Error> {
    lenient::document(&mut json, entry)?;
    json.end()
}

/// The methods that count as interruptions, each with its value of the `reason` label.
#[derive(Debug, Clone)]
pub struct InterruptionMethods {
    methods: Vec<(Box<str>, InterruptionReason)>,
    reasons: Reasons,
}

/// Why a list of interruption methods is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidMethods {
    /// The list is empty, so nothing would be counted.
    #[error("at least one method is needed, such as `compute.instances.preempted`")]
    Empty,
    /// The last part of the name cannot be a label value.
    #[error("`{0}` is not a method name: it has to end in letters, such as `compute.instances.preempted`")]
    NotAMethod(String),
}

impl InterruptionMethods {
    /// Creates the set. A reason is the last part of the method in snake case: `compute.instances.hostError` counts as
    /// `host_error`. Methods with the same last part share a reason.
    ///
    /// # Errors
    ///
    /// Returns an error if the list is empty or contains an invalid method name.
    pub fn new<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self, InvalidMethods> {
        let mut this = Self { methods: Vec::new(), reasons: Reasons::default() };
        for name in names {
            let name = name.as_ref().trim();
            let label = snake_case(name.rsplit('.').next().unwrap_or_default());
            if label.is_empty() || !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(InvalidMethods::NotAMethod(name.to_owned()));
            }
            let reason = this.reasons.labelled(&label);
            this.methods.push((unversioned(name).into(), reason));
        }
        if this.methods.is_empty() { Err(InvalidMethods::Empty) } else { Ok(this) }
    }

    /// Returns the reason of a method, if it counts as an interruption. API versions are ignored, both here and in the
    /// list.
    #[must_use]
    pub fn reason(&self, method: &str) -> Option<InterruptionReason> {
        let method = unversioned(method);
        self.methods.iter().find(|(name, _)| **name == *method).map(|(_, reason)| *reason)
    }

    /// The methods without versions.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.methods.iter().map(|(name, _)| &**name)
    }

    /// The reasons of the methods.
    #[must_use]
    pub fn reasons(&self) -> &Reasons {
        &self.reasons
    }
}

impl Default for InterruptionMethods {
    fn default() -> Self {
        let mut reasons = Reasons::default();
        let reason = reasons.labelled("preempted");
        Self { methods: vec![("compute.instances.preempted".into(), reason)], reasons }
    }
}

/// Removes the API version from a method name.
fn unversioned(method: &str) -> &str {
    let prefixes = ["v1.", "beta.", "alpha."];
    prefixes.into_iter().find_map(|prefix| method.strip_prefix(prefix)).unwrap_or(method)
}

fn snake_case(camel: &str) -> String {
    let mut snake = String::with_capacity(camel.len() + 4);
    for (index, letter) in camel.chars().enumerate() {
        if letter.is_ascii_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// The two methods that create instances.
#[derive(Clone, Copy, PartialEq)]
enum Creation {
    Insert,
    BulkInsert,
}

impl Creation {
    fn of(method: &str) -> Option<Self> {
        match unversioned(method) {
            "compute.instances.insert" => Some(Self::Insert),
            "compute.instances.bulkInsert" | "compute.regionInstances.bulkInsert" => Some(Self::BulkInsert),
            _ => None,
        }
    }
}

fn creation<'a>(
    entry: &mut RawEntry<'a>,
    kind: Creation,
    timestamp: Option<Timestamp>,
    numbers: &ProjectNumbers,
) -> Result<Event<'a>, Invalid> {
    let collection = entry.payload.fields.resource_name.as_deref().and_then(zone_of).map(str::to_owned);
    let zone = collection.or_else(|| entry.resource.labels.zone.as_deref().map(str::to_owned));
    let instance = instance(entry, numbers);
    let Payload { status, request, .. } = mem::take(&mut entry.payload.fields);
    let Request { resource, properties, is_described } = request;
    let is_described = is_described || properties.is_there;
    let resource = if properties.is_there { properties.fields } else { resource };
    if let Some(code) = status.code.filter(|code| *code != 0) {
        // The entry of a bulk insert names no instance, but the zone of its instances.
        let named = InstanceRef { zone: zone.map(Cow::Owned), ..InstanceRef::default() };
        return Ok(Event::CreationFailed(FailedCreation {
            is_described,
            on_demand: resource.is_on_demand(),
            had_begun: entry.operation.last,
            reason: failure_reason(code, status.message.as_deref().unwrap_or_default()),
            instance: resource.describe(instance.unwrap_or_default().or(named), timestamp),
        }));
    }
    if resource.has_malformed_labels() {
        return Err(MALFORMED_LABELS);
    }
    let Some(instance) = instance else {
        return match kind {
            Creation::BulkInsert => {
                Ok(Event::BulkRequest { cluster: resource.describe(InstanceRef::default(), None).cluster })
            }
            Creation::Insert if !is_described => Ok(Event::Ignored(Ignored::OperationEnd)),
            Creation::Insert => Err(NO_INSTANCE),
        };
    };
    let description = resource.describe(instance, timestamp);
    Ok(match kind {
        Creation::BulkInsert if description.cluster.is_none() => {
            Event::UnlabelledCreation(description.instance)
        }
        Creation::Insert if !is_described => Event::CreationFinished(description.instance),
        Creation::Insert | Creation::BulkInsert => Event::Creation(description),
    })
}

/// Classifies the error of a creation. Stockouts and exhausted quotas both have the code `RESOURCE_EXHAUSTED`; only the
/// message distinguishes them.
fn failure_reason(code: i64, message: &str) -> FailureReason {
    const PERMISSION_DENIED: i64 = 7;
    const UNAUTHENTICATED: i64 = 16;
    let message = message.to_ascii_uppercase();
    let mentions = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if mentions(&["RESOURCE_POOL_EXHAUSTED", "STOCKOUT", "ENOUGH RESOURCES", "RESOURCES_UNAVAILABLE"]) {
        FailureReason::Stockout
    } else if mentions(&["QUOTA"]) {
        FailureReason::Quota
    } else if [PERMISSION_DENIED, UNAUTHENTICATED].contains(&code) || mentions(&["PERMISSION", "FORBIDDEN"]) {
        FailureReason::Permission
    } else {
        FailureReason::Other
    }
}

/// The zone in the path of a zone's collection, such as the target of a bulk insert.
fn zone_of(path: &str) -> Option<&str> {
    let (_, zone) = path.split_once("/zones/")?;
    zone.split('/').next().filter(|zone| !zone.is_empty())
}

/// The instance of an entry. Up to three fields contain its name and two contain its id. If a field is empty or names
/// something else, the next one is used.
fn instance<'a>(entry: &mut RawEntry<'a>, numbers: &ProjectNumbers) -> Option<InstanceRef<'a>> {
    let (payload, labels) = (&mut entry.payload.fields, &mut entry.resource.labels);
    let paths = [&payload.resource_name, &payload.response.target_link];
    let number = paths.into_iter().find_map(|path| project_number(path.as_deref()?));
    let number = number.or_else(|| labels.project_id.as_deref()?.parse().ok());
    let mut found = InstanceRef { id: labels.instance_id, ..InstanceRef::default() };
    if let Some(named) = payload.resource_name.take().and_then(instance_from_path) {
        found = found.or(named);
    }
    // The target of a bulk insert is the project; neither the link nor the id identifies an instance.
    let target = payload.response.target_link.take().and_then(instance_from_path);
    if let Some(target) = target.filter(|target| found.name.is_none() || found.name == target.name) {
        found = found.or(InstanceRef { id: payload.response.target_id, ..target });
    }
    let project = labels.project_id.take().filter(|project| is_project_id(project));
    found = found.or(InstanceRef {
        id: None,
        project,
        zone: labels.zone.take().and_then(last_segment),
        name: payload.request.resource.name.take(),
    });
    match (number, &found.project) {
        (Some(number), Some(id)) => numbers.insert(number, id),
        (Some(number), None) => found.project = numbers.id(number).map(|id| Cow::Owned((*id).to_owned())),
        (None, _) => {}
    }
    found.identifies().then_some(found)
}

#[derive(Default)]
struct RawEntry<'a> {
    insert_id: Option<Cow<'a, str>>,
    timestamp: Option<Cow<'a, str>>,
    operation: Operation<'a>,
    resource: MonitoredResource<'a>,
    payload: Object<Payload<'a>>,
}

lenient::fields!(RawEntry {
    "insertId" => insert_id,
    "timestamp" => timestamp,
    "operation" => operation,
    "resource" => resource,
    "protoPayload" => payload,
});

#[derive(Default)]
struct Operation<'a> {
    id: Option<Cow<'a, str>>,
    last: bool,
}

lenient::fields!(Operation { "id" => id, "last" => last });

#[derive(Default)]
struct MonitoredResource<'a> {
    labels: ResourceLabels<'a>,
}

lenient::fields!(MonitoredResource { "labels" => labels });

#[derive(Default)]
struct ResourceLabels<'a> {
    instance_id: Option<InstanceId>,
    project_id: Option<Cow<'a, str>>,
    zone: Option<Cow<'a, str>>,
}

lenient::fields!(ResourceLabels {
    "instance_id" => instance_id,
    "project_id" => project_id,
    "zone" => zone,
});

#[derive(Default)]
struct Payload<'a> {
    method: Option<Cow<'a, str>>,
    resource_name: Option<Cow<'a, str>>,
    status: Status<'a>,
    request: Request<'a>,
    response: Response<'a>,
}

lenient::fields!(Payload {
    "methodName" => method,
    "resourceName" => resource_name,
    "status" => status,
    "request" => request,
    "response" => response,
});

#[derive(Default)]
struct Status<'a> {
    code: Option<i64>,
    message: Option<Cow<'a, str>>,
}

lenient::fields!(Status { "code" => code, "message" => message });

impl<'de> Lenient<'de> for Option<i64> {
    fn text(&mut self, text: Cow<'de, str>) {
        *self = text.parse().ok();
    }

    fn number(&mut self, number: Option<i128>) {
        *self = number.and_then(|number| i64::try_from(number).ok());
    }
}

/// The request of a creation describes the instance. In a bulk insert, the description is nested one level deeper.
#[derive(Default)]
struct Request<'a> {
    resource: Resource<'a>,
    properties: Object<Resource<'a>>,
    /// Whether the entry contains the request. Later entries of an operation contain only its `@type`.
    is_described: bool,
}

impl<'de> Lenient<'de> for Request<'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        self.is_described |= name != "@type";
        match name {
            "instanceProperties" => lenient::value(object, &mut self.properties),
            _ => self.resource.field(name, object),
        }
    }
}

#[derive(Default)]
struct Response<'a> {
    target_link: Option<Cow<'a, str>>,
    target_id: Option<InstanceId>,
}

lenient::fields!(Response { "targetLink" => target_link, "targetId" => target_id });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_invalid_utf_8_only_in_skipped_fields() {
        let message = |user: &[u8], name: &[u8]| {
            let parts: [&[u8]; 5] = [
                br#"{"user": ""#,
                user,
                br#"", "protoPayload": {"methodName": "compute.instances.preempted", "resourceName": "projects/p/zones/z/instances/"#,
                name,
                br#""}}"#,
            ];
            parts.concat()
        };
        let methods = InterruptionMethods::default();
        let (valid, skipped) = (message(b"a", b"n"), message(b"\xff", b"n"));
        assert!(matches!(parse(&valid, &methods).unwrap().event, Event::Interruption { .. }));
        assert_eq!(parse(&skipped, &methods), parse(&valid, &methods));
        assert!(matches!(parse(&message(b"a", b"\xff"), &methods), Err(Invalid::NotJson { .. })));
    }
}
