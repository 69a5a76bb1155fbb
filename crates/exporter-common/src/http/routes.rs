//! Routes: which page answers at which path, to which methods, and whom.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use http::header::ALLOW;
use http::{HeaderValue, Method, Request, Response, StatusCode};

use super::answer::Content;

/// The methods of a page that is only read. `OPTIONS` is answered for every page.
pub(super) const READ: &[Method] = &[Method::GET, Method::HEAD];

/// An answer to be waited for.
pub type Answering = Pin<Box<dyn Future<Output = Response<Bytes>> + Send>>;

/// Answers the requests of a page. The body of a request is empty: no page takes one.
pub(super) type Handler = Box<dyn Fn(Request<Bytes>) -> Answering + Send + Sync>;

/// What answers.
pub(super) enum Page {
    Landing,
    Metrics,
    Health,
    Ready,
    /// A page of the exporter's own.
    Other(Handler),
}

/// Whom a page answers where there is a web configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Its users, within its rate limit.
    Users,
    /// Everybody, if `web.open_probes` says so.
    Probe,
}

/// A page at a path.
pub struct Route {
    path: Cow<'static, str>,
    pub(super) methods: &'static [Method],
    pub(super) access: Access,
    /// What the landing page calls it; `None` leaves it out there.
    link: Option<&'static str>,
    pub(super) page: Page,
}

impl Route {
    /// A page to read, by `GET` and `HEAD`. It is linked from the landing page under the name of `link`, and the users
    /// of the web configuration apply to it.
    pub fn read(
        path: &'static str,
        link: &'static str,
        handler: impl Fn(Request<Bytes>) -> Answering + Send + Sync + 'static,
    ) -> Self {
        Self::new(path, Access::Users, Some(link), Page::Other(Box::new(handler)))
    }

    fn new(
        path: impl Into<Cow<'static, str>>,
        access: Access,
        link: Option<&'static str>,
        page: Page,
    ) -> Self {
        Self { path: path.into(), methods: READ, access, link, page }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, methods, access, link, page: _ } = self;
        formatter
            .debug_struct("Route")
            .field("path", path)
            .field("methods", methods)
            .field("access", access)
            .field("link", link)
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
        if self.at(&route.path).is_none() {
            self.0.push(route);
        }
    }

    pub(super) fn at(&self, path: &str) -> Option<&Route> {
        self.0.iter().find(|route| route.path == path)
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
        assert_eq!(routes.at("/page").unwrap().access, Access::Users);
    }

    #[test]
    fn the_metrics_keep_their_path() {
        let mut routes = Routes::new("/page".to_owned());
        routes.add(page());
        assert!(matches!(routes.at("/page").unwrap().page, Page::Metrics));
        assert_eq!(routes.links().filter(|(_, path)| *path == "/page").count(), 1);
    }

    #[test]
    fn options_are_allowed_everywhere() {
        assert_eq!(allow(READ), "GET, HEAD, OPTIONS");
        assert_eq!(allow(&[Method::POST]), "POST, OPTIONS");
    }
}
