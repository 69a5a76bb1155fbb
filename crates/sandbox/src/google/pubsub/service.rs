//! The gRPC services of the broker.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt as _, stream};
use google_cloud_googleapis::pubsub::v1::{
    AcknowledgeRequest, DeleteSubscriptionRequest, DeleteTopicRequest, GetSubscriptionRequest,
    ModifyAckDeadlineRequest, PublishRequest, PublishResponse, PullRequest, Subscription as Definition,
    Topic,
};
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::{
    broker::{Broker, Subscription},
    generated::{publisher_server::Publisher, subscriber_server::Subscriber},
    limits::check_request,
    rejection::rejection,
    session::Session,
    wire::{self, StreamingPullRequest, StreamingPullResponse},
};

/// The maximum time a pull waits for a message.
const PULL_TIMEOUT: Duration = Duration::from_secs(90);

/// Implements both services.
#[derive(Clone)]
pub(super) struct Service(pub(super) Arc<Broker>);

#[async_trait]
impl Publisher for Service {
    async fn create_topic(&self, request: Request<Topic>) -> Result<Response<Topic>, Status> {
        self.0.admit().await?;
        self.0.create_topic(request.into_inner()).map(Response::new)
    }

    async fn delete_topic(&self, request: Request<DeleteTopicRequest>) -> Result<Response<()>, Status> {
        self.0.admit().await?;
        self.0.delete_topic(&request.into_inner().topic).map(Response::new)
    }

    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<PublishResponse>, Status> {
        self.0.admit().await?;
        let PublishRequest { topic, messages } = request.into_inner();
        check_request(&messages)?;
        let message_ids = self.0.publish(&topic, messages)?;
        Ok(Response::new(PublishResponse { message_ids }))
    }
}

#[async_trait]
impl Subscriber for Service {
    async fn create_subscription(
        &self,
        request: Request<Definition>,
    ) -> Result<Response<Definition>, Status> {
        self.0.admit().await?;
        self.0.create_subscription(request.into_inner()).map(Response::new)
    }

    async fn get_subscription(
        &self,
        request: Request<GetSubscriptionRequest>,
    ) -> Result<Response<Definition>, Status> {
        let subscription = self.subscription(&request.into_inner().subscription).await?;
        match self.0.admit_to(&subscription).await?.refuse_get {
            Some(code) => Err(rejection(code)),
            None => Ok(Response::new(subscription.definition())),
        }
    }

    async fn delete_subscription(
        &self,
        request: Request<DeleteSubscriptionRequest>,
    ) -> Result<Response<()>, Status> {
        self.0.admit().await?;
        self.0.delete_subscription(&request.into_inner().subscription).map(Response::new)
    }

    async fn modify_ack_deadline(
        &self,
        request: Request<ModifyAckDeadlineRequest>,
    ) -> Result<Response<()>, Status> {
        let request = request.into_inner();
        let subscription = self.subscription(&request.subscription).await?;
        let faults = self.0.admit_to(&subscription).await?;
        let (ids, seconds) = (&request.ack_ids, request.ack_deadline_seconds);
        let now = Instant::now();
        let (invalid, is_exactly_once) = self.0.change(&subscription, |queue| {
            (queue.modify(now, ids, seconds, &faults), queue.is_exactly_once())
        });
        confirm(&invalid?, is_exactly_once)
    }

    async fn acknowledge(&self, request: Request<AcknowledgeRequest>) -> Result<Response<()>, Status> {
        let request = request.into_inner();
        let subscription = self.subscription(&request.subscription).await?;
        let faults = self.0.admit_to(&subscription).await?;
        let now = Instant::now();
        let (invalid, is_exactly_once) = self.0.change(&subscription, |queue| {
            (queue.acknowledge(now, &request.ack_ids, &faults), queue.is_exactly_once())
        });
        if !faults.slow_acks.is_zero() {
            tokio::time::sleep(faults.slow_acks).await;
        }
        confirm(&invalid?, is_exactly_once)
    }

    async fn pull(&self, request: Request<PullRequest>) -> Result<Response<wire::PullResponse>, Status> {
        let request = request.into_inner();
        let subscription = self.subscription(&request.subscription).await?;
        let Ok(max @ 1..) = usize::try_from(request.max_messages) else {
            return Err(Status::invalid_argument(format!(
                "The value for max_messages is too small. You passed {} in the request, but the minimum \
                 value is 1.",
                request.max_messages
            )));
        };
        // Deprecated by Google but still useful in tests.
        #[expect(deprecated)]
        let waits = !request.return_immediately;
        let end = Instant::now() + PULL_TIMEOUT;
        loop {
            let faults = self.0.admit_to(&subscription).await?;
            let changed = subscription.changed.notified();
            let now = Instant::now();
            let (received_messages, due, is_deleted) = self.0.update(&subscription, |queue| {
                queue.tick(now);
                (queue.pull(now, max, &faults), queue.next_deadline(), queue.is_deleted())
            });
            if is_deleted {
                return Err(Status::not_found("Subscription does not exist"));
            }
            if !received_messages.is_empty() || !waits || now >= end {
                return Ok(Response::new(wire::PullResponse { received_messages }));
            }
            let until = due.map_or(end, |due| due.min(end));
            // The loop continues after a change as after a timeout.
            let _ = tokio::time::timeout_at(until, changed).await;
        }
    }

    type StreamingPullStream = Pin<Box<dyn Stream<Item = Result<StreamingPullResponse, Status>> + Send>>;

    async fn streaming_pull(
        &self,
        request: Request<Streaming<StreamingPullRequest>>,
    ) -> Result<Response<Self::StreamingPullStream>, Status> {
        let mut requests = request.into_inner();
        let Some(first) = requests.message().await? else {
            return Err(Status::invalid_argument("The stream has no first request."));
        };
        let subscription = self.subscription(&first.subscription).await?;
        self.0.admit_to(&subscription).await?;
        let mut session = Session::open(&self.0, &subscription, first, requests)?;
        // Google sends response headers only with the first message.
        match session.next().await {
            None => Ok(Response::new(stream::empty().boxed())),
            Some(Err(status)) => Err(status),
            Some(Ok(first)) => {
                let rest = stream::unfold(session, async |mut session| {
                    session.next().await.map(|response| (response, session))
                });
                Ok(Response::new(stream::iter([Ok(first)]).chain(rest).boxed()))
            }
        }
    }
}

impl Service {
    /// Returns a subscription. Rejections by fault injection take precedence over `NOT_FOUND`.
    async fn subscription(&self, name: &str) -> Result<Arc<Subscription>, Status> {
        match self.0.subscription(name) {
            Ok(subscription) => Ok(subscription),
            Err(status) => {
                self.0.admit().await?;
                Err(status)
            }
        }
    }
}

/// Late acknowledgements are errors only with exactly-once delivery.
fn confirm(invalid: &[String], is_exactly_once: bool) -> Result<Response<()>, Status> {
    if is_exactly_once && !invalid.is_empty() {
        return Err(wire::invalid_ack_ids(invalid));
    }
    Ok(Response::new(()))
}
