//! The exporter: runs a round for each scrape and converts its outcomes to metrics.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use exporter_common::http::{Fact, Scrape, ScrapeError, ScrapeRequest, ago};
use exporter_common::metrics::{Number, gauge, gauges};
use prometheus_client::collector::Collector as PrometheusCollector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use crate::client::Client;
use crate::collectors::{DocumentError, Writer};
use crate::config::Config;
use crate::failure::Failure;
use crate::round::{Outcome, RoundSettings, Rounds, Scraped};
use crate::runs;

/// For scrape timeouts below this, the response is due after half of the timeout.
const SHORT_TIMEOUT: Duration = Duration::from_secs(1);

/// Answers scrapes with the data of all collectors.
#[derive(Debug)]
pub struct Exporter {
    rounds: Rounds<Client>,
    partial_scrapes: bool,
    timeout: Duration,
    timeout_offset: Duration,
    /// The data of the collector `runs`, which comes from webhooks.
    runs: Option<runs::SharedRuns>,
    /// The time of the last scrape, and its rows on the landing page.
    last: Mutex<Option<(Instant, Vec<Fact>)>>,
}

impl Exporter {
    pub(crate) fn new(
        config: &Config,
        client: Client,
        runs: Option<runs::SharedRuns>,
    ) -> Result<Self, DocumentError> {
        let settings = RoundSettings {
            timeout: config.scrape_timeout,
            cache_ttl: config.cache_ttl,
            dora_window: config.dora_window,
        };
        Ok(Self {
            rounds: Rounds::new(&config.collectors, client, settings)?,
            partial_scrapes: config.partial_scrapes,
            timeout: config.scrape_timeout,
            timeout_offset: config.scrape_timeout_offset,
            runs,
            last: Mutex::default(),
        })
    }

    /// Returns the time limit of a scrape: the client's timeout less the offset, at most the configured timeout.
    fn timeout(&self, client: Option<Duration>) -> Duration {
        client.map_or(self.timeout, |client| less_offset(client, self.timeout_offset).min(self.timeout))
    }
}

/// Subtracts the offset from a client's timeout. Uses half of the timeout if it is short.
fn less_offset(timeout: Duration, offset: Duration) -> Duration {
    if timeout < SHORT_TIMEOUT || timeout <= offset { timeout / 2 } else { timeout - offset }
}

impl Scrape for Exporter {
    async fn scrape(&self, request: &ScrapeRequest) -> Result<Registry, ScrapeError> {
        let scraped = self.rounds.scrape(self.timeout(request.timeout()), request.cut_off()).await;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), facts(&scraped)));
        if fails(&scraped, self.partial_scrapes, self.runs.is_some(), self.rounds.queries()) {
            return Err(error(&scraped));
        }
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ScrapedFamilies { scraped, has_runs: self.runs.is_some() }));
        Ok(registry)
    }

    fn facts(&self) -> Vec<Fact> {
        let mut facts = match &*self.last.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((at, facts)) => [&[Fact::new("Last scrape", ago(at.elapsed()))], &facts[..]].concat(),
            None => vec![Fact::new("Last scrape", "none yet")],
        };
        facts.extend(self.runs.iter().flat_map(runs::facts));
        facts
    }
}

/// Returns the rows of the landing page about a scrape.
fn facts(scraped: &Scraped) -> Vec<Fact> {
    let list = |items: Vec<String>| if items.is_empty() { "none".to_owned() } else { items.join("; ") };
    let (mut succeeded, mut failed, mut unsupported) = (Vec::new(), Vec::new(), Vec::new());
    for Outcome { collector, result, .. } in &scraped.outcomes {
        let name = collector.name.to_owned();
        match result {
            Ok(_) => succeeded.push(name),
            Err(Failure::Unsupported(_)) => unsupported.push(name),
            Err(failure) => failed.push(format!("{name}: {failure}")),
        }
    }
    let is_problem = !failed.is_empty();
    vec![
        Fact::new("Its requests took", format!("{:.3} s", scraped.duration.as_secs_f64())),
        Fact::new("Collectors that succeeded", list(succeeded)),
        Fact::new("Collectors that failed", list(failed)).problem_if(is_problem),
        Fact::new("Collectors without data here", list(unsupported)),
    ]
}

/// Returns whether the whole scrape failed. With partial scrapes, this is the case if no collector has data, at least one
/// failed, and there are no runs from webhooks; otherwise, if any collector has no data. A round with fewer outcomes than
/// `queries` has panicked.
fn fails(scraped: &Scraped, partial_scrapes: bool, has_runs: bool, queries: usize) -> bool {
    let outcomes = &scraped.outcomes;
    if outcomes.len() < queries {
        return true;
    }
    let with_data = outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    if partial_scrapes {
        with_data == 0 && !has_runs && !outcomes.iter().all(Outcome::is_success)
    } else {
        with_data < queries
    }
}

fn error(scraped: &Scraped) -> ScrapeError {
    let reason = |outcome: &Outcome| {
        let failure = outcome.result.as_ref().err()?;
        Some(format!("{}: {failure}", outcome.collector.name))
    };
    let mut reasons: Vec<String> = scraped.outcomes.iter().filter_map(reason).collect();
    if reasons.is_empty() {
        reasons.push(Failure::Defect.to_string());
    }
    ScrapeError { reasons }
}

/// The outcomes of a round as metric families.
#[derive(Debug)]
struct ScrapedFamilies {
    scraped: Arc<Scraped>,
    has_runs: bool,
}

impl PrometheusCollector for ScrapedFamilies {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self { scraped, has_runs } = self;
        // The collector `runs` sends no queries, so it cannot fail.
        let runs = |value: f64| has_runs.then_some(([("collector", runs::NAME)], Number(value)));
        for families in scraped.outcomes.iter().filter_map(|outcome| outcome.result.as_ref().ok()) {
            families.write(&mut Writer(&mut encoder))?;
        }
        gauge(
            &mut encoder,
            "spacelift_scrape_duration_seconds",
            "Duration of all Spacelift API requests of the scrape, in seconds",
            Some(Number(scraped.duration.as_secs_f64())),
        )?;
        let each = |value: fn(&Outcome) -> Number| {
            scraped
                .outcomes
                .iter()
                .map(move |outcome| ([("collector", outcome.collector.name)], value(outcome)))
        };
        gauges(
            &mut encoder,
            "spacelift_scrape_collector_duration_seconds",
            "Duration of the collector's Spacelift API request, in seconds",
            each(|outcome| Number(outcome.duration.as_secs_f64())).chain(runs(0.0)),
        )?;
        gauges(
            &mut encoder,
            "spacelift_scrape_collector_success",
            "Whether the collector succeeded (1) or failed (0) in this scrape",
            each(|outcome| outcome.is_success().into()).chain(runs(1.0)),
        )?;
        gauges(
            &mut encoder,
            "spacelift_scrape_collector_supported",
            "Whether the collector's data exists for this installation and API key (1) or not (0)",
            each(|outcome| outcome.is_supported().into()).chain(runs(1.0)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responds_before_the_client_times_out() {
        let seconds = Duration::from_secs_f64;
        for (timeout, offset, left) in [
            (10.0, 0.5, 9.5),
            (1.0, 0.5, 0.5),
            (0.8, 0.5, 0.4),
            (0.8, 0.0, 0.4),
            (10.0, 0.0, 10.0),
            (10.0, 3.0, 7.0),
            (3.0, 3.0, 1.5),
            (2.0, 3.0, 1.0),
        ] {
            assert_eq!(less_offset(seconds(timeout), seconds(offset)), seconds(left), "{timeout} - {offset}");
        }
    }
}
