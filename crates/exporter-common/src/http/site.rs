//! The site: the metrics, the pages for probes, the landing page and the exporter's own pages.

use std::io::Write;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName,
    RETRY_AFTER, VARY, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::Instant;

use super::body::BodyMemory;
use super::landing::landing_page;
use super::negotiate::{Encoding, accepted_encoding, accepted_format};
use super::quota::{Permit, Quota};
use super::rejection::{Rejection, Rejections};
use super::response::{hold_permits, text};
use super::routes::{Access, Page, READ, ReadHandler, Receive, Route, Routes, allow, options};
use super::scrape::{Scrape, ScrapeRequest};
use super::{Limits, Web};
use crate::metrics::encode;
use crate::readiness::Readiness;

/// How long before the end of the drain a scrape that still waits gets its response, with the data that has arrived, so
/// that the response reaches the client.
const CUT_OFF: Duration = Duration::from_secs(1);

/// An exporter's pages.
#[derive(Debug)]
pub struct Site<S> {
    name: &'static str,
    about: &'static str,
    routes: Routes,
    readiness: Readiness,
    registry: Registry,
    scrape: S,
    scrapes: ScrapeMetrics,
    in_flight: Quota,
    /// Bytes of responses that are not sent yet.
    unsent: Quota,
    /// Bytes of request bodies that are being received or processed.
    bodies: OnceLock<BodyMemory>,
    web: Web,
    rejections: Rejections,
    /// When scrapes that still run have to return; set at shutdown.
    cut_off: watch::Sender<Option<Instant>>,
    /// Bytes of the last exposition; the next one will be about as long.
    last_length: AtomicUsize,
}

/// Requests of the metrics path, under the metric names of Go's client library.
#[derive(Debug, Clone, Default)]
struct ScrapeMetrics {
    total: Family<StatusLabels, Counter>,
    in_flight: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    code: u16,
}

impl ScrapeMetrics {
    fn register(&self, registry: &mut Registry) {
        for code in [StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE] {
            drop(self.total.get_or_create(&StatusLabels { code: code.as_u16() }));
        }
        registry.register(
            "promhttp_metric_handler_requests",
            "Total number of scrapes by HTTP status code",
            self.total.clone(),
        );
        registry.register(
            "promhttp_metric_handler_requests_in_flight",
            "Current number of scrapes being served",
            self.in_flight.clone(),
        );
    }

    fn started(&self) -> InFlightScrape {
        self.in_flight.inc();
        InFlightScrape(self.in_flight.clone())
    }

    fn finished(&self, status: StatusCode) {
        self.total.get_or_create(&StatusLabels { code: status.as_u16() }).inc();
    }
}

/// Counts a scrape as running until it is dropped, with or without a response.
struct InFlightScrape(Gauge);

impl Drop for InFlightScrape {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl<S: Scrape> Site<S> {
    /// Creates a site with the exporter's name. Each scrape shows the metrics of `registry` and those that `scrape`
    /// returns. Access is controlled by `web`.
    pub fn new(
        name: &'static str,
        about: &'static str,
        metrics_path: String,
        readiness: Readiness,
        mut registry: Registry,
        scrape: S,
        web: Web,
    ) -> Self {
        let scrapes = ScrapeMetrics::default();
        scrapes.register(&mut registry);
        let rejections = Rejections::register(&mut registry);
        web.register(&mut registry);
        registry.register_collector(Box::new(readiness.clone()));
        Self {
            name,
            about,
            routes: Routes::new(metrics_path),
            readiness,
            registry,
            scrape,
            scrapes,
            in_flight: Quota::default(),
            unsent: Quota::default(),
            bodies: OnceLock::new(),
            web,
            rejections,
            cut_off: watch::Sender::default(),
            last_length: AtomicUsize::new(4 * 1024),
        }
    }

    /// Adds a page, unless another page has its path.
    #[must_use]
    pub fn route(mut self, route: Route) -> Self {
        self.routes.add(route);
        self
    }

    /// Makes the site not ready. Running scrapes have to return before the end of `drain`.
    pub(super) fn shut_down(&self, drain: Duration) {
        self.readiness.shut_down();
        self.cut_off.send_replace(Some(Instant::now() + drain - CUT_OFF.min(drain / 2)));
    }

    pub(super) fn web(&self) -> &Web {
        &self.web
    }

    pub(super) fn rejections(&self) -> &Rejections {
        &self.rejections
    }

