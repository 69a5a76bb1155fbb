//! The services that the exporter depends on, and its binary configured for them.

use std::sync::atomic::{AtomicU32, Ordering};

use google_cloud_auth::credentials::{self, Credentials};
use google_cloud_googleapis::pubsub::v1::Subscription as Definition;
use google_cloud_pubsub::client::{Publisher, SubscriptionAdmin, TopicAdmin};
use google_cloud_pubsub::model::Message;
use harness::{Exporter, pubsub_emulator};
use sandbox::google::Instance;
use sandbox::google::assets::AssetInventory;
use sandbox::google::audit_log::AuditLog;
use sandbox::google::compute::Compute;
use sandbox::google::pubsub::PubSub;
use serde_json::Value;
use tokio::process::Command;

pub(crate) const PROJECT: &str = "example-project";
pub(crate) const NUMBER: u64 = 123_456_789_012;
pub(crate) const ZONE: &str = "europe-west1-c";

/// The implementation of Pub/Sub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broker {
    /// The simulated Pub/Sub, in this process.
    Sandbox,
    /// Google's Pub/Sub emulator.
    Emulator,
}

/// The two kinds of events, each with its topic and subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    Creation,
    Interruption,
}

/// The services that the exporter depends on.
pub(crate) struct Services {
    /// The simulated Pub/Sub; `None` with the emulator.
    pub(crate) sandbox: Option<PubSub>,
    pub(crate) compute: Compute,
    /// The Cloud Asset API for project discovery. It has the same address as the Compute API.
    pub(crate) assets: AssetInventory,
    pub(crate) log: AuditLog,
    endpoint: String,
    /// Makes topics and subscriptions unique per test, because the emulator keeps streams of disconnected clients.
    suffix: String,
}

impl Services {
    /// Creates topics and subscriptions. Returns `None` if the emulator is requested but not installed.
    pub(crate) async fn new(broker: Broker) -> Option<Self> {
        let services = Self::without_subscriptions(broker).await?;
        for kind in [EventKind::Creation, EventKind::Interruption] {
            services.create(kind).await;
        }
        Some(services)
    }

    /// Uses the simulated Pub/Sub.
    pub(crate) async fn sandbox() -> Self {
        Self::new(Broker::Sandbox).await.unwrap()
    }

