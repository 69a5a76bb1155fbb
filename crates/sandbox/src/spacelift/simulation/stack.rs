//! A stack and its state.

use std::time::Duration;

use rand::{RngExt as _, rngs::StdRng};

use super::run::RunState;
use crate::spacelift::{
    account::{ID, LargestStack, StackTile},
    webhook::StackInfo,
};

const TOPICS: [&str; 8] =
    ["network", "dns", "database", "cluster", "iam", "storage", "observability", "edge"];
/// The id and the name of each space.
const SPACES: [(&str, &str); 4] = [
    ("root", "root"),
    ("platform-01K5A3Q7W8", "platform"),
    ("data-01K5A3QB2M", "data"),
    ("products-01K5A3QE4T", "products"),
];
const VENDORS: [&str; 4] = ["hashicorp/aws", "hashicorp/google", "hashicorp/kubernetes", "datadog/datadog"];

#[derive(Clone, Debug)]
pub(super) struct Stack {
    pub(super) slug: String,
    pub(super) vendor: &'static str,
    pub(super) resources: u32,
    pub(super) drifted: u32,
    pub(super) detects_drift: bool,
    space: (&'static str, &'static str),
    /// The last run that changed the state, and that state; `None` for a new stack.
    pub(super) run: Option<(ID, RunState)>,
    pub(super) failing_since: Option<Duration>,
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
            space: SPACES[number % SPACES.len()],
            run: None,
            failing_since: None,
        }
    }

    /// Returns Spacelift's name of the state.
    pub(super) fn state(&self) -> &'static str {
        self.run.as_ref().map_or("NONE", |(_, state)| state.name())
    }

    pub(super) fn tile(&self) -> StackTile {
        StackTile::new(self.name(), &self.slug, self.state())
    }

    /// Returns the stack as in webhooks.
    pub(super) fn info(&self) -> StackInfo {
        let (space_id, space_name) = self.space;
        StackInfo {
            id: self.slug.clone(),
            name: self.name(),
            description: None,
            labels: vec![format!("team:{space_name}")],
            repository: "infra".to_owned(),
            space_id: space_id.to_owned(),
            space_name: space_name.to_owned(),
        }
    }

    fn name(&self) -> String {
        self.slug.replace('-', " ")
    }

    pub(super) fn as_largest(&self) -> LargestStack {
        LargestStack { resources_count: self.resources.into(), stack_tile: self.tile() }
    }
}
