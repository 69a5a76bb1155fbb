//! What becomes of a request because of the project that it is for.

use std::{fmt, str::FromStr};

/// Whether a project's resources may be seen.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Access {
    /// All of them.
    #[default]
    Granted,
    /// The caller lacks the role: 403, which names the permission and the project.
    Forbidden,
    /// There is no such project, or none that may be known: 404.
    NotFound,
    /// The project is shut down: 403 that says so.
    Deleted,
    /// Compute Engine's API is not enabled in it: 403 that says so.
    ApiDisabled,
}

impl Access {
    /// Every kind, in the order of this type.
    pub const ALL: [Self; 5] =
        [Self::Granted, Self::Forbidden, Self::NotFound, Self::Deleted, Self::ApiDisabled];

    /// The name in snake case.
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

/// The name is none of [`Access::ALL`].
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
