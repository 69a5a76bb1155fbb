//! Named behaviours of the whole API.

use std::{fmt, str::FromStr};

/// The behaviour of the simulated API for all operations. See [`Reply`](super::Reply) for a single operation.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Scenario {
    /// No faults.
    #[default]
    Healthy,
    /// The API key belongs to a machine: `usage` and `seats` fail with `not available for machine sessions`.
    /// Both are non-null, so `data` is null.
    MachineKey,
    /// `metrics.stacksCountByState` fails with `internal error`, which makes `metrics` null.
    PartialFailure,
    /// All tokens and all token exchanges are rejected.
    Unauthorized,
    /// HTTP 429 with `Retry-After: 30` for everything except token exchanges.
    RateLimited,
    /// Each response is delayed by ten seconds.
    Slow,
    /// HTTP 200 with an HTML page, like the error page of a proxy.
    Garbage,
    /// Connections are closed without a response. The control endpoint stays available to change the
    /// scenario.
    Down,
}

impl Scenario {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 8] = [
        Self::Healthy,
        Self::MachineKey,
        Self::PartialFailure,
        Self::Unauthorized,
        Self::RateLimited,
        Self::Slow,
        Self::Garbage,
        Self::Down,
    ];

    /// Returns the name in snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::MachineKey => "machine_key",
            Self::PartialFailure => "partial_failure",
            Self::Unauthorized => "unauthorized",
            Self::RateLimited => "rate_limited",
            Self::Slow => "slow",
            Self::Garbage => "garbage",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name is not one of [`Scenario::ALL`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown scenario {0:?}, expected one of {names}", names = Scenario::ALL.map(Scenario::name).join(", "))]
pub struct UnknownScenario(String);

impl FromStr for Scenario {
    type Err = UnknownScenario;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scenario| scenario.name() == name)
            .ok_or_else(|| UnknownScenario(name.to_owned()))
    }
}
