//! Answers one HTTP request.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri, body::Incoming};
use serde_json::json;
use tokio::time::Instant;

use super::{
    fields::Fields,
    filter::Filter,
    fleet::Fleet,
    render::{self, Project},
};
use crate::{
    google::bearer::Bearer,
    http::{self, text},
    journal::Journal,
    reply::{Override, Overrides, Reply},
    server::{Answer, Body, Handler},
};

/// How many instances a page has at most, and by default.
const MAX_RESULTS: usize = 500;

/// What can be asked.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Operation {
    /// `instances.aggregatedList`, whichever page.
    List,
    /// One page of it, counted from 1.
    Page(usize),
    /// `instances.get`.
    Get,
}

/// A request, noted on arrival, however it was answered later.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// What was asked; none for a path that Compute Engine does not have here.
    pub operation: Option<Operation>,
    /// The path.
    pub path: String,
    /// The query's parameters.
    pub query: HashMap<String, String>,
    /// The HTTP headers.
    pub headers: HeaderMap,
    /// The number of the connection, from zero; numbers start again with a restart.
    pub connection: u64,
    /// When it arrived.
    pub at: Instant,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List => f.write_str("list"),
            Self::Page(number) => write!(f, "page {number}"),
            Self::Get => f.write_str("get"),
        }
    }
}

/// An answer in the form of Google's errors.
#[must_use]
pub fn error(code: u16, reason: &str, status: &str, message: &str) -> Reply {
    Reply::Status {
        code,
        headers: vec![("content-type".to_owned(), "application/json; charset=UTF-8".to_owned())],
        body: error_body(code, reason, status, message),
    }
}

/// 403, as for somebody without the role.
#[must_use]
pub fn permission_denied() -> Reply {
    let message = "Required 'compute.instances.list' permission for 'projects/example-project'";
    error(403, "forbidden", "PERMISSION_DENIED", message)
}

/// 401, as for somebody without a token that is good.
#[must_use]
pub fn unauthenticated() -> Reply {
    let message = "Request had invalid authentication credentials.";
    error(401, "authError", "UNAUTHENTICATED", message)
}

/// 429 with `Retry-After`.
#[must_use]
pub fn rate_limited(retry_after: Duration) -> Reply {
    let message = "Quota exceeded for quota metric 'List requests' and limit 'List requests per minute'.";
    let reply = error(429, "rateLimitExceeded", "RESOURCE_EXHAUSTED", message);
    with_header(reply, "retry-after", retry_after.as_secs().to_string())
}

/// 500.
#[must_use]
pub fn internal_error() -> Reply {
    error(500, "backendError", "INTERNAL", "Internal error. Please try again or contact Google Support.")
}

/// 503.
#[must_use]
pub fn unavailable() -> Reply {
    error(503, "backendError", "UNAVAILABLE", "The service is currently unavailable.")
}

/// 200 with an HTML page, as a proxy in between would say it.
#[must_use]
pub fn garbage() -> Reply {
    Reply::Status {
        code: 200,
        headers: vec![("content-type".to_owned(), "text/html; charset=UTF-8".to_owned())],
        body: "<!DOCTYPE html><html><title>Error 502 (Server Error)!!1</title></html>\n".to_owned(),
    }
}

/// The simulated API with everything that it knows.
pub(super) struct Api {
    pub(super) journal: Journal<Recorded>,
    pub(super) bearer: Bearer,
    project: Project,
    fleet: Mutex<Fleet>,
    overrides: Mutex<Overrides<Operation>>,
}