    pub(crate) async fn without_subscriptions(broker: Broker) -> Option<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        // The publisher clients require a crypto provider, although they connect without TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (sandbox, endpoint) = match broker {
            Broker::Sandbox => {
                let sandbox = PubSub::builder().start().await.unwrap();
                let endpoint = sandbox.endpoint();
                (Some(sandbox), endpoint)
            }
            Broker::Emulator => (None, format!("http://{}", pubsub_emulator().await?)),
        };
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let assets = AssetInventory::new();
        Some(Self {
            sandbox,
            compute: Compute::builder().project(PROJECT, NUMBER).assets(&assets).start().await.unwrap(),
            assets,
            log: AuditLog::new(PROJECT, NUMBER),
            endpoint,
            suffix: format!("{}-{number}", std::process::id()),
        })
    }

    pub(crate) fn pubsub(&self) -> &PubSub {
        self.sandbox.as_ref().expect("this test is for the simulated Pub/Sub")
    }

    pub(crate) fn topic(&self, kind: EventKind) -> String {
        format!("projects/{PROJECT}/topics/{}-topic-{}", name(kind), self.suffix)
    }

    pub(crate) fn short_subscription(&self, kind: EventKind) -> String {
        format!("{}-subscription-{}", name(kind), self.suffix)
    }

    pub(crate) fn subscription(&self, kind: EventKind) -> String {
        format!("projects/{PROJECT}/subscriptions/{}", self.short_subscription(kind))
    }

    /// Creates the topic and the subscription.
    pub(crate) async fn create(&self, kind: EventKind) {
        self.create_with(kind, Definition::default()).await;
    }

    /// Creates the topic and a subscription with these settings. The emulator supports only exactly-once delivery.
    pub(crate) async fn create_with(&self, kind: EventKind, definition: Definition) {
        if let Some(sandbox) = &self.sandbox {
            sandbox.create_topic(&self.topic(kind)).unwrap();
            let (name, topic) = (self.subscription(kind), self.topic(kind));
            return sandbox.define_subscription(Definition { name, topic, ..definition }).unwrap();
        }
        let topics = TopicAdmin::builder().with_endpoint(&self.endpoint).with_credentials(anonymous());
        topics.build().await.unwrap().create_topic().set_name(self.topic(kind)).send().await.unwrap();
        let subscriptions =
            SubscriptionAdmin::builder().with_endpoint(&self.endpoint).with_credentials(anonymous());
        let subscriptions = subscriptions.build().await.unwrap();
        let subscription = subscriptions.create_subscription().set_name(self.subscription(kind));
        let subscription = subscription.set_topic(self.topic(kind)).set_ack_deadline_seconds(10);
        let exactly_once = definition.enable_exactly_once_delivery;
        subscription.set_enable_exactly_once_delivery(exactly_once).send().await.unwrap();
    }

    /// Deletes the topic and keeps the subscription.
    pub(crate) async fn delete_topic(&self, kind: EventKind) {
        if let Some(sandbox) = &self.sandbox {
            return sandbox.delete_topic(&self.topic(kind)).unwrap();
        }
        let topics = TopicAdmin::builder().with_endpoint(&self.endpoint).with_credentials(anonymous());
        topics.build().await.unwrap().delete_topic().set_topic(self.topic(kind)).send().await.unwrap();
    }

    pub(crate) async fn delete_subscription(&self, kind: EventKind) {
        if let Some(sandbox) = &self.sandbox {
            return sandbox.delete_subscription(&self.subscription(kind)).unwrap();
        }
        let admin = SubscriptionAdmin::builder().with_endpoint(&self.endpoint).with_credentials(anonymous());
        let delete = admin.build().await.unwrap().delete_subscription();
        delete.set_subscription(self.subscription(kind)).send().await.unwrap();
    }

    /// Publishes entries and waits until Pub/Sub has confirmed them.
    pub(crate) async fn publish(&self, kind: EventKind, entries: impl IntoIterator<Item = impl ToString>) {
        let publisher = Publisher::builder(self.topic(kind)).with_endpoint(&self.endpoint);
        let publisher = publisher.with_credentials(anonymous()).build().await.unwrap();
        let published: Vec<_> = entries
            .into_iter()
            .map(|entry| publisher.publish(Message::new().set_data(entry.to_string())))
            .collect();
        for message in published {
            message.await.unwrap();
        }
    }

    pub(crate) async fn created(&mut self, instances: &[Instance]) {
        let entries: Vec<Value> =
            instances.iter().map(|instance| self.log.inserted(instance).first).collect();
        self.publish(EventKind::Creation, entries).await;
    }

    pub(crate) async fn preempted(&mut self, instances: &[Instance]) {
        let entries: Vec<Value> = instances.iter().map(|instance| self.log.preempted(instance)).collect();
        self.publish(EventKind::Interruption, entries).await;
    }

    /// The exporter's binary, configured for these services.
    pub(crate) fn command(&self) -> Command {
        let mut command = binary();
        command
            .env("SIE_PROJECT_NAME", PROJECT)
            .env(
                "SIE_PUBSUB__INSTANCE_CREATION_SUBSCRIPTION_NAME",
                self.short_subscription(EventKind::Creation),
            )
            .env(
                "SIE_PUBSUB__INSTANCE_INTERRUPTION_SUBSCRIPTION_NAME",
                self.subscription(EventKind::Interruption),
            )
            .env("SIE_PUBSUB__ENDPOINT", &self.endpoint)
            .env("SIE_COMPUTE__ENDPOINT", self.compute.url())
            .env("SIE_GCP__ASSET_ENDPOINT", self.compute.url())
            .env("SIE_PROMETHEUS__ADDRESS", "127.0.0.1:0");
        command
    }

    /// Starts the exporter with additional environment variables.
    pub(crate) async fn exporter(&self, variables: &[(&str, &str)]) -> Exporter {
        let mut command = self.command();
        command.envs(variables.iter().copied());
        Exporter::run(command).await
    }

    /// Starts the exporter and waits until it is ready.
    pub(crate) async fn ready_exporter(&self, variables: &[(&str, &str)]) -> Exporter {
        let exporter = self.exporter(variables).await;
        exporter.readiness(200).await;
        exporter
    }
}

/// The exporter's binary without Pub/Sub: only a project and the endpoint of the Compute API are configured.
pub(crate) fn operations_command(compute: &str) -> Command {
    let mut command = binary();
    command
        .env("SIE_PROJECT_NAME", PROJECT)
        .env("SIE_COMPUTE__ENDPOINT", compute)
        .env("SIE_COMPUTE__OPERATIONS_INTERVAL", "200ms")
        .env("SIE_PROMETHEUS__ADDRESS", "127.0.0.1:0");
    command
}

/// Starts the exporter without Pub/Sub and waits until it is ready.
pub(crate) async fn operations_exporter(compute: &str, variables: &[(&str, &str)]) -> Exporter {
    let mut command = operations_command(compute);
    command.envs(variables.iter().copied());
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    exporter
}

fn anonymous() -> Credentials {
    credentials::anonymous::Builder::new().build()
}

fn name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Creation => "sie-creation",
        EventKind::Interruption => "sie-interruption",
    }
}

/// The exporter's binary with an empty environment.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spot-interruption-exporter"));
    command.env_clear();
    command
}

/// A spot node of a cluster.
pub(crate) fn node(id: u64, cluster: &str) -> Instance {
    Instance::new(id, ZONE, format!("gke-{cluster}-{id}")).spot().machine_type("n2-standard-4").gke(
        cluster,
        "europe-west1",
        "spot-pool",
    )
}

/// The series of `interruption_events_total` for a cluster.
pub(crate) fn total(cluster: &str) -> String {
    format!("interruption_events_total{{kubernetes_cluster=\"{cluster}\"}}")
}
