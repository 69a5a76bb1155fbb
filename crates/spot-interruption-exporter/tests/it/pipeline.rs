//! The pipeline in this process, with a clock that is turned by hand: what comes in, what is looked up, what is written
//! down and what is acknowledged are all in the hands of the test.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use exporter_common::durable::{Commit, StoreError};
use exporter_common::readiness::Readiness;
use prometheus_client::registry::Registry;
use spot_interruption_exporter::attribution::{Attribution, Lookup, Settings};
use spot_interruption_exporter::durable::journal::Journal;
use spot_interruption_exporter::durable::store::Batch;
use spot_interruption_exporter::event::{Entry, Invalid};
use spot_interruption_exporter::instance::Instance;
use spot_interruption_exporter::inventory::{Scope, Unseen};
use spot_interruption_exporter::ledger::Ledger;
use spot_interruption_exporter::metrics::OwnMetrics;
use spot_interruption_exporter::pipeline::{Pipeline, Ticket};
use spot_interruption_exporter::provider::google::audit_log::{self, InterruptionMethods};
use spot_interruption_exporter::source::{
    Acknowledge, Attempts, Confirmation, Decode, Input, LookUp, LookUpError, Queue,
};
use spot_interruption_exporter::state::Shared;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, sleep, timeout};

use crate::world::{GRACE, TOMBSTONE, ZONE, node};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// What became of messages.
#[derive(Debug, Clone, Default)]
struct Mailbox(Arc<Mutex<Vec<(String, bool)>>>);

impl Mailbox {
    /// Since this was last asked: each message, and whether it was acknowledged rather than handed back.
    fn take(&self) -> Vec<(String, bool)> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn count(&self, acknowledged: bool) -> usize {
        self.0.lock().unwrap().iter().filter(|(_, how)| *how == acknowledged).count()
    }
}

/// A handle of a message. Dropped, it says so.
#[derive(Debug)]
struct Token {
    id: Option<String>,
    mailbox: Mailbox,
    confirmed: Option<watch::Receiver<bool>>,
}

impl Token {
    fn ends(&mut self, acknowledged: bool) {
        if let Some(id) = self.id.take() {
            self.mailbox.0.lock().unwrap().push((id, acknowledged));
        }
    }
}

impl Acknowledge for Token {
    fn acknowledge(mut self) -> Option<Confirmation> {
        self.ends(true);
        let mut confirmed = self.confirmed.take()?;
        Some(Box::pin(async move {
            confirmed.wait_for(|confirmed| *confirmed).await.map(drop).map_err(|error| error.to_string())
        }))
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.ends(false);
    }
}

type Answer = Result<Option<Instance<'static>>, LookUpError>;

/// A Compute API, and when it was asked.
#[derive(Clone)]
struct Service {
    answer: Arc<dyn Fn(&Lookup) -> Answer + Send + Sync>,
    requests: Arc<Mutex<Vec<Instant>>>,
}

impl Service {
    fn new(answer: impl Fn(&Lookup) -> Answer + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), requests: Arc::default() }
    }

    /// Knows no instance.
    fn empty() -> Self {
        Self::new(|_| Ok(None))
    }

    fn requests(&self) -> Vec<Instant> {
        self.requests.lock().unwrap().clone()
    }
}

impl Decode for Service {
    fn decode<'a>(&self, _: Queue, message: &'a [u8]) -> Result<Entry<'a>, Invalid> {
        audit_log::parse(message, &InterruptionMethods::default())
    }
}

impl LookUp for Service {
    async fn look_up(&self, lookup: &Lookup) -> Answer {
        self.requests.lock().unwrap().push(Instant::now());
        sleep(10 * MILLISECOND).await;
        (self.answer)(lookup)
    }
}

/// A disk.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<DiskState>>);

#[derive(Debug, Default)]
struct DiskState {
    full: bool,
    broken: bool,
    /// Each attempt to write, and how many messages it was about.
    attempts: Vec<(Instant, u64)>,
}

impl Disk {
    fn set_full(&self, full: bool) {
        self.0.lock().unwrap().full = full;
    }

    fn attempts(&self) -> Vec<(Instant, u64)> {
        std::mem::take(&mut self.0.lock().unwrap().attempts)
    }
}

impl Commit for Disk {
    type Batch = Batch;

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let messages = batch.ledger.messages.iter().flatten().sum();
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.attempts.push((Instant::now(), messages));
        assert!(!state.broken, "a defect");
        if state.full { Err(StoreError::Record("no room".to_owned())) } else { Ok(()) }
    }

    fn size(&self) -> u64 {
        0
    }
}

