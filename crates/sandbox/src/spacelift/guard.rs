//! Fields that fail in some scenarios.

use async_graphql::{Context, Result};

use super::scenario::Scenario;

pub(super) fn unless_machine_key(ctx: &Context<'_>) -> Result<()> {
    unless(ctx, Scenario::MachineKey, "not available for machine sessions")
}

pub(super) fn unless_partial_failure(ctx: &Context<'_>) -> Result<()> {
    unless(ctx, Scenario::PartialFailure, "internal error")
}

/// Lets a field fail in one scenario. What becomes null with it is GraphQL's business, as in the real API.
fn unless(ctx: &Context<'_>, scenario: Scenario, message: &'static str) -> Result<()> {
    if *ctx.data::<Scenario>()? == scenario { Err(message.into()) } else { Ok(()) }
}
