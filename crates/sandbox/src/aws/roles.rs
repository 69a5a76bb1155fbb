//! Roles, and the tokens that are exchanged for their credentials.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use super::{
    error::{AwsError, Result},
    keys::{Credentials, Keys},
    names::{OTHER_ROLE, POD_IDENTITY_TOKEN, ROLE, WEB_IDENTITY_TOKEN},
};

/// The lifetime of temporary credentials if the request contains none.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The roles that can be assumed.
pub(super) struct Roles(Mutex<State>);

pub(super) struct State {
    /// ARNs.
    pub(super) roles: BTreeSet<String>,
    pub(super) web_identity_token: String,
    pub(super) pod_identity_token: String,
    /// Replaces the requested lifetime of temporary credentials.
    pub(super) lifetime: Option<Duration>,
}

impl Default for Roles {
    fn default() -> Self {
        Self(Mutex::new(State {
            roles: [ROLE, OTHER_ROLE].map(str::to_owned).into(),
            web_identity_token: WEB_IDENTITY_TOKEN.to_owned(),
            pod_identity_token: POD_IDENTITY_TOKEN.to_owned(),
            lifetime: None,
        }))
    }
}

impl Roles {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Issues credentials of a role, which must exist. `caller` is the ARN in the error.
    pub(super) fn assume(
        &self,
        keys: &Keys,
        role: &str,
        session: &str,
        lifetime: Option<Duration>,
        now: SystemTime,
        caller: &str,
    ) -> Result<Credentials> {
        let state = self.lock();
        if !state.roles.contains(role) {
            return Err(AwsError::of_code("AccessDenied").message(format!(
                "User: {caller} is not authorized to perform: sts:AssumeRole on resource: {role}"
            )));
        }
        let lifetime = state.lifetime.or(lifetime).unwrap_or(LIFETIME);
        Ok(keys.issue(account(role), session_arn(role, session), now, lifetime))
    }
}

/// Returns the account id of a role.
pub(super) fn account(role: &str) -> &str {
    role.split(':').nth(4).unwrap_or_default()
}

/// Returns the name of a role without its path.
pub(super) fn name(role: &str) -> &str {
    role.rsplit('/').next().unwrap_or_default()
}

/// Returns the ARN of a session of a role.
fn session_arn(role: &str, session: &str) -> String {
    format!("arn:aws:sts::{}:assumed-role/{}/{session}", account(role), name(role))
}