/// A running pipeline.
struct Running {
    state: Shared<Ticket<Token>>,
    inputs: mpsc::Sender<Input<Token>>,
    mailbox: Mailbox,
    task: JoinHandle<()>,
}

impl Running {
    fn start(window: Duration, service: &Service, disk: Option<&Disk>) -> Self {
        Self::with_grace(GRACE, window, service, disk)
    }

    fn with_grace(grace: Duration, window: Duration, service: &Service, disk: Option<&Disk>) -> Self {
        let settings = Settings {
            project: "mock-project".to_owned(),
            attribution_grace: grace,
            dedup_window: window,
            tombstone_ttl: TOMBSTONE,
        };
        let state = Shared::new(Attribution::new(settings), Ledger::default());
        let metrics = OwnMetrics::register(&mut Registry::default(), &["creations", "interruptions"]);
        let journal = disk.map(|disk| {
            Journal::new(disk.clone(), Readiness::default().condition("state", "state"), &metrics)
        });
        let (inputs, incoming) = mpsc::channel(1_000);
        let pipeline = Pipeline {
            state: state.clone(),
            reasons: InterruptionMethods::default().reasons().clone(),
            provider: service.clone(),
            lookups_condition: None,
            unlisted: mpsc::unbounded_channel().0,
            metrics,
            journal,
        };
        Self { state, inputs, mailbox: Mailbox::default(), task: tokio::spawn(pipeline.run(incoming)) }
    }

    fn token(&self, id: &str) -> Token {
        Token { id: Some(id.to_owned()), mailbox: self.mailbox.clone(), confirmed: None }
    }

    async fn send(&self, message: Input<Token>) {
        self.inputs.send(message).await.unwrap();
    }

    /// Delivers an interruption of the instance of that number.
    async fn interrupt(&self, number: u64) {
        let id = format!("m{number}");
        self.send(interruption(number, self.token(&id))).await;
    }

    /// Lists instances.
    async fn list(&self, instances: Vec<Instance<'static>>) {
        let (gone, complete) = oneshot::channel();
        let scope = Scope::project("mock-project");
        self.send(Input::ListingBegun(scope.clone())).await;
        self.send(Input::Listed(scope.clone(), instances)).await;
        self.send(Input::ListingFinished { scope, unseen: Unseen::default(), gone }).await;
        complete.await.unwrap();
    }

    fn counted(&self) -> u64 {
        self.state.lock().ledger.interruptions.values().map(|counted| counted.count).sum()
    }

    fn unattributed(&self) -> u64 {
        self.state.lock().ledger.unattributed
    }
}

/// Lets everything happen that can happen by now.
async fn settle() {
    sleep(MILLISECOND).await;
}

fn interruption(number: u64, token: Token) -> Input<Token> {
    let data = format!(
        r#"{{"insertId": "i{number}", "protoPayload": {{"methodName": "compute.instances.preempted",
        "resourceName": "projects/mock-project/zones/{ZONE}/instances/n{number}"}},
        "resource": {{"labels": {{"instance_id": "{number}"}}}}}}"#
    );
    Input::Message {
        queue: Queue::Interruptions,
        id: format!("m{number}"),
        data: data.into(),
        attempts: None,
        token,
    }
}

fn spot_node(number: u64) -> Instance<'static> {
    node(number, format!("n{number}").leak(), "a")
}

/// Whether the task ended by a panic, as whoever supervises it sees.
async fn has_panicked(running: Running) -> bool {
    let Running { task, inputs, .. } = running;
    let ended = timeout(10 * SECOND, task).await.expect("it ends by itself");
    drop(inputs);
    ended.is_err_and(|error| error.is_panic())
}

#[tokio::test(start_paused = true)]
async fn a_defect_ends_the_pipeline() {
    let service = Service::new(|_| panic!("a defect"));
    let running = Running::start(10 * SECOND, &service, None);
    running.list(Vec::new()).await;
    running.interrupt(1).await;
    assert!(has_panicked(running).await, "of a look-up");

    let disk = Disk::default();
    disk.0.lock().unwrap().broken = true;
    let running = Running::start(10 * SECOND, &Service::empty(), Some(&disk));
    running.list(vec![spot_node(1)]).await;
    running.interrupt(1).await;
    assert!(has_panicked(running).await, "of a commit");
}