impl Handler for Api {
    async fn answer(&self, request: Request<Incoming>, connection: u64) -> Answer {
        let (parts, _) = request.into_parts();
        let admitted = self.bearer.admits(&parts.headers);
        let query = query(&parts.uri);
        let call = Call::parse(parts.uri.path(), &query);
        let operation = call.as_ref().ok().map(Call::operation);
        self.journal.record(
            operation.map(|operation| operation.to_string()).unwrap_or_default(),
            Recorded {
                operation,
                path: parts.uri.path().to_owned(),
                query: query.clone(),
                headers: parts.headers,
                connection,
                at: Instant::now(),
            },
        );
        if !admitted && let Some(answer) = unauthenticated().give().await {
            return answer;
        }
        // Taken in a statement of its own: the lock must not be held while the reply is awaited.
        let reply = operation.and_then(|operation| self.prescribed(operation));
        if let Some(reply) = reply
            && let Some(answer) = reply.give().await
        {
            return answer;
        }
        Answer::Response(match call {
            _ if parts.method != Method::GET => http::method_not_allowed("GET"),
            Ok(call) => match self.execute(&call, &query) {
                Ok(body) => http::json(body),
                Err(refusal) => refusal.response(),
            },
            Err(refusal) => refusal.response(),
        })
    }
}

impl Api {
    pub(super) fn new(project: Project) -> Self {
        Self {
            journal: Journal::default(),
            bearer: Bearer::default(),
            project,
            fleet: Mutex::default(),
            overrides: Mutex::default(),
        }
    }

    pub(super) fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add_override(&self, operation: Operation, prescribed: Override) {
        self.overrides().add(operation, prescribed);
    }

    pub(super) fn clear_overrides(&self) {
        self.overrides().clear();
    }

    /// What was prescribed for an operation; for a page, what was prescribed for just that goes first.
    fn prescribed(&self, operation: Operation) -> Option<Reply> {
        let mut overrides = self.overrides();
        overrides.take(&operation).or_else(|| match operation {
            Operation::Page(_) => overrides.take(&Operation::List),
            Operation::List | Operation::Get => None,
        })
    }

    fn overrides(&self) -> MutexGuard<'_, Overrides<Operation>> {
        self.overrides.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer's JSON.
    fn execute(&self, call: &Call, query: &HashMap<String, String>) -> Result<String, Refusal> {
        let (Call::List { project, .. } | Call::Get { project, .. }) = call;
        if *project != self.project.id && *project != self.project.number.to_string() {
            return Err(Refusal::NotFound(format!("projects/{project}")));
        }
        let fields = match query.get("fields").map(|fields| fields.trim()) {
            None | Some("") => Fields::everything(),
            Some(fields) => Fields::parse(fields).ok_or_else(|| Refusal::invalid("fields", fields))?,
        };
        match call {
            Call::List { page, after, .. } => {
                let filter = match query.get("filter").map(|filter| filter.trim()) {
                    None | Some("") => Filter::All(Vec::new()),
                    Some(filter) => {
                        Filter::parse(filter).ok_or_else(|| Refusal::invalid("filter", filter))?
                    }
                };
                let count = match query.get("maxResults") {
                    None => MAX_RESULTS,
                    Some(text) => match text.parse() {
                        Ok(0) => MAX_RESULTS,
                        Ok(count @ ..=MAX_RESULTS) => count,
                        _ => return Err(Refusal::invalid("maxResults", text)),
                    },
                };
                let fleet = self.fleet();
                let listed = fleet.page(after.clone(), count, &filter);
                let next = listed.instances.last().filter(|_| !listed.is_last);
                let next = next.map(|instance| token(page + 1, &instance.zone, &instance.name));
                Ok(render::list(&self.project, &listed, &fleet.unreachable, next.as_deref(), &fields))
            }
            Call::Get { zone, name, .. } => match self.fleet().get(zone, name) {
                Some(instance) => Ok(render::instance(&self.project, instance, &fields)),
                None => Err(Refusal::NotFound(format!("projects/{project}/zones/{zone}/instances/{name}"))),
            },
        }
    }
}

/// What is wrong with a request.
enum Refusal {
    /// There is no such path here.
    Path,
    NotFound(String),
    Invalid {
        field: &'static str,
        value: String,
    },
}

impl Refusal {
    fn invalid(field: &'static str, value: &str) -> Self {
        Self::Invalid { field, value: value.to_owned() }
    }

