//! A Pub/Sub, a Compute API, and an exporter between them.

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

/// Which Pub/Sub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broker {
    /// The simulated one, in this process.
    Sandbox,
    /// Google's emulator.
    Emulator,
}

/// One of the two ways of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Creation,
    Interruption,
}

/// The services that the exporter depends on.
pub(crate) struct World {
    /// The simulated Pub/Sub, unless it is the emulator.
    pub(crate) sandbox: Option<PubSub>,
    pub(crate) compute: Compute,
    /// The projects that can be discovered; they share the address of the Compute API.
    pub(crate) assets: AssetInventory,
    pub(crate) log: AuditLog,
    endpoint: String,
    /// Topics and subscriptions are new for each test: the emulator keeps the streams of clients that are gone.
    suffix: String,
}

impl World {
    /// With topics and subscriptions. `None` where the emulator is wanted but not installed.
    pub(crate) async fn new(broker: Broker) -> Option<Self> {
        let world = Self::without_subscriptions(broker).await?;
        for way in [Way::Creation, Way::Interruption] {
            world.create(way).await;
        }
        Some(world)
    }

    /// With the simulated Pub/Sub.
    pub(crate) async fn sandbox() -> Self {
        Self::new(Broker::Sandbox).await.unwrap()
    }

    pub(crate) async fn without_subscriptions(broker: Broker) -> Option<Self> {
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        // The clients that publish want one to be chosen, though they speak without TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (sandbox, endpoint) = match broker {
            Broker::Sandbox => {
                let sandbox = PubSub::builder().start().await.unwrap();
                let endpoint = sandbox.endpoint();
                (Some(sandbox), endpoint)
            }
            Broker::Emulator => (None, format!("http://{}", pubsub_emulator().await?)),
        };
        let world = WORLDS.fetch_add(1, Ordering::Relaxed);
        let assets = AssetInventory::new();
        Some(Self {
            sandbox,
            compute: Compute::builder().project(PROJECT, NUMBER).assets(&assets).start().await.unwrap(),
            assets,
            log: AuditLog::new(PROJECT, NUMBER),
            endpoint,
            suffix: format!("{}-{world}", std::process::id()),
        })
    }

    pub(crate) fn pubsub(&self) -> &PubSub {
        self.sandbox.as_ref().expect("this test is for the simulated Pub/Sub")
    }

    pub(crate) fn topic(&self, way: Way) -> String {
        format!("projects/{PROJECT}/topics/{}-topic-{}", name(way), self.suffix)
    }

    pub(crate) fn short_subscription(&self, way: Way) -> String {
        format!("{}-subscription-{}", name(way), self.suffix)
    }

    pub(crate) fn subscription(&self, way: Way) -> String {
        format!("projects/{PROJECT}/subscriptions/{}", self.short_subscription(way))
    }

    /// Creates topic and subscription.
    pub(crate) async fn create(&self, way: Way) {
        self.create_with(way, Definition::default()).await;
    }

    /// With exactly-once delivery, or with dead letters where Pub/Sub is simulated, as the definition says.
    pub(crate) async fn create_with(&self, way: Way, definition: Definition) {
        if let Some(sandbox) = &self.sandbox {
            sandbox.create_topic(&self.topic(way)).unwrap();
            let (name, topic) = (self.subscription(way), self.topic(way));
            return sandbox.define_subscription(Definition { name, topic, ..definition }).unwrap();
        }
        let topics = TopicAdmin::builder().with_endpoint(&self.endpoint).with_credentials(anonymous());
        topics.build().await.unwrap().create_topic().set_name(self.topic(way)).send().await.unwrap();
        let subscriptions =
            SubscriptionAdmin::builder().with_endpoint(&self.endpoint).with_credentials(anonymous());
        let subscriptions = subscriptions.build().await.unwrap();
        let subscription = subscriptions.create_subscription().set_name(self.subscription(way));
        let subscription = subscription.set_topic(self.topic(way)).set_ack_deadline_seconds(10);
        let exactly_once = definition.enable_exactly_once_delivery;
        subscription.set_enable_exactly_once_delivery(exactly_once).send().await.unwrap();
    }

    /// Deletes the topic and leaves the subscription.
    pub(crate) async fn delete_topic(&self, way: Way) {
        if let Some(sandbox) = &self.sandbox {
            return sandbox.delete_topic(&self.topic(way)).unwrap();
        }
        let topics = TopicAdmin::builder().with_endpoint(&self.endpoint).with_credentials(anonymous());
        topics.build().await.unwrap().delete_topic().set_topic(self.topic(way)).send().await.unwrap();
    }

    pub(crate) async fn delete_subscription(&self, way: Way) {
        if let Some(sandbox) = &self.sandbox {
            return sandbox.delete_subscription(&self.subscription(way)).unwrap();
        }
        let admin = SubscriptionAdmin::builder().with_endpoint(&self.endpoint).with_credentials(anonymous());
        let delete = admin.build().await.unwrap().delete_subscription();
        delete.set_subscription(self.subscription(way)).send().await.unwrap();
    }

    /// Publishes entries and waits until Pub/Sub has them.
    pub(crate) async fn publish(&self, way: Way, entries: impl IntoIterator<Item = impl ToString>) {
        let publisher = Publisher::builder(self.topic(way)).with_endpoint(&self.endpoint);
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
        self.publish(Way::Creation, entries).await;
    }

    pub(crate) async fn preempted(&mut self, instances: &[Instance]) {
        let entries: Vec<Value> = instances.iter().map(|instance| self.log.preempted(instance)).collect();
        self.publish(Way::Interruption, entries).await;
    }

    /// The exporter's binary, configured for this world.
    pub(crate) fn command(&self) -> Command {
        let mut command = binary();
        command
            .env("SIE_PROJECT_NAME", PROJECT)
            .env("SIE_PUBSUB__INSTANCE_CREATION_SUBSCRIPTION_NAME", self.short_subscription(Way::Creation))
            .env("SIE_PUBSUB__INSTANCE_INTERRUPTION_SUBSCRIPTION_NAME", self.subscription(Way::Interruption))
            .env("SIE_PUBSUB__ENDPOINT", &self.endpoint)
            .env("SIE_COMPUTE__ENDPOINT", self.compute.url())
            .env("SIE_GCP__ASSET_ENDPOINT", self.compute.url())
            .env("SIE_PROMETHEUS__ADDRESS", "127.0.0.1:0");
        command
    }

    /// A running exporter.
    pub(crate) async fn exporter(&self, variables: &[(&str, &str)]) -> Exporter {
        let mut command = self.command();
        command.envs(variables.iter().copied());
        Exporter::run(command).await
    }

    /// A running exporter that is ready.
    pub(crate) async fn ready(&self, variables: &[(&str, &str)]) -> Exporter {
        let exporter = self.exporter(variables).await;
        exporter.readiness(200).await;
        exporter
    }
}

/// The exporter's binary with nothing configured but a project and where its Compute API is: without Pub/Sub.
pub(crate) fn source_command(compute: &str) -> Command {
    let mut command = binary();
    command
        .env("SIE_PROJECT_NAME", PROJECT)
        .env("SIE_COMPUTE__ENDPOINT", compute)
        .env("SIE_COMPUTE__OPERATIONS_INTERVAL", "200ms")
        .env("SIE_PROMETHEUS__ADDRESS", "127.0.0.1:0");
    command
}

/// The same, running and ready.
pub(crate) async fn source(compute: &str, variables: &[(&str, &str)]) -> Exporter {
    let mut command = source_command(compute);
    command.envs(variables.iter().copied());
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    exporter
}

fn anonymous() -> Credentials {
    credentials::anonymous::Builder::new().build()
}

fn name(way: Way) -> &'static str {
    match way {
        Way::Creation => "sie-creation",
        Way::Interruption => "sie-interruption",
    }
}

/// The exporter's binary with nothing of this process's environment.
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

/// The published counter of a cluster.
pub(crate) fn total(cluster: &str) -> String {
    format!("interruption_events_total{{kubernetes_cluster=\"{cluster}\"}}")
}
