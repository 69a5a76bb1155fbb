//! The JSON of instances.
//!
//! It is written as text, because building values would make a list of a hundred thousand instances slow in
//! unoptimized builds.

use std::{
    fmt::{self, Write as _},
    time::{Duration, SystemTime},
};

use super::{
    aggregated::Aggregated,
    fleet::Page,
    json::{Json, Object},
};
use crate::google::{
    fields::Fields,
    instance::{Instance, Provisioning, Status},
    names::COMPUTE_ROOT,
    project::Project,
    time,
};

/// Returns the response to `instances.aggregatedList`.
pub(super) fn aggregated_list(list: &Aggregated<'_>, page: &Page<'_>) -> String {
    list.write(
        &page.instances,
        |instance| &instance.zone,
        |object, instance| write_instance(object, list.project, instance),
    )
}

/// Returns the response to `instances.get` with the requested fields.
pub(super) fn instance(project: &Project, instance: &Instance, fields: &Fields) -> String {
    let mut object = Object::new(fields, String::with_capacity(4096));
    write_instance(&mut object, project, instance);
    object.finish()
}

fn write_instance(object: &mut Object<'_>, project: &Project, instance: &Instance) {
    let Instance { id, name, zone, machine_type, status, provisioning, labels, created } = instance;
    let Project { id: project, number } = project;
    let here = format!("{COMPUTE_ROOT}/{project}/zones/{zone}");
    let region = zone.rsplit_once('-').map_or(zone.as_str(), |(region, _)| region);
    let [a, b, c, d] = (*id as u32).to_be_bytes();
    let address = format!("10.{}.{}.{}", b % 64, c, d.clamp(1, 254));

    object.field("kind", "\"compute#instance\"");
    object.field("id", format_args!("\"{id}\""));
    object.field("creationTimestamp", format_args!("\"{}\"", time::pacific(*created)));
    object.field("name", Json(name));
    object.field("description", "\"\"");
    object.field("tags", format_args!(r#"{{"items":["gke-node"],"fingerprint":"{}"}}"#, Fingerprint(*id)));
    object.field("machineType", Json(&format!("{here}/machineTypes/{machine_type}")));
    object.field("status", format_args!("\"{status}\""));
    object.field("zone", Json(&here));
    object.field("canIpForward", "true");
    object.field(
        "networkInterfaces",
        format_args!(
            r#"[{{"kind":"compute#networkInterface","network":"{COMPUTE_ROOT}/{project}/global/networks/default","subnetwork":"{COMPUTE_ROOT}/{project}/regions/{region}/subnetworks/default","networkIP":"{address}","name":"nic0","accessConfigs":[{{"kind":"compute#accessConfig","type":"ONE_TO_ONE_NAT","name":"external-nat","natIP":"34.{a}.{c}.{d}","networkTier":"PREMIUM"}}],"aliasIpRanges":[{{"ipCidrRange":"10.{alias}.{c}.0/24","subnetworkRangeName":"pods"}}],"fingerprint":"{fingerprint}","stackType":"IPV4_ONLY","nicType":"GVNIC"}}]"#,
            alias = 64 + b % 64,
            fingerprint = Fingerprint(id.rotate_left(17)),
        ),
    );
    object.field(
        "disks",
        format_args!(
            r#"[{{"kind":"compute#attachedDisk","type":"PERSISTENT","mode":"READ_WRITE","source":{source},"deviceName":"persistent-disk-0","index":0,"boot":true,"autoDelete":true,"licenses":["https://www.googleapis.com/compute/v1/projects/cos-cloud/global/licenses/cos","https://www.googleapis.com/compute/v1/projects/gke-node-images/global/licenses/gke-node"],"interface":"SCSI","guestOsFeatures":[{{"type":"VIRTIO_SCSI_MULTIQUEUE"}},{{"type":"SEV_CAPABLE"}},{{"type":"UEFI_COMPATIBLE"}},{{"type":"GVNIC"}}],"diskSizeGb":"100","architecture":"X86_64"}}]"#,
            source = Json(&format!("{here}/disks/{name}")),
        ),
    );
    object.field(
        "metadata",
        format_args!(
            r#"{{"kind":"compute#metadata","fingerprint":"{fingerprint}","items":[{{"key":"created-by","value":"projects/{number}/zones/{zone}/instanceGroupManagers/gke-default-grp"}},{{"key":"gci-update-strategy","value":"update_disabled"}},{{"key":"cluster-location","value":"{region}"}},{{"key":"enable-oslogin","value":"false"}},{{"key":"kubeconfig","value":"apiVersion: v1\nkind: Config\nclusters:\n- name: local\n  cluster:\n    server: https://172.16.0.2\n    certificate-authority: '/etc/srv/kubernetes/pki/ca-certificates.crt'\nusers:\n- name: kubelet\n  user:\n    exec:\n      apiVersion: 'client.authentication.k8s.io/v1beta1'\n      command: '/home/kubernetes/bin/gke-exec-auth-plugin'\n"}}]}}"#,
            fingerprint = Fingerprint(id.rotate_left(31)),
        ),
    );
    object.field(
        "serviceAccounts",
        format_args!(
            r#"[{{"email":"{number}-compute@developer.gserviceaccount.com","scopes":["https://www.googleapis.com/auth/devstorage.read_only","https://www.googleapis.com/auth/logging.write","https://www.googleapis.com/auth/monitoring"]}}]"#
        ),
    );
    object.field("selfLink", Json(&format!("{here}/instances/{name}")));
    object.field("scheduling", scheduling(*provisioning));
    object.field("cpuPlatform", "\"Intel Ice Lake\"");
    if !labels.is_empty() {
        object.object("labels", |object| {
            for (key, value) in labels.iter() {
                object.field(key, Json(value));
            }
        });
    }
    object.field("labelFingerprint", format_args!("\"{}\"", Fingerprint(id.rotate_left(7))));
    object.field("startRestricted", "false");
    object.field("deletionProtection", "false");
    object.field(
        "shieldedInstanceConfig",
        r#"{"enableSecureBoot":false,"enableVtpm":true,"enableIntegrityMonitoring":true}"#,
    );
    object.field("shieldedInstanceIntegrityPolicy", r#"{"updateAutoLearnPolicy":true}"#);
    object.field("fingerprint", format_args!("\"{}\"", Fingerprint(id.rotate_left(47))));
    object.field(
        "lastStartTimestamp",
        format_args!("\"{}\"", time::pacific(*created + Duration::from_secs(8))),
    );
    if *status == Status::Terminated {
        object.field("lastStopTimestamp", format_args!("\"{}\"", time::pacific(SystemTime::now())));
    }
    object.field("satisfiesPzs", "false");
    object.field("resourceStatus", r#"{"scheduling":{},"physicalHostTopology":{}}"#);
}

pub(crate) const fn scheduling(provisioning: Provisioning) -> &'static str {
    match provisioning {
        Provisioning::Standard => {
            r#"{"onHostMaintenance":"MIGRATE","automaticRestart":true,"preemptible":false,"provisioningModel":"STANDARD"}"#
        }
        Provisioning::Spot => {
            r#"{"onHostMaintenance":"TERMINATE","automaticRestart":false,"preemptible":true,"provisioningModel":"SPOT","instanceTerminationAction":"DELETE"}"#
        }
        Provisioning::Preemptible => {
            r#"{"onHostMaintenance":"TERMINATE","automaticRestart":false,"preemptible":true}"#
        }
    }
}

/// Eight bytes that look like a hash, in URL-safe base64.
struct Fingerprint(u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        // The bits after the last byte must be zero.
        let mut rest = u128::from(self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64;
        for _ in 0..11 {
            f.write_char(char::from(LETTERS[(rest >> 122) as usize]))?;
            rest <<= 6;
        }
        f.write_char('=')
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn instances_have_a_realistic_size() {
        let project = Project { id: "example-project".to_owned(), number: 123_456_789_012 };
        let node = Instance::new(1_844_488_190_000_000_001, "europe-west1-c", "gke-n1")
            .spot()
            .gke("a \"quoted\"\n\\name", "europe-west1", "pool")
            .status(Status::Terminated);
        let text = instance(&project, &node, &Fields::everything());
        assert!((2000..4500).contains(&text.len()), "{} bytes", text.len());
        let value: Value = serde_json::from_str(&text).expect(&text);
        assert_eq!(value["id"], "1844488190000000001");
        assert_eq!(value["labels"]["goog-k8s-cluster-name"], "a \"quoted\"\n\\name");
        assert_eq!(value["scheduling"]["provisioningModel"], "SPOT");
        assert_eq!(value["status"], "TERMINATED");
        // The multiplier itself, in base64.
        assert_eq!(value["fingerprint"].as_str().unwrap().len(), 12);
        assert_eq!(Fingerprint(1).to_string(), "njd5uX9KfBU=");
        let bare: Value = serde_json::from_str(&instance(
            &project,
            &Instance::new(1, "nowhere", "n"),
            &Fields::everything(),
        ))
        .unwrap();
        assert_eq!(bare["labels"], Value::Null);
    }
}
