//! Instances as Compute Engine shows them.
//!
//! They are written as text rather than built as values: a list of a hundred thousand must not take long even
//! where nothing is optimised.

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
    time::{Duration, SystemTime},
};

use super::fleet::Page;
use crate::google::{
    instance::{Instance, Provisioning, Status},
    time,
};

const ROOT: &str = "https://www.googleapis.com/compute/v1/projects";

/// The regions whose zones every list names, with the letters of their zones.
const REGIONS: [(&str, &str); 40] = [
    ("africa-south1", "abc"),
    ("asia-east1", "abc"),
    ("asia-east2", "abc"),
    ("asia-northeast1", "abc"),
    ("asia-northeast2", "abc"),
    ("asia-northeast3", "abc"),
    ("asia-south1", "abc"),
    ("asia-south2", "abc"),
    ("asia-southeast1", "abc"),
    ("asia-southeast2", "abc"),
    ("australia-southeast1", "abc"),
    ("australia-southeast2", "abc"),
    ("europe-central2", "abc"),
    ("europe-north1", "abc"),
    ("europe-southwest1", "abc"),
    ("europe-west1", "bcd"),
    ("europe-west10", "abc"),
    ("europe-west12", "abc"),
    ("europe-west2", "abc"),
    ("europe-west3", "abc"),
    ("europe-west4", "abc"),
    ("europe-west6", "abc"),
    ("europe-west8", "abc"),
    ("europe-west9", "abc"),
    ("me-central1", "abc"),
    ("me-central2", "abc"),
    ("me-west1", "abc"),
    ("northamerica-northeast1", "abc"),
    ("northamerica-northeast2", "abc"),
    ("southamerica-east1", "abc"),
    ("southamerica-west1", "abc"),
    ("us-central1", "abcf"),
    ("us-east1", "bcd"),
    ("us-east4", "abc"),
    ("us-east5", "abc"),
    ("us-south1", "abc"),
    ("us-west1", "abc"),
    ("us-west2", "abc"),
    ("us-west3", "abc"),
    ("us-west4", "abc"),
];

/// A project by id and number.
#[derive(Clone, Debug)]
pub(super) struct Project {
    pub(super) id: String,
    pub(super) number: u64,
}

