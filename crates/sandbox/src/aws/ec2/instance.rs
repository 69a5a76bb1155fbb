//! Instances.

use std::{collections::BTreeMap, fmt, sync::Arc, time::SystemTime};

use crate::aws::names::ACCOUNT;

/// An instance.
///
/// ```
/// use sandbox::aws::{Instance, Lifecycle};
///
/// let node = Instance::spot(1, "eu-central-1b").instance_type("m6i.xlarge").eks("prod", "default");
/// assert_eq!(node.id, "i-00000000000000001");
/// assert_eq!(node.region(), "eu-central-1");
/// assert_eq!(node.lifecycle, Lifecycle::Spot);
/// assert_eq!(node.tags["eks:cluster-name"], "prod");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Instance {
    /// The id: `i-` and 17 hexadecimal digits.
    pub id: String,
    /// The id of the account. The default is [`ACCOUNT`].
    pub account: String,
    /// The name of the availability zone: `eu-central-1b`.
    pub zone: String,
    /// The instance type: `m6i.xlarge`.
    pub instance_type: String,
    /// The purchasing option.
    pub lifecycle: Lifecycle,
    /// The time of the last launch.
    pub launched: SystemTime,
    /// The tags. Instances of a pool share them.
    pub tags: Arc<BTreeMap<String, String>>,
    /// The state.
    pub state: InstanceState,
    /// Why the instance has left the state `running`.
    pub reason: Option<Reason>,
    /// The service that manages the instance, such as `eks.amazonaws.com`.
    pub operator: Option<String>,
    /// Whether the instance is listed only with `IncludeManagedResources=true`.
    pub is_hidden: bool,
}

/// The purchasing option of an instance.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Lifecycle {
    /// On demand: the response has no `instanceLifecycle`.
    #[default]
    OnDemand,
    /// Spot.
    Spot,
    /// A scheduled instance.
    Scheduled,
    /// An instance of a capacity block.
    CapacityBlock,
    /// An instance in an interruptible capacity reservation.
    InterruptibleCapacityReservation,
}

/// The state of an instance.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum InstanceState {
    /// Starting.
    Pending,
    /// Running.
    #[default]
    Running,
    /// Being terminated.
    ShuttingDown,
    /// Terminated, listed for a while.
    Terminated,
    /// Being stopped.
    Stopping,
    /// Stopped.
    Stopped,
}

/// Codes of state reasons. Texts work as well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StateReason {
    /// `Server.SpotInstanceTermination`: EC2 took a spot instance.
    SpotTermination,
    /// `Server.SpotInstanceShutdown`: EC2 stopped a spot instance.
    SpotShutdown,
    /// `Client.UserInitiatedShutdown`: a user, Karpenter or an autoscaler terminated the instance.
    UserShutdown,
    /// `Client.InstanceInitiatedShutdown`: the operating system shut down.
    InstanceShutdown,
}

/// Why and when an instance has left the state `running`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reason {
    /// The code: `Server.SpotInstanceTermination`.
    pub code: String,
    /// The time in the transition reason, by the clock of the service; `None` leaves the transition reason
    /// empty.
    pub at: Option<SystemTime>,
}

impl Instance {
    /// Returns a running on-demand instance of type `m6i.xlarge` without tags, launched now. The id has the
    /// digits of the number.
    #[must_use]
    pub fn new(number: u64, zone: impl Into<String>) -> Self {
        Self {
            id: format!("i-{number:017x}"),
            account: ACCOUNT.to_owned(),
            zone: zone.into(),
            instance_type: "m6i.xlarge".to_owned(),
            lifecycle: Lifecycle::OnDemand,
            launched: SystemTime::now(),
            tags: Arc::default(),
            state: InstanceState::Running,
            reason: None,
            operator: None,
            is_hidden: false,
        }
    }

    /// Returns a running spot instance. See [`new`](Self::new).
    #[must_use]
    pub fn spot(number: u64, zone: impl Into<String>) -> Self {
        Self::new(number, zone).lifecycle(Lifecycle::Spot)
    }

