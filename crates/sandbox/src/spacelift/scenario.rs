//! The ways in which the API as a whole can misbehave, by name.

use std::{fmt, str::FromStr};

/// How the simulated API behaves towards everybody. See [`Reply`](super::Reply) for a single operation.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Scenario {
    /// Everything works.
    #[default]
    Healthy,
    /// The key belongs to a machine: `usage` and `seats` fail with `not available for machine sessions`.
    /// Both are non-null, so the answer's data is null.
    MachineKey,
    /// `metrics.stacksCountByState` fails with `internal error`, which makes `metrics` null.
    PartialFailure,
    /// Every token is refused, and so is every exchange.
    Unauthorized,
    /// HTTP 429 with `Retry-After: 30` for everything but the exchange.
    RateLimited,
    /// Each answer comes late, after ten seconds unless configured otherwise.
    Slow,
    /// HTTP 200 with an HTML page, as a proxy in between would say it.
    Garbage,
    /// Connections are accepted and end without an answer. The control endpoint stays, or there would be
    /// no way back.
    Down,
}

impl Scenario {
    /// Every scenario, in the order of this type.
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

    /// The name in snake case.
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

/// The name is none of [`Scenario::ALL`].
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
