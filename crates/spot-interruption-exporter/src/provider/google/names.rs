//! Names in Google's APIs: what the paths of resources say.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::instance::InstanceRef;

/// Reads `projects/P/zones/Z/instances/N`, also as the end of a URL. A path to anything else, such as the
/// collection that a bulk insert goes to, is `None`.
pub(super) fn instance_from_path(path: Cow<'_, str>) -> Option<InstanceRef<'_>> {
    match path {
        Cow::Borrowed(path) => {
            let (project, zone, name) = split_path(path)?;
            Some(InstanceRef {
                id: None,
                project: project.map(Cow::Borrowed),
                zone: Some(zone.into()),
                name: Some(name.into()),
            })
        }
        // A path with escapes in its JSON had to be copied, so its parts cannot be borrowed.
        Cow::Owned(path) => {
            let (project, zone, name) = split_path(&path)?;
            Some(InstanceRef {
                id: None,
                project: project.map(|project| Cow::Owned(project.to_owned())),
                zone: Some(zone.to_owned().into()),
                name: Some(name.to_owned().into()),
            })
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
pub(super) fn is_project_id(project: &str) -> bool {
    !project.bytes().all(|byte| byte.is_ascii_digit())
}

/// The project's number in the path of a resource, where it has that instead of the id.
pub(super) fn project_number(path: &str) -> Option<u64> {
    let mut parts = path.split('/').skip_while(|part| *part != "projects");
    parts.nth(1)?.parse().ok()
}

/// The zone or region in the name or URL of a part of a project, such as `zones/europe-west1-b`.
pub(super) fn unseen_part(name: &str) -> Option<&str> {
    let mut parts = name.split('/').skip_while(|part| !["zones", "regions"].contains(part));
    parts.nth(1).filter(|zone| !zone.is_empty())
}

/// What follows the last slash: the name at the end of a resource's URL.
pub(super) fn last_segment(path: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let name = match path {
        Cow::Borrowed(path) => Cow::Borrowed(path.rsplit_once('/').map_or(path, |(_, name)| name)),
        Cow::Owned(path) => match path.rsplit_once('/') {
            Some((_, name)) => Cow::Owned(name.to_owned()),
            None => Cow::Owned(path),
        },
    };
    (!name.is_empty()).then_some(name)
}

/// Numbers of projects that are remembered.
const MOST_NUMBERS: usize = 100_000;

/// The ids of projects by their numbers, as far as they were seen together: some log entries give the number only.
/// Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct ProjectNumbers(Arc<Mutex<HashMap<u64, Arc<str>>>>);

impl ProjectNumbers {
    /// A project of that number has that id.
    pub(super) fn learn(&self, number: u64, id: &str) {
        let mut ids = self.lock();
        if ids.get(&number).is_none_or(|known| **known != *id) && ids.len() < MOST_NUMBERS {
            ids.insert(number, id.into());
        }
    }

    /// The id of the project of a number.
    pub(super) fn id(&self, number: u64) -> Option<Arc<str>> {
        self.lock().get(&number).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<str>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
