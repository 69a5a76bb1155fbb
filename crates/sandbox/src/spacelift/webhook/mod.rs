//! Webhooks: Spacelift's deliveries about runs and their signatures.
//!
//! A [`Delivery`] describes one state change of a [`RunInfo`]. Both payloads are rendered from it: the
//! default payload, and the payload of the notification policy in `deploy/spacelift/`. Tests of a receiver
//! need no JSON:
//!
//! ```
//! use std::time::Duration;
//! use sandbox::spacelift::webhook::{Changes, Delivery, RunInfo, Shape, signature};
//!
//! let created = Duration::from_secs(1_757_500_000);
//! let run = RunInfo::new("01K5AAAAAAAAAAAAAAAAAAAAAA", "network")
//!     .created_at(created)
//!     .worker_pool("01K5BBBBBBBBBBBBBBBBBBBBBB", "blue")
//!     .space("infra-01K5", "infra")
//!     .changes(Changes { added: 2, ..Changes::default() });
//! let delivery = Delivery::new(run)
//!     .state("QUEUED", 0, created)
//!     .state("PLANNING", 1, created + Duration::from_secs(5));
//!
//! let request = delivery.signed(Shape::Policy, "secret");
//! assert_eq!(request.header("X-Signature-256"), Some(&*signature("secret", &request.body)));
//! ```
//!
//! A simulated account delivers the state changes of its runs to its [`Webhook`]
//! ([`Builder::webhook`](super::Builder::webhook),
//! [`Spacelift::set_webhook`](super::Spacelift::set_webhook)). [`Spacelift::runs`](super::Spacelift::runs)
//! returns the expected results of a receiver. The times of deliveries are real times, whatever the speed of
//! the simulation is.

pub(super) mod control;
mod delivery;
mod event;
mod handle;
mod hooks;
mod payload;
mod run;
mod sender;
mod settings;
mod signature;
mod truth;

pub use delivery::{Delivery, SignedRequest};
pub use event::{audit_event, internal_error, module_version};
pub(super) use hooks::{Outbox, Webhooks};
pub use run::{Changes, Commit, PolicyReceipt, RunInfo, StackInfo, WorkerPoolInfo};
pub(super) use sender::send;
pub use settings::{Webhook, WebhookFaults, WebhookStatus};
pub use signature::{sha1_signature, signature};
pub(super) use truth::RunLog;
pub use truth::{ActiveRuns, EndedRun, Outcome, Runs};

use std::{fmt, str::FromStr};

/// The payload of a delivery.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Shape {
    /// Spacelift's default payload.
    #[default]
    Default,
    /// The payload of the notification policy in `deploy/spacelift/`.
    Policy,
    /// One delivery with each payload, like a webhook of the stack and a policy.
    Both,
}

impl Shape {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::Default, Self::Policy, Self::Both];

    /// Returns the name in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Policy => "policy",
            Self::Both => "both",
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name is not one of [`Shape::ALL`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown shape {0:?}, expected default, policy or both")]
pub struct UnknownShape(String);

impl FromStr for Shape {
    type Err = UnknownShape;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|shape| shape.name() == name).ok_or_else(|| UnknownShape(name.to_owned()))
    }
}
