//! Routes: the page at each path, its methods, and the clients that have access.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use http::header::ALLOW;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use super::body::BodyError;

/// The methods of a page that is only read. Every page also responds to `OPTIONS`.
pub(super) const READ: &[Method] = &[Method::GET, Method::HEAD];

/// The methods of a page that receives bodies.
const RECEIVE: &[Method] = &[Method::POST, Method::PUT];

/// The future of a page's response.
pub type ResponseFuture = Pin<Box<dyn Future<Output = Response<Bytes>> + Send>>;

/// Handles requests for a page that is read.
pub(super) type ReadHandler = Box<dyn Fn(Request<()>) -> ResponseFuture + Send + Sync>;

/// Handles requests for a page that receives bodies.
pub(super) type ReceiveHandler =
    Box<dyn Fn(Request<Result<Bytes, BodyError>>) -> ResponseFuture + Send + Sync>;

/// The content of a route.
pub(super) enum Page {
    Landing,
    Metrics,
    Health,
    Ready,
    /// A page that the exporter adds.
    Read(ReadHandler),
    Receive(Receive),
}

/// A page that receives bodies.
pub(super) struct Receive {
    /// The largest body in bytes.
    pub(super) max_body: usize,
    /// Whether the body of a request with these headers is read.
    pub(super) check: Box<dyn Fn(&HeaderMap) -> bool + Send + Sync>,
    pub(super) handler: ReceiveHandler,
}

/// Which clients have access to a page if there is a web configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Its users, within its rate limit.
    Users,
    /// All clients if `web.open_probes` is set, otherwise its users.
    Probe,
    /// All clients: the page checks its requests itself.
    All,
}

/// A page at a path.
pub struct Route {
    path: Cow<'static, str>,
    pub(super) methods: &'static [Method],
    pub(super) access: Access,
    /// The name of its link on the landing page; `None` for no link.
    link: Option<&'static str>,
    /// Whether it is served on public sockets instead of the others.
    is_public: bool,
    pub(super) page: Page,
}

impl Route {
    /// A page that is read with `GET` and `HEAD`. The landing page links to it under the name `link`. Access requires
    /// the credentials of the web configuration.
    pub fn read(
        path: &'static str,
        link: &'static str,
        handler: impl Fn(Request<()>) -> ResponseFuture + Send + Sync + 'static,
    ) -> Self {
        Self::new(path, Access::Users, Some(link), Page::Read(Box::new(handler)))
    }

    /// A page that receives a body of at most `max_body` bytes with `POST` or `PUT`. The handler gets the body, or the
    /// reason why it could not be read. If `check` rejects the headers of a request, its body is discarded. Access
    /// requires no credentials of the web configuration: the handler checks its requests itself.
    pub fn receive(
        path: impl Into<Cow<'static, str>>,
        max_body: usize,
        check: impl Fn(&HeaderMap) -> bool + Send + Sync + 'static,
        handler: impl Fn(Request<Result<Bytes, BodyError>>) -> ResponseFuture + Send + Sync + 'static,
    ) -> Self {
        let page = Page::Receive(Receive { max_body, check: Box::new(check), handler: Box::new(handler) });
        Self { methods: RECEIVE, ..Self::new(path, Access::All, None, page) }
    }

    /// Serves the page on the public sockets of the listener only.
    #[must_use]
    pub fn on_public_sockets(self) -> Self {
        Self { is_public: true, ..self }
    }

    fn new(
        path: impl Into<Cow<'static, str>>,
        access: Access,
        link: Option<&'static str>,
        page: Page,
    ) -> Self {
        Self { path: path.into(), methods: READ, access, link, is_public: false, page }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, methods, access, link, is_public, page: _ } = self;
        formatter
            .debug_struct("Route")
            .field("path", path)
            .field("methods", methods)
            .field("access", access)
            .field("link", link)
            .field("is_public", is_public)
            .finish_non_exhaustive()
    }
}

/// All routes of a site, in the order of the landing page.
#[derive(Debug)]
pub(super) struct Routes(Vec<Route>);

impl Routes {
    /// The metrics and the pages that every exporter has. The pages for probes have a second path, the one that
    /// Prometheus' tools request.
    pub(super) fn new(metrics_path: String) -> Self {
        Self(vec![
            Route::new(metrics_path, Access::Users, Some("Metrics"), Page::Metrics),
            Route::new("/", Access::Users, None, Page::Landing),
            Route::new("/health", Access::Probe, Some("Health"), Page::Health),
            Route::new("/-/healthy", Access::Probe, None, Page::Health),
            Route::new("/ready", Access::Probe, Some("Readiness"), Page::Ready),
            Route::new("/-/ready", Access::Probe, None, Page::Ready),
        ])
    }

    pub(super) fn add(&mut self, route: Route) {
        if self.at(&route.path, route.is_public).is_none() {
            self.0.push(route);
        }
    }

    /// Returns the page at a path, on public sockets or on the others.
    pub(super) fn at(&self, path: &str, is_public: bool) -> Option<&Route> {
        self.0.iter().find(|route| route.path == path && route.is_public == is_public)
    }

    /// Returns name and path of each link of the landing page.
    pub(super) fn links(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().filter_map(|route| Some((route.link?, &*route.path)))
    }
}

/// The response to OPTIONS, which some load balancers send as their health check.
pub(super) fn options(methods: &[Method]) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, allow(methods));
    response
}

/// Returns the value of `Allow` for a page with these methods.
pub(super) fn allow(methods: &[Method]) -> HeaderValue {
    let names: Vec<&str> = methods.iter().chain([&Method::OPTIONS]).map(Method::as_str).collect();
    // Names of methods are tokens, which are valid in every header.
    HeaderValue::try_from(names.join(", ")).unwrap_or_else(|_| HeaderValue::from_static("OPTIONS"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Route {
        Route::read("/page", "Page", |_| Box::pin(async { Response::default() }))
    }

    #[test]
    fn links_added_pages_after_the_common_ones() {
        let mut routes = Routes::new("/stats".to_owned());
        routes.add(page());
        let links: Vec<_> = routes.links().collect();
        let expected =
            [("Metrics", "/stats"), ("Health", "/health"), ("Readiness", "/ready"), ("Page", "/page")];
        assert_eq!(links, expected);
        assert_eq!(routes.at("/page", false).unwrap().access, Access::Users);
    }

    #[test]
    fn an_added_page_does_not_replace_the_metrics() {
        let mut routes = Routes::new("/page".to_owned());
        routes.add(page());
        assert!(matches!(routes.at("/page", false).unwrap().page, Page::Metrics));
        assert_eq!(routes.links().filter(|(_, path)| *path == "/page").count(), 1);
    }

    #[test]
    fn serves_public_pages_on_public_sockets_only() {
        let mut routes = Routes::new("/metrics".to_owned());
        let page = Route::receive("/hook", 1, |_| true, |_| Box::pin(async { Response::default() }));
        routes.add(page.on_public_sockets());
        assert!(routes.at("/hook", true).is_some() && routes.at("/hook", false).is_none());
        assert!(routes.at("/metrics", true).is_none() && routes.at("/", true).is_none());
    }

    #[test]
    fn allows_options_for_every_page() {
        assert_eq!(allow(READ), "GET, HEAD, OPTIONS");
        assert_eq!(allow(RECEIVE), "POST, PUT, OPTIONS");
    }
}
