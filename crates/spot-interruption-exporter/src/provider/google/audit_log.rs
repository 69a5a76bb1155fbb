//! Turns the bytes of a message into an event, or into the reason why it holds none.
//!
//! The messages are Cloud Logging's `LogEntry` with a Cloud Audit `AuditLog` inside, and the hand-made ones that
//! users publish to try things out, which hold only the few fields that matter. So every field is optional here
//! until an event cannot do without it, and a field of an unexpected type is like one that is absent. What is not
//! asked for is stepped over without being built: a creation's request may carry megabytes of start-up scripts.

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

/// A log entry, but none of an audit log.
pub const NO_PROTO_PAYLOAD: Invalid = Invalid::NotAnEvent {
    label: "no_proto_payload",
    text: "not an audit log entry: `protoPayload` is missing",
};

/// JSON, but no object.
pub const NOT_AN_OBJECT: Invalid =
    Invalid::NotAnEvent { label: "not_an_object", text: "not a log entry: the message is no JSON object" };

/// It does not say what happened.
pub const NO_METHOD_NAME: Invalid =
    Invalid::NotAnEvent { label: "no_method_name", text: "`protoPayload.methodName` is missing" };

/// It does not say to which instance it happened.
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

/// Reads one message.
///
/// # Errors
///
/// What stands in the way of reading an event. Such a message never becomes better by being delivered again.
pub fn parse<'a>(bytes: &'a [u8], methods: &InterruptionMethods) -> Result<Entry<'a>, Invalid> {
    parse_with(bytes, methods, &ProjectNumbers::default())
}

/// Reads one message, with the ids of projects by their numbers, which it may add to.
pub(super) fn parse_with<'a>(
    bytes: &'a [u8],
    methods: &InterruptionMethods,
    numbers: &ProjectNumbers,
) -> Result<Entry<'a>, Invalid> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let mut entry: Object<RawEntry<'a>> = Object::default();
    lenient::document(&mut json, &mut entry)?;
    json.end()?;

    let Object { is_there: true, fields: mut entry } = entry else { return Err(NOT_AN_OBJECT) };
    if !entry.payload.is_there {
        return Err(NO_PROTO_PAYLOAD);
    }
    let method = entry.payload.fields.method.take().ok_or(NO_METHOD_NAME)?;
    let timestamp = entry.timestamp.take().and_then(|time| time.parse().ok());
    let event = match (methods.reason(&method), Creation::of(&method)) {
        (Some(reason), _) => {
            let instance = instance(&mut entry, numbers).ok_or(NO_INSTANCE)?;
            Event::Interruption { instance, reason }
        }
        (None, Some(kind)) => creation(&mut entry, kind, timestamp, numbers)?,
        (None, None) => Event::Ignored(Ignored::OtherMethod),
    };
    Ok(Entry { insert_id: entry.insert_id, operation_id: entry.operation.id, timestamp, event })
}

/// The methods that count as interruptions, and the value of the `reason` label for each.
#[derive(Debug, Clone)]
pub struct InterruptionMethods {
    methods: Vec<(Box<str>, InterruptionReason)>,
    reasons: Reasons,
}

/// Why a list of interruption methods cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidMethods {
    /// Nothing would ever count.
    #[error("at least one method is needed, such as `compute.instances.preempted`")]
    Empty,
    /// The last part of the name becomes a label value.
    #[error("`{0}` is no method name: it has to end in letters, such as `compute.instances.preempted`")]
    NotAMethod(String),
}

impl InterruptionMethods {
    /// The reasons are the last parts of the methods in snake case: `compute.instances.hostError` counts as
    /// `host_error`. Methods that end alike share a reason.
    ///
    /// # Errors
    ///
    /// When the list is empty, or holds something that is no method name.
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

    /// The reason that a method stands for, if it is an interruption. The API's version does not matter, neither
    /// here nor in the list.
    #[must_use]
    pub fn reason(&self, method: &str) -> Option<InterruptionReason> {
        let method = unversioned(method);
        self.methods.iter().find(|(name, _)| **name == *method).map(|(_, reason)| *reason)
    }

    /// The methods, without versions.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.methods.iter().map(|(name, _)| &**name)
    }

    /// The reasons that the methods stand for.
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

/// A method's name without the version of the API through which it was called.
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

/// The two ways of making instances.
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
        // A bulk insert names no instance, but the zone that was to have them.
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

/// Why a creation failed. Compute Engine tells a stockout from a quota in words only: both have the code `RESOURCE_EXHAUSTED`.
fn failure_reason(code: i64, message: &str) -> FailureReason {
    const PERMISSION_DENIED: i64 = 7;
    const UNAUTHENTICATED: i64 = 16;
    let message = message.to_ascii_uppercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["RESOURCE_POOL_EXHAUSTED", "STOCKOUT", "ENOUGH RESOURCES", "RESOURCES_UNAVAILABLE"]) {
        FailureReason::Stockout
    } else if says(&["QUOTA"]) {
        FailureReason::Quota
    } else if [PERMISSION_DENIED, UNAUTHENTICATED].contains(&code) || says(&["PERMISSION", "FORBIDDEN"]) {
        FailureReason::Permission
    } else {
        FailureReason::Other
    }
}

