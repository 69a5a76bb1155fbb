//! Several services on one port, told apart by how their paths begin.

use std::sync::Arc;

use hyper::{Request, body::Incoming};
use tonic::async_trait;

use crate::server::{Answer, Handler};

/// A service that shares another one's port.
#[async_trait]
pub(crate) trait Route: Send + Sync + 'static {
    /// How its paths begin.
    fn prefix(&self) -> &'static str;

    /// Answers a request to one of its paths.
    async fn answer(&self, request: Request<Incoming>, connection: u64) -> Answer;
}

/// A service and those that share its port.
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
    async fn answer(&self, request: Request<Incoming>, connection: u64) -> Answer {
        let path = request.uri().path();
        match self.others.iter().find(|route| path.starts_with(route.prefix())) {
            Some(route) => route.answer(request, connection).await,
            None => self.service.answer(request, connection).await,
        }
    }
}
