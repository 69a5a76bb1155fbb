//! The gRPC server on the sandbox's sockets.

use std::{convert::Infallible, io, sync::Arc};

use http_body_util::BodyExt as _;
use hyper::{Request, Response, body::Incoming};
use tonic::{
    Status,
    body::Body,
    codegen::{BoxFuture, Service as _},
    server::NamedService,
};

use super::{
    broker::Broker,
    generated::{publisher_server::PublisherServer, subscriber_server::SubscriberServer},
    service::Service,
};
use crate::google::bearer::Bearer;
use crate::server::{Handler, ServerAction};

/// Larger than Google's limit, so that the service and not gRPC rejects large messages.
const MAX_REQUEST: usize = 32 << 20;

/// Routes calls to the gRPC services.
pub(super) struct Grpc {
    publisher: PublisherServer<Service>,
    subscriber: SubscriberServer<Service>,
    pub(super) bearer: Bearer,
}

impl Grpc {
    pub(super) fn new(broker: &Arc<Broker>) -> Self {
        let service = Service(Arc::clone(broker));
        Self {
            publisher: PublisherServer::new(service.clone()).max_decoding_message_size(MAX_REQUEST),
            subscriber: SubscriberServer::new(service).max_decoding_message_size(MAX_REQUEST),
            bearer: Bearer::default(),
        }
    }
}

impl Handler for Grpc {
    async fn handle(&self, request: Request<Incoming>, _connection: u64) -> ServerAction {
        if !self.bearer.admits(request.headers()) {
            let rejection = Status::unauthenticated("Request had invalid authentication credentials.");
            return respond(rejection.into_http());
        }
        let service = request.uri().path().strip_prefix('/').and_then(|path| path.split('/').next());
        // The interface requires owned servers. They consist of references, so clones are cheap.
        let call: BoxFuture<Response<Body>, Infallible> = match service {
            Some(PublisherServer::<Service>::NAME) => self.publisher.clone().call(request),
            Some(SubscriberServer::<Service>::NAME) => self.subscriber.clone().call(request),
            _ => Box::pin(async { Ok(Status::unimplemented("unknown service").into_http()) }),
        };
        let Ok(response) = call.await;
        respond(response)
    }
}

fn respond(response: Response<Body>) -> ServerAction {
    ServerAction::Respond(response.map(|body| body.map_err(io::Error::other).boxed_unsync()))
}