    /// Sets the id.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// Sets the account.
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = account.into();
        self
    }

    /// Sets the instance type.
    #[must_use]
    pub fn instance_type(mut self, instance_type: impl Into<String>) -> Self {
        self.instance_type = instance_type.into();
        self
    }

    /// Sets the purchasing option.
    #[must_use]
    pub fn lifecycle(mut self, lifecycle: Lifecycle) -> Self {
        self.lifecycle = lifecycle;
        self
    }

    /// Sets the time of the last launch.
    #[must_use]
    pub fn launched(mut self, launched: SystemTime) -> Self {
        self.launched = launched;
        self
    }

    /// Sets the state.
    #[must_use]
    pub fn state(mut self, state: InstanceState) -> Self {
        self.state = state;
        self
    }

    /// Sets the reason for the state.
    #[must_use]
    pub fn reason(mut self, code: impl Into<String>, at: Option<SystemTime>) -> Self {
        self.reason = Some(Reason { code: code.into(), at });
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.tags).insert(key.into(), value.into());
        self
    }

    /// Replaces the tags.
    #[must_use]
    pub fn tags(mut self, tags: Arc<BTreeMap<String, String>>) -> Self {
        self.tags = tags;
        self
    }

    /// Sets the service that manages the instance.
    #[must_use]
    pub fn operator(mut self, principal: impl Into<String>) -> Self {
        self.operator = Some(principal.into());
        self
    }

    /// Hides the instance from requests without `IncludeManagedResources=true`.
    #[must_use]
    pub fn hidden(mut self) -> Self {
        self.is_hidden = true;
        self
    }

    /// Adds the tags of a node of a managed node group of EKS.
    #[must_use]
    pub fn eks(self, cluster: &str, group: &str) -> Self {
        self.tag("aws:eks:cluster-name", cluster)
            .tag("eks:cluster-name", cluster)
            .tag("eks:nodegroup-name", group)
            .tag(format!("kubernetes.io/cluster/{cluster}"), "owned")
            .tag("aws:autoscaling:groupName", format!("eks-{group}-1ac9d3a7"))
            .tag(format!("k8s.io/cluster-autoscaler/{cluster}"), "owned")
            .tag("k8s.io/cluster-autoscaler/enabled", "true")
    }

    /// Adds the tags of a node that Karpenter launched for a cluster of EKS.
    #[must_use]
    pub fn karpenter(self, cluster: &str, pool: &str) -> Self {
        self.tag("aws:eks:cluster-name", cluster)
            .tag("eks:eks-cluster-name", cluster)
            .tag(format!("kubernetes.io/cluster/{cluster}"), "owned")
            .tag("karpenter.sh/nodepool", pool)
            .tag("karpenter.k8s.aws/ec2nodeclass", "default")
    }

    /// Adds the tags of a node of a kops cluster.
    #[must_use]
    pub fn kops(self, cluster: &str, group: &str) -> Self {
        self.tag("KubernetesCluster", cluster)
            .tag("kops.k8s.io/instancegroup", group)
            .tag("k8s.io/role/node", "1")
            .tag("aws:autoscaling:groupName", format!("{group}.{cluster}"))
    }

    /// Returns the region of the zone.
    #[must_use]
    pub fn region(&self) -> &str {
        self.zone.trim_end_matches(|character: char| character.is_ascii_lowercase())
    }

    /// Returns whether the instance is a running spot instance.
    #[must_use]
    pub fn is_running_spot(&self) -> bool {
        self.lifecycle == Lifecycle::Spot
            && matches!(self.state, InstanceState::Pending | InstanceState::Running)
    }

    /// Returns the id of the spot request.
    pub(in crate::aws) fn spot_request(&self) -> String {
        format!("sir-{}", self.id.get(self.id.len().saturating_sub(8)..).unwrap_or_default())
    }
}

impl Lifecycle {
    /// Returns AWS's name; `None` on demand.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::OnDemand => None,
            Self::Spot => Some("spot"),
            Self::Scheduled => Some("scheduled"),
            Self::CapacityBlock => Some("capacity-block"),
            Self::InterruptibleCapacityReservation => Some("interruptible-capacity-reservation"),
        }
    }
}

impl InstanceState {
    /// Returns AWS's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// Returns AWS's number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Running => 16,
            Self::ShuttingDown => 32,
            Self::Terminated => 48,
            Self::Stopping => 64,
            Self::Stopped => 80,
        }
    }
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl StateReason {
    /// Returns AWS's code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::SpotTermination => "Server.SpotInstanceTermination",
            Self::SpotShutdown => "Server.SpotInstanceShutdown",
            Self::UserShutdown => "Client.UserInitiatedShutdown",
            Self::InstanceShutdown => "Client.InstanceInitiatedShutdown",
        }
    }
}

impl From<StateReason> for String {
    fn from(reason: StateReason) -> Self {
        reason.code().to_owned()
    }
}