#[tokio::test(start_paused = true)]
async fn what_is_counted_is_acknowledged_and_what_is_held_is_not() {
    let running = Running::start(10 * SECOND, &Service::empty(), None);
    running.list(vec![spot_node(1)]).await;
    running.interrupt(1).await;
    running.interrupt(2).await;
    settle().await;
    assert_eq!(running.mailbox.take(), [("m1".to_owned(), true)]);
    sleep(GRACE).await;
    assert_eq!(running.mailbox.take(), [("m2".to_owned(), true)]);
    assert_eq!((running.counted(), running.unattributed()), (1, 1));
}

/// The leases end while the disk is full, and the messages come again and again.
#[tokio::test(start_paused = true)]
async fn with_a_full_disk_for_longer_than_the_window_each_event_counts_once() {
    let (disk, window) = (Disk::default(), 2 * SECOND);
    let running = Running::start(window, &Service::empty(), Some(&disk));
    running.list(vec![spot_node(1)]).await;
    disk.set_full(true);
    for _ in 0..20 {
        running.interrupt(1).await;
        sleep(SECOND).await;
    }
    assert_eq!((running.counted(), running.mailbox.take().len()), (0, 0));
    disk.set_full(false);
    sleep(11 * SECOND).await;
    assert_eq!(running.counted(), 1);
    assert!(running.mailbox.take().iter().all(|(_, acknowledged)| *acknowledged));

    // The window begins when the count is safe.
    running.list(vec![spot_node(3)]).await;
    sleep(SECOND).await;
    disk.set_full(true);
    running.interrupt(3).await;
    sleep(5 * SECOND).await;
    disk.set_full(false);
    while running.counted() < 2 {
        settle().await;
    }
    sleep(window - 50 * MILLISECOND).await;
    running.interrupt(3).await;
    sleep(100 * MILLISECOND).await;
    assert_eq!(running.counted(), 2);
    sleep(window).await;
    running.interrupt(3).await;
    sleep(100 * MILLISECOND).await;
    assert_eq!(running.counted(), 3, "long ago");
}

#[tokio::test(start_paused = true)]
async fn with_a_full_disk_a_bounded_number_of_messages_waits_and_stopping_is_quick() {
    let disk = Disk::default();
    disk.set_full(true);
    let running = Running::start(SECOND, &Service::empty(), Some(&disk));
    let mut sent = 0;
    loop {
        let message = Input::Message {
            queue: Queue::Interruptions,
            id: sent.to_string(),
            data: "no log entry".into(),
            attempts: None,
            token: running.token("x"),
        };
        if timeout(60 * SECOND, running.inputs.send(message)).await.is_err() {
            break;
        }
        sent += 1;
        assert!(sent < 60_000, "nothing bounds what waits");
    }
    // Some were in the first batch that failed, and some wait to be taken.
    assert!(sent > 50_000, "{sent}");
    let began = Instant::now();
    let Running { inputs, task, mailbox, .. } = running;
    drop(inputs);
    task.await.unwrap();
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    assert_eq!(mailbox.count(true), 0);
    assert!(mailbox.count(false) >= sent, "all of them come again");
}

#[tokio::test(start_paused = true)]
async fn commits_follow_the_disk_and_not_the_messages() {
    let disk = Disk::default();
    let running = Running::start(SECOND, &Service::empty(), Some(&disk));
    running.list((1..=200).map(spot_node).collect()).await;
    sleep(SECOND).await;
    disk.attempts();
    for number in 1..=200 {
        running.interrupt(number).await;
        advance(MILLISECOND).await;
        settle().await;
    }
    sleep(SECOND).await;
    assert_eq!(running.counted(), 200);
    let commits = disk.attempts();
    assert!(commits.len() <= 25, "{} commits in 0.4 s", commits.len());
    assert!(commits.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 20 * MILLISECOND));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_is_tried_again_ever_later_until_one_succeeds() {
    let disk = Disk::default();
    let running = Running::start(SECOND, &Service::empty(), Some(&disk));
    running.list(vec![spot_node(1), spot_node(2)]).await;
    sleep(SECOND).await;
    let pauses = |attempts: Vec<(Instant, u64)>| -> Vec<Duration> {
        attempts.windows(2).map(|pair| pair[1].0 - pair[0].0).collect()
    };
    disk.attempts();
    disk.set_full(true);
    running.interrupt(1).await;
    sleep(60 * SECOND).await;
    let failed = pauses(disk.attempts());
    assert!((6..=12).contains(&failed.len()), "{failed:?}");
    assert!(failed[0] <= SECOND / 2 && failed.iter().all(|pause| *pause <= 10 * SECOND), "{failed:?}");
    assert!(failed.last().unwrap() >= &(5 * SECOND), "{failed:?}");
    disk.set_full(false);
    sleep(10 * SECOND).await;
    assert_eq!(running.counted(), 1);
    disk.attempts();
    disk.set_full(true);
    running.interrupt(2).await;
    sleep(3 * SECOND).await;
    let failed = pauses(disk.attempts());
    assert!(failed[0] <= SECOND / 2, "it begins anew: {failed:?}");
}

