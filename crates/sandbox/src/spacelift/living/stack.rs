//! A stack and the state that its runs bring it into.

use std::time::Duration;

use rand::{RngExt as _, rngs::StdRng};

use super::pool::Run;
use crate::spacelift::account::{LargestStack, StackTile};

const TOPICS: [&str; 8] =
    ["network", "dns", "database", "cluster", "iam", "storage", "observability", "edge"];
const VENDORS: [&str; 4] = ["hashicorp/aws", "hashicorp/google", "hashicorp/kubernetes", "datadog/datadog"];

#[derive(Clone, Debug)]
pub(super) struct Stack {
    pub(super) slug: String,
    pub(super) vendor: &'static str,
    pub(super) resources: u32,
    pub(super) drifted: u32,
    pub(super) detects_drift: bool,
    pub(super) state: State,
    /// The run that brought it into its state; a new stack has had none.
    pub(super) run: Option<Run>,
    pub(super) failing_since: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    New,
    Queued,
    Planning,
    Unconfirmed,
    Finished,
    Failed,
}

impl Stack {
    pub(super) fn new(pool: &str, number: usize, rng: &mut StdRng) -> Self {
        let topic = TOPICS[rng.random_range(0..TOPICS.len())];
        Self {
            slug: format!("{pool}-{topic}-{number}"),
            vendor: VENDORS[rng.random_range(0..VENDORS.len())],
            // Most are small, a few are large.
            resources: rng.random_range(2..30_u32).pow(2),
            drifted: 0,
            detects_drift: rng.random_bool(0.6),
            state: State::New,
            run: None,
            failing_since: None,
        }
    }

    pub(super) fn enter(&mut self, state: State, run: Run) {
        self.state = state;
        self.run = Some(run);
    }

    pub(super) fn tile(&self) -> StackTile {
        StackTile::new(self.slug.replace('-', " "), &self.slug, self.state.name())
    }

    pub(super) fn as_largest(&self) -> LargestStack {
        LargestStack { resources_count: self.resources.into(), stack_tile: self.tile() }
    }
}

impl State {
    /// Spacelift's name of it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::New => "NONE",
            Self::Queued => "QUEUED",
            Self::Planning => "PLANNING",
            Self::Unconfirmed => "UNCONFIRMED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
        }
    }
}
