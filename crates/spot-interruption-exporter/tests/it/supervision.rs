//! Panics in the pipeline and in the shared state.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;
use exporter_common::metrics::{Format, encode};
use exporter_common::supervisor::Supervisor;
use prometheus_client::registry::Registry;
use spot_interruption_exporter::attribution::{Attribution, Lookup, OPERATION_LATENESS, Settings};
use spot_interruption_exporter::event::{Entry, Invalid};
use spot_interruption_exporter::instance::Instance;
use spot_interruption_exporter::ledger::Ledger;
use spot_interruption_exporter::metrics::{Labels, OwnMetrics, StateFamilies};
use spot_interruption_exporter::pipeline::Pipeline;
use spot_interruption_exporter::provider::google::audit_log::{self, InterruptionMethods};
use spot_interruption_exporter::source::{
    Acknowledge, Confirmation, Decode, Input, InstanceLookup, LookupError, Queue,
};
use spot_interruption_exporter::state::SharedState;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A message whose acknowledgement panics.
#[derive(Debug)]
struct PanickingToken;

impl Acknowledge for PanickingToken {
    fn acknowledge(self) -> Option<Confirmation> {
        panic!("a panic for the test");
    }
}

#[derive(Debug, Clone)]
struct EmptyProvider;

impl Decode for EmptyProvider {
    fn decode<'a>(&self, _: Queue, message: &'a [u8]) -> Result<Entry<'a>, Invalid> {
        audit_log::parse(message, &InterruptionMethods::default())
    }
}

impl InstanceLookup for EmptyProvider {
    async fn lookup(&self, _: &Lookup) -> Result<Option<Instance<'static>>, LookupError> {
        Ok(None)
    }
}

fn state<T>() -> SharedState<T> {
    let settings = Settings {
        project: "example-project".to_owned(),
        attribution_grace: Duration::from_secs(60),
        dedup_window: Duration::from_secs(600),
        tombstone_ttl: Duration::from_secs(600),
        fixed_scopes: Vec::new(),
        lateness: OPERATION_LATENESS,
    };
    SharedState::new(Attribution::new(settings), Ledger::default())
}

#[tokio::test]
async fn reports_a_panic_of_the_pipeline_by_name() {
    let pipeline: Pipeline<_, _> = Pipeline {
        state: state(),
        reasons: InterruptionMethods::default().reasons().clone(),
        provider: EmptyProvider,
        lookups_condition: None,
        unlisted: mpsc::unbounded_channel().0,
        metrics: OwnMetrics::register(&mut Registry::default(), &["creations", "interruptions"]),
        journal: None,
    };
    let (inputs, incoming) = mpsc::channel(1);
    let mut supervisor = Supervisor::new(CancellationToken::new());
    let pipeline = supervisor.spawn("pipeline", pipeline.run(incoming));
    let data = Bytes::from_static(b"not JSON");
    let message = Input::Message {
        queue: Queue::Interruptions,
        id: "1".to_owned(),
        data,
        attempts: None,
        token: PanickingToken,
    };
    inputs.send(message).await.unwrap();
    let failure = supervisor.failure().await.to_string();
    assert_eq!(failure, "the task \"pipeline\" ended by a defect of this program: a panic for the test");
    assert!(pipeline.output().await.is_none());
}

#[test]
fn does_not_serve_a_poisoned_state() {
    let state = state::<()>();
    let mut registry = Registry::default();
    let labels = Labels {
        cluster: "kubernetes_cluster".into(),
        reasons: InterruptionMethods::default().reasons().clone(),
        subscriptions: vec![
            (Queue::Creations, "creations".into()),
            (Queue::Interruptions, "interruptions".into()),
        ],
    };
    registry.register_collector(Box::new(StateFamilies { state: state.clone(), labels }));
    let scrape = || catch_unwind(AssertUnwindSafe(|| encode(Format::Text, &[&registry], 0)));
    assert!(scrape().is_ok());
    let panicked = std::thread::spawn(move || {
        let _held = state.lock();
        panic!("a panic for the test");
    });
    assert!(panicked.join().is_err());
    assert!(scrape().is_err(), "an inconsistent state is served");
}
