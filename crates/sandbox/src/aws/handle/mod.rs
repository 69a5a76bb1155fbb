//! The public handle of the simulated AWS.

mod builder;
mod credentials;
mod events;
mod instances;
mod simulated;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use tokio::task::JoinHandle;

pub use self::builder::Builder;
use super::{
    api::Api,
    error::AwsError,
    operation::{Operation, Target},
    recorded::Recorded,
    simulation::Simulation,
    sqs::Queue,
};
use crate::{
    ListenError,
    reply::{Override, Reply},
    routes::Routes,
    server::Server,
};

/// A running simulated AWS. Dropping it stops the server.
pub struct Aws {
    api: Arc<Api>,
    server: Server<Routes<Api>>,
    queue: Queue,
    simulation: Option<Arc<Simulation>>,
    clock: Option<JoinHandle<()>>,
}

/// The server and requests.
impl Aws {
    /// Returns a builder with the defaults: one queue, no instances, a free port of 127.0.0.1.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Returns the listen address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Returns the endpoint of all services: `http://127.0.0.1:8087`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.server.reachable())
    }

    /// Returns the last 10,000 requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.api.journal.recent()
    }

    /// Returns the number of requests of an operation, including rejected ones.
    #[must_use]
    pub fn count(&self, operation: Operation) -> u64 {
        self.api.journal.count(operation.name())
    }

    /// Waits until `count` requests of an operation have arrived since the start.
    pub async fn wait_for(&self, operation: Operation, count: u64) {
        self.api.journal.wait_for(operation.name(), count).await;
    }

    /// Sets the reply to an operation, or only to its requests of one account or region:
    /// `Target::new(Operation::DescribeInstances).region("us-east-1")`. The most specific reply is used.
    ///
    /// Replies with a count are used first, in the order in which they were added. A reply without a count is
    /// used after them, without limit, and replaces the previous reply without a count.
    pub fn override_reply(&self, target: impl Into<Target>, reply: impl Into<Override>) {
        self.api.add_override(target.into(), reply.into());
    }

    /// Removes all replies that were set. Requests that are held stay held.
    pub fn clear_overrides(&self) {
        self.api.overrides().clear();
    }

    /// Returns an error response of an operation's service, with the usual status of the code, such as
    /// `RequestThrottled`, `OverLimit` or `AccessDeniedException` of SQS, `RequestLimitExceeded` or
    /// `UnauthorizedOperation` of EC2.
    #[must_use]
    pub fn error_reply(operation: Operation, code: &str) -> Reply {
        let error = AwsError::of_code(code);
        let (content_type, body) =
            error.rendered(operation.service(), "00000000-0000-4000-8000-000000000000");
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Reply::Status { code: error.status, headers, body }
    }

    /// Lets requests of an operation fail with an error of its service. See
    /// [`override_reply`](Self::override_reply) and [`error_reply`](Self::error_reply).
    pub fn fail(&self, target: impl Into<Target>, code: &str) {
        let target = target.into();
        let reply = Self::error_reply(target.operation, code);
        self.override_reply(target, reply);
    }

    /// Lets the next `count` requests of an operation fail. See [`fail`](Self::fail).
    pub fn fail_times(&self, target: impl Into<Target>, code: &str, count: usize) {
        let target = target.into();
        let reply = Self::error_reply(target.operation, code);
        self.override_reply(target, reply.times(count));
    }

    /// Sets the difference of the services' clock to that of the machine, in seconds. It applies to signatures,
    /// the `Date` header, credentials, launch times and events.
    pub fn set_clock_offset(&self, seconds: f64) {
        self.api.clock.set_offset(seconds);
    }

    /// Returns the difference of the services' clock to that of the machine, in seconds.
    #[must_use]
    pub fn clock_offset(&self) -> f64 {
        self.api.clock.offset()
    }

    /// Sets whether signatures are checked. Otherwise only the access key id must be known.
    pub fn set_checks_signatures(&self, checks: bool) {
        self.api.checks_signatures.store(checks, Ordering::Relaxed);
    }

    /// Closes the listener and all connections. Connections are refused until a restart; the data is kept, and
    /// the world continues.
    pub async fn stop(&self) {
        self.server.stop().await;
    }

    /// Listens again on the same address, after [`stop`](Self::stop) or without it.
    ///
    /// # Errors
    ///
    /// Returns an error if another process uses the address.
    pub async fn restart(&self) -> Result<(), ListenError> {
        self.server.restart().await
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        if let Some(clock) = &self.clock {
            clock.abort();
        }
    }
}
