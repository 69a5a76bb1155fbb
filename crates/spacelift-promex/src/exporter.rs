//! The exporter: one scrape of the API for however many scrapes of the exporter run at the same time.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use exporter_common::http::{Scrape, ScrapeError};
use exporter_common::metrics::{Number, gauge, gauges};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use prometheus_client::collector::Collector as PrometheusCollector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;
use tokio::time::timeout_at;

use crate::Config;
use crate::client::{Client, Deadline};
use crate::collectors::{Answer, Collector, Moment, Writer};
use crate::failure::Failure;
use crate::single_flight::SingleFlight;

/// Answers scrapes.
#[derive(Debug)]
pub struct Exporter {
    asker: Arc<Asker>,
    partial_scrapes: bool,
    cache_ttl: Duration,
    round: SingleFlight<Arc<Scraped>>,
    last_good: Mutex<Option<(Instant, Arc<Scraped>)>>,
}

impl Exporter {
    pub(crate) fn new(config: &Config, client: Client) -> Self {
        let moment = Moment { now: SystemTime::now(), dora_window: config.dora_window };
        let questions = config
            .collectors
            .iter()
            .map(|collector| Question {
                collector,
                body: collector.fixed.then(|| Bytes::from((collector.ask)(&moment))),
            })
            .collect();
        Self {
            asker: Arc::new(Asker {
                client,
                questions,
                timeout: config.scrape_timeout,
                dora_window: config.dora_window,
            }),
            partial_scrapes: config.partial_scrapes,
            cache_ttl: config.cache_ttl,
            round: SingleFlight::default(),
            last_good: Mutex::default(),
        }
    }

    async fn scraped(&self) -> Arc<Scraped> {
        if let Some(cached) = self.cached() {
            return cached;
        }
        let asker = self.asker.clone();
        let scraped = self.round.call(move || asker.ask_all(), Arc::default()).await;
        if !self.cache_ttl.is_zero() && scraped.is_whole() {
            *self.last_good.lock().unwrap_or_else(PoisonError::into_inner) =
                Some((Instant::now(), scraped.clone()));
        }
        scraped
    }

    fn cached(&self) -> Option<Arc<Scraped>> {
        if self.cache_ttl.is_zero() {
            return None;
        }
        let last_good = self.last_good.lock().unwrap_or_else(PoisonError::into_inner);
        last_good
            .as_ref()
            .filter(|(since, _)| since.elapsed() < self.cache_ttl)
            .map(|(_, scraped)| scraped.clone())
    }
}

impl Scrape for Exporter {
    async fn scrape(&self) -> Result<Registry, ScrapeError> {
        let scraped = self.scraped().await;
        if scraped.fails(self.partial_scrapes, self.asker.questions.len()) {
            return Err(scraped.error());
        }
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ScrapedFamilies(scraped)));
        Ok(registry)
    }
}

/// Asks every enabled collector's question.
#[derive(Debug)]
struct Asker {
    client: Client,
    questions: Vec<Question>,
    timeout: Duration,
    dora_window: Duration,
}

#[derive(Debug)]
struct Question {
    collector: &'static Collector,
    /// The request's body where it is always the same.
    body: Option<Bytes>,
}

impl Question {
    fn body(&self, moment: &Moment) -> Bytes {
        self.body.clone().unwrap_or_else(|| Bytes::from((self.collector.ask)(moment)))
    }
}

impl Asker {
    /// Asks all questions at the same time, under one deadline. Not even a defect in one collector costs the
    /// others.
    async fn ask_all(self: Arc<Self>) -> Arc<Scraped> {
        let started = Instant::now();
        let deadline =
            Deadline { at: tokio::time::Instant::from_std(started) + self.timeout, timeout: self.timeout };
        let moment = Moment { now: SystemTime::now(), dora_window: self.dora_window };
        let mut outcomes: Vec<Outcome> = self
            .questions
            .iter()
            .map(|question| Outcome::unanswered(question.collector, self.timeout))
            .collect();
        let mut answers: FuturesUnordered<_> = self
            .questions
            .iter()
            .enumerate()
            .map(|(index, question)| {
                let answer =
                    AssertUnwindSafe(self.client.ask(question.collector, question.body(&moment), deadline));
                answer.catch_unwind().map(move |answer| (index, answer.unwrap_or(Err(Failure::Defect))))
            })
            .collect();
        while let Ok(Some((index, result))) = timeout_at(deadline.at, answers.next()).await {
            outcomes[index].result = result;
            outcomes[index].duration = started.elapsed();
        }
        drop(answers);
        for outcome in &outcomes {
            outcome.log();
        }
        Arc::new(Scraped { outcomes, duration: started.elapsed() })
    }
}

