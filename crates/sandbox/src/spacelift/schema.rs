//! The GraphQL schema of an [`Account`].

use std::sync::Arc;

use async_graphql::{Context, EmptySubscription, InputObject, Object, Result, ServerError};

use super::{
    account::{
        Account, ID, IntegrationsCount, Metrics, MetricsRange, PublicWorkerPool, Seats, Usage, WorkerPool,
    },
    guard::unless_machine_key,
    scenario::Scenario,
    session::{Sessions, User},
};

pub(super) type Schema = async_graphql::Schema<Query, Mutation, EmptySubscription>;

/// Returns a schema that exchanges tokens with `sessions`. Each request provides its `Arc<Account>` and its
/// [`Scenario`].
pub(super) fn build(sessions: Arc<Sessions>) -> Schema {
    Schema::build(Query, Mutation, EmptySubscription).data(sessions).finish()
}

/// Returns the schema in GraphQL's schema definition language.
#[must_use]
pub fn sdl() -> String {
    Schema::new(Query, Mutation, EmptySubscription).sdl()
}

pub(super) struct Query;

#[Object]
impl Query {
    async fn audit_trail_retention_days(&self, ctx: &Context<'_>) -> Result<i64> {
        Ok(account(ctx)?.audit_trail_retention_days)
    }

    async fn integrations_count<'a>(&self, ctx: &Context<'a>) -> Result<&'a IntegrationsCount> {
        Ok(&account(ctx)?.integrations)
    }

    async fn metrics<'a>(&self, ctx: &Context<'a>) -> Result<Option<&'a Metrics>> {
        Ok(account(ctx)?.metrics.as_ref())
    }

    async fn metrics_range<'a>(
        &self,
        ctx: &Context<'a>,
        input: MetricsInput,
    ) -> Result<Option<&'a MetricsRange>> {
        if input.end_time <= input.start_time {
            return Err("the range must end after it starts".into());
        }
        Ok(account(ctx)?.dora.as_ref())
    }

    async fn public_worker_pool<'a>(&self, ctx: &Context<'a>) -> Result<Option<&'a PublicWorkerPool>> {
        Ok(account(ctx)?.public_pool.as_ref())
    }

    async fn run_log_retention_days(&self, ctx: &Context<'_>) -> Result<i64> {
        Ok(account(ctx)?.run_log_retention_days)
    }

    #[graphql(guard = "unless_machine_key")]
    async fn seats<'a>(&self, ctx: &Context<'a>) -> Result<&'a Seats> {
        Ok(&account(ctx)?.seats)
    }

    #[graphql(guard = "unless_machine_key")]
    async fn usage<'a>(&self, ctx: &Context<'a>) -> Result<&'a Usage> {
        Ok(&account(ctx)?.usage)
    }

    async fn worker_pools<'a>(&self, ctx: &Context<'a>) -> Result<&'a [WorkerPool]> {
        Ok(&account(ctx)?.pools)
    }
}

pub(super) struct Mutation;

#[Object]
impl Mutation {
    /// Exchanges an API key for a session; null for an unknown key.
    async fn api_key_user(&self, ctx: &Context<'_>, id: ID, secret: String) -> Result<Option<User>> {
        let session = match ctx.data::<Scenario>()? {
            Scenario::Unauthorized => None,
            _ => ctx.data::<Arc<Sessions>>()?.exchange(&id, &secret),
        };
        if session.is_none() {
            // An `Err` would make the whole `data` null. The real API nulls only this field.
            let error = ServerError::new("unauthorized", Some(ctx.item.pos));
            ctx.add_error(ctx.set_error_path(error));
        }
        Ok(session)
    }
}

#[derive(InputObject)]
struct MetricsInput {
    /// Unix seconds.
    end_time: i64,
    /// Unix seconds.
    start_time: i64,
}

/// Returns the account of the request.
fn account<'a>(ctx: &Context<'a>) -> Result<&'a Account> {
    Ok(ctx.data::<Arc<Account>>()?)
}