    /// Responds to a request. `is_public` is true if the client used a public socket.
    pub(super) async fn respond<B>(
        &self,
        request: Request<B>,
        client: IpAddr,
        is_public: bool,
        limits: &Limits,
    ) -> Response<Bytes>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        if request.version() == Version::HTTP_2 && head_bytes(&request) > limits.head_bytes {
            return self.rejected(Rejection::HeadBytes);
        }
        if let Err(problem) = check_host(&request) {
            self.rejections.count(Rejection::Host);
            let mut response = text(StatusCode::BAD_REQUEST, problem);
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            return response;
        }
        let route = self.routes.at(request.uri().path(), is_public);
        if is_public && route.is_none() {
            // Without a check of credentials, so that no passwords can be guessed there.
            return text(StatusCode::NOT_FOUND, "not found\n");
        }
        let Some(rules) = self.web.rules().await else {
            return self.routed(route, request, client, limits).await;
        };
        // A path without a page requires credentials too, so that only users can find out which pages exist.
        let access = route.map_or(Access::Users, |route| route.access);
        let mut response = match self.web.admit(&rules, access, request.headers(), client).await {
            Ok(()) => self.routed(route, request, client, limits).await,
            Err(rejection) => self.rejected(rejection),
        };
        response.headers_mut().extend(rules.headers.iter().cloned());
        response
    }

