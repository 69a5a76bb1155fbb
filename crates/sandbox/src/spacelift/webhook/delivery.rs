//! A state change of a run and its payloads.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::{RunInfo, Shape, payload, sha1_signature, signature};

/// A state change of a run. Times are counted from the Unix epoch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivery {
    pub(super) run: RunInfo,
    /// All states so far, with version and time. The last one is the current state.
    pub(super) states: Vec<(String, u64, Duration)>,
    pub(super) username: Option<String>,
    pub(super) note: Option<String>,
    pub(super) old: bool,
}

/// The body and the headers of a delivery.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedRequest {
    /// JSON.
    pub body: Bytes,
    /// Names and values: `Content-Type`, `X-Signature-256` and `X-Signature`.
    pub headers: Vec<(&'static str, String)>,
}

impl Delivery {
    /// Returns a delivery about a run. It needs at least one [`state`](Self::state).
    #[must_use]
    pub fn new(run: RunInfo) -> Self {
        Self { run, states: Vec::new(), username: None, note: None, old: false }
    }

    /// Adds a state. The last state is the subject of the delivery; the others are the policy's `timing`.
    #[must_use]
    pub fn state(mut self, name: impl Into<String>, version: u64, at: Duration) -> Self {
        self.states.push((name.into(), version, at));
        self
    }

    /// Returns one delivery for each state of a run, with versions from zero.
    pub fn history<S: AsRef<str>>(
        run: &RunInfo,
        states: impl IntoIterator<Item = (S, Duration)>,
    ) -> Vec<Self> {
        let mut deliveries = Vec::new();
        let mut so_far = Self::new(run.clone());
        for (version, (name, at)) in (0..).zip(states) {
            so_far = so_far.state(name.as_ref(), version, at);
            deliveries.push(so_far.clone());
        }
        deliveries
    }

    /// Sets the user who caused the change.
    #[must_use]
    pub fn username(mut self, name: impl Into<String>) -> Self {
        self.username = Some(name.into());
        self
    }

    /// Sets the user's note about the change.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Selects the default payload of old installations, without `timestamp_millis`, `event_source` and
    /// `event_type`.
    #[must_use]
    pub fn old(mut self, old: bool) -> Self {
        self.old = old;
        self
    }

    /// Returns the run.
    #[must_use]
    pub fn run(&self) -> &RunInfo {
        &self.run
    }

    /// Returns the current state; empty without states.
    #[must_use]
    pub fn current(&self) -> &str {
        self.states.last().map_or("", |(name, ..)| name)
    }

    /// Returns the time of the current state.
    #[must_use]
    pub fn at(&self) -> Duration {
        self.states.last().map_or(self.run.created_at, |(.., at)| *at)
    }

    /// Returns the version of the current state.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.states.last().map_or(0, |(_, version, _)| *version)
    }

    /// Returns whether the current state is final.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        ["CANCELED", "FAILED", "FINISHED", "DISCARDED", "STOPPED", "SKIPPED"].contains(&self.current())
    }

    /// Returns the time spent in each past state, in the order of first entry.
    #[must_use]
    pub fn timing(&self) -> Vec<(&str, Duration)> {
        let mut timing: Vec<(&str, Duration)> = Vec::new();
        for pair in self.states.windows(2) {
            let [(name, _, from), (.., to)] = pair else { continue };
            let spent = to.saturating_sub(*from);
            match timing.iter_mut().find(|(known, _)| *known == name.as_str()) {
                Some((_, sum)) => *sum += spent,
                None => timing.push((name, spent)),
            }
        }
        timing
    }

    /// Returns the default payload.
    #[must_use]
    pub fn default_payload(&self) -> Value {
        payload::default(self)
    }

    /// Returns the payload of the policy in `deploy/spacelift/`.
    #[must_use]
    pub fn policy_payload(&self) -> Value {
        payload::policy(self)
    }

    /// Returns the input of a notification policy, with the ids and labels of webhooks.
    #[must_use]
    pub fn policy_input(&self, webhooks: &[(&str, &[&str])]) -> Value {
        payload::policy_input(self, webhooks)
    }

    /// Returns the bodies to send: two for [`Shape::Both`], otherwise one.
    #[must_use]
    pub fn bodies(&self, shape: Shape) -> Vec<Bytes> {
        let payloads = match shape {
            Shape::Default => vec![self.default_payload()],
            Shape::Policy => vec![self.policy_payload()],
            Shape::Both => vec![self.default_payload(), self.policy_payload()],
        };
        payloads.into_iter().map(|payload| payload.to_string().into()).collect()
    }

    /// Returns the request in one shape; the default payload for [`Shape::Both`].
    #[must_use]
    pub fn signed(&self, shape: Shape, secret: &str) -> SignedRequest {
        let payload = if shape == Shape::Policy { self.policy_payload() } else { self.default_payload() };
        SignedRequest::new(payload.to_string(), secret)
    }
}

impl SignedRequest {
    /// Signs a body.
    #[must_use]
    pub fn new(body: impl Into<Bytes>, secret: &str) -> Self {
        let body = body.into();
        let headers = vec![
            ("Content-Type", "application/json".to_owned()),
            ("X-Signature-256", signature(secret, &body)),
            ("X-Signature", sha1_signature(secret, &body)),
        ];
        Self { body, headers }
    }

    /// Returns the value of a header, by its name as in [`headers`](Self::headers).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.as_str())
    }
}