/// The answer to `instances.aggregatedList`.
pub(super) fn list(
    project: &Project,
    page: &Page<'_>,
    unreachable: &BTreeSet<String>,
    next_page_token: Option<&str>,
) -> String {
    let id = &project.id;
    let known = REGIONS
        .iter()
        .flat_map(|(region, letters)| letters.chars().map(move |letter| format!("{region}-{letter}")));
    // Zones that Google does not have are as good as those that it has.
    let used = page.instances.iter().map(|instance| instance.zone.clone());
    let zones: BTreeSet<String> = known.chain(used).chain(unreachable.iter().cloned()).collect();

    let mut out = String::with_capacity(64 * 1024 + page.instances.len() * 4096);
    let mut scopes = Separated::new();
    let mut instances = page.instances.iter().peekable();
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        r#"{{"kind":"compute#instanceAggregatedList","id":"projects/{id}/aggregated/instances","items":{{"#
    );
    for zone in &zones {
        let _ = write!(out, "{}{}:{{", scopes.next(), Json(&format!("zones/{zone}")));
        let mut listed = Separated::new();
        while let Some(instance) = instances.next_if(|instance| instance.zone == *zone) {
            out.push_str(if listed.is_first() { r#""instances":["# } else { "" });
            out.push_str(listed.next());
            write_instance(&mut out, project, instance);
        }
        if listed.is_first() {
            let (code, message) = if unreachable.contains(zone) {
                ("UNREACHABLE", format!("Scope 'zones/{zone}' is currently unreachable."))
            } else {
                ("NO_RESULTS_ON_PAGE", format!("There are no results for scope 'zones/{zone}' on this page."))
            };
            let _ = write!(
                out,
                r#""warning":{{"code":"{code}","message":{},"data":[{{"key":"scope","value":{}}}]}}}}"#,
                Json(&message),
                Json(&format!("zones/{zone}"))
            );
        } else {
            out.push_str("]}");
        }
    }
    out.push('}');
    if let Some(token) = next_page_token {
        let _ = write!(out, r#","nextPageToken":{}"#, Json(token));
    }
    if !unreachable.is_empty() {
        let links: Vec<String> = unreachable
            .iter()
            .map(|zone| Json(&format!("{ROOT}/{id}/zones/{zone}/instances")).to_string())
            .collect();
        let _ = write!(out, r#","unreachables":[{}]"#, links.join(","));
    }
    let _ = write!(out, r#","selfLink":"{ROOT}/{id}/aggregated/instances"}}"#);
    out
}

/// The answer to `instances.get`.
pub(super) fn instance(project: &Project, instance: &Instance) -> String {
    let mut out = String::with_capacity(4096);
    write_instance(&mut out, project, instance);
    out
}

fn write_instance(out: &mut String, project: &Project, instance: &Instance) {
    // Writing to a string cannot fail.
    let _ = try_write_instance(out, project, instance);
}

fn try_write_instance(out: &mut String, project: &Project, instance: &Instance) -> fmt::Result {
    let Instance { id, name, zone, machine_type, status, provisioning, labels, created } = instance;
    let Project { id: project, number } = project;
    let here = format!("{ROOT}/{project}/zones/{zone}");
    let region = zone.rsplit_once('-').map_or(zone.as_str(), |(region, _)| region);
    let [a, b, c, d] = (*id as u32).to_be_bytes();
    let address = format!("10.{}.{}.{}", b % 64, c, d.clamp(1, 254));

    write!(
        out,
        r#"{{"kind":"compute#instance","id":"{id}","creationTimestamp":"{created}","name":{name},"description":"","tags":{{"items":["gke-node"],"fingerprint":"{fingerprint}"}},"machineType":{machine_type},"status":"{status}","zone":{zone},"canIpForward":true"#,
        created = time::pacific(*created),
        name = Json(name),
        fingerprint = Fingerprint(*id),
        machine_type = Json(&format!("{here}/machineTypes/{machine_type}")),
        zone = Json(&here),
    )?;
    write!(
        out,
        r#","networkInterfaces":[{{"kind":"compute#networkInterface","network":"{ROOT}/{project}/global/networks/default","subnetwork":"{ROOT}/{project}/regions/{region}/subnetworks/default","networkIP":"{address}","name":"nic0","accessConfigs":[{{"kind":"compute#accessConfig","type":"ONE_TO_ONE_NAT","name":"external-nat","natIP":"34.{a}.{c}.{d}","networkTier":"PREMIUM"}}],"aliasIpRanges":[{{"ipCidrRange":"10.{alias}.{c}.0/24","subnetworkRangeName":"pods"}}],"fingerprint":"{fingerprint}","stackType":"IPV4_ONLY","nicType":"GVNIC"}}]"#,
        alias = 64 + b % 64,
        fingerprint = Fingerprint(id.rotate_left(17)),
    )?;
    write!(
        out,
        r#","disks":[{{"kind":"compute#attachedDisk","type":"PERSISTENT","mode":"READ_WRITE","source":{source},"deviceName":"persistent-disk-0","index":0,"boot":true,"autoDelete":true,"licenses":["https://www.googleapis.com/compute/v1/projects/cos-cloud/global/licenses/cos","https://www.googleapis.com/compute/v1/projects/gke-node-images/global/licenses/gke-node"],"interface":"SCSI","guestOsFeatures":[{{"type":"VIRTIO_SCSI_MULTIQUEUE"}},{{"type":"SEV_CAPABLE"}},{{"type":"UEFI_COMPATIBLE"}},{{"type":"GVNIC"}}],"diskSizeGb":"100","architecture":"X86_64"}}]"#,
        source = Json(&format!("{here}/disks/{name}")),
    )?;
    write!(
        out,
        r#","metadata":{{"kind":"compute#metadata","fingerprint":"{fingerprint}","items":[{{"key":"created-by","value":"projects/{number}/zones/{zone}/instanceGroupManagers/gke-default-grp"}},{{"key":"gci-update-strategy","value":"update_disabled"}},{{"key":"cluster-location","value":"{region}"}},{{"key":"enable-oslogin","value":"false"}},{{"key":"kubeconfig","value":"apiVersion: v1\nkind: Config\nclusters:\n- name: local\n  cluster:\n    server: https://172.16.0.2\n    certificate-authority: '/etc/srv/kubernetes/pki/ca-certificates.crt'\nusers:\n- name: kubelet\n  user:\n    exec:\n      apiVersion: 'client.authentication.k8s.io/v1beta1'\n      command: '/home/kubernetes/bin/gke-exec-auth-plugin'\n"}}]}}"#,
        fingerprint = Fingerprint(id.rotate_left(31)),
    )?;
    write!(
        out,
        r#","serviceAccounts":[{{"email":"{number}-compute@developer.gserviceaccount.com","scopes":["https://www.googleapis.com/auth/devstorage.read_only","https://www.googleapis.com/auth/logging.write","https://www.googleapis.com/auth/monitoring"]}}],"selfLink":{link},"scheduling":{scheduling},"cpuPlatform":"Intel Ice Lake""#,
        link = Json(&format!("{here}/instances/{name}")),
        scheduling = scheduling(*provisioning),
    )?;
    let mut separated = Separated::new();
    for (key, value) in labels.iter() {
        out.push_str(if separated.is_first() { r#","labels":{"# } else { "" });
        write!(out, "{}{}:{}", separated.next(), Json(key), Json(value))?;
    }
    out.push_str(if separated.is_first() { "" } else { "}" });
    write!(
        out,
        r#","labelFingerprint":"{label_fingerprint}","startRestricted":false,"deletionProtection":false,"shieldedInstanceConfig":{{"enableSecureBoot":false,"enableVtpm":true,"enableIntegrityMonitoring":true}},"shieldedInstanceIntegrityPolicy":{{"updateAutoLearnPolicy":true}},"fingerprint":"{fingerprint}","lastStartTimestamp":"{started}"{stopped},"satisfiesPzs":false,"resourceStatus":{{"scheduling":{{}},"physicalHostTopology":{{}}}}}}"#,
        label_fingerprint = Fingerprint(id.rotate_left(7)),
        fingerprint = Fingerprint(id.rotate_left(47)),
        started = time::pacific(*created + Duration::from_secs(8)),
        stopped = match status {
            Status::Terminated => format!(r#","lastStopTimestamp":"{}""#, time::pacific(SystemTime::now())),
            _ => String::new(),
        },
    )
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

/// A text as JSON.
struct Json<'a>(&'a str);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if self.0.bytes().all(is_plain) {
            f.write_char('"')?;
            f.write_str(self.0)?;
            return f.write_char('"');
        }
        f.write_str(&serde_json::to_string(self.0).map_err(|_| fmt::Error)?)
    }
}

/// Eight bytes that look like the hash of something, in the URL-safe base 64 that clients decode.
struct Fingerprint(u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        // Bits beyond the last byte must be zero.
        let mut rest = u128::from(self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64;
        for _ in 0..11 {
            f.write_char(char::from(LETTERS[(rest >> 122) as usize]))?;
            rest <<= 6;
        }
        f.write_char('=')
    }
}

/// What goes between the elements of a list.
struct Separated(bool);

impl Separated {
    fn new() -> Self {
        Self(true)
    }

    fn is_first(&self) -> bool {
        self.0
    }

    fn next(&mut self) -> &'static str {
        if std::mem::take(&mut self.0) { "" } else { "," }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn an_instance_is_json_of_a_realistic_size() {
        let project = Project { id: "example-project".to_owned(), number: 123_456_789_012 };
        let node = Instance::new(1_844_488_190_000_000_001, "europe-west1-c", "gke-n1")
            .spot()
            .gke("a \"quoted\"\n\\name", "europe-west1", "pool")
            .status(Status::Terminated);
        let text = instance(&project, &node);
        assert!((2000..4500).contains(&text.len()), "{} bytes", text.len());
        let value: Value = serde_json::from_str(&text).expect(&text);
        assert_eq!(value["id"], "1844488190000000001");
        assert_eq!(value["labels"]["goog-k8s-cluster-name"], "a \"quoted\"\n\\name");
        assert_eq!(value["scheduling"]["provisioningModel"], "SPOT");
        assert_eq!(value["status"], "TERMINATED");
        // The multiplier itself, in base 64.
        assert_eq!(value["fingerprint"].as_str().unwrap().len(), 12);
        assert_eq!(Fingerprint(1).to_string(), "njd5uX9KfBU=");
        let bare: Value =
            serde_json::from_str(&instance(&project, &Instance::new(1, "nowhere", "n"))).unwrap();
        assert_eq!(bare["labels"], Value::Null);
    }
}
