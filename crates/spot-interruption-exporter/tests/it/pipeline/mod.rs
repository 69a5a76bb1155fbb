//! The pipeline in this process with paused time. The test provides the messages, the lookup responses and the disk, and
//! records the acknowledgements.

mod acknowledgements;
mod commits;
mod lookups;
mod panics;
mod returned_messages;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use exporter_common::durable::{Commit, StoreError};
use exporter_common::readiness::Readiness;
use prometheus_client::registry::Registry;
use spot_interruption_exporter::attribution::{Attribution, Lookup, OPERATION_LATENESS, Settings};
use spot_interruption_exporter::durable::journal::Journal;
use spot_interruption_exporter::durable::store::Batch;
use spot_interruption_exporter::event::{Entry, Invalid};
use spot_interruption_exporter::instance::Instance;
use spot_interruption_exporter::inventory::{Scope, Unseen};
use spot_interruption_exporter::ledger::Ledger;
use spot_interruption_exporter::metrics::OwnMetrics;
use spot_interruption_exporter::pipeline::{DeliveryToken, Pipeline};
use spot_interruption_exporter::provider::google::audit_log::{self, InterruptionMethods};
use spot_interruption_exporter::source::{
    Acknowledge, Attempts, Confirmation, Decode, Input, InstanceLookup, LookupError, Queue,
};
use spot_interruption_exporter::state::SharedState;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, sleep, timeout};

use crate::fixture::{GRACE, TOMBSTONE, ZONE, node};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// A record of acknowledged and returned messages.
#[derive(Debug, Clone, Default)]
struct Mailbox(Arc<Mutex<Vec<(String, bool)>>>);

impl Mailbox {
    /// Takes the recorded messages; `true` means acknowledged, `false` returned.
    fn take(&self) -> Vec<(String, bool)> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn count(&self, acknowledged: bool) -> usize {
        self.0.lock().unwrap().iter().filter(|(_, how)| *how == acknowledged).count()
    }
}

/// A delivery token. A token that is dropped without an acknowledgement is recorded as returned.
#[derive(Debug)]
struct Token {
    id: Option<String>,
    mailbox: Mailbox,
    confirmed: Option<watch::Receiver<bool>>,
}

impl Token {
    fn record(&mut self, acknowledged: bool) {
        if let Some(id) = self.id.take() {
            self.mailbox.0.lock().unwrap().push((id, acknowledged));
        }
    }
}

impl Acknowledge for Token {
    fn acknowledge(mut self) -> Option<Confirmation> {
        self.record(true);
        let mut confirmed = self.confirmed.take()?;
        Some(Box::pin(async move {
            confirmed.wait_for(|confirmed| *confirmed).await.map(drop).map_err(|error| error.to_string())
        }))
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.record(false);
    }
}

type LookUpResult = Result<Option<Instance<'static>>, LookupError>;

/// A simulated Compute API that records the time of each request.
#[derive(Clone)]
struct Service {
    respond: Arc<dyn Fn(&Lookup) -> LookUpResult + Send + Sync>,
    requests: Arc<Mutex<Vec<Instant>>>,
}

impl Service {
    fn new(respond: impl Fn(&Lookup) -> LookUpResult + Send + Sync + 'static) -> Self {
        Self { respond: Arc::new(respond), requests: Arc::default() }
    }

    /// Finds no instance.
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

impl InstanceLookup for Service {
    async fn lookup(&self, lookup: &Lookup) -> LookUpResult {
        self.requests.lock().unwrap().push(Instant::now());
        sleep(10 * MILLISECOND).await;
        (self.respond)(lookup)
    }
}

/// A simulated disk that can be full or panic.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<DiskState>>);

#[derive(Debug, Default)]
struct DiskState {
    full: bool,
    broken: bool,
    /// The time of each commit, and the number of its messages.
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
        assert!(!state.broken, "a panic for the test");
        if state.full { Err(StoreError::Record("no room".to_owned())) } else { Ok(()) }
    }

    fn size(&self) -> u64 {
        0
    }
}

/// A running pipeline.
struct Running {
    state: SharedState<DeliveryToken<Token>>,
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
            fixed_scopes: Vec::new(),
            lateness: OPERATION_LATENESS,
        };
        let state = SharedState::new(Attribution::new(settings), Ledger::default());
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

    /// Delivers an interruption of instance `n{number}`.
    async fn interrupt(&self, number: u64) {
        let id = format!("m{number}");
        self.send(interruption(number, self.token(&id))).await;
    }

    /// Makes a complete listing of these instances.
    async fn list(&self, instances: Vec<Instance<'static>>) {
        let (gone, complete) = oneshot::channel();
        let scope = Scope::project("mock-project");
        self.send(Input::ListingStarted(scope.clone())).await;
        self.send(Input::ListingPage(scope.clone(), instances)).await;
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

/// Lets the pipeline process all pending messages.
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