/// What is counted has to stay counted for Pub/Sub, too.
#[tokio::test(start_paused = true)]
async fn the_pipeline_waits_for_confirmations() {
    let running = Running::start(SECOND, &Service::empty(), None);
    running.list(vec![spot_node(1)]).await;
    let (confirm, confirmed) = watch::channel(false);
    let mut token = running.token("m1");
    token.confirmed = Some(confirmed);
    running.send(interruption(1, token)).await;
    settle().await;
    assert_eq!(running.counted(), 1);
    let Running { inputs, mut task, .. } = running;
    drop(inputs);
    assert!(timeout(60 * SECOND, &mut task).await.is_err(), "it is not confirmed");
    confirm.send_replace(true);
    task.await.unwrap();
}

/// Given up, it neither hands back what is not confirmed nor stops waiting for it.
#[tokio::test(start_paused = true)]
async fn a_confirmation_outlives_the_pipeline() {
    let running = Running::start(SECOND, &Service::empty(), None);
    running.list(vec![spot_node(1)]).await;
    let (confirm, confirmed) = watch::channel(false);
    let mut token = running.token("m1");
    token.confirmed = Some(confirmed);
    running.send(interruption(1, token)).await;
    settle().await;
    running.task.abort();
    settle().await;
    assert_eq!(confirm.receiver_count(), 1);
    assert_eq!(running.mailbox.take(), [("m1".to_owned(), true)]);
}

fn busy(retry_after: Option<u64>) -> LookUpError {
    LookUpError::service("HTTP 429", retry_after.map(Duration::from_secs))
}

