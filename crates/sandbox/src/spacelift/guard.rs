//! GraphQL guards of fields that fail in some scenarios.

use async_graphql::{Context, Result};

use super::scenario::Scenario;

pub(super) fn unless_machine_key(ctx: &Context<'_>) -> Result<()> {
    unless(ctx, Scenario::MachineKey, "not available for machine sessions")
}

pub(super) fn unless_partial_failure(ctx: &Context<'_>) -> Result<()> {
    unless(ctx, Scenario::PartialFailure, "internal error")
}

/// Returns an error in one scenario. GraphQL determines which parent becomes null, as in the real API.
fn unless(ctx: &Context<'_>, scenario: Scenario, message: &'static str) -> Result<()> {
    if *ctx.data::<Scenario>()? == scenario { Err(message.into()) } else { Ok(()) }
}
