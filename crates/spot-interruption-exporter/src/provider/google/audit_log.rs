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

use crate::instance::{Instance, InstanceId, InstanceRef, is_project_id, last_segment};
use crate::lenient::{self, Lenient, Object};
use crate::provider::google::resource::Resource;

/// Reads one message.
///
/// # Errors
///
/// What stands in the way of reading an event. Such a message never becomes better by being delivered again.
pub fn parse<'a>(bytes: &'a [u8], methods: &InterruptionMethods) -> Result<LogEntry<'a>, Invalid> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let mut entry: Object<RawEntry<'a>> = Object::default();
    lenient::document(&mut json, &mut entry)?;
    json.end()?;

    let Object { is_there: true, fields: mut entry } = entry else { return Err(Invalid::NotAnObject) };
    if !entry.payload.is_there {
        return Err(Invalid::NoProtoPayload);
    }
    let method = entry.payload.fields.method.take().ok_or(Invalid::NoMethodName)?;
    let timestamp = entry.timestamp.take().and_then(|time| time.parse().ok());
    let event = match (methods.reason(&method), Creation::of(&method)) {
        (Some(reason), _) => {
            let instance = instance(&mut entry).ok_or(Invalid::NoInstance)?;
            Event::Interruption { instance, reason }
        }
        (None, Some(kind)) => creation(&mut entry, kind, timestamp)?,
        (None, None) => Event::Ignored(Ignored::OtherMethod),
    };
    Ok(LogEntry { insert_id: entry.insert_id, operation_id: entry.operation.id, timestamp, event })
}

/// A log entry: what happened, and what tells it apart from other entries.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry<'a> {
    /// Given by Cloud Logging, the same in every copy of the entry.
    pub insert_id: Option<Cow<'a, str>>,
    /// The operation that the entry belongs to.
    pub operation_id: Option<Cow<'a, str>>,
    /// When it happened.
    pub timestamp: Option<Timestamp>,
    /// What happened.
    pub event: Event<'a>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// An instance was interrupted.
    Interruption {
        /// Which one.
        instance: InstanceRef<'a>,
        /// By which of the configured methods.
        reason: InterruptionReason,
    },
    /// An instance was created, inside a cluster or outside any.
    Creation(Instance<'a>),
    /// An instance was created by a bulk insert. The entry of the instance has no labels, and the entry that has
    /// them names no instance, so this one is to be looked up.
    UnlabelledCreation(InstanceRef<'a>),
    /// The request of a bulk insert: it says that a cluster exists, before any of its instances has a name.
    BulkRequest {
        /// The cluster, if the instances are to be nodes of one.
        cluster: Option<Cow<'a, str>>,
    },
    /// A creation has finished. It tells nothing of the instance but its id.
    CreationFinished(InstanceRef<'a>),
    /// A creation has failed, as happens when a zone runs out of spot capacity.
    CreationFailed(FailedCreation<'a>),
    /// Nothing that matters here.
    Ignored(Ignored),
}

/// What a creation that has failed says.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedCreation<'a> {
    /// What was to be created, as far as the entry says: it repeats the request or names the instance, or both.
    pub instance: Instance<'a>,
    /// Whether the entry repeats the request, so that it says what was to be created.
    pub is_described: bool,
    /// Whether the request was for an instance that cannot be preempted.
    pub on_demand: bool,
    /// Whether the creation had begun, so that the instance was announced before. A request that was turned down at
    /// once may name an instance that exists: that can be why it was turned down.
    pub had_begun: bool,
    /// Why.
    pub reason: FailureReason,
}

/// Why a creation has failed: the values of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureReason {
    /// The zone has no capacity of that kind.
    Stockout,
    /// The project's quota is exhausted.
    Quota,
    /// Whoever asked may not.
    Permission,
    /// Anything else.
    Other,
}

impl FailureReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Stockout, Self::Quota, Self::Permission, Self::Other];

    /// The value of the `reason` label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Stockout => "stockout",
            Self::Quota => "quota",
            Self::Permission => "permission",
            Self::Other => "other",
        }
    }

    /// Compute Engine tells a stockout from a quota in words only: both have the code `RESOURCE_EXHAUSTED`.
    fn of(code: i64, message: &str) -> Self {
        const PERMISSION_DENIED: i64 = 7;
        const UNAUTHENTICATED: i64 = 16;
        let message = message.to_ascii_uppercase();
        let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
        if says(&["RESOURCE_POOL_EXHAUSTED", "STOCKOUT", "ENOUGH RESOURCES", "RESOURCES_UNAVAILABLE"]) {
            Self::Stockout
        } else if says(&["QUOTA"]) {
            Self::Quota
        } else if [PERMISSION_DENIED, UNAUTHENTICATED].contains(&code) || says(&["PERMISSION", "FORBIDDEN"]) {
            Self::Permission
        } else {
            Self::Other
        }
    }
}

/// Why a well-formed message has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// The entry is about another method.
    OtherMethod,
    /// A creation failed that is not counted: on demand, outside any cluster, or of an instance that nobody knows.
    FailedCreation,
    /// The entry ends an operation and repeats nothing of its request.
    OperationEnd,
    /// The request of a bulk insert, which names no instance.
    BulkRequest,
    /// The instance is no node of a cluster.
    NotKubernetes,
    /// The instance has no labels in its log entry, and could not be looked up in time.
    Unresolved,
}

