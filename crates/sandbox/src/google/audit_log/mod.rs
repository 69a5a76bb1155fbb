//! Audit log entries as Cloud Logging publishes them to Pub/Sub.
//!
//! Each method of [`AuditLog`] returns a `LogEntry` as JSON. The log also numbers operations and entries, so
//! the same calls return the same entries.
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
/// The gRPC status code.
const RESOURCE_EXHAUSTED: i32 = 8;
/// The delay between an event and its receipt by Cloud Logging.
const TRANSIT: Duration = Duration::from_millis(457);

/// The API version of a call.
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

/// How resource names refer to the project.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Naming {
    /// `projects/example-project/...`
    #[default]
    Id,
    /// `projects/123456789012/...`
    Number,
}

/// Creates the log entries of one project.
#[derive(Clone, Debug)]
pub struct AuditLog {
    project: String,
    number: u64,
    version: Version,
    naming: Naming,
    now: SystemTime,
    made: u64,
}

/// The first and the last log entry of an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// The entry with the request.
    pub first: Value,
    /// The entry that reports completion.
    pub last: Value,
}

/// The log entries of a bulk insertion.
#[derive(Clone, Debug, PartialEq)]
pub struct BulkInsert {
    /// The entries of the request, with labels but without an instance.
    pub parent: Operation,
    /// One entry for each instance, without labels.
    pub instances: Vec<Value>,
}

impl AuditLog {
    /// Returns the log of a project. Entries have the current time unless [`at`](Self::at) sets another.
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

    /// Sets the time of the following entries.
    pub fn at(&mut self, now: SystemTime) -> &mut Self {
        self.now = now;
        self
    }

    /// Sets the API version of the following entries.
    pub fn through(&mut self, version: Version) -> &mut Self {
        self.version = version;
        self
    }

    /// Sets how the following entries refer to the project.
    pub fn named_by(&mut self, naming: Naming) -> &mut Self {
        self.naming = naming;
        self
    }

    /// Returns the entry of a preemption: an interruption.
    pub fn preempted(&mut self, instance: &Instance) -> Value {
        self.system_event("compute.instances.preempted", "Instance was preempted.", instance)
    }

    /// Returns the entry of an action by Compute Engine itself, such as `compute.instances.hostError`.
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

    /// Returns the entries of a successful insertion.
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

    /// Returns the only entry of an insertion that failed for lack of capacity.
    pub fn insert_failed(&mut self, instance: &Instance) -> Value {
        let message = stockout(&instance.zone);
        self.insert_refused(instance, RESOURCE_EXHAUSTED, &message)
    }

    /// Returns the only entry of an insertion that was rejected immediately, with a gRPC status code.
    pub fn insert_refused(&mut self, instance: &Instance, code: i32, message: &str) -> Value {
        let mut entry = self.inserted(instance).first;
        entry["severity"] = "ERROR".into();
        let payload = &mut entry["protoPayload"];
        payload["status"] = json!({ "code": code, "message": message });
        remove(payload, "response");
        entry["operation"]["last"] = true.into();
        entry
    }

    /// Returns the entries of an insertion that started and then failed for lack of capacity. The first entry
    /// contains the request, the last one only the error.
    pub fn insert_began_and_failed(&mut self, instance: &Instance) -> Operation {
        let Operation { first, mut last } = self.inserted(instance);
        last["severity"] = "ERROR".into();
        last["protoPayload"]["status"] =
            json!({ "code": RESOURCE_EXHAUSTED, "message": stockout(&instance.zone) });
        Operation { first, last }
    }

    /// Returns the entries of a bulk insertion. All instances get the properties of the first one.
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

    /// Returns the first of the two entries of a deletion.
    pub fn deleted(&mut self, instance: &Instance) -> Value {
        let method = format!("{}.compute.instances.delete", self.version.name());
        let (mut operation, _) = self.operation();
        operation["first"] = true.into();
        let mut payload = self.admin_payload(&method, &self.resource_name(instance));
        payload["request"] = json!({ "@type": "type.googleapis.com/compute.instances.delete" });
        self.entry("activity", "NOTICE", self.gce_instance(instance), &operation, payload)
    }

    /// Returns an interruption with the required fields only, like an entry written by hand.
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

    /// Returns the fields that the first and the last entry of an operation share.
    fn operation(&mut self) -> (Value, Value) {
        let operation = json!({ "id": self.operation_name(), "producer": SERVICE });
        (operation.clone(), operation)
    }

    /// Returns a unique name for an operation requested by a user.
    fn operation_name(&mut self) -> String {
        self.name_of_operation("operation")
    }

    /// Returns a unique name for an operation of Compute Engine itself.
    fn system_event_name(&mut self) -> String {
        self.name_of_operation("systemevent")
    }

    fn name_of_operation(&mut self, kind: &str) -> String {
        let millis = self.millis();
        let number = self.next();
        // Operations of different projects have different names even at the same time.
        let project = self.number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        format!(
            "{kind}-{millis}-{:013x}-{project:08x}-{number:08x}",
            0x6_0575_c000_0000_u64 + millis % 0xffff
        )
    }

    /// Returns an id that is unique within this log.
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

    /// The service account of managed instance groups.
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

/// The error message for a zone without capacity.
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
