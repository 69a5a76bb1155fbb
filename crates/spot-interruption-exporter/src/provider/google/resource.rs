//! The JSON of an instance in the Compute Engine API.
//!
//! The same structure arrives from two sources: in responses of `instances.get` and `instances.aggregatedList`, where
//! labels are an object, and as the `request` in the log entry of a creation, where labels are a list of keys and
//! values. Both are parsed here, so that a node has the same labels from either source.

use std::borrow::Cow;
use std::mem;

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess};

use super::names::{instance_from_path, last_segment};
use crate::instance::{Instance, InstanceId, InstanceRef};
use crate::lenient::{self, Lenient};

/// The fields of an instance that are used. Unknown fields, and fields of an unexpected type, are ignored.
#[derive(Debug, Clone, Default)]
pub struct Resource<'a> {
    /// The instance id.
    pub id: Option<InstanceId>,
    /// The instance name.
    pub name: Option<Cow<'a, str>>,
    /// The zone, or its URL.
    pub zone: Option<Cow<'a, str>>,
    /// The URL of the instance.
    pub self_link: Option<Cow<'a, str>>,
    /// The machine type, or its URL.
    pub machine_type: Option<Cow<'a, str>>,
    /// Creation time in RFC 3339.
    pub creation_timestamp: Option<Cow<'a, str>>,
    /// Status such as `RUNNING`.
    pub status: Option<Cow<'a, str>>,
    /// The labels.
    pub labels: Labels<'a>,
    /// Provisioning model and preemptibility.
    pub scheduling: Scheduling<'a>,
}

impl<'a> Resource<'a> {
    /// Field mask with the fields that are used.
    pub(crate) const FIELDS: &'static str = "id,name,zone,selfLink,machineType,creationTimestamp,status,labels,\
                                             scheduling(provisioningModel,preemptible)";

    /// Converts a response of the Compute API. Returns `None` if it identifies no instance.
    #[must_use]
    pub fn into_instance(mut self) -> Option<Instance<'a>> {
        let instance = InstanceRef {
            id: self.id,
            project: None,
            zone: self.zone.take().and_then(last_segment),
            name: self.name.take(),
        };
        let link = self.self_link.take().and_then(instance_from_path);
        let instance = instance.or(link.unwrap_or_default());
        let created_at = self.creation_timestamp.as_deref().and_then(|time| time.parse().ok());
        instance.identifies().then(|| self.describe(instance, created_at))
    }

    /// Describes an instance with a given identity and creation time: a request contains no id.
    pub(crate) fn describe(self, instance: InstanceRef<'a>, created_at: Option<Timestamp>) -> Instance<'a> {
        let provisioning = self.scheduling.is_spot();
        let mut description = Instance {
            instance,
            running: self.status.as_deref().is_none_or(is_running),
            machine_type: self.machine_type.and_then(last_segment),
            created_at,
            ..Instance::default()
        };
        // A node created from the template of another pool has that pool's labels, so `scheduling` takes precedence.
        description.spot = provisioning.or(self.labels.is_spot()).unwrap_or_default();
        self.labels.apply(&mut description);
        description
    }

    /// Whether the instance explicitly cannot be preempted.
    pub(crate) fn is_on_demand(&self) -> bool {
        self.scheduling.is_spot().or(self.labels.is_spot()) == Some(false)
    }

    /// Whether the labels had a type that cannot contain labels, such as a number.
    pub(crate) fn has_malformed_labels(&self) -> bool {
        self.labels.malformed
    }
}

lenient::fields!(Resource {
    "id" => id,
    "name" => name,
    "zone" => zone,
    "selfLink" => self_link,
    "machineType" => machine_type,
    "creationTimestamp" => creation_timestamp,
    "status" => status,
    "labels" => labels,
    "scheduling" => scheduling,
});

impl<'de: 'a, 'a> Deserialize<'de> for Resource<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut resource = Resource::default();
        lenient::document(deserializer, &mut resource)?;
        Ok(resource)
    }
}

/// Protobuf's JSON encodes 64-bit numbers as text, other encoders as numbers. Both are accepted.
impl<'de> Lenient<'de> for Option<InstanceId> {
    fn text(&mut self, text: Cow<'de, str>) {
        *self = text.parse().ok().and_then(InstanceId::new);
    }

    fn number(&mut self, number: Option<i128>) {
        *self = number.and_then(|number| u64::try_from(number).ok()).and_then(InstanceId::new);
    }
}

