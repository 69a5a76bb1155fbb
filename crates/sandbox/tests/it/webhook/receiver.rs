//! A webhook receiver that verifies signatures.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Method, Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use sandbox::spacelift::webhook::{Webhook, sha1_signature, signature};
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch};

pub(super) const SECRET: &str = "the secret";

/// Records deliveries in order.
#[derive(Clone)]
pub(super) struct Receiver {
    url: String,
    received: watch::Sender<Vec<Received>>,
    statuses: Arc<Mutex<Vec<u16>>>,
}

#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Received {
    pub(super) fn is_genuine(&self) -> bool {
        self.headers["x-signature-256"] == signature(SECRET, &self.body).as_str()
            && self
                .headers
                .get("x-signature")
                .is_none_or(|value| value == sha1_signature(SECRET, &self.body).as_str())
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Receiver {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhook", listener.local_addr().unwrap());
        let receiver = Self { url, received: watch::Sender::default(), statuses: Arc::default() };
        let serving = receiver.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let receiver = serving.clone();
                let service = service_fn(move |request| {
                    let receiver = receiver.clone();
                    async move { Ok::<_, Infallible>(receiver.respond(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        receiver
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.uri().path(), "/webhook");
        let (parts, body) = request.into_parts();
        assert_eq!(parts.headers["content-type"], "application/json");
        let body = body.collect().await.unwrap().to_bytes();
        self.received.send_modify(|all| all.push(Received { headers: parts.headers, body }));
        let status = self.statuses.lock().unwrap().pop().unwrap_or(204);
        Response::builder().status(status).body(Full::default()).unwrap()
    }

    /// Returns the webhook of this receiver, for runs only.
    pub(super) fn webhook(&self) -> Webhook {
        Webhook::new(&self.url, SECRET).others(false)
    }

    /// Sets the statuses of the next responses. Later responses are 204 again.
    pub(super) fn respond_with(&self, mut statuses: Vec<u16>) {
        statuses.reverse();
        *self.statuses.lock().unwrap() = statuses;
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.received.borrow().clone()
    }

    pub(super) fn json(&self) -> Vec<Value> {
        self.received().iter().map(Received::json).collect()
    }

    pub(super) async fn wait_for(&self, count: usize) {
        self.received.subscribe().wait_for(|all| all.len() >= count).await.unwrap();
    }
}
