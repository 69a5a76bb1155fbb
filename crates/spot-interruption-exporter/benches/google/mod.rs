//! The exporter with a simulated Google Cloud.

use sandbox::google::pubsub::PubSub;

use crate::exporter::{Exporter, command};

pub(crate) const PROJECT: &str = "example-project";

pub(crate) fn topic(name: &str) -> String {
    format!("projects/{PROJECT}/topics/{name}")
}

pub(crate) fn subscription(name: &str) -> String {
    format!("projects/{PROJECT}/subscriptions/{name}")
}

/// Starts a simulated Pub/Sub with the exporter's topics and subscriptions.
pub(crate) async fn pubsub() -> PubSub {
    let pubsub = PubSub::builder().start().await.unwrap();
    for name in ["creation", "interruption"] {
        pubsub.create_topic(&topic(name)).unwrap();
        pubsub.create_subscription(&subscription(name), &topic(name)).unwrap();
    }
    pubsub
}

/// Starts the exporter with the required variables and these ones. `pubsub` is the endpoint of Pub/Sub, if used.
pub(crate) fn start(pubsub: Option<&str>, compute: &str, variables: &[(&str, &str)]) -> Exporter {
    let mut command = command();
    command.envs(variables.iter().copied());
    if let Some(pubsub) = pubsub {
        command
            .env("SIE_PUBSUB__INSTANCE_CREATION_SUBSCRIPTION_NAME", "creation")
            .env("SIE_PUBSUB__INSTANCE_INTERRUPTION_SUBSCRIPTION_NAME", "interruption")
            .env("SIE_PUBSUB__ENDPOINT", pubsub);
    }
    command.env("SIE_PROJECT_NAME", PROJECT).env("SIE_COMPUTE__ENDPOINT", compute);
    Exporter::run(command)
}