/// The zone in the path of a zone's collection, such as the one that a bulk insert goes to.
fn zone_of(path: &str) -> Option<&str> {
    let (_, zone) = path.split_once("/zones/")?;
    zone.split('/').next().filter(|zone| !zone.is_empty())
}

/// The instance that an entry is about. Its name stands in up to three places and its id in two; a place that is
/// empty, or that names something else, leaves the word to the next.
fn instance<'a>(entry: &mut RawEntry<'a>, numbers: &ProjectNumbers) -> Option<InstanceRef<'a>> {
    let (payload, labels) = (&mut entry.payload.fields, &mut entry.resource.labels);
    let paths = [&payload.resource_name, &payload.response.target_link];
    let number = paths.into_iter().find_map(|path| project_number(path.as_deref()?));
    let number = number.or_else(|| labels.project_id.as_deref()?.parse().ok());
    let mut found = InstanceRef { id: labels.instance_id, ..InstanceRef::default() };
    if let Some(named) = payload.resource_name.take().and_then(instance_from_path) {
        found = found.or(named);
    }
    // The target of a bulk insert is the project: neither the link nor the id is an instance's then.
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
        (Some(number), Some(id)) => numbers.learn(number, id),
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

impl<'de> Lenient<'de> for RawEntry<'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "insertId" => lenient::value(object, &mut self.insert_id),
            "timestamp" => lenient::value(object, &mut self.timestamp),
            "operation" => lenient::value(object, &mut self.operation),
            "resource" => lenient::value(object, &mut self.resource),
            "protoPayload" => lenient::value(object, &mut self.payload),
            _ => lenient::skip(object),
        }
    }
}

#[derive(Default)]
struct Operation<'a> {
    id: Option<Cow<'a, str>>,
    last: bool,
}

impl<'de> Lenient<'de> for Operation<'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "id" => lenient::value(object, &mut self.id),
            "last" => lenient::value(object, &mut self.last),
            _ => lenient::skip(object),
        }
    }
}

#[derive(Default)]
struct MonitoredResource<'a> {
    labels: ResourceLabels<'a>,
}

impl<'de> Lenient<'de> for MonitoredResource<'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "labels" => lenient::value(object, &mut self.labels),
            _ => lenient::skip(object),
        }
    }
}

#[derive(Default)]
struct ResourceLabels<'a> {
    instance_id: Option<InstanceId>,
    project_id: Option<Cow<'a, str>>,
    zone: Option<Cow<'a, str>>,
}

impl<'de> Lenient<'de> for ResourceLabels<'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "instance_id" => lenient::value(object, &mut self.instance_id),
            "project_id" => lenient::value(object, &mut self.project_id),
            "zone" => lenient::value(object, &mut self.zone),
            _ => lenient::skip(object),
        }
    }
}

#[derive(Default)]
struct Payload<'a> {
    method: Option<Cow<'a, str>>,
    resource_name: Option<Cow<'a, str>>,
    status: Status<'a>,
    request: Request<'a>,
    response: Response<'a>,
}

impl<'de> Lenient<'de> for Payload<'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "methodName" => lenient::value(object, &mut self.method),
            "resourceName" => lenient::value(object, &mut self.resource_name),
            "status" => lenient::value(object, &mut self.status),
            "request" => lenient::value(object, &mut self.request),
            "response" => lenient::value(object, &mut self.response),
            _ => lenient::skip(object),
        }
    }
}

#[derive(Default)]
struct Status<'a> {
    code: Option<i64>,
    message: Option<Cow<'a, str>>,
}

impl<'de> Lenient<'de> for Status<'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "code" => lenient::value(object, &mut self.code),
            "message" => lenient::value(object, &mut self.message),
            _ => lenient::skip(object),
        }
    }
}

impl<'de> Lenient<'de> for Option<i64> {
    fn text(&mut self, text: Cow<'de, str>) {
        *self = text.parse().ok();
    }

    fn number(&mut self, number: Option<i128>) {
        *self = number.and_then(|number| i64::try_from(number).ok());
    }
}

/// The request of a creation is the instance to be, except that a bulk insert puts it one level down.
#[derive(Default)]
struct Request<'a> {
    resource: Resource<'a>,
    properties: Object<Resource<'a>>,
    /// Whether the request is repeated in this entry: later entries of an operation have only its `@type`.
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

impl<'de> Lenient<'de> for Response<'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "targetLink" => lenient::value(object, &mut self.target_link),
            "targetId" => lenient::value(object, &mut self.target_id),
            _ => lenient::skip(object),
        }
    }
}
