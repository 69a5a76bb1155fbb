//! Names in the resource paths of Google's APIs.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::instance::InstanceRef;

/// Parses `projects/P/zones/Z/instances/N`, also at the end of a URL. Returns `None` for other paths, such as the
/// collection of a bulk insert.
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
        // A path with JSON escapes was copied, so its parts cannot be borrowed.
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

/// Whether this is a project's id, not its number. Ids start with a letter.
pub(super) fn is_project_id(project: &str) -> bool {
    !project.bytes().all(|byte| byte.is_ascii_digit())
}

/// The project number in a resource path, if the path has a number instead of an id.
pub(super) fn project_number(path: &str) -> Option<u64> {
    let mut parts = path.split('/').skip_while(|part| *part != "projects");
    parts.nth(1)?.parse().ok()
}

/// The zone or region in a name or URL, such as `zones/europe-west1-b`.
pub(super) fn unseen_part(name: &str) -> Option<&str> {
    let mut parts = name.split('/').skip_while(|part| !["zones", "regions"].contains(part));
    parts.nth(1).filter(|zone| !zone.is_empty())
}

/// The text after the last slash: the name at the end of a resource URL.
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

/// Maximum number of remembered project numbers.
const MAX_NUMBERS: usize = 100_000;

/// Project ids by project number, as far as both were seen together. Some log entries contain only the number. Clones
/// share the map.
#[derive(Debug, Clone, Default)]
pub(super) struct ProjectNumbers(Arc<Mutex<HashMap<u64, Arc<str>>>>);

impl ProjectNumbers {
    /// Stores the id of a project number.
    pub(super) fn insert(&self, number: u64, id: &str) {
        let mut ids = self.lock();
        if ids.get(&number).is_none_or(|known| **known != *id) && ids.len() < MAX_NUMBERS {
            ids.insert(number, id.into());
        }
    }

    /// The id of a project number.
    pub(super) fn id(&self, number: u64) -> Option<Arc<str>> {
        self.lock().get(&number).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<str>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
