//! Virtual machine instances.

use std::{collections::BTreeMap, fmt, sync::Arc, time::SystemTime};

/// A virtual machine instance.
///
/// ```
/// use sandbox::google::Instance;
///
/// let node = Instance::new(1, "europe-west1-c", "gke-n1")
///     .spot()
///     .machine_type("n2-standard-8")
///     .gke("production", "europe-west1", "spot-pool");
/// assert_eq!(node.labels["goog-k8s-cluster-name"], "production");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Instance {
    /// The numeric id, which is never reused.
    pub id: u64,
    /// The name, unique within the zone at any time.
    pub name: String,
    /// The name of the zone: `europe-west1-c`.
    pub zone: String,
    /// The name of the machine type: `n2-standard-8`.
    pub machine_type: String,
    /// The status.
    pub status: Status,
    /// The provisioning model.
    pub provisioning: Provisioning,
    /// The labels. Instances of a pool share them.
    pub labels: Arc<BTreeMap<String, String>>,
    /// The time of creation.
    pub created: SystemTime,
}

/// The status of an instance.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Status {
    /// Resources are being allocated.
    Provisioning,
    /// Booting.
    Staging,
    /// Running.
    Running,
    /// Stopping.
    Stopping,
    /// Preempted or shut down, but not deleted.
    Terminated,
}

/// The provisioning model of an instance.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Provisioning {
    /// On demand.
    Standard,
    /// Spot.
    Spot,
    /// The legacy model: `preemptible: true` without a provisioning model.
    Preemptible,
}

impl Instance {
    /// Returns a running on-demand instance of type `e2-medium` without labels, created now.
    #[must_use]
    pub fn new(id: u64, zone: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            id,
            name: name.into(),
            zone: zone.into(),
            machine_type: "e2-medium".to_owned(),
            status: Status::Running,
            provisioning: Provisioning::Standard,
            labels: Arc::default(),
            created: SystemTime::now(),
        }
    }

    /// Makes it a spot instance.
    #[must_use]
    pub fn spot(self) -> Self {
        self.provisioning(Provisioning::Spot)
    }

    /// Sets the provisioning model.
    #[must_use]
    pub fn provisioning(mut self, provisioning: Provisioning) -> Self {
        self.provisioning = provisioning;
        self
    }

    /// Sets the machine type.
    #[must_use]
    pub fn machine_type(mut self, machine_type: impl Into<String>) -> Self {
        self.machine_type = machine_type.into();
        self
    }

    /// Sets the time of creation.
    #[must_use]
    pub fn created(mut self, created: SystemTime) -> Self {
        self.created = created;
        self
    }

    /// Sets the status.
    #[must_use]
    pub fn status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.labels).insert(key.into(), value.into());
        self
    }

    /// Replaces the labels.
    #[must_use]
    pub fn labels(mut self, labels: Arc<BTreeMap<String, String>>) -> Self {
        self.labels = labels;
        self
    }

    /// Adds the labels of a GKE node.
    #[must_use]
    pub fn gke(self, cluster: &str, location: &str, pool: &str) -> Self {
        let model = match self.provisioning {
            Provisioning::Standard => "on-demand",
            Provisioning::Spot => "spot",
            Provisioning::Preemptible => "preemptible",
        };
        self.label("goog-gke-node", "")
            .label("goog-k8s-cluster-name", cluster)
            .label("goog-k8s-cluster-location", location)
            .label("goog-k8s-node-pool-name", pool)
            .label("goog-gke-node-pool-provisioning-model", model)
    }

    /// Adds the labels of a node created by Karpenter's provider for Google Cloud. They contain no dots and
    /// slashes, which Compute Engine does not allow in labels.
    #[must_use]
    pub fn karpenter(self, cluster: &str, location: &str, pool: &str) -> Self {
        let capacity = match self.provisioning {
            Provisioning::Standard => "on-demand",
            Provisioning::Spot | Provisioning::Preemptible => "spot",
        };
        self.label("goog-k8s-cluster-name", cluster)
            .label("goog-k8s-cluster-location", location)
            .label("karpenter-sh-nodepool", pool)
            .label("karpenter-sh-capacity-type", capacity)
    }

    /// Returns the name of the Kubernetes cluster of the node.
    #[must_use]
    pub fn cluster(&self) -> Option<&str> {
        self.labels.get("goog-k8s-cluster-name").map(String::as_str)
    }
}

impl Status {
    /// Returns Compute Engine's name of the status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Staging => "STAGING",
            Self::Running => "RUNNING",
            Self::Stopping => "STOPPING",
            Self::Terminated => "TERMINATED",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Provisioning {
    /// Returns whether the instance can be preempted.
    #[must_use]
    pub const fn is_preemptible(self) -> bool {
        matches!(self, Self::Spot | Self::Preemptible)
    }
}
