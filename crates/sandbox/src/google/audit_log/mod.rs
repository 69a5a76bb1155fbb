//! Audit log entries as Cloud Logging hands them to Pub/Sub.
//!
//! Every function yields a `LogEntry` as JSON. What is the same in each of them comes from an [`AuditLog`], which
//! also numbers operations and entries, so that the same calls make the same entries.
//!
//! ```
//! use sandbox::google::{Instance, audit_log::AuditLog};
//!
//! let mut log = AuditLog::new("example-project", 123_456_789_012);
//! let node = Instance::new(7, "europe-west1-c", "gke-n1").spot().gke("production", "europe-west1", "pool");
//! let entry = log.preempted(&node);
//! assert_eq!(entry["protoPayload"]["methodName"], "compute.instances.preempted");
//! ```

mod request;

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{instance::Instance, time::utc};

const AUDIT_LOG: &str = "type.googleapis.com/google.cloud.audit.AuditLog";
const SERVICE: &str = "compute.googleapis.com";
/// gRPC's code for it.
const RESOURCE_EXHAUSTED: i32 = 8;
/// How long an entry takes until Cloud Logging has it.
const TRANSIT: Duration = Duration::from_millis(457);

/// The version of the API through which something was done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Version {
    /// `v1.`
    #[default]
    V1,
    /// `beta.`
    Beta,
}

impl Version {
    const fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::Beta => "beta",
        }
    }
}

/// How a resource's name says which project it belongs to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Naming {
    /// `projects/example-project/...`
    #[default]
    Id,
    /// `projects/123456789012/...`
    Number,
}

/// Makes the entries of one project.
#[derive(Clone, Debug)]
pub struct AuditLog {
    project: String,
    number: u64,
    version: Version,
    naming: Naming,
    now: SystemTime,
    made: u64,
}

/// The two entries of an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// The one with the request.
    pub first: Value,
    /// The one that says that it is done.
    pub last: Value,
}

/// The entries of a bulk insertion.
#[derive(Clone, Debug, PartialEq)]
pub struct BulkInsert {
    /// The request, with the labels and without an instance.
    pub parent: Operation,
    /// One for each instance, without labels.
    pub instances: Vec<Value>,
}

impl AuditLog {
    /// The log of a project. Entries are of the present until [`at`](Self::at) says otherwise.
    #[must_use]
    pub fn new(project: impl Into<String>, number: u64) -> Self {
        Self {
            project: project.into(),
            number,
            version: Version::default(),
            naming: Naming::default(),
            now: SystemTime::now(),
            made: 0,
        }
    }

    /// Sets the time of the entries that follow.
    pub fn at(&mut self, now: SystemTime) -> &mut Self {
        self.now = now;
        self
    }

    /// Sets the version of the API in the entries that follow.
    pub fn through(&mut self, version: Version) -> &mut Self {
        self.version = version;
        self
    }

    /// Sets how resources are named in the entries that follow.
    pub fn named_by(&mut self, naming: Naming) -> &mut Self {
        self.naming = naming;
        self
    }

    /// An instance was preempted: the interruption.
    pub fn preempted(&mut self, instance: &Instance) -> Value {
        self.system_event("compute.instances.preempted", "Instance was preempted.", instance)
    }

    /// Something that Compute Engine itself did to an instance, such as `compute.instances.hostError`.
    pub fn system_event(&mut self, method: &str, message: &str, instance: &Instance) -> Value {
        let operation = json!({
            "id": self.system_event_name(),
            "producer": method,
            "first": true,
            "last": true,
        });
        let payload = json!({
            "@type": AUDIT_LOG,
            "status": { "message": message },
            "authenticationInfo": { "principalEmail": "system@google.com" },
            "serviceName": SERVICE,
            "methodName": method,
            "resourceName": self.resource_name(instance),
            "request": { "@type": format!("type.googleapis.com/{method}") },
        });
        self.entry("system_event", "INFO", self.gce_instance(instance), &operation, payload)
    }

