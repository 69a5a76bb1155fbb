//! Virtual machines, as the simulated Google knows them.

use std::{collections::BTreeMap, fmt, sync::Arc, time::SystemTime};

/// A virtual machine.
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
    /// The numeric id, which no other instance ever has.
    pub id: u64,
    /// The name, which is unique within the zone at any one time.
    pub name: String,
    /// The zone's name: `europe-west1-c`.
    pub zone: String,
    /// The machine type's name: `n2-standard-8`.
    pub machine_type: String,
    /// What it is doing.
    pub status: Status,
    /// What was paid for.
    pub provisioning: Provisioning,
    /// The labels, which many instances share.
    pub labels: Arc<BTreeMap<String, String>>,
    /// When it was created.
    pub created: SystemTime,
}

/// What an instance is doing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Status {
    /// Resources are being allocated.
    Provisioning,
    /// It boots.
    Staging,
    /// It runs.
    Running,
    /// It is about to be terminated.
    Stopping,
    /// It was preempted or shut down, and still exists.
    Terminated,
}

/// What kind of capacity an instance takes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Provisioning {
    /// On demand.
    Standard,
    /// Spot, which may be preempted.
    Spot,
    /// The older kind, `preemptible: true` without a provisioning model.
    Preemptible,
}

impl Instance {
    /// A running instance on demand that was created just now, of the type `e2-medium` and without labels.
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

    /// Makes it a spot VM.
    #[must_use]
    pub fn spot(self) -> Self {
        self.provisioning(Provisioning::Spot)
    }

    /// Changes the kind of its capacity.
    #[must_use]
    pub fn provisioning(mut self, provisioning: Provisioning) -> Self {
        self.provisioning = provisioning;
        self
    }

    /// Changes the machine type.
    #[must_use]
    pub fn machine_type(mut self, machine_type: impl Into<String>) -> Self {
        self.machine_type = machine_type.into();
        self
    }

    /// Changes when it was created.
    #[must_use]
    pub fn created(mut self, created: SystemTime) -> Self {
        self.created = created;
        self
    }

    /// Changes what it is doing.
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

    /// Adds the labels that GKE gives to the nodes of a cluster's node pool.
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

    /// Adds the labels of a node that Karpenter made for a cluster, as its provider for Google Cloud writes them:
    /// Compute Engine's labels allow neither dots nor slashes.
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

    /// The name of the Kubernetes cluster that it is a node of.
    #[must_use]
    pub fn cluster(&self) -> Option<&str> {
        self.labels.get("goog-k8s-cluster-name").map(String::as_str)
    }
}

impl Status {
    /// Compute Engine's name of it.
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
    /// Whether it may be preempted.
    #[must_use]
    pub const fn is_preemptible(self) -> bool {
        matches!(self, Self::Spot | Self::Preemptible)
    }
}
