//! Handles HTTP requests to all services.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use bytes::Bytes;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{DATE, HeaderMap, HeaderValue},
    http::request::Parts,
};
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::time::Instant;

use super::{
    auth::{authenticate, authorization},
    ec2::{self, Fleet},
    error::{AwsError, EC2_TYPE, Result, SQS_TYPE, STS_TYPE},
    form::Form,
    keys::{Credentials, Keys},
    metadata::{self, Endpoints, MetadataSessions},
    operation::{Operation, Service, Target},
    recorded::Recorded,
    roles::Roles,
    signature::{SignedRequest, header},
    sqs::{self, Queues, uuid},
    sts,
    time::ServiceClock,
};
use crate::{
    http::{self, text},
    journal::Journal,
    reply::{Override, Overrides, Reply},
    server::{Body, Handler, ServerAction},
};

/// The state of all services.
pub(super) struct Api {
    pub(super) clock: Arc<ServiceClock>,
    pub(super) keys: Keys,
    pub(super) roles: Roles,
    pub(super) queues: Queues,
    pub(super) fleet: Fleet,
    pub(super) journal: Journal<Recorded>,
    pub(super) checks_signatures: AtomicBool,
    sessions: MetadataSessions,
    overrides: Mutex<Overrides<Target>>,
    request_ids: Mutex<StdRng>,
}

/// The service and the parameters of a request.
enum Call {
    Sqs(Operation),
    Form(Operation, Form),
    Credentials(Operation),
}

impl Call {
    fn operation(&self) -> Operation {
        match self {
            Self::Sqs(operation) | Self::Form(operation, _) | Self::Credentials(operation) => *operation,
        }
    }

    /// Finds the operation of a request. Returns an error response for unknown operations.
    fn parse(parts: &Parts, body: &[u8], request_id: &str) -> std::result::Result<Self, Box<Response<Body>>> {
        if let Some(operation) = metadata::operation(parts.uri.path()) {
            return Ok(Self::Credentials(operation));
        }
        if parts.method != Method::POST {
            return Err(Box::new(text(StatusCode::NOT_FOUND, "not found\n")));
        }
        let of = |service, name: &str| {
            Operation::named(name).filter(|operation| match service {
                Service::Sqs => operation.service() == Service::Sqs,
                _ => matches!(operation.service(), Service::Ec2 | Service::Sts),
            })
        };
        if let Some(target) = header(&parts.headers, "x-amz-target") {
            let operation = target.strip_prefix("AmazonSQS.").and_then(|name| of(Service::Sqs, name));
            let unknown = || AwsError::new("UnknownOperationException", "");
            return operation
                .map(Self::Sqs)
                .ok_or_else(|| Box::new(unknown().response(Service::Sqs, request_id)));
        }
        let form = Form::parse(body);
        let action = form.get("Action").unwrap_or_default();
        match of(Service::Ec2, action) {
            Some(operation) => Ok(Self::Form(operation, form)),
            None => {
                let message = format!("The action {action} is not valid for this web service.");
                let error = AwsError::new("InvalidAction", message);
                Err(Box::new(error.response(Service::Ec2, request_id)))
            }
        }
    }
}

impl Handler for Api {
    async fn handle(&self, request: Request<Incoming>, connection: u64) -> ServerAction {
        let (parts, body) = request.into_parts();
        let body = match http::read(body).await {
            Ok(body) => body,
            Err(response) => return ServerAction::Respond(response),
        };
        let request_id = uuid(&mut self.request_ids.lock().unwrap_or_else(PoisonError::into_inner));
        let action = self.respond(&parts, body, connection, &request_id).await;
        match action {
            ServerAction::Respond(response) => ServerAction::Respond(self.completed(response, &request_id)),
            action => action,
        }
    }
}

impl Api {
    pub(super) fn new(clock: Arc<ServiceClock>, queues: Queues, seed: u64) -> Self {
        Self {
            clock,
            keys: Keys::default(),
            roles: Roles::default(),
            queues,
            fleet: Fleet::new(seed),
            journal: Journal::default(),
            checks_signatures: AtomicBool::new(true),
            sessions: MetadataSessions::default(),
            overrides: Mutex::default(),
            request_ids: Mutex::new(StdRng::seed_from_u64(seed)),
        }
    }

    pub(super) fn overrides(&self) -> MutexGuard<'_, Overrides<Target>> {
        self.overrides.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add_override(&self, target: Target, reply: Override) {
        self.overrides().add(target, reply);
    }

    /// Sends a body to the queues of a region. Returns the number of queues.
    pub(super) fn send_body(&self, region: &str, body: &str) -> usize {
        let mut queues = self.queues.all();
        queues.retain(|queue| queue.takes_events_of(region));
        for queue in &queues {
            queue.send(body);
        }
        queues.len()
    }

