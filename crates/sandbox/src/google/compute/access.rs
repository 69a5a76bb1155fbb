//! Access to a project.

use std::{fmt, str::FromStr};

/// Whether the caller may read the resources of a project, and why not.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Access {
    /// The caller may read all resources.
    #[default]
    Granted,
    /// The caller lacks the role: HTTP 403 with the permission and the project.
    Forbidden,
    /// The project does not exist or is hidden: HTTP 404.
    NotFound,
    /// The project is shut down: HTTP 403.
    Deleted,
    /// The Compute Engine API is not enabled in the project: HTTP 403.
    ApiDisabled,
}

impl Access {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 5] =
        [Self::Granted, Self::Forbidden, Self::NotFound, Self::Deleted, Self::ApiDisabled];

    /// Returns the name in snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Deleted => "deleted",
            Self::ApiDisabled => "api_disabled",
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name is not one of [`Access::ALL`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown access {0:?}, expected one of {names}", names = Access::ALL.map(Access::name).join(", "))]
pub struct UnknownAccess(String);

impl FromStr for Access {
    type Err = UnknownAccess;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|access| access.name() == name)
            .ok_or_else(|| UnknownAccess(name.to_owned()))
    }
}