    /// An instance was inserted.
    pub fn inserted(&mut self, instance: &Instance) -> Operation {
        let method = format!("{}.compute.instances.insert", self.version.name());
        let (mut first, mut last) = self.operation();
        first["first"] = true.into();
        last["last"] = true.into();
        let mut payload = self.admin_payload(&method, &self.resource_name(instance));
        let done = payload.clone();
        payload["request"] = self.insert_request(instance);
        payload["response"] = self.insert_response(instance, &first["id"]);
        payload["resourceLocation"] = json!({ "currentLocations": [instance.zone] });
        let first = self.entry("activity", "NOTICE", self.gce_instance(instance), &first, payload);
        let mut payload = done;
        payload["request"] = json!({ "@type": "type.googleapis.com/compute.instances.insert" });
        let last = self.entry("activity", "NOTICE", self.gce_instance(instance), &last, payload);
        Operation { first, last }
    }

    /// An insertion was tried and failed for lack of capacity. There is one entry.
    pub fn insert_failed(&mut self, instance: &Instance) -> Value {
        let message = stockout(&instance.zone);
        self.insert_refused(instance, RESOURCE_EXHAUSTED, &message)
    }

    /// An insertion was turned down at once, with a code of gRPC's. There is one entry.
    pub fn insert_refused(&mut self, instance: &Instance, code: i32, message: &str) -> Value {
        let mut entry = self.inserted(instance).first;
        entry["severity"] = "ERROR".into();
        let payload = &mut entry["protoPayload"];
        payload["status"] = json!({ "code": code, "message": message });
        remove(payload, "response");
        entry["operation"]["last"] = true.into();
        entry
    }

    /// An insertion began and failed for lack of capacity: the first entry announces the instance, the last one has
    /// the error and repeats nothing of the request.
    pub fn insert_began_and_failed(&mut self, instance: &Instance) -> Operation {
        let Operation { first, mut last } = self.inserted(instance);
        last["severity"] = "ERROR".into();
        last["protoPayload"]["status"] =
            json!({ "code": RESOURCE_EXHAUSTED, "message": stockout(&instance.zone) });
        Operation { first, last }
    }

    /// Instances were inserted with one request. They share what the first of them has.
    pub fn bulk_inserted(&mut self, instances: &[Instance]) -> BulkInsert {
        let method = format!("{}.compute.instances.bulkInsert", self.version.name());
        let request_type = "type.googleapis.com/compute.instances.bulkInsert";
        let zone = instances.first().map_or("", |instance| &instance.zone);
        let collection = format!("projects/{}/zones/{zone}/instances", self.project_name());
        let resource = json!({
            "type": "audited_resource",
            "labels": {
                "service": SERVICE,
                "method": "compute.instances.bulkInsert",
                "project_id": self.project,
            },
        });

        let (mut first, mut last) = self.operation();
        first["first"] = true.into();
        last["last"] = true.into();
        let mut payload = self.admin_payload(&method, &collection);
        let mut done = payload.clone();
        done["request"] = json!({ "@type": request_type });
        payload["request"] = json!({
            "@type": request_type,
            "count": instances.len().to_string(),
            "namePattern": "gke-####",
        });
        if let Some(instance) = instances.first() {
            let mut properties = self.insert_request(instance);
            remove(&mut properties, "@type");
            remove(&mut properties, "name");
            properties["machineType"] = instance.machine_type.clone().into();
            payload["request"]["instanceProperties"] = properties;
        }
        payload["response"] = json!({
            "@type": "type.googleapis.com/operation",
            "operationType": "bulkInsert",
            "targetLink": format!("https://www.googleapis.com/compute/v1/projects/{}", self.project),
            "targetId": self.number.to_string(),
            "status": "RUNNING",
        });
        let first = self.entry("activity", "NOTICE", resource.clone(), &first, payload);
        let instances = instances
            .iter()
            .map(|instance| {
                let (mut operation, _) = self.operation();
                operation["first"] = true.into();
                operation["last"] = true.into();
                let mut payload = self.admin_payload(&method, &self.resource_name(instance));
                payload["request"] = json!({ "@type": request_type });
                self.entry("activity", "NOTICE", self.gce_instance(instance), &operation, payload)
            })
            .collect();
        let last = self.entry("activity", "NOTICE", resource, &last, done);
        BulkInsert { parent: Operation { first, last }, instances }
    }

