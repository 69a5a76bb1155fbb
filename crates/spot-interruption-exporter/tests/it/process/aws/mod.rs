//! The exporter as a process with simulated services of AWS.

mod accounts;
mod configuration;
mod counting;
mod credentials;
mod delivery;
mod faults;
mod load;
mod world;

use std::time::Duration;

use harness::{Exporter, HttpResponse};
use sandbox::aws::{ACCOUNT, Aws, Instance, QUEUE, REGION};
use tokio::process::Command;

use super::services::binary;

/// A simulated AWS, and the exporter's binary configured for it.
pub(super) struct Services {
    pub(super) aws: Aws,
}

impl Services {
    pub(super) async fn new() -> Self {
        Self { aws: Aws::builder().start().await.unwrap() }
    }

    /// With this many nodes of a cluster.
    pub(super) async fn with_nodes(nodes: u64) -> (Self, Vec<Instance>) {
        let services = Self::new().await;
        let nodes: Vec<Instance> = (1..=nodes).map(|number| node(number, "prod")).collect();
        services.aws.launch_all(nodes.clone());
        (services, nodes)
    }

    pub(super) fn command(&self) -> Command {
        command_for(&self.aws.url(), &self.aws.queue().aws_url())
    }

    pub(super) async fn exporter(&self, variables: &[(&str, &str)]) -> Exporter {
        let mut command = self.command();
        command.envs(variables.iter().copied());
        Exporter::run(command).await
    }

    /// Starts the exporter and waits until it is ready.
    pub(super) async fn ready_exporter(&self, variables: &[(&str, &str)]) -> Exporter {
        let exporter = self.exporter(variables).await;
        exporter.readiness(200).await;
        exporter
    }
}

/// The exporter's binary for the services at a URL and for a queue.
pub(super) fn command_for(url: &str, queue: &str) -> Command {
    let mut command = binary();
    command
        .env("SIE_AWS__QUEUE_URLS", queue)
        .env("SIE_AWS__SQS_ENDPOINT", url)
        .env("SIE_AWS__EC2_ENDPOINT", url)
        .env("SIE_AWS__STS_ENDPOINT", url)
        .env("SIE_PROMETHEUS__ADDRESS", "127.0.0.1:0");
    command
}

/// A spot node of a cluster of EKS.
pub(super) fn node(number: u64, cluster: &str) -> Instance {
    Instance::spot(number, "eu-central-1b").eks(cluster, "workers")
}

/// Lists instances often.
pub(super) const OFTEN: (&str, &str) = ("SIE_AWS__RESYNC_INTERVAL", "200ms");

pub(super) const SHORT_GRACE: (&str, &str) = ("SIE_ATTRIBUTION_GRACE", "1s");

/// Interruptions of a cluster by reason.
pub(super) fn interruptions(scrape: &HttpResponse, cluster: &str, reason: &str) -> f64 {
    let wanted = [format!("kubernetes_cluster=\"{cluster}\""), format!("reason=\"{reason}\"")];
    let text = scrape.text();
    let series = text.lines().filter(|line| {
        line.starts_with("spot_interruptions_total{") && wanted.iter().all(|label| line.contains(label))
    });
    series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Messages of the queue by outcome.
pub(super) fn messages(scrape: &HttpResponse, outcome: &str) -> f64 {
    let series = format!(
        "spot_interruption_exporter_messages_total{{subscription=\"{QUEUE}\",outcome=\"{outcome}\"}}"
    );
    scrape.sample(&series).unwrap_or_default()
}

/// Waits until the scope's listing was completed this many more times.
pub(super) async fn listings(exporter: &Exporter, more: f64) {
    let series = "spot_interruption_exporter_resyncs_total{outcome=\"success\"}";
    let now = exporter.scrape().await.sample(series).unwrap();
    exporter.scraped("further listings succeed", |scrape| scrape.sample(series) >= Some(now + more)).await;
}

/// The region and the account of the queue.
pub(super) const HOME: (&str, &str) = (ACCOUNT, REGION);

/// Time in which nothing may happen.
pub(super) const MOMENT: Duration = Duration::from_millis(500);
