//! The words for instances: which one is meant, and what is known of one.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;

use jiff::Timestamp;

/// The number that the provider gives an instance. It is never reused, unlike the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(NonZeroU64);

impl InstanceId {
    /// The id of that number; zero is what the services write for "none".
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

/// Which instance is meant, as far as the source says. Whoever makes one sees to it that it names an instance: by
/// id, or by zone and name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceRef<'a> {
    /// The number, which settles the matter wherever both sides have one.
    pub id: Option<InstanceId>,
    /// The project's id. Absent too where the source gives the project's number: that says nothing without a
    /// directory of projects, and is compatible with any id.
    pub project: Option<Cow<'a, str>>,
    /// The zone, such as `europe-west1-c`.
    pub zone: Option<Cow<'a, str>>,
    /// The name, unique in its project and zone at any one time.
    pub name: Option<Cow<'a, str>>,
}

impl<'a> InstanceRef<'a> {
    /// Zone and name, when both are given.
    #[must_use]
    pub fn zone_and_name(&self) -> Option<(&str, &str)> {
        Some((self.zone.as_deref()?, self.name.as_deref()?))
    }

    /// Whether it says enough to mean one instance.
    #[must_use]
    pub fn identifies(&self) -> bool {
        self.id.is_some() || self.zone_and_name().is_some()
    }

    /// Fills what is absent from another reference to the same instance.
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

/// An [`InstanceRef`] with its text in one piece: there can be very many of these at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct CompactRef {
    id: Option<InstanceId>,
    /// Project, zone and name, absent ones being empty.
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

/// What a creation event, a listing or a look-up says about one instance.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Instance<'a> {
    /// Which instance this is.
    pub instance: InstanceRef<'a>,
    /// The Kubernetes cluster that it is a node of; `None` for an instance outside any.
    pub cluster: Option<Cow<'a, str>>,
    /// The region or zone of the cluster's control plane.
    pub location: Option<Cow<'a, str>>,
    /// The node pool, GKE's or Karpenter's.
    pub node_pool: Option<Cow<'a, str>>,
    /// The machine type's name, such as `n2-standard-8`.
    pub machine_type: Option<Cow<'a, str>>,
    /// Whether it can be preempted.
    pub spot: bool,
    /// Whether it runs, or is about to. A preempted instance can remain, terminated, for a while.
    pub running: bool,
    /// When it was created.
    pub created_at: Option<Timestamp>,
}

impl Instance<'_> {
    /// The same, borrowing nothing.
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
