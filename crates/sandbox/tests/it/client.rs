//! A minimal HTTP client.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, body::Incoming, header::AUTHORIZATION,
    http::request::Builder,
};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use sandbox::spacelift::{DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Spacelift};
use serde_json::{Value, json};

pub(crate) const EXCHANGE: &str =
    "mutation($id: ID!, $secret: String!) { apiKeyUser(id: $id, secret: $secret) { jwt validUntil } }";
pub(crate) const POOLS: &str = "query Pools { workerPools { id name workers { id drained } } }";
pub(crate) const USAGE: &str = "query Usage { usage { usedPrivateMinutes } }";

#[derive(Clone)]
pub(crate) struct Client {
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    url: String,
    pub(crate) token: Option<String>,
}

/// A complete response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("the body is text")
    }
}

impl Client {
    pub(crate) fn new(spacelift: &Spacelift) -> Self {
        Self::to(spacelift.url())
    }

    pub(crate) fn to(url: String) -> Self {
        let http = legacy::Client::builder(TokioExecutor::new()).build_http();
        Self { http, url, token: None }
    }

    /// Returns a client with a token of the default API key.
    pub(crate) async fn logged_in(spacelift: &Spacelift) -> Self {
        let mut client = Self::new(spacelift);
        client.log_in().await;
        client
    }

    pub(crate) async fn log_in(&mut self) {
        let session = self.exchange(DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET).await.json();
        let token = session["data"]["apiKeyUser"]["jwt"].as_str().expect("the key is accepted");
        self.token = Some(token.to_owned());
    }

    pub(crate) async fn exchange(&self, id: &str, secret: &str) -> Reply {
        let body = json!({ "query": EXCHANGE, "variables": { "id": id, "secret": secret } });
        let request = Request::post(format!("{}/graphql", self.url));
        self.send(request.body(Full::from(body.to_string())).unwrap()).await
    }

    pub(crate) async fn query(&self, document: &str) -> Reply {
        self.send(self.graphql(document)).await
    }

    /// Like [`query`](Self::query), for responses that may fail.
    pub(crate) async fn try_query(&self, document: &str) -> Result<Response<Incoming>, legacy::Error> {
        self.http.request(self.graphql(document)).await
    }

    pub(crate) async fn request(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Reply {
        let request = self.authorized(Request::builder().method(method).uri(format!("{}{path}", self.url)));
        self.send(request.body(Full::new(body.into())).unwrap()).await
    }

    /// Like [`get`](Self::get), for responses that may fail.
    pub(crate) async fn try_get(&self, path: &str) -> Result<Response<Incoming>, legacy::Error> {
        self.http.get(format!("{}{path}", self.url).parse().unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.request(Method::GET, path, "").await
    }

    fn graphql(&self, document: &str) -> Request<Full<Bytes>> {
        // Like an exporter: the name of the document's only operation.
        let name = document.split_whitespace().nth(1);
        let body = json!({ "query": document, "operationName": name, "variables": {} });
        let request = self.authorized(Request::post(format!("{}/graphql", self.url)));
        let request = request.header("Spacelift-Client-Type", "prometheus-exporter");
        request.body(Full::from(body.to_string())).unwrap()
    }

    /// Adds the token, if the client has one.
    fn authorized(&self, request: Builder) -> Builder {
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        let (parts, body) = self.http.request(request).await.expect("a response").into_parts();
        let body = body.collect().await.expect("a complete response").to_bytes();
        Reply { status: parts.status, headers: parts.headers, body }
    }
}
