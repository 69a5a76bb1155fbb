//! The request and the response in an entry.

use serde_json::{Value, json};

use super::{AUDIT_LOG, AuditLog, SERVICE};
use crate::google::{
    instance::{Instance, Provisioning},
    time::utc,
};

impl AuditLog {
    pub(super) fn insert_request(&self, instance: &Instance) -> Value {
        let Instance { name, zone, machine_type, .. } = instance;
        let here = format!("projects/{}/zones/{zone}", self.project_name());
        let mut request = json!({
            "@type": "type.googleapis.com/compute.instances.insert",
            "name": name,
            "machineType": format!("{here}/machineTypes/{machine_type}"),
            "canIpForward": true,
            "disks": [{
                "type": "PERSISTENT",
                "mode": "READ_WRITE",
                "boot": true,
                "autoDelete": true,
                "deviceName": "persistent-disk-0",
                "initializeParams": {
                    "diskType": format!("{here}/diskTypes/pd-balanced"),
                    "diskSizeGb": "100",
                    "sourceImage": "projects/gke-node-images/global/images/gke-1334-gke1552000-cos-121-18867-199-28-c-pre",
                    // Labels of the disk, not of the instance.
                    "labels": [{ "key": "goog-gke-volume", "value": "" }],
                },
            }],
            "networkInterfaces": [{
                "network": format!("projects/{}/global/networks/default", self.project_name()),
                "accessConfigs": [{ "name": "external-nat", "networkTier": "PREMIUM" }],
            }],
            "serviceAccounts": [{
                "email": format!("{}-compute@developer.gserviceaccount.com", self.number),
                "scopes": ["https://www.googleapis.com/auth/logging.write"],
            }],
            "scheduling": scheduling(instance.provisioning),
            "tags": { "tags": ["gke-node"] },
        });
        if !instance.labels.is_empty() {
            request["labels"] = label_list(instance);
        }
        request
    }

    pub(super) fn insert_response(&mut self, instance: &Instance, operation: &Value) -> Value {
        let Instance { id, name, zone, .. } = instance;
        let project = format!("https://www.googleapis.com/compute/v1/projects/{}", self.project);
        json!({
            "@type": "type.googleapis.com/operation",
            "id": (5_820_465_342_961_217_412 + self.next()).to_string(),
            "name": operation,
            "operationType": "insert",
            "zone": format!("{project}/zones/{zone}"),
            "targetLink": format!("{project}/zones/{zone}/instances/{name}"),
            "targetId": id.to_string(),
            "status": "RUNNING",
            "progress": "0",
            "insertTime": utc(self.now),
            "user": self.service_account(),
        })
    }

    pub(super) fn admin_payload(&self, method: &str, resource_name: &str) -> Value {
        json!({
            "@type": AUDIT_LOG,
            "authenticationInfo": { "principalEmail": self.service_account() },
            "requestMetadata": {
                "callerSuppliedUserAgent": "GCE Managed Instance Group for GKE",
                "requestAttributes": {},
                "destinationAttributes": {},
            },
            "serviceName": SERVICE,
            "methodName": method,
            "authorizationInfo": [{
                "permission": "compute.instances.create",
                "granted": true,
                "resourceAttributes": { "service": "compute", "name": resource_name, "type": "compute.instances" },
            }],
            "resourceName": resource_name,
        })
    }
}

/// Returns the labels in the format of a request.
pub(super) fn label_list(instance: &Instance) -> Value {
    instance.labels.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

fn scheduling(provisioning: Provisioning) -> Value {
    match provisioning {
        Provisioning::Standard => json!({
            "onHostMaintenance": "MIGRATE",
            "automaticRestart": true,
            "preemptible": false,
            "provisioningModel": "STANDARD",
        }),
        Provisioning::Spot => json!({
            "onHostMaintenance": "TERMINATE",
            "automaticRestart": false,
            "preemptible": true,
            "provisioningModel": "SPOT",
        }),
        Provisioning::Preemptible => json!({
            "onHostMaintenance": "TERMINATE",
            "automaticRestart": false,
            "preemptible": true,
        }),
    }
}