    fn rejected(&self, reason: Rejection) -> Response<Bytes> {
        self.rejections.count(reason);
        let status = match reason {
            Rejection::Credentials => StatusCode::UNAUTHORIZED,
            Rejection::RateLimit => StatusCode::TOO_MANY_REQUESTS,
            Rejection::HeadBytes => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = text(status, format!("{}\n", status.canonical_reason().unwrap_or_default()));
        match status {
            StatusCode::UNAUTHORIZED => {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }

    async fn routed<B>(
        &self,
        route: Option<&Route>,
        request: Request<B>,
        client: IpAddr,
        limits: &Limits,
    ) -> Response<Bytes>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let Some(route) = route else {
            // `OPTIONS *` is about the server as a whole.
            return match *request.method() {
                Method::OPTIONS if request.uri().path() == "*" => options(READ),
                _ => text(StatusCode::NOT_FOUND, "not found\n"),
            };
        };
        if request.method() == Method::OPTIONS {
            return options(route.methods);
        }
        if !route.methods.contains(request.method()) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
            response.headers_mut().insert(ALLOW, allow(route.methods));
            return response;
        }
        match &route.page {
            Page::Metrics => self.limited_metrics(request.headers(), client, limits).await,
            Page::Health => text(StatusCode::OK, "ok\n"),
            Page::Ready => self.ready(),
            Page::Landing => {
                let facts = self.scrape.facts();
                landing_page(self.name, self.about, &self.readiness, &facts, self.routes.links())
            }
            Page::Read(handler) => self.read_page(handler, request.map(drop), client, limits).await,
            Page::Receive(page) => self.receive(page, request, limits).await,
        }
    }

    fn ready(&self) -> Response<Bytes> {
        match self.readiness.missing() {
            None => match self.readiness.impaired() {
                None => text(StatusCode::OK, "ready\n"),
                Some(reason) => text(StatusCode::OK, format!("ready, but: {reason}\n")),
            },
            Some(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
        }
    }

    /// The response of a page that the exporter adds. It counts as an unsent response like that of a scrape.
    async fn read_page(
        &self,
        handler: &ReadHandler,
        request: Request<()>,
        client: IpAddr,
        limits: &Limits,
    ) -> Response<Bytes> {
        let Some(permit) = self.in_flight.try_acquire(client, limits.in_flight) else {
            return self.rejected(Rejection::InFlight);
        };
        let response = handler(request).await;
        self.until_sent(response, client, permit, limits)
    }

    /// Keeps `permit` and the memory of a response in use until the response is sent or given up, so that clients that
    /// do not read have the same limits as those that do. Rejects the request if there is no memory for the response.
    fn until_sent(
        &self,
        response: Response<Bytes>,
        client: IpAddr,
        permit: Permit,
        limits: &Limits,
    ) -> Response<Bytes> {
        match self.unsent.try_acquire_many(client, response.body().len(), limits.unsent_bytes) {
            Some(memory) => response.map(|content| hold_permits(content, [permit, memory])),
            None => self.rejected(Rejection::InFlight),
        }
    }

    /// The response of a page that receives a body. Such pages have separate limits, so that they use no permits of
    /// scrapes.
    async fn receive<B>(&self, page: &Receive, request: Request<B>, limits: &Limits) -> Response<Bytes>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (head, body) = request.into_parts();
        let memory = self.bodies.get_or_init(|| BodyMemory::new(limits.body_bytes));
        let received = if (page.check)(&head.headers) {
            memory.read(&head.headers, body, page.max_body, limits.body_time).await
        } else {
            Err(memory.discard(body, limits.body_time).await)
        };
        let body = match &received {
            Ok(body) => Ok(body.bytes.clone()),
            Err(error) => Err(*error),
        };
        let mut response = (page.handler)(Request::from_parts(head, body)).await;
        if received.is_err() {
            // The rest of the body is not read.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The metrics, within the limits on scrapes.
    async fn limited_metrics(&self, headers: &HeaderMap, client: IpAddr, limits: &Limits) -> Response<Bytes> {
        let Some(permit) = self.in_flight.try_acquire(client, limits.in_flight) else {
            self.scrapes.finished(StatusCode::SERVICE_UNAVAILABLE);
            return self.rejected(Rejection::InFlight);
        };
        let response = self.metrics(headers).await;
        self.until_sent(response, client, permit, limits)
    }

    async fn metrics(&self, headers: &HeaderMap) -> Response<Bytes> {
        let _in_flight = self.scrapes.started();
        let request = ScrapeRequest::new(headers, self.cut_off.subscribe());
        let families = self.scrape.scrape(&request).await;
        // Counted before the families are encoded, so that the response includes this scrape.
        self.scrapes.finished(if families.is_ok() {
            StatusCode::OK
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        });
        match families {
            Ok(families) => self.exposition(&families, headers),
            Err(error) => {
                let mut lines = error.reasons.join("\n");
                lines.push('\n');
                text(StatusCode::INTERNAL_SERVER_ERROR, lines)
            }
        }
    }

    fn exposition(&self, families: &Registry, headers: &HeaderMap) -> Response<Bytes> {
        let accepted = accepted_format(&header(headers, &ACCEPT));
        let capacity = self.last_length.load(Ordering::Relaxed);
        let plain = match encode(accepted.format, &[families, &self.registry], capacity + capacity / 8) {
            Ok(plain) => plain,
            Err(error) => {
                tracing::error!(%error, "cannot encode an exposition");
                return text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"));
            }
        };
        self.last_length.store(plain.len(), Ordering::Relaxed);
        let (body, encoding) = compress(plain, accepted_encoding(&header(headers, &ACCEPT_ENCODING)));
        let mut response = Response::new(Bytes::from(body));
        let headers = response.headers_mut();
        if let Ok(content_type) = HeaderValue::try_from(accepted.content_type()) {
            headers.insert(CONTENT_TYPE, content_type);
        }
        headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
        if let Some(encoding) = encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        response
    }
}

/// Bytes of a request head as HTTP/2 counts them. The library limits them too, but does not report that it did.
fn head_bytes<B>(request: &Request<B>) -> usize {
    const OVERHEAD: usize = 32;
    let lines = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + OVERHEAD);
    request.uri().path_and_query().map_or(0, |path| path.as_str().len()) + lines.sum::<usize>()
}

/// All values of a header as one list, because HTTP allows a list in several lines.
fn header(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

/// Compresses an exposition at the fastest level, because Prometheus is usually near. If the compressor fails (out of
/// memory), returns the plain text.
fn compress(plain: Vec<u8>, encoding: Encoding) -> (Vec<u8>, Option<&'static str>) {
    match encoding {
        Encoding::Identity => (plain, None),
        Encoding::Gzip => {
            let buffer = Vec::with_capacity(plain.len() / 8 + 64);
            let mut gzip = flate2::write::GzEncoder::new(buffer, flate2::Compression::fast());
            match gzip.write_all(&plain).and_then(|()| gzip.finish()) {
                Ok(compressed) => (compressed, Some("gzip")),
                Err(_) => (plain, None),
            }
        }
        Encoding::Zstd => match zstd::bulk::compress(&plain, 1) {
            Ok(compressed) => (compressed, Some("zstd")),
            Err(_) => (plain, None),
        },
    }
}

/// Checks `Host` as HTTP/1.1 requires. The messages are those of Go's server.
fn check_host<B>(request: &Request<B>) -> Result<(), &'static str> {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_11 => Err("missing required Host header\n"),
        (_, Some(_)) => Err("too many Host headers\n"),
        (Some(host), None) if !host.as_bytes().iter().all(|byte| is_host_byte(*byte)) => {
            Err("malformed Host header\n")
        }
        _ => Ok(()),
    }
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!$%&'()*+,-.:;=@[]_~".contains(&byte)
}
