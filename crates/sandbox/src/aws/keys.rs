//! Access keys and the credentials that the simulated services have issued.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rand::distr::{Alphanumeric, SampleString as _};

/// Credentials, permanent or temporary.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Credentials {
    /// The access key id.
    pub key_id: String,
    /// The secret access key.
    pub secret: String,
    /// The session token of temporary credentials.
    pub token: Option<String>,
    /// When temporary credentials expire, by the clock of the services.
    pub expires: Option<SystemTime>,
    /// The account id.
    pub account: String,
    /// The ARN of the user or of the session of a role.
    pub arn: String,
}

/// All accepted credentials.
#[derive(Default)]
pub(super) struct Keys(RwLock<HashMap<String, Credentials>>);

impl Keys {
    pub(super) fn add(&self, credentials: Credentials) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(credentials.key_id.clone(), credentials);
    }

    /// Adds the permanent credentials of a user of an account.
    pub(super) fn add_user(&self, key_id: &str, secret: &str, account: &str) {
        self.add(Credentials {
            key_id: key_id.to_owned(),
            secret: secret.to_owned(),
            token: None,
            expires: None,
            account: account.to_owned(),
            arn: format!("arn:aws:iam::{account}:user/simulated"),
        });
    }

    /// Issues temporary credentials.
    pub(super) fn issue(
        &self,
        account: &str,
        arn: String,
        now: SystemTime,
        lifetime: Duration,
    ) -> Credentials {
        let mut rng = rand::rng();
        let credentials = Credentials {
            key_id: format!("ASIA{}", Alphanumeric.sample_string(&mut rng, 16).to_uppercase()),
            secret: Alphanumeric.sample_string(&mut rng, 40),
            // Tokens contain characters that must be escaped in XML and in forms.
            token: Some(format!("IQoJb3JpZ2luX2Vj//{}+/==", Alphanumeric.sample_string(&mut rng, 200))),
            expires: Some(now + lifetime),
            account: account.to_owned(),
            arn,
        };
        self.add(credentials.clone());
        credentials
    }

    pub(super) fn find(&self, key_id: &str) -> Option<Credentials> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key_id).cloned()
    }

    /// Revokes credentials. Returns whether they were known.
    pub(super) fn remove(&self, key_id: &str) -> bool {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(key_id).is_some()
    }
}
