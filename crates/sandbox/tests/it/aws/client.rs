//! A client that signs with `aws-sigv4`, independently of the checks of the sandbox.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, body::Incoming, header::HOST};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use sandbox::aws::{Aws, DUMMY_KEY_ID, DUMMY_SECRET, Operation, REGION, Service};
use serde_json::{Value, json};

/// A client of one region with credentials.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) http: legacy::Client<HttpConnector, Full<Bytes>>,
    pub(crate) url: String,
    pub(crate) region: String,
    pub(crate) key_id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
    /// The difference of the client's clock to that of the machine.
    pub(crate) clock_ahead: Duration,
    pub(crate) clock_behind: Duration,
    pub(crate) queue_url: String,
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
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("the body is text")
    }

    /// Returns the code of an error of any service.
    pub(crate) fn code(&self) -> String {
        let text = self.text();
        if text.starts_with('{') {
            let kind = self.json()["__type"].as_str().unwrap_or_default().to_owned();
            return kind.split_once('#').map(|(_, code)| code.to_owned()).unwrap_or_default();
        }
        self.element("Code")
    }

    /// Returns the text of the first element with a name.
    pub(crate) fn element(&self, name: &str) -> String {
        elements(self.text(), name).into_iter().next().unwrap_or_default().to_owned()
    }

    /// Asserts that the request succeeded.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        self
    }

    /// Asserts that the request failed with this status and code.
    pub(crate) fn failed(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status.as_u16(), self.code().as_str()), (status, code), "{}", self.text());
        self
    }
}

/// Returns the contents of all elements with a name, which are not nested in each other.
pub(crate) fn elements<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut found = Vec::new();
    let mut rest = xml;
    while let Some((_, after)) = rest.split_once(&open) {
        let (content, left) = after.split_once(&close).expect("the element is closed");
        found.push(content);
        rest = left;
    }
    found
}

impl Client {
    /// Returns a client of the default region with the dummy credentials.
    pub(crate) fn new(aws: &Aws) -> Self {
        Self {
            http: legacy::Client::builder(TokioExecutor::new()).build_http(),
            url: aws.url(),
            region: REGION.to_owned(),
            key_id: DUMMY_KEY_ID.to_owned(),
            secret: DUMMY_SECRET.to_owned(),
            token: None,
            clock_ahead: Duration::ZERO,
            clock_behind: Duration::ZERO,
            queue_url: aws.queue_url(),
        }
    }

    pub(crate) fn region(mut self, region: &str) -> Self {
        self.region = region.to_owned();
        self
    }

    pub(crate) fn key(mut self, id: &str, secret: &str, token: Option<&str>) -> Self {
        (self.key_id, self.secret, self.token) = (id.to_owned(), secret.to_owned(), token.map(str::to_owned));
        self
    }

    /// Sends a request to SQS.
    pub(crate) async fn sqs(&self, operation: Operation, body: &Value) -> Reply {
        self.reply(self.sqs_request(operation, body)).await
    }

    /// Sends a request to SQS with the URL of the queue.
    pub(crate) async fn queue(&self, operation: Operation, mut body: Value) -> Reply {
        body["QueueUrl"] = self.queue_url.as_str().into();
        self.sqs(operation, &body).await
    }

    pub(crate) async fn receive(&self, body: Value) -> Vec<Value> {
        let reply = self.queue(Operation::ReceiveMessage, body).await.ok().json();
        reply["Messages"].as_array().cloned().unwrap_or_default()
    }

    pub(crate) async fn delete_batch(&self, handles: &[String]) -> Value {
        let entries: Vec<Value> = handles
            .iter()
            .enumerate()
            .map(|(index, handle)| json!({ "Id": index.to_string(), "ReceiptHandle": handle }))
            .collect();
        self.queue(Operation::DeleteMessageBatch, json!({ "Entries": entries })).await.ok().json()
    }

    /// Lists instances with these parameters beside the usual ones.
    pub(crate) async fn describe(&self, parameters: &[(&str, &str)]) -> Reply {
        self.form(Service::Ec2, "DescribeInstances", "2016-11-15", parameters).await
    }

    pub(crate) async fn sts(&self, action: &str, parameters: &[(&str, &str)]) -> Reply {
        self.form(Service::Sts, action, "2011-06-15", parameters).await
    }

    /// Like [`describe`](Self::describe), for responses that may fail.
    pub(crate) async fn try_describe(&self) -> Result<Response<Incoming>, legacy::Error> {
        self.http.request(self.form_request(Service::Ec2, "DescribeInstances", "2016-11-15", &[])).await
    }

    async fn form(
        &self,
        service: Service,
        action: &str,
        version: &str,
        parameters: &[(&str, &str)],
    ) -> Reply {
        self.reply(self.form_request(service, action, version, parameters)).await
    }

    pub(crate) fn form_request(
        &self,
        service: Service,
        action: &str,
        version: &str,
        parameters: &[(&str, &str)],
    ) -> Request<Full<Bytes>> {
        let all = [("Action", action), ("Version", version)].into_iter().chain(parameters.iter().copied());
        let pairs: Vec<String> =
            all.map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
        let content_type = "application/x-www-form-urlencoded; charset=utf-8";
        let headers = [("content-type", content_type)];
        self.signed(service, Method::POST, "/", &headers, pairs.join("&"))
    }

    pub(crate) fn sqs_request(&self, operation: Operation, body: &Value) -> Request<Full<Bytes>> {
        let target = format!("AmazonSQS.{operation}");
        let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", target.as_str())];
        self.signed(Service::Sqs, Method::POST, "/", &headers, body.to_string())
    }

    /// Returns a signed request.
    pub(crate) fn signed(
        &self,
        service: Service,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Request<Full<Bytes>> {
        let body = body.into();
        let uri = format!("{}{path}", self.url);
        let host = self.url.trim_start_matches("http://");
        let identity =
            Credentials::new(self.key_id.clone(), self.secret.clone(), self.token.clone(), None, "tests")
                .into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(match service {
                Service::Sqs => "sqs",
                Service::Ec2 => "ec2",
                Service::Sts | Service::Credentials => "sts",
            })
            .time(SystemTime::now() + self.clock_ahead - self.clock_behind)
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let signed_headers = headers.iter().copied().chain([("host", host)]);
        let signable =
            SignableRequest::new(method.as_str(), &uri, signed_headers, SignableBody::Bytes(&body)).unwrap();
        let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
        let mut request = Request::builder().method(method).uri(uri).header(HOST, host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Full::new(body)).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        request
    }

    /// Sends an unsigned request.
    pub(crate) async fn plain(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.reply(request.body(Full::default()).unwrap()).await
    }

    pub(crate) async fn reply(&self, request: Request<Full<Bytes>>) -> Reply {
        let (parts, body) = self.http.request(request).await.expect("a response").into_parts();
        let body = body.collect().await.expect("a complete response").to_bytes();
        Reply { status: parts.status, headers: parts.headers, body }
    }
}

/// Returns the receipt handles of received messages.
pub(crate) fn handles(messages: &[Value]) -> Vec<String> {
    messages.iter().map(|message| message["ReceiptHandle"].as_str().unwrap().to_owned()).collect()
}

/// Returns the bodies of received messages.
pub(crate) fn bodies(messages: &[Value]) -> Vec<String> {
    messages.iter().map(|message| message["Body"].as_str().unwrap().to_owned()).collect()
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