/// Scheduling options of an instance.
#[derive(Debug, Clone, Default)]
pub struct Scheduling<'a> {
    /// `SPOT` or `STANDARD`.
    pub provisioning_model: Option<Cow<'a, str>>,
    /// Also set for spot instances.
    pub preemptible: bool,
}

impl Scheduling<'_> {
    /// Whether the instance is spot; `None` if unknown.
    fn is_spot(&self) -> Option<bool> {
        let model = self.provisioning_model.as_deref().map(is_spot);
        if self.preemptible { Some(true) } else { model }
    }
}

lenient::fields!(Scheduling { "provisioningModel" => provisioning_model, "preemptible" => preemptible });

/// Whether an instance with this status is running or starting.
fn is_running(status: &str) -> bool {
    !matches!(status, "DEPROVISIONING" | "STOPPED" | "STOPPING" | "SUSPENDED" | "SUSPENDING" | "TERMINATED")
}

/// `SPOT`, or `preemptible`, its predecessor.
fn is_spot(model: &str) -> bool {
    model.eq_ignore_ascii_case("spot") || model.eq_ignore_ascii_case("preemptible")
}

/// Keys of Karpenter's node pool label, in order of precedence. Labels of Compute Engine allow neither dots nor
/// slashes, so Karpenter's provider for Google Cloud uses hyphens.
const KARPENTER_NODE_POOL: [&str; 3] =
    ["karpenter-sh-nodepool", "karpenter.sh/nodepool", "karpenter-sh_nodepool"];

/// The labels that GKE and Karpenter set on the instances of their nodes. Other labels are ignored.
#[derive(Debug, Clone, Default)]
pub struct Labels<'a> {
    cluster: Option<Cow<'a, str>>,
    location: Option<Cow<'a, str>>,
    gke_node_pool: Option<Cow<'a, str>>,
    /// One entry for each key in [`KARPENTER_NODE_POOL`].
    karpenter_node_pool: [Option<Cow<'a, str>>; KARPENTER_NODE_POOL.len()],
    provisioning_model: Option<Cow<'a, str>>,
    malformed: bool,
}

impl<'a> Labels<'a> {
    fn slot(&mut self, key: &str) -> Option<&mut Option<Cow<'a, str>>> {
        match key {
            "goog-k8s-cluster-name" => Some(&mut self.cluster),
            "goog-k8s-cluster-location" => Some(&mut self.location),
            "goog-k8s-node-pool-name" => Some(&mut self.gke_node_pool),
            "goog-gke-node-pool-provisioning-model" => Some(&mut self.provisioning_model),
            _ => {
                let spelling = KARPENTER_NODE_POOL.iter().position(|known| *known == key)?;
                self.karpenter_node_pool.get_mut(spelling)
            }
        }
    }

    /// Whether the labels describe a spot instance; `None` if unknown.
    fn is_spot(&self) -> Option<bool> {
        self.provisioning_model.as_deref().map(is_spot)
    }

    fn apply(self, instance: &mut Instance<'a>) {
        instance.cluster = self.cluster;
        instance.location = self.location;
        // Karpenter creates nodes from the template of a GKE node pool, whose label does not apply to them.
        instance.node_pool = self.karpenter_node_pool.into_iter().flatten().next().or(self.gke_node_pool);
    }
}

impl<'de> Lenient<'de> for Labels<'de> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, object: &mut A) -> Result<(), A::Error> {
        match self.slot(key) {
            Some(slot) => lenient::value(object, slot),
            None => lenient::skip(object),
        }
    }

    fn list<A: SeqAccess<'de>>(&mut self, mut list: A) -> Result<(), A::Error> {
        let mut pair = Pair::default();
        while lenient::element(&mut list, &mut pair)?.is_some() {
            let Pair { key, value } = mem::take(&mut pair);
            if let Some(slot) = key.and_then(|key| self.slot(&key)) {
                *slot = value;
            }
        }
        Ok(())
    }

    fn text(&mut self, _: Cow<'de, str>) {
        self.malformed = true;
    }

    fn flag(&mut self, _: bool) {
        self.malformed = true;
    }

    fn number(&mut self, _: Option<i128>) {
        self.malformed = true;
    }
}

#[derive(Debug, Default)]
struct Pair<'a> {
    key: Option<Cow<'a, str>>,
    value: Option<Cow<'a, str>>,
}

lenient::fields!(Pair { "key" => key, "value" => value });