/// What one collector brought.
#[derive(Debug)]
struct Outcome {
    collector: &'static Collector,
    result: Result<Answer, Failure>,
    duration: Duration,
}

impl Outcome {
    /// What remains of a question that the deadline cut off.
    fn unanswered(collector: &'static Collector, timeout: Duration) -> Self {
        Self { collector, result: Err(Failure::Timeout(timeout)), duration: timeout }
    }

    /// The one place that says what success means. Data that does not exist for this key is no failure.
    fn is_success(&self) -> bool {
        matches!(self.result, Ok(_) | Err(Failure::Unsupported(_)))
    }

    fn is_supported(&self) -> bool {
        !matches!(self.result, Err(Failure::Unsupported(_)))
    }

    fn log(&self) {
        let collector = self.collector.name;
        match &self.result {
            Ok(_) => {}
            Err(Failure::Unsupported(reason)) => tracing::debug!(collector, reason, "not supported"),
            Err(error) => tracing::warn!(collector, %error, "the collector failed"),
        }
    }
}

/// One round of questions and answers.
#[derive(Debug, Default)]
struct Scraped {
    outcomes: Vec<Outcome>,
    duration: Duration,
}

impl Scraped {
    /// Whether nothing failed, so that the answer may be served again.
    fn is_whole(&self) -> bool {
        !self.outcomes.is_empty() && self.outcomes.iter().all(Outcome::is_success)
    }

    /// Whether the scrape as a whole failed: in partial mode when nothing came and something failed, in strict
    /// mode when anything is missing. `asked` tells an empty round from one that crashed.
    fn fails(&self, partial_scrapes: bool, asked: usize) -> bool {
        if self.outcomes.len() < asked {
            return true;
        }
        let delivered = self.outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
        if partial_scrapes {
            delivered == 0 && !self.outcomes.iter().all(Outcome::is_success)
        } else {
            delivered < asked
        }
    }

    fn error(&self) -> ScrapeError {
        let mut reasons: Vec<String> = self
            .outcomes
            .iter()
            .filter_map(|outcome| {
                let failure = outcome.result.as_ref().err()?;
                Some(format!("{}: {failure}", outcome.collector.name))
            })
            .collect();
        if reasons.is_empty() {
            reasons.push(Failure::Defect.to_string());
        }
        ScrapeError { reasons }
    }
}

/// The round as metric families.
#[derive(Debug)]
struct ScrapedFamilies(Arc<Scraped>);

impl PrometheusCollector for ScrapedFamilies {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(scraped) = self;
        for families in scraped.outcomes.iter().filter_map(|outcome| outcome.result.as_ref().ok()) {
            families.write(&mut Writer(&mut encoder))?;
        }
        gauge(
            &mut encoder,
            "spacelift_scrape_duration_seconds",
            "Time that all requests of the scrape to the Spacelift API took, in seconds",
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
            "Time that the collector's request to the Spacelift API took, in seconds",
            each(|outcome| Number(outcome.duration.as_secs_f64())),
        )?;
        gauges(
            &mut encoder,
            "spacelift_scrape_collector_success",
            "Whether the collector succeeded (1) or failed (0) in this scrape",
            each(|outcome| outcome.is_success().into()),
        )?;
        gauges(
            &mut encoder,
            "spacelift_scrape_collector_supported",
            "Whether the collector's data exists for this installation and API key (1) or not (0)",
            each(|outcome| outcome.is_supported().into()),
        )
    }
}
