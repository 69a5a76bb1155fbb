//! Names of topics and subscriptions.

use tonic::Status;

/// A type of named resource.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ResourceKind {
    Topic,
    Subscription,
}

impl ResourceKind {
    const fn collection(self) -> &'static str {
        match self {
            Self::Topic => "topics",
            Self::Subscription => "subscriptions",
        }
    }
}

/// Checks a full name: `projects/P/topics/T`.
pub(super) fn check(kind: ResourceKind, name: &str) -> Result<(), Status> {
    let mut parts = name.split('/');
    let is_good = parts.next() == Some("projects")
        && parts.next().is_some_and(|project| !project.is_empty())
        && parts.next() == Some(kind.collection())
        && parts.next().is_some_and(is_good_id)
        && parts.next().is_none();
    if is_good {
        return Ok(());
    }
    Err(Status::invalid_argument(format!("Invalid [{}] name: (name={name})", kind.collection())))
}

/// Returns the last part of a name, which error messages contain.
fn id(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The resource does not exist.
pub(super) fn not_found(kind: ResourceKind, name: &str) -> Status {
    let id = id(name);
    Status::not_found(match kind {
        ResourceKind::Topic => format!("Topic not found (resource={id})."),
        ResourceKind::Subscription => format!("Resource not found (resource={id})."),
    })
}

/// The resource exists already.
pub(super) fn already_exists(kind: ResourceKind, name: &str) -> Status {
    let id = id(name);
    Status::already_exists(match kind {
        ResourceKind::Topic => format!("Topic already exists (resource={id})."),
        ResourceKind::Subscription => format!("Subscription already exists (resource={id})."),
    })
}

fn is_good_id(id: &str) -> bool {
    (3..=255).contains(&id.len())
        && id.starts_with(|first: char| first.is_ascii_alphabetic())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~+%".contains(&byte))
        && !id.starts_with("goog")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_names() {
        let long = format!("projects/p/topics/{}", "a".repeat(255));
        for name in ["projects/p/topics/abc", "projects/p-1/topics/A.b_c~d+e%25-9", &long] {
            check(ResourceKind::Topic, name).unwrap();
        }
        let too_long = format!("{long}a");
        for name in [
            "",
            "abc",
            "topics/abc",
            "projects//topics/abc",
            "projects/p/subscriptions/abc",
            "projects/p/topics/ab",
            "projects/p/topics/1abc",
            "projects/p/topics/google",
            "projects/p/topics/a b c",
            "projects/p/topics/abc/d",
            &too_long,
        ] {
            assert!(check(ResourceKind::Topic, name).is_err(), "{name}");
        }
    }
}