    fn response(self) -> Response<Body> {
        let (status, body) = match self {
            Self::Path => return text(StatusCode::NOT_FOUND, "not found\n"),
            Self::NotFound(resource) => {
                let message = format!("The resource '{resource}' was not found");
                (StatusCode::NOT_FOUND, error_body(404, "notFound", "NOT_FOUND", &message))
            }
            Self::Invalid { field, value } => {
                let message = format!("Invalid value for field '{field}': '{value}'.");
                (StatusCode::BAD_REQUEST, error_body(400, "invalid", "INVALID_ARGUMENT", &message))
            }
        };
        let mut response = http::json(body);
        *response.status_mut() = status;
        response
    }
}

/// A request that was understood.
enum Call {
    List { project: String, page: usize, after: Option<(String, String)> },
    Get { project: String, zone: String, name: String },
}

impl Call {
    fn parse(path: &str, query: &HashMap<String, String>) -> Result<Self, Refusal> {
        let path = path.strip_prefix("/compute/v1/projects/").unwrap_or_default();
        let parts: Vec<String> = path.split('/').map(percent_decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts[..] {
            [project, "aggregated", "instances"] => {
                let token = query.get("pageToken").filter(|token| !token.is_empty());
                let (page, after) = match token {
                    None => (1, None),
                    Some(token) => {
                        let (page, zone, name) =
                            parse_token(token).ok_or_else(|| Refusal::invalid("pageToken", token))?;
                        (page, Some((zone, name)))
                    }
                };
                Ok(Self::List { project: project.to_owned(), page, after })
            }
            [project, "zones", zone, "instances", name] => {
                Ok(Self::Get { project: project.to_owned(), zone: zone.to_owned(), name: name.to_owned() })
            }
            _ => Err(Refusal::Path),
        }
    }

    fn operation(&self) -> Operation {
        match self {
            Self::List { page, .. } => Operation::Page(*page),
            Self::Get { .. } => Operation::Get,
        }
    }
}

/// Says where a page begins, in a form that nobody is tempted to read.
fn token(page: usize, zone: &str, name: &str) -> String {
    let plain = format!("{page}/{zone}/{name}");
    plain.bytes().fold(String::from("Cg"), |token, byte| format!("{token}{byte:02x}"))
}

fn parse_token(token: &str) -> Option<(usize, String, String)> {
    let digits = token.strip_prefix("Cg")?;
    let bytes = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect::<Option<Vec<u8>>>()?;
    let plain = String::from_utf8(bytes).ok()?;
    let mut parts = plain.splitn(3, '/');
    Some((parts.next()?.parse().ok()?, parts.next()?.to_owned(), parts.next()?.to_owned()))
}

fn query(uri: &Uri) -> HashMap<String, String> {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decoded(&key.replace('+', " ")), percent_decoded(&value.replace('+', " ")))
        })
        .collect()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        bytes.extend(&rest.as_bytes()[..at]);
        match rest.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[at + 3..];
            }
            None => {
                bytes.push(b'%');
                rest = &rest[at + 1..];
            }
        }
    }
    bytes.extend(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

fn error_body(code: u16, reason: &str, status: &str, message: &str) -> String {
    let errors = json!([{ "message": message, "domain": "global", "reason": reason }]);
    json!({ "error": { "code": code, "message": message, "errors": errors, "status": status } }).to_string()
}

fn with_header(mut reply: Reply, name: &str, value: String) -> Reply {
    if let Reply::Status { headers, .. } = &mut reply {
        headers.push((name.to_owned(), value));
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back() {
        let (zone, name) = ("europe-west1-c", "gke/odd name-é");
        assert_eq!(parse_token(&token(7, zone, name)), Some((7, zone.to_owned(), name.to_owned())));
        for bad in ["", "Cg", "7", "Cg3", "Cgé", "Cg312f61"] {
            assert_eq!(parse_token(bad), None, "{bad}");
        }
    }

    #[test]
    fn queries_are_decoded() {
        let uri: Uri = "/x?filter=labels.goog-k8s-cluster-name%3A*&a=b+c%25%zz&flag".parse().unwrap();
        let query = query(&uri);
        assert_eq!(query["filter"], "labels.goog-k8s-cluster-name:*");
        assert_eq!(query["a"], "b c%%zz");
        assert_eq!(query["flag"], "");
    }
}
