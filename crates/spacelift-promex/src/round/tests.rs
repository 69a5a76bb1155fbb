//! Rounds with a client that answers when it is told to, in paused time.

use std::collections::HashMap;
use std::fmt;
use std::future::pending;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::collectors::{ALL, Families, Writer};

/// The four default collectors, of which `usage` answers late.
const COLLECTORS: [&Collector; 4] = [&ALL[0], &ALL[1], &ALL[2], &ALL[3]];
const LATE: &str = "usage";

#[derive(Debug)]
struct Nothing;

impl Families for Nothing {
    fn write(&self, _: &mut Writer<'_, '_>) -> fmt::Result {
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Fake {
    /// How long each collector waits for its answer; the others have one at once.
    delays: HashMap<&'static str, Duration>,
    /// Whether there is never a session.
    no_session: bool,
    queries: AtomicUsize,
    completed: AtomicUsize,
}

impl QueryClient for Arc<Fake> {
    async fn query(
        &self,
        collector: &'static Collector,
        _: Bytes,
        stage: &Stage,
    ) -> Result<CollectorData, Failure> {
        self.queries.fetch_add(1, Ordering::Relaxed);
        if self.no_session {
            stage.session(pending::<()>()).await;
        }
        stage.session(std::future::ready(())).await;
        if let Some(delay) = self.delays.get(collector.name) {
            tokio::time::sleep(*delay).await;
        }
        Ok(Arc::new(Nothing))
    }

    fn completed(&self, outcomes: &[Outcome]) {
        assert_eq!(outcomes.len(), COLLECTORS.len());
        self.completed.fetch_add(1, Ordering::Relaxed);
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Rounds in which `usage` is answered after so many seconds.
fn rounds(late: f64, timeout: f64, cache_ttl: f64) -> (Arc<Fake>, Rounds<Arc<Fake>>) {
    let delays = HashMap::from([(LATE, seconds(late))]);
    with(Fake { delays, ..Fake::default() }, timeout, cache_ttl)
}

fn with(fake: Fake, timeout: f64, cache_ttl: f64) -> (Arc<Fake>, Rounds<Arc<Fake>>) {
    let fake = Arc::new(fake);
    let settings = RoundSettings {
        timeout: seconds(timeout),
        cache_ttl: seconds(cache_ttl),
        dora_window: seconds(60.0),
    };
    (fake.clone(), Rounds::new(&COLLECTORS, fake, settings).unwrap())
}

/// Scrapes after a pause; what `usage` brought, and how many seconds that took.
async fn scrape(rounds: &Rounds<Arc<Fake>>, pause: f64, timeout: f64) -> (Result<(), Failure>, f64) {
    tokio::time::sleep(seconds(pause)).await;
    let began = Instant::now();
    let scraped = rounds.scrape(seconds(timeout), pending()).await;
    let took = (began.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    let result = |outcome: &Outcome| outcome.result.as_ref().map(|_| ()).map_err(Clone::clone);
    for outcome in scraped.outcomes.iter().filter(|outcome| outcome.collector.name != LATE) {
        assert_eq!(result(outcome), Ok(()), "{}", outcome.collector.name);
    }
    let late = scraped.outcomes.iter().find(|outcome| outcome.collector.name == LATE).unwrap();
    (result(late), took)
}

fn timed_out(after: f64) -> Result<(), Failure> {
    Err(Failure::Timeout(seconds(after)))
}

#[tokio::test(start_paused = true)]
async fn each_caller_is_answered_at_its_own_deadline_and_the_round_goes_on() {
    let (fake, rounds) = rounds(8.0, 30.0, 0.0);
    let answers = tokio::join!(
        scrape(&rounds, 0.0, 9.5),
        scrape(&rounds, 0.0, 4.5),
        scrape(&rounds, 1.0, 2.0),
        scrape(&rounds, 6.0, 60.0),
    );
    assert_eq!(answers, ((Ok(()), 8.0), (timed_out(4.5), 4.5), (timed_out(2.0), 2.0), (Ok(()), 2.0)));
    assert_eq!(fake.queries.load(Ordering::Relaxed), 4, "the scrapes share one round");
    assert_eq!(fake.completed.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_later_caller_lets_the_round_go_on() {
    let (fake, rounds) = rounds(8.0, 30.0, 0.0);
    let answers = tokio::join!(scrape(&rounds, 0.0, 4.5), scrape(&rounds, 4.0, 9.5));
    assert_eq!(answers, ((timed_out(4.5), 4.5), (Ok(()), 4.0)));
    assert_eq!(fake.queries.load(Ordering::Relaxed), 4, "the scrapes share one round");
}

#[tokio::test(start_paused = true)]
async fn a_round_ends_with_its_longest_caller() {
    let (fake, rounds) = rounds(60.0, 30.0, 0.0);
    for round in 1..4 {
        assert_eq!(scrape(&rounds, 0.0, 4.5).await, (timed_out(4.5), 4.5));
        tokio::task::yield_now().await;
        assert_eq!(fake.completed.load(Ordering::Relaxed), round);
        assert_eq!(fake.queries.load(Ordering::Relaxed), 4 * round, "the next scrape sends queries again");
    }
}

#[tokio::test(start_paused = true)]
async fn no_caller_prolongs_a_round_beyond_the_configured_timeout() {
    let (fake, rounds) = rounds(60.0, 5.0, 0.0);
    let answers = tokio::join!(scrape(&rounds, 0.0, 60.0), scrape(&rounds, 4.0, 60.0));
    assert_eq!(answers, ((timed_out(5.0), 5.0), (timed_out(5.0), 1.0)));
    assert_eq!(fake.queries.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_ends_nothing() {
    let (fake, rounds) = rounds(8.0, 30.0, 0.0);
    let leaves = tokio::time::timeout(seconds(1.0), scrape(&rounds, 0.0, 30.0));
    let answers = tokio::join!(leaves, scrape(&rounds, 0.5, 9.5));
    assert!(answers.0.is_err());
    assert_eq!(answers.1, (Ok(()), 7.5));
    assert_eq!(fake.queries.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn a_cut_answer_is_not_cached_and_the_whole_round_is() {
    let (fake, rounds) = rounds(8.0, 30.0, 3_600.0);
    assert_eq!(scrape(&rounds, 0.0, 4.5).await, (timed_out(4.5), 4.5));
    assert_eq!(scrape(&rounds, 1.0, 4.5).await, (timed_out(4.5), 4.5), "served again what was cut");
    let answers = tokio::join!(scrape(&rounds, 1.0, 4.5), scrape(&rounds, 1.0, 9.5));
    assert_eq!(answers, ((timed_out(4.5), 4.5), (Ok(()), 8.0)));
    let queries = fake.queries.load(Ordering::Relaxed);
    assert_eq!(scrape(&rounds, 1.0, 4.5).await, (Ok(()), 0.0));
    assert_eq!(fake.queries.load(Ordering::Relaxed), queries, "the round is cached");
}

#[tokio::test(start_paused = true)]
async fn at_shutdown_what_has_arrived_is_the_answer() {
    let (_fake, rounds) = rounds(60.0, 30.0, 0.0);
    let scraped = rounds.scrape(seconds(30.0), tokio::time::sleep(seconds(3.5))).await;
    let failed: Vec<&Outcome> = scraped.outcomes.iter().filter(|outcome| outcome.result.is_err()).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].result.as_ref().unwrap_err(), &Failure::Timeout(seconds(3.5)));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_session_says_so() {
    let (_fake, rounds) = with(Fake { no_session: true, ..Fake::default() }, 5.0, 0.0);
    let scraped = rounds.scrape(seconds(2.0), pending()).await;
    let expected = Failure::NoSession(Box::new(Failure::Timeout(seconds(2.0))));
    for outcome in &scraped.outcomes {
        assert_eq!(outcome.result.as_ref().unwrap_err(), &expected);
    }
}

#[tokio::test]
async fn a_document_that_cannot_be_built_is_found_before_anything_is_asked() {
    static BROKEN: Collector = Collector {
        name: "broken",
        about: "",
        on_by_default: false,
        fixed: false,
        query: |_| Err(DocumentError { name: "Broken".to_owned(), reason: "no fields".to_owned() }),
        parse: |_| Err(Failure::Defect),
    };
    let settings =
        RoundSettings { timeout: seconds(1.0), cache_ttl: seconds(0.0), dora_window: seconds(1.0) };
    let error = Rounds::new(&[&BROKEN], Arc::new(Fake::default()), settings).unwrap_err();
    assert_eq!(error.to_string(), "the GraphQL document Broken cannot be built: no fields");
}
