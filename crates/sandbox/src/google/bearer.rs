//! Whose requests a service answers.

use std::sync::OnceLock;

use hyper::header::{AUTHORIZATION, HeaderMap};

/// Whose requests a service answers: at first everybody's.
#[derive(Debug, Default)]
pub(super) struct Bearer(OnceLock<String>);

impl Bearer {
    /// From now on only those who name this token; once it is set, it stays.
    pub(super) fn require(&self, token: &str) {
        self.0.get_or_init(|| format!("Bearer {token}"));
    }

    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        self.0.get().is_none_or(|wanted| headers.get(AUTHORIZATION).is_some_and(|given| given == wanted))
    }
}
