//! One state change of a run, ready to be sent.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::{RunInfo, Shape, payload, sha1_signature, signature};

/// One state change of a run. Times are counted from the Unix epoch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivery {
    pub(super) run: RunInfo,
    /// Every state so far with its version and when it was entered; the last one is what this is about.
    pub(super) states: Vec<(String, u64, Duration)>,
    pub(super) username: Option<String>,
    pub(super) note: Option<String>,
    pub(super) old: bool,
}

/// The body of a delivery and the headers that Spacelift sends along.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedRequest {
    /// JSON.
    pub body: Bytes,
    /// Names and values: `Content-Type`, `X-Signature-256` and `X-Signature`.
    pub headers: Vec<(&'static str, String)>,
}

impl Delivery {
    /// A delivery about a run, which needs at least one [`state`](Self::state).
    #[must_use]
    pub fn new(run: RunInfo) -> Self {
        Self { run, states: Vec::new(), username: None, note: None, old: false }
    }

    /// The run has entered a state. The last call decides what the delivery is about; those before it are what the
    /// policy's `timing` is made of.
    #[must_use]
    pub fn state(mut self, name: impl Into<String>, version: u64, at: Duration) -> Self {
        self.states.push((name.into(), version, at));
        self
    }

    /// One delivery for each state of a run, with versions from zero.
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

    /// Who caused the change.
    #[must_use]
    pub fn username(mut self, name: impl Into<String>) -> Self {
        self.username = Some(name.into());
        self
    }

    /// What somebody wrote who caused the change.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// As old installations send it: the default payload has no `timestamp_millis`, `event_source` and `event_type`.
    #[must_use]
    pub fn old(mut self, old: bool) -> Self {
        self.old = old;
        self
    }

    /// The run that it is about.
    #[must_use]
    pub fn run(&self) -> &RunInfo {
        &self.run
    }

    /// The state that it is about; empty if none was given.
    #[must_use]
    pub fn current(&self) -> &str {
        self.states.last().map_or("", |(name, ..)| name)
    }

    /// When that state was entered.
    #[must_use]
    pub fn at(&self) -> Duration {
        self.states.last().map_or(self.run.created_at, |(.., at)| *at)
    }

    /// The ordinal number of that state.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.states.last().map_or(0, |(_, version, _)| *version)
    }

    /// Whether that state is one that no other follows.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        ["CANCELED", "FAILED", "FINISHED", "DISCARDED", "STOPPED", "SKIPPED"].contains(&self.current())
    }

    /// Time spent in each state that has ended, in the order in which they were first entered.
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

    /// The default payload.
    #[must_use]
    pub fn default_payload(&self) -> Value {
        payload::default(self)
    }

    /// The payload of the policy in `deploy/spacelift/`.
    #[must_use]
    pub fn policy_payload(&self) -> Value {
        payload::policy(self)
    }

    /// What Spacelift gives a notification policy to decide on, with these webhooks as identities and labels.
    #[must_use]
    pub fn policy_input(&self, webhooks: &[(&str, &[&str])]) -> Value {
        payload::policy_input(self, webhooks)
    }

    /// The bodies to send: two for [`Shape::Both`], otherwise one.
    #[must_use]
    pub fn bodies(&self, shape: Shape) -> Vec<Bytes> {
        let payloads = match shape {
            Shape::Default => vec![self.default_payload()],
            Shape::Policy => vec![self.policy_payload()],
            Shape::Both => vec![self.default_payload(), self.policy_payload()],
        };
        payloads.into_iter().map(|payload| payload.to_string().into()).collect()
    }

    /// The request in one shape; the default payload for [`Shape::Both`].
    #[must_use]
    pub fn signed(&self, shape: Shape, secret: &str) -> SignedRequest {
        let payload = if shape == Shape::Policy { self.policy_payload() } else { self.default_payload() };
        SignedRequest::new(payload.to_string(), secret)
    }
}

impl SignedRequest {
    /// Signs any body.
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

    /// The value of a header, by the name as it is written in [`headers`](Self::headers).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.as_str())
    }
}