    /// An instance was deleted; the first of the operation's two entries.
    pub fn deleted(&mut self, instance: &Instance) -> Value {
        let method = format!("{}.compute.instances.delete", self.version.name());
        let (mut operation, _) = self.operation();
        operation["first"] = true.into();
        let mut payload = self.admin_payload(&method, &self.resource_name(instance));
        payload["request"] = json!({ "@type": "type.googleapis.com/compute.instances.delete" });
        self.entry("activity", "NOTICE", self.gce_instance(instance), &operation, payload)
    }

    /// An interruption as somebody would write it by hand.
    #[must_use]
    pub fn handmade_interruption(&self, instance: &Instance) -> Value {
        json!({
            "protoPayload": {
                "@type": AUDIT_LOG,
                "serviceName": SERVICE,
                "methodName": "compute.instances.preempted",
                "resourceName": self.name_by(&self.project, instance),
            },
        })
    }

    fn entry(
        &mut self,
        log: &str,
        severity: &str,
        resource: Value,
        operation: &Value,
        payload: Value,
    ) -> Value {
        let mut entry = json!({
            "insertId": self.insert_id(),
            "timestamp": utc(self.now),
            "severity": severity,
            "logName": format!("projects/{}/logs/cloudaudit.googleapis.com%2F{log}", self.project),
            "operation": operation,
            "receiveTimestamp": utc(self.now + TRANSIT),
        });
        entry["protoPayload"] = payload;
        entry["resource"] = resource;
        entry
    }

    fn gce_instance(&self, instance: &Instance) -> Value {
        json!({
            "type": "gce_instance",
            "labels": {
                "instance_id": instance.id.to_string(),
                "project_id": self.project,
                "zone": instance.zone,
            },
        })
    }

    /// What an operation's first and last entries have in common.
    fn operation(&mut self) -> (Value, Value) {
        let operation = json!({ "id": self.operation_name(), "producer": SERVICE });
        (operation.clone(), operation)
    }

    /// The name of an operation that a user asked for, unlike any other one.
    fn operation_name(&mut self) -> String {
        self.name_of_operation("operation")
    }

    /// The name of an operation of Compute Engine itself, unlike any other one.
    fn system_event_name(&mut self) -> String {
        self.name_of_operation("systemevent")
    }

    fn name_of_operation(&mut self, kind: &str) -> String {
        let millis = self.millis();
        let number = self.next();
        // Two projects' operations of one moment differ too.
        let project = self.number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        format!(
            "{kind}-{millis}-{:013x}-{project:08x}-{number:08x}",
            0x6_0575_c000_0000_u64 + millis % 0xffff
        )
    }

    /// Unlike any other of this log, and without meaning.
    fn insert_id(&mut self) -> String {
        const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let mut rest = self.next().wrapping_add(self.millis() << 20);
        let mut id = String::new();
        while rest > 0 {
            id.push(char::from(LETTERS[(rest % 36) as usize]));
            rest /= 36;
        }
        id
    }

    fn next(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    fn millis(&self) -> u64 {
        let since = self.now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// The account in whose name managed instance groups act.
    pub(super) fn service_account(&self) -> String {
        format!("{}@cloudservices.gserviceaccount.com", self.number)
    }

    fn resource_name(&self, instance: &Instance) -> String {
        self.name_by(&self.project_name(), instance)
    }

    fn name_by(&self, project: &str, instance: &Instance) -> String {
        format!("projects/{project}/zones/{}/instances/{}", instance.zone, instance.name)
    }

    fn project_name(&self) -> String {
        match self.naming {
            Naming::Id => self.project.clone(),
            Naming::Number => self.number.to_string(),
        }
    }
}

/// What Compute Engine says when a zone has no capacity.
fn stockout(zone: &str) -> String {
    format!(
        "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS: The zone '{zone}' does not have enough resources available to \
         fulfill the request."
    )
}

fn remove(value: &mut Value, key: &str) {
    if let Some(object) = value.as_object_mut() {
        object.remove(key);
    }
}
