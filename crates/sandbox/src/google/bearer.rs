//! Authentication by a bearer token.

use std::sync::OnceLock;

use hyper::header::{AUTHORIZATION, HeaderMap};

/// The required bearer token. Without one, every request is accepted.
#[derive(Debug, Default)]
pub(super) struct Bearer(OnceLock<String>);

impl Bearer {
    /// Requires this token from now on. Later calls have no effect.
    pub(super) fn require(&self, token: &str) {
        self.0.get_or_init(|| format!("Bearer {token}"));
    }

    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        self.0.get().is_none_or(|wanted| headers.get(AUTHORIZATION).is_some_and(|given| given == wanted))
    }
}