    async fn respond(&self, parts: &Parts, body: Bytes, connection: u64, request_id: &str) -> ServerAction {
        let call = Call::parse(parts, &body, request_id);
        let operation = call.as_ref().ok().map(Call::operation);
        let request =
            SignedRequest { method: &parts.method, uri: &parts.uri, headers: &parts.headers, body: &body };
        let authorization = authorization(&request);
        let key = authorization.as_ref().and_then(|authorization| self.keys.find(&authorization.key_id));
        let account = key.map(|credentials| credentials.account);
        let region = authorization.as_ref().map(|authorization| authorization.scope.region.clone());
        let recorded = Recorded {
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            operation,
            region: region.clone(),
            account: account.clone(),
            key_id: authorization.as_ref().map(|authorization| authorization.key_id.clone()),
            headers: parts.headers.clone(),
            body: body.clone(),
            connection,
            at: Instant::now(),
        };
        self.journal.record(operation.map(|operation| operation.to_string()).unwrap_or_default(), recorded);
        let call = match call {
            Ok(call) => call,
            Err(response) => return ServerAction::Respond(*response),
        };
        let operation = call.operation();
        // A separate statement, because the lock must not be held while the reply is awaited.
        let reply = self.next_override(operation, account.as_deref(), region.as_deref());
        if let Some(reply) = reply
            && let Some(action) = reply.apply().await
        {
            return action;
        }
        // After the override, which can delay the request.
        let now = self.clock.now();
        let service = operation.service();
        let caller = || {
            let checks = self.checks_signatures.load(Ordering::Relaxed);
            authenticate(&self.keys, &request, authorization.as_ref(), service, now, checks)
        };
        let region = region.as_deref().unwrap_or_default();
        let result = match &call {
            Call::Credentials(operation) => {
                let Self { keys, roles, sessions, .. } = self;
                let endpoints = Endpoints { keys, roles, sessions, now };
                let path = parts.uri.path();
                return ServerAction::Respond(endpoints.respond(
                    *operation,
                    &parts.method,
                    path,
                    &parts.headers,
                ));
            }
            Call::Sqs(operation) => match caller() {
                Ok(caller) => sqs::execute(&self.queues, *operation, &caller.account, region, &body).await,
                Err(error) => Err(error),
            },
            Call::Form(operation, form) => {
                self.execute_form(*operation, form, caller, region, now, request_id)
            }
        };
        ServerAction::Respond(match result {
            Ok(body) => http::response(StatusCode::OK, content_type(service), body),
            Err(error) => {
                let mut response = error.response(service, request_id);
                if service == Service::Sqs {
                    add_query_error(&mut response, &error, &parts.headers);
                }
                response
            }
        })
    }

    fn execute_form(
        &self,
        operation: Operation,
        form: &Form,
        caller: impl FnOnce() -> Result<Credentials>,
        region: &str,
        now: SystemTime,
        request_id: &str,
    ) -> Result<String> {
        let issuer = (&self.keys, &self.roles);
        match operation {
            Operation::DescribeInstances => {
                ec2::describe(&self.fleet, &caller()?.account, region, form, request_id)
            }
            Operation::AssumeRoleWithWebIdentity => {
                sts::execute(issuer, operation, form, None, now, request_id)
            }
            operation => sts::execute(issuer, operation, form, Some(&caller()?), now, request_id),
        }
    }

    fn next_override(
        &self,
        operation: Operation,
        account: Option<&str>,
        region: Option<&str>,
    ) -> Option<Reply> {
        let mut overrides = self.overrides();
        Target::all_of(operation, account, region).iter().find_map(|target| overrides.take(target))
    }

    /// Adds the headers of every response.
    fn completed(&self, mut response: Response<Body>, request_id: &str) -> Response<Body> {
        let headers = response.headers_mut();
        if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(self.clock.now())) {
            headers.entry(DATE).or_insert(date);
        }
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert("x-amzn-requestid", id);
        }
        response
    }
}

fn content_type(service: Service) -> &'static str {
    match service {
        Service::Sqs => SQS_TYPE,
        Service::Ec2 => EC2_TYPE,
        Service::Sts | Service::Credentials => STS_TYPE,
    }
}

/// Adds the code of the older Query protocol, which SDKs request for compatibility.
fn add_query_error(response: &mut Response<Body>, error: &AwsError, headers: &HeaderMap) {
    if header(headers, "x-amzn-query-mode") == Some("true")
        && let Ok(value) = HeaderValue::from_str(&format!("{};Sender", error.query_code()))
    {
        response.headers_mut().insert("x-amzn-query-error", value);
    }
}