impl Ignored {
    /// The word for log lines.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::OtherMethod => "other_method",
            Self::FailedCreation => "failed_creation",
            Self::OperationEnd => "operation_end",
            Self::BulkRequest => "bulk_request",
            Self::NotKubernetes => "not_kubernetes",
            Self::Unresolved => "unresolved",
        }
    }
}

/// Why a message cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Invalid {
    /// Not JSON at all, or broken off.
    #[error("not JSON: stopped making sense at line {line} column {column}")]
    NotJson {
        /// Counted from one.
        line: usize,
        /// Counted from one.
        column: usize,
    },
    /// JSON, but no object.
    #[error("not a log entry: the message is no JSON object")]
    NotAnObject,
    /// A log entry, but none of an audit log.
    #[error("not an audit log entry: `protoPayload` is missing")]
    NoProtoPayload,
    /// It does not say what happened.
    #[error("`protoPayload.methodName` is missing")]
    NoMethodName,
    /// It does not say to which instance it happened.
    #[error(
        "no instance is named: neither `protoPayload.resourceName` nor `protoPayload.response.targetLink` nor \
         `resource.labels` has one"
    )]
    NoInstance,
    /// The labels of a created instance are neither a list nor an object.
    #[error("`protoPayload.request.labels` is neither a list nor an object")]
    MalformedLabels,
}

impl Invalid {
    /// The word for log lines.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NotJson { .. } => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::NoProtoPayload => "no_proto_payload",
            Self::NoMethodName => "no_method_name",
            Self::NoInstance => "no_instance",
            Self::MalformedLabels => "malformed_labels",
        }
    }
}

/// The reader accepts every value of every type, so what it reports is always about the JSON itself.
impl From<serde_json::Error> for Invalid {
    fn from(error: serde_json::Error) -> Self {
        Self::NotJson { line: error.line(), column: error.column() }
    }
}

/// The methods that count as interruptions, and the value of the `reason` label for each.
#[derive(Debug, Clone)]
pub struct InterruptionMethods {
    methods: Vec<(Box<str>, InterruptionReason)>,
    labels: Vec<Box<str>>,
}

/// Why an instance was interrupted: one of a closed set, made from the configured methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InterruptionReason(usize);

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
        let mut this = Self { methods: Vec::new(), labels: Vec::new() };
        for name in names {
            let name = name.as_ref().trim();
            let label = snake_case(name.rsplit('.').next().unwrap_or_default());
            if label.is_empty() || !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(InvalidMethods::NotAMethod(name.to_owned()));
            }
            let reason = this.reason_labelled(&label);
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

    /// The reason of that label, which is added if no method stands for it: it was counted once.
    pub fn reason_labelled(&mut self, label: &str) -> InterruptionReason {
        let index = self.labels.iter().position(|known| **known == *label).unwrap_or(self.labels.len());
        if index == self.labels.len() {
            self.labels.push(label.into());
        }
        InterruptionReason(index)
    }

    /// Every reason that there is.
    pub fn reasons(&self) -> impl Iterator<Item = InterruptionReason> {
        (0..self.labels.len()).map(InterruptionReason)
    }

    /// The value of the `reason` label.
    #[must_use]
    pub fn label(&self, reason: InterruptionReason) -> &str {
        // A reason of another list could be out of bounds, and deserves no panic.
        self.labels.get(reason.0).map_or("", |label| label)
    }
}

impl Default for InterruptionMethods {
    fn default() -> Self {
        Self {
            methods: vec![("compute.instances.preempted".into(), InterruptionReason(0))],
            labels: vec!["preempted".into()],
        }
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
) -> Result<Event<'a>, Invalid> {
    let collection = entry.payload.fields.resource_name.as_deref().and_then(zone_of).map(str::to_owned);
    let zone = collection.or_else(|| entry.resource.labels.zone.as_deref().map(str::to_owned));
    let instance = instance(entry);
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
            reason: FailureReason::of(code, status.message.as_deref().unwrap_or_default()),
            instance: resource.describe(instance.unwrap_or_default().or(named), timestamp),
        }));
    }
    if resource.has_malformed_labels() {
        return Err(Invalid::MalformedLabels);
    }
    let Some(instance) = instance else {
        return match kind {
            Creation::BulkInsert => {
                Ok(Event::BulkRequest { cluster: resource.describe(InstanceRef::default(), None).cluster })
            }
            Creation::Insert if !is_described => Ok(Event::Ignored(Ignored::OperationEnd)),
            Creation::Insert => Err(Invalid::NoInstance),
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

/// The zone in the path of a zone's collection, such as the one that a bulk insert goes to.
fn zone_of(path: &str) -> Option<&str> {
    let (_, zone) = path.split_once("/zones/")?;
    zone.split('/').next().filter(|zone| !zone.is_empty())
}

/// The instance that an entry is about. Its name stands in up to three places and its id in two; a place that is
/// empty, or that names something else, leaves the word to the next.
fn instance<'a>(entry: &mut RawEntry<'a>) -> Option<InstanceRef<'a>> {
    let (payload, labels) = (&mut entry.payload.fields, &mut entry.resource.labels);
    let mut found = InstanceRef { id: labels.instance_id, ..InstanceRef::default() };
    if let Some(named) = payload.resource_name.take().and_then(InstanceRef::from_path) {
        found = found.or(named);
    }
    // The target of a bulk insert is the project: neither the link nor the id is an instance's then.
    let target = payload.response.target_link.take().and_then(InstanceRef::from_path);
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