#[tokio::test(start_paused = true)]
async fn a_service_that_says_when_to_come_back_is_asked_then() {
    let service = Service::new(|_| Err(busy(Some(30))));
    let running = Running::start(SECOND, &service, None);
    running.list(Vec::new()).await;
    let began = Instant::now();
    for number in 1..=2_000 {
        running.interrupt(number).await;
    }
    sleep(59 * SECOND).await;
    let requests: Vec<_> = service.requests().iter().map(|at| (*at - began).as_secs_f64()).collect();
    let (first, later) = requests.split_at(16);
    assert!(first.iter().all(|at| *at < 1.0) && later.len() <= 2, "{requests:?}");
    assert!(later.iter().all(|at| *at >= 30.0), "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_service_in_trouble_is_asked_ever_later_by_one_look_up_at_a_time() {
    let (trouble, is_in_trouble) = watch::channel(true);
    let service = Service::new(move |_| if *is_in_trouble.borrow() { Err(busy(None)) } else { Ok(None) });
    let running = Running::start(SECOND, &service, None);
    running.list(Vec::new()).await;
    for number in 1..=100 {
        running.interrupt(number).await;
    }
    sleep(25 * SECOND).await;
    let requests = service.requests();
    assert!(requests.len() <= 16 + 7, "{} requests", requests.len());
    let pauses: Vec<_> = requests[15..].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses[0] <= SECOND && pauses.last().unwrap() >= &(3 * SECOND), "{pauses:?}");

    // One answer, and all others are asked for at once; the next trouble is a first one.
    trouble.send_replace(false);
    sleep(30 * SECOND).await;
    assert_eq!(service.requests().len() - requests.len(), 100);
    trouble.send_replace(true);
    let before = service.requests().len();
    running.interrupt(200).await;
    sleep(5 * SECOND).await;
    let requests = service.requests();
    assert!(requests[before + 1] - requests[before] <= SECOND, "the backoff begins anew");
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_no_use_does_not_keep_others_waiting() {
    let service = Service::new(|lookup| match lookup.instance.as_str() {
        "n1" => Err(LookUpError::instance("nonsense")),
        _ => Ok(None),
    });
    let running = Running::start(SECOND, &service, None);
    running.list(Vec::new()).await;
    for number in 1..=50 {
        running.interrupt(number).await;
    }
    sleep(SECOND).await;
    assert_eq!(service.requests().len(), 50);
    sleep(58 * SECOND).await;
    let again = service.requests().len() - 50;
    assert!((3..=5).contains(&again), "{again}");
}

#[tokio::test(start_paused = true)]
async fn requests_have_a_highest_rate() {
    let service = Service::empty();
    let running = Running::start(SECOND, &service, None);
    running.list(Vec::new()).await;
    for number in 1..=5_000 {
        running.interrupt(number).await;
    }
    sleep(30 * SECOND).await;
    let requests = service.requests().len();
    assert!((700..=801).contains(&requests), "{requests} in 30 s");
}

#[tokio::test(start_paused = true)]
async fn a_look_up_whose_case_is_settled_is_not_repeated() {
    let service = Service::new(|_| Err(busy(Some(5))));
    let running = Running::start(SECOND, &service, None);
    running.list(Vec::new()).await;
    for number in 1..=10 {
        running.interrupt(number).await;
    }
    sleep(SECOND).await;
    assert_eq!(service.requests().len(), 10);
    running.list((1..=10).map(spot_node).collect()).await;
    sleep(30 * SECOND).await;
    assert_eq!((running.counted(), service.requests().len()), (10, 10));
}

/// Pub/Sub with its bound on what is outstanding.
struct Broker {
    ready: VecDeque<u64>,
    outstanding: usize,
    deliveries: BTreeMap<u64, Vec<Instant>>,
    attempts: Option<i32>,
}

impl Broker {
    const MOST: usize = 20_000;

    fn new(messages: impl Iterator<Item = u64>, attempts: Option<i32>) -> Self {
        Self { ready: messages.collect(), outstanding: 0, deliveries: BTreeMap::new(), attempts }
    }

    /// Takes back what was handed back or acknowledged, and delivers what it may.
    async fn step(&mut self, running: &Running) {
        for (id, acknowledged) in running.mailbox.take() {
            self.outstanding -= 1;
            if !acknowledged {
                self.ready.push_back(id[1..].parse().unwrap());
            }
        }
        while self.outstanding < Self::MOST
            && let Some(number) = self.ready.pop_front()
        {
            self.outstanding += 1;
            let deliveries = self.deliveries.entry(number).or_default();
            deliveries.push(Instant::now());
            let made = i32::try_from(deliveries.len()).unwrap();
            let mut message = interruption(number, running.token(&format!("m{number}")));
            if let Input::Message { attempts, .. } = &mut message {
                *attempts = self.attempts.map(|most| Attempts { made, most });
            }
            running.send(message).await;
        }
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn strangers_do_not_keep_a_known_node_waiting() {
    const STRANGERS: u64 = 25_000;
    const GRACE: Duration = Duration::from_secs(25);
    for attempts in [None, Some(5)] {
        let running = Running::with_grace(GRACE, 600 * SECOND, &Service::empty(), None);
        running.list(vec![spot_node(STRANGERS + 1)]).await;
        let mut broker = Broker::new(1..=STRANGERS + 1, attempts);
        let began = Instant::now();
        while running.counted() == 0 {
            broker.step(&running).await;
            assert!(began.elapsed() < 2 * SECOND, "{} outstanding", broker.outstanding);
        }
        while !broker.ready.is_empty() || broker.outstanding > 0 {
            broker.step(&running).await;
            sleep(SECOND / 4).await;
            assert!(began.elapsed() < GRACE + 15 * SECOND, "{} outstanding", broker.outstanding);
        }
        assert_eq!((running.counted(), running.unattributed()), (1, STRANGERS));
        let most = match attempts {
            Some(most) => most as usize / 2,
            None => 6,
        };
        for deliveries in broker.deliveries.values() {
            assert!(deliveries.len() <= most.min(6), "{attempts:?}: {deliveries:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_given_back_while_nobody_waits() {
    let running = Running::start(600 * SECOND, &Service::empty(), None);
    running.list(Vec::new()).await;
    let mut broker = Broker::new(1..=19_000, None);
    broker.step(&running).await;
    sleep(GRACE / 2).await;
    assert!(running.mailbox.take().is_empty());
    assert_eq!(running.state.lock().attribution.held_interruptions(), 19_000);
}

/// Few of them fill the bound when they are large.
#[tokio::test(start_paused = true)]
async fn bytes_are_bounded_too() {
    let running = Running::start(600 * SECOND, &Service::empty(), None);
    running.list(Vec::new()).await;
    for number in 1..=34 {
        let mut message = interruption(number, running.token(&format!("m{number}")));
        if let Input::Message { data, .. } = &mut message {
            let mut padded = data.to_vec();
            padded.resize(1024 * 1024, b' ');
            *data = padded.into();
        }
        running.send(message).await;
    }
    sleep(SECOND).await;
    let returned = running.mailbox.take();
    assert!((17..=20).contains(&returned.len()), "{}", returned.len());
    assert!(returned.iter().all(|(_, acknowledged)| !acknowledged));
    assert_eq!(returned[0].0, "m1", "the oldest one first");
}
