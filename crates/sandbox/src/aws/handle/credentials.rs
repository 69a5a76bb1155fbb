//! Credentials of the simulated AWS.

use std::time::Duration;

use super::Aws;
use crate::aws::keys::Credentials;

/// Credentials.
impl Aws {
    /// Adds an access key of an account.
    pub fn add_key(&self, key_id: &str, secret: &str, account: &str) {
        self.api.keys.add_user(key_id, secret, account);
    }

    /// Returns permanent or issued credentials by their access key id.
    #[must_use]
    pub fn credentials(&self, key_id: &str) -> Option<Credentials> {
        self.api.keys.find(key_id)
    }

    /// Revokes credentials. Returns whether they were known.
    pub fn revoke(&self, key_id: &str) -> bool {
        self.api.keys.remove(key_id)
    }

    /// Adds a role that can be assumed, by its ARN. [`ROLE`](crate::aws::ROLE) and [`OTHER_ROLE`](crate::aws::OTHER_ROLE)
    /// exist.
    pub fn add_role(&self, arn: impl Into<String>) {
        self.api.roles.lock().roles.insert(arn.into());
    }

    /// Removes a role. Issued credentials stay valid. Returns whether the role existed.
    pub fn remove_role(&self, arn: &str) -> bool {
        self.api.roles.lock().roles.remove(arn)
    }

    /// Sets the lifetime of credentials that are issued from now on, instead of the requested one (an hour by
    /// default).
    pub fn set_credential_lifetime(&self, lifetime: Duration) {
        self.api.roles.lock().lifetime = Some(lifetime);
    }

    /// Sets the accepted token of a Kubernetes service account. The default is
    /// [`WEB_IDENTITY_TOKEN`](crate::aws::WEB_IDENTITY_TOKEN).
    pub fn set_web_identity_token(&self, token: impl Into<String>) {
        self.api.roles.lock().web_identity_token = token.into();
    }

    /// Sets the accepted token of EKS Pod Identity. The default is
    /// [`POD_IDENTITY_TOKEN`](crate::aws::POD_IDENTITY_TOKEN).
    pub fn set_pod_identity_token(&self, token: impl Into<String>) {
        self.api.roles.lock().pod_identity_token = token.into();
    }
}
