//! Several services on one port, by path prefix.

use std::sync::Arc;

use hyper::{Request, body::Incoming};
use tonic::async_trait;

use crate::server::{Handler, ServerAction};

/// A service on the port of another one.
#[async_trait]
pub(crate) trait Route: Send + Sync + 'static {
    /// Returns the prefix of its paths.
    fn prefix(&self) -> &'static str;

    /// Handles a request to one of its paths.
    async fn handle(&self, request: Request<Incoming>, connection: u64) -> ServerAction;
}

/// A service and the routes on its port.
pub(crate) struct Routes<H> {
    service: Arc<H>,
    others: Vec<Box<dyn Route>>,
}

impl<H> Routes<H> {
    pub(crate) fn new(service: Arc<H>, others: Vec<Box<dyn Route>>) -> Self {
        Self { service, others }
    }
}

impl<H: Handler> Handler for Routes<H> {
    async fn handle(&self, request: Request<Incoming>, connection: u64) -> ServerAction {
        let path = request.uri().path();
        match self.others.iter().find(|route| path.starts_with(route.prefix())) {
            Some(route) => route.handle(request, connection).await,
            None => self.service.handle(request, connection).await,
        }
    }
}
