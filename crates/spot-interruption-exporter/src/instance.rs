//! Identity and description of an instance.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;

use jiff::Timestamp;

/// The numeric id that the provider assigns to an instance. Unlike the name, it is never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(NonZeroU64);

impl InstanceId {
    /// Wraps a number. Returns `None` for zero, which Google's services write for "no id".
    #[must_use]
    pub fn new(id: u64) -> Option<Self> {
        NonZeroU64::new(id).map(Self)
    }

    /// The id as a number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Reference to an instance with the fields that its source contains. A reference identifies an instance by id, or by
/// zone and name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceRef<'a> {
    /// The numeric id. If both sides of a comparison have an id, only the id decides.
    pub id: Option<InstanceId>,
    /// The id of the project. `None` if unknown, or if the source contains only the project's number, which cannot be
    /// compared without a list of projects. `None` matches every project.
    pub project: Option<Cow<'a, str>>,
    /// The zone, such as `europe-west1-c`.
    pub zone: Option<Cow<'a, str>>,
    /// The name, unique in its project and zone at any time.
    pub name: Option<Cow<'a, str>>,
}

impl<'a> InstanceRef<'a> {
    /// Zone and name, if both are known.
    #[must_use]
    pub fn zone_and_name(&self) -> Option<(&str, &str)> {
        Some((self.zone.as_deref()?, self.name.as_deref()?))
    }

    /// Whether the reference identifies one instance.
    #[must_use]
    pub fn identifies(&self) -> bool {
        self.id.is_some() || self.zone_and_name().is_some()
    }

    /// Fills missing fields from another reference to the same instance.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            id: self.id.or(other.id),
            project: self.project.or(other.project),
            zone: self.zone.or(other.zone),
            name: self.name.or(other.name),
        }
    }
}

/// An [`InstanceRef`] with its texts in one allocation, because very many are stored.
#[derive(Debug, Clone, Default)]
pub(crate) struct CompactRef {
    id: Option<InstanceId>,
    /// Project, zone and name, concatenated. Missing parts are empty.
    text: Box<str>,
    zone_at: u32,
    name_at: u32,
}

impl From<&InstanceRef<'_>> for CompactRef {
    fn from(instance: &InstanceRef<'_>) -> Self {
        let parts = [&instance.project, &instance.zone, &instance.name]
            .map(|part| part.as_deref().unwrap_or_default());
        Self {
            id: instance.id,
            text: parts.concat().into(),
            zone_at: parts[0].len() as u32,
            name_at: (parts[0].len() + parts[1].len()) as u32,
        }
    }
}

impl CompactRef {
    pub(crate) fn get(&self) -> InstanceRef<'_> {
        let (project_and_zone, name) = self.text.split_at(self.name_at as usize);
        let (project, zone) = project_and_zone.split_at(self.zone_at as usize);
        let [project, zone, name] =
            [project, zone, name].map(|part| (!part.is_empty()).then_some(part.into()));
        InstanceRef { id: self.id, project, zone, name }
    }
}

/// Description of an instance from a creation event, a listing or a lookup.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Instance<'a> {
    /// Identity of the instance.
    pub instance: InstanceRef<'a>,
    /// The Kubernetes cluster of the node, or `None` if the instance is not a node.
    pub cluster: Option<Cow<'a, str>>,
    /// The region or zone of the cluster's control plane.
    pub location: Option<Cow<'a, str>>,
    /// The node pool of GKE or Karpenter.
    pub node_pool: Option<Cow<'a, str>>,
    /// The machine type's name, such as `n2-standard-8`.
    pub machine_type: Option<Cow<'a, str>>,
    /// Whether the instance can be preempted.
    pub spot: bool,
    /// Whether the instance runs or is starting. A preempted instance can still exist in the state TERMINATED.
    pub running: bool,
    /// Creation time.
    pub created_at: Option<Timestamp>,
}

impl Instance<'_> {
    /// Copies all borrowed texts.
    #[must_use]
    pub fn into_owned(self) -> Instance<'static> {
        let own = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        Instance {
            instance: InstanceRef {
                id: self.instance.id,
                project: own(self.instance.project),
                zone: own(self.instance.zone),
                name: own(self.instance.name),
            },
            cluster: own(self.cluster),
            location: own(self.location),
            node_pool: own(self.node_pool),
            machine_type: own(self.machine_type),
            spot: self.spot,
            running: self.running,
            created_at: self.created_at,
        }
    }
}
