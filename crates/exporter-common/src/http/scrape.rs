//! The interface between the server and an exporter: a scrape request and its result.

use std::future::{Future, pending};
use std::time::Duration;

use http::HeaderMap;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::landing::Fact;

/// The header with the time that Prometheus waits for the response, in seconds.
const TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

/// Collects the metrics of a scrape.
pub trait Scrape: Send + Sync + 'static {
    /// Returns the families of this scrape, in addition to those that the site always shows.
    ///
    /// The future is dropped if the client disconnects.
    fn scrape(&self, request: &ScrapeRequest) -> impl Future<Output = Result<Registry, ScrapeError>> + Send;

    /// Returns rows about the present state of the exporter for the landing page. Called for each request of that page.
    fn facts(&self) -> Vec<Fact> {
        Vec::new()
    }
}

/// Why there are no metrics. The reasons become the body of the response, one line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .reasons.join("; "))]
pub struct ScrapeError {
    /// The reasons, for the operator; they contain no secrets.
    pub reasons: Vec<String>,
}

/// A scrape request: the time limits set by its client and by the server.
#[derive(Debug, Clone)]
pub struct ScrapeRequest {
    timeout: Option<Duration>,
    cut_off: watch::Receiver<Option<Instant>>,
}

impl ScrapeRequest {
    pub(super) fn new(headers: &HeaderMap, cut_off: watch::Receiver<Option<Instant>>) -> Self {
        Self { timeout: client_timeout(headers), cut_off }
    }

    /// How long the client waits for the response, from the arrival of the request: the value of
    /// `X-Prometheus-Scrape-Timeout-Seconds`. `None` if it is absent, not a number, not positive or infinite.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Completes when the server shuts down and cannot wait any longer. The scrape should then return the data that has
    /// arrived.
    pub async fn cut_off(&self) {
        let mut cut_off = self.cut_off.clone();
        let at = match cut_off.wait_for(Option::is_some).await {
            Ok(at) => *at,
            Err(_) => None,
        };
        match at {
            Some(at) => sleep_until(at).await,
            // The site was dropped, and its connections with it.
            None => pending().await,
        }
    }
}

fn client_timeout(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(TIMEOUT)?.to_str().ok()?.trim().parse().ok()?;
    // A number that is too large for a duration is not a limit either.
    (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn reads_a_timeout_that_is_positive_and_finite() {
        for (value, seconds) in [
            ("10", Some(10.0)),
            (" 4.5 ", Some(4.5)),
            ("0.25", Some(0.25)),
            ("1e1", Some(10.0)),
            ("1e300", None),
            ("0", None),
            ("-0", None),
            ("-5", None),
            ("NaN", None),
            ("+Inf", None),
            ("inf", None),
            ("5s", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(TIMEOUT, HeaderValue::from_static(value));
            assert_eq!(client_timeout(&headers), seconds.map(Duration::from_secs_f64), "{value:?}");
        }
        assert_eq!(client_timeout(&HeaderMap::new()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_cut_off_applies_to_running_and_to_later_requests() {
        let (sender, receiver) = watch::channel(None);
        let request = ScrapeRequest::new(&HeaderMap::new(), receiver);
        let at = Instant::now() + Duration::from_secs(3);
        tokio::join!(request.cut_off(), async { sender.send_replace(Some(at)) });
        assert_eq!(Instant::now(), at);
        request.cut_off().await;
    }
}
