//! The words for instances: which one is meant, and what is known of one.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;

use jiff::Timestamp;

use crate::lenient::Lenient;

/// The number that Compute Engine gives an instance. It is never reused, unlike the name.
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

/// Protobuf's JSON writes 64-bit numbers as text, others write them as numbers. Both are read.
impl<'de> Lenient<'de> for Option<InstanceId> {
    fn text(&mut self, text: Cow<'de, str>) {
        *self = text.parse().ok().and_then(InstanceId::new);
    }

    fn number(&mut self, number: Option<i128>) {
        *self = number.and_then(|number| u64::try_from(number).ok()).and_then(InstanceId::new);
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
    /// Reads `projects/P/zones/Z/instances/N`, also as the end of a URL. A path to anything else, such as the
    /// collection that a bulk insert goes to, is `None`.
    #[must_use]
    pub fn from_path(path: Cow<'a, str>) -> Option<Self> {
        match path {
            Cow::Borrowed(path) => {
                let (project, zone, name) = split_path(path)?;
                Some(Self {
                    id: None,
                    project: project.map(Cow::Borrowed),
                    zone: Some(zone.into()),
                    name: Some(name.into()),
                })
            }
            // A path with escapes in its JSON had to be copied, so its parts cannot be borrowed.
            Cow::Owned(path) => {
                let (project, zone, name) = split_path(&path)?;
                Some(Self {
                    id: None,
                    project: project.map(|project| Cow::Owned(project.to_owned())),
                    zone: Some(zone.to_owned().into()),
                    name: Some(name.to_owned().into()),
                })
            }
        }
    }

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

fn split_path(path: &str) -> Option<(Option<&str>, &str, &str)> {
    let mut parts = path.rsplit('/');
    let name = parts.next().filter(|name| !name.is_empty())?;
    parts.next().filter(|&collection| collection == "instances")?;
    let zone = parts.next().filter(|zone| !zone.is_empty())?;
    parts.next().filter(|&collection| collection == "zones")?;
    let project = parts.next().filter(|project| is_project_id(project));
    let project = project.filter(|_| parts.next() == Some("projects"));
    Some((project, zone, name))
}

/// Whether this is a project's id rather than its number. An id starts with a letter.
pub(crate) fn is_project_id(project: &str) -> bool {
    !project.bytes().all(|byte| byte.is_ascii_digit())
}

/// What follows the last slash: the name at the end of a resource's URL.
pub(crate) fn last_segment(path: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let name = match path {
        Cow::Borrowed(path) => Cow::Borrowed(path.rsplit_once('/').map_or(path, |(_, name)| name)),
        Cow::Owned(path) => match path.rsplit_once('/') {
            Some((_, name)) => Cow::Owned(name.to_owned()),
            None => Cow::Owned(path),
        },
    };
    (!name.is_empty()).then_some(name)
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
