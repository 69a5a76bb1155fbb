//! Routes: which page answers at which path, to which methods, and whom.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use http::header::ALLOW;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use super::answer::Content;
use super::body::BodyError;

/// The methods of a page that is only read. `OPTIONS` is answered for every page.
pub(super) const READ: &[Method] = &[Method::GET, Method::HEAD];

/// The methods of a page that receives bodies.
const RECEIVE: &[Method] = &[Method::POST, Method::PUT];

/// An answer to be waited for.
pub type Answering = Pin<Box<dyn Future<Output = Response<Bytes>> + Send>>;

/// Answers the requests of a page that is read.
pub(super) type ReadHandler = Box<dyn Fn(Request<()>) -> Answering + Send + Sync>;

/// Answers the requests of a page that receives bodies.
pub(super) type ReceiveHandler = Box<dyn Fn(Request<Result<Bytes, BodyError>>) -> Answering + Send + Sync>;

/// What answers.
pub(super) enum Page {
    Landing,
    Metrics,
    Health,
    Ready,
    /// A page of the exporter's own.
    Read(ReadHandler),
    Receive(Receive),
}

/// A page that receives bodies.
pub(super) struct Receive {
    /// The largest body in bytes.
    pub(super) max_body: usize,
    /// Whether a request with these headers may send one.
    pub(super) check: Box<dyn Fn(&HeaderMap) -> bool + Send + Sync>,
    pub(super) handler: ReceiveHandler,
}

/// Whom a page answers where there is a web configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Its users, within its rate limit.
    Users,
    /// Everybody, if `web.open_probes` says so.
    Probe,
    /// Everybody: the page checks its requests itself.
    Everybody,
}

/// A page at a path.
pub struct Route {
    path: Cow<'static, str>,
    pub(super) methods: &'static [Method],
    pub(super) access: Access,
    /// What the landing page calls it; `None` leaves it out there.
    link: Option<&'static str>,
    /// Whether it is served on public sockets instead of the others.
    is_public: bool,
    pub(super) page: Page,
}

impl Route {
    /// A page to read, by `GET` and `HEAD`. It is linked from the landing page under the name of `link`, and the users
    /// of the web configuration apply to it.
    pub fn read(
        path: &'static str,
        link: &'static str,
        handler: impl Fn(Request<()>) -> Answering + Send + Sync + 'static,
    ) -> Self {
        Self::new(path, Access::Users, Some(link), Page::Read(Box::new(handler)))
    }

    /// A page that receives a body of at most `max_body` bytes by `POST` or `PUT`, or the reason why it could not be
    /// read. Nothing is kept of the body of a request whose headers `check` refuses. The users of the web configuration do not apply to it: the handler checks what it gets.
    pub fn receive(
        path: impl Into<Cow<'static, str>>,
        max_body: usize,
        check: impl Fn(&HeaderMap) -> bool + Send + Sync + 'static,
        handler: impl Fn(Request<Result<Bytes, BodyError>>) -> Answering + Send + Sync + 'static,
    ) -> Self {
        let page = Page::Receive(Receive { max_body, check: Box::new(check), handler: Box::new(handler) });
        Self { methods: RECEIVE, ..Self::new(path, Access::Everybody, None, page) }
    }

    /// Serves the page on the public sockets of the listener, and not on the others.
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

/// Every route of a site, in the order of the landing page.
#[derive(Debug)]
pub(super) struct Routes(Vec<Route>);

impl Routes {
    /// The metrics, and the pages that every exporter has: those for probes under our names and under those that
    /// Prometheus' own tools ask for.
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

    /// The page at a path of a public socket, or of another one.
    pub(super) fn at(&self, path: &str, is_public: bool) -> Option<&Route> {
        self.0.iter().find(|route| route.path == path && route.is_public == is_public)
    }

    /// Name and path of what the landing page links to.
    pub(super) fn links(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().filter_map(|route| Some((route.link?, &*route.path)))
    }
}

/// The answer to OPTIONS, which some load balancers send as their health check.
pub(super) fn options(methods: &[Method]) -> Response<Content> {
    let mut response = Response::new(Content::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, allow(methods));
    response
}

/// The value of `Allow` for a page with these methods.
pub(super) fn allow(methods: &[Method]) -> HeaderValue {
    let names: Vec<&str> = methods.iter().chain([&Method::OPTIONS]).map(Method::as_str).collect();
    // Names of methods are tokens, which every header may hold.
    HeaderValue::try_from(names.join(", ")).unwrap_or_else(|_| HeaderValue::from_static("OPTIONS"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Route {
        Route::read("/page", "Page", |_| Box::pin(async { Response::default() }))
    }

    #[test]
    fn a_page_is_linked_after_those_that_every_exporter_has() {
        let mut routes = Routes::new("/stats".to_owned());
        routes.add(page());
        let links: Vec<_> = routes.links().collect();
        let expected =
            [("Metrics", "/stats"), ("Health", "/health"), ("Readiness", "/ready"), ("Page", "/page")];
        assert_eq!(links, expected);
        assert_eq!(routes.at("/page", false).unwrap().access, Access::Users);
    }

    #[test]
    fn the_metrics_keep_their_path() {
        let mut routes = Routes::new("/page".to_owned());
        routes.add(page());
        assert!(matches!(routes.at("/page", false).unwrap().page, Page::Metrics));
        assert_eq!(routes.links().filter(|(_, path)| *path == "/page").count(), 1);
    }

    #[test]
    fn a_public_page_is_on_public_sockets_only() {
        let mut routes = Routes::new("/metrics".to_owned());
        let page = Route::receive("/hook", 1, |_| true, |_| Box::pin(async { Response::default() }));
        routes.add(page.on_public_sockets());
        assert!(routes.at("/hook", true).is_some() && routes.at("/hook", false).is_none());
        assert!(routes.at("/metrics", true).is_none() && routes.at("/", true).is_none());
    }

    #[test]
    fn options_are_allowed_everywhere() {
        assert_eq!(allow(READ), "GET, HEAD, OPTIONS");
        assert_eq!(allow(RECEIVE), "POST, PUT, OPTIONS");
    }
}
