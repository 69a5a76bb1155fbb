//! What the server tells an exporter about a scrape, and what it gets back.

use std::future::{Future, pending};
use std::time::Duration;

use http::HeaderMap;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::landing::Fact;

/// The header in which Prometheus says how long it waits for the answer.
const TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

/// Where the metrics of one scrape come from.
pub trait Scrape: Send + Sync + 'static {
    /// The families of this scrape, besides those that the site always shows.
    ///
    /// The future may be dropped half-way, when the client goes away.
    fn scrape(&self, request: &ScrapeRequest) -> impl Future<Output = Result<Registry, ScrapeError>> + Send;

    /// What the landing page says of the exporter as it is now. It is asked for each time the page is shown.
    fn facts(&self) -> Vec<Fact> {
        Vec::new()
    }
}

/// Why there are no metrics. The reasons become the body of the answer, a line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .reasons.join("; "))]
pub struct ScrapeError {
    /// What went wrong, for the operator; never with a secret in it.
    pub reasons: Vec<String>,
}

/// How long a scrape may take, as far as its client and the server are concerned.
#[derive(Debug, Clone)]
pub struct ScrapeRequest {
    timeout: Option<Duration>,
    cut_off: watch::Receiver<Option<Instant>>,
}

impl ScrapeRequest {
    pub(super) fn new(headers: &HeaderMap, cut_off: watch::Receiver<Option<Instant>>) -> Self {
        Self { timeout: client_timeout(headers), cut_off }
    }

    /// How long the client waits for the answer, from the arrival of the request: the value of
    /// `X-Prometheus-Scrape-Timeout-Seconds`. `None` if it is absent, not a number, not positive or infinite.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Completes when the server shuts down and cannot wait any longer. The answer is then what has arrived so far.
    pub async fn cut_off(&self) {
        let mut cut_off = self.cut_off.clone();
        let at = match cut_off.wait_for(Option::is_some).await {
            Ok(at) => *at,
            Err(_) => None,
        };
        match at {
            Some(at) => sleep_until(at).await,
            // The server is gone, and its connections with it.
            None => pending().await,
        }
    }
}

fn client_timeout(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(TIMEOUT)?.to_str().ok()?.trim().parse().ok()?;
    // A number that is too large for a duration is no limit either.
    (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_timeout_is_a_positive_finite_number_of_seconds() {
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
    async fn the_cut_off_is_told_to_requests_that_wait_already() {
        let (tell, told) = watch::channel(None);
        let request = ScrapeRequest::new(&HeaderMap::new(), told);
        let began = Instant::now();
        let at = began + Duration::from_secs(3);
        tokio::join!(request.cut_off(), async { tell.send_replace(Some(at)) });
        assert_eq!(Instant::now(), at);
        // And to those that come later.
        request.cut_off().await;
    }
}
