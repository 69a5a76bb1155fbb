//! Prints a summary of the exporters' metrics at intervals.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sandbox::google::PROJECT;
use tokio::time::{interval, timeout};

use crate::print_line;

/// Prints a summary of each exporter every `pause`. Never returns.
pub(crate) async fn print(promex: String, spot: String, operations: String, pause: Duration) {
    let client = client();
    let mut tick = interval(pause);
    loop {
        tick.tick().await;
        for (exporter, line) in [(&promex, spacelift as fn(&str) -> String), (&spot, interruptions)] {
            match scrape(&client, &format!("{exporter}/metrics")).await {
                Ok(exposition) => print_line(&line(&exposition)),
                Err(error) => print_line(&format!("  cannot scrape {exporter}: {error:#}")),
            }
        }
        // In this order, so that interruptions between the two scrapes are not missing from Pub/Sub's count.
        let by_operations = scrape(&client, &format!("{operations}/metrics")).await;
        let by_pubsub = scrape(&client, &format!("{spot}/metrics")).await;
        if let (Ok(by_pubsub), Ok(by_operations)) = (by_pubsub, by_operations) {
            print_line(&comparison(&by_pubsub, &by_operations));
        }
    }
}

/// Waits until all exporters are ready, or until a timeout.
pub(crate) async fn ready(exporters: &[&str], limit: Duration) {
    let client = client();
    let ready = async {
        for exporter in exporters {
            while scrape(&client, &format!("{exporter}/ready")).await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    };
    if timeout(limit, ready).await.is_err() {
        print_line("  an exporter is not ready; until then interruptions are counted by Pub/Sub only");
    }
}

fn client() -> Client<HttpConnector, Empty<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

async fn scrape(client: &Client<HttpConnector, Empty<Bytes>>, url: &str) -> anyhow::Result<String> {
    let (head, body) = client.get(url.parse()?).await?.into_parts();
    let text = String::from_utf8(body.collect().await?.to_bytes().to_vec()).context("not text")?;
    anyhow::ensure!(head.status.is_success(), "{}", text.trim().replace('\n', "; "));
    Ok(text)
}

fn spacelift(exposition: &str) -> String {
    let family = |name: &str| sum(exposition, name);
    format!(
        "  spacelift: {:>3} workers, {:>3} busy, {:>2} drained, {:>3} runs waiting, {:>7.0} private minutes used, {} collectors failing\n             by webhook: {:>3} runs active, {:>4} ended, {:>3} of them failed",
        family("spacelift_worker_pool_workers"),
        family("spacelift_worker_pool_workers_busy"),
        family("spacelift_worker_pool_workers_drained"),
        family("spacelift_worker_pool_runs_pending"),
        family("spacelift_current_billing_period_used_private_seconds") / 60.0,
        count(exposition, "spacelift_scrape_collector_success")
            - family("spacelift_scrape_collector_success"),
        family("spacelift_runs_active"),
        family("spacelift_runs_total"),
        samples(exposition, "spacelift_runs_total")
            .filter(|(line, _)| line.contains("final_state=\"FAILED\""))
            .map(|(_, count)| count)
            .sum::<f64>()
            + 0.0,
    )
}

fn interruptions(exposition: &str) -> String {
    let family = |name: &str| sum(exposition, name);
    let mut lines = format!(
        "  spot:      {:>3} instances in {} clusters, {:>4} interruptions, {} held, {} unattributed",
        family("spot_instances"),
        count(exposition, "interruption_events_total"),
        family("interruption_events_total"),
        family("spot_interruption_exporter_held_interruptions"),
        family("interruption_events_unattributed_total"),
    );
    for (project, Project { instances, interruptions }) in projects(exposition) {
        // Writing to a string cannot fail.
        let _ = write!(
            lines,
            "\n             {instances:>3} instances and {interruptions:>4} interruptions in {project}"
        );
    }
    lines
}

/// Compares the interruptions of the project that both exporters watch.
fn comparison(by_pubsub: &str, by_operations: &str) -> String {
    let count = |exposition| projects(exposition).get(PROJECT).map_or(0.0, |project| project.interruptions);
    format!(
        "             in {PROJECT}: {:>4} interruptions by Pub/Sub, {:>4} by operations",
        count(by_pubsub),
        count(by_operations)
    )
}

/// The metrics of a project.
#[derive(Default)]
struct Project {
    instances: f64,
    interruptions: f64,
}

/// Returns the metrics of each project by its id.
fn projects(exposition: &str) -> BTreeMap<&str, Project> {
    let mut projects = BTreeMap::<_, Project>::new();
    for (line, instances) in samples(exposition, "spot_instances") {
        if let Some(project) = project_of(line) {
            projects.entry(project).or_default().instances += instances;
        }
    }
    for (line, interruptions) in samples(exposition, "spot_interruptions_total") {
        if let Some(project) = project_of(line) {
            projects.entry(project).or_default().interruptions += interruptions;
        }
    }
    projects
}

/// Returns the project label of a sample.
fn project_of(line: &str) -> Option<&str> {
    line.split_once(r#",project=""#)?.1.split('"').next()
}

/// Returns the samples of a family with their lines.
fn samples<'a>(exposition: &'a str, family: &'a str) -> impl Iterator<Item = (&'a str, f64)> + 'a {
    exposition.lines().filter_map(move |line| {
        let rest = line.strip_prefix(family)?;
        if !rest.starts_with(['{', ' ']) {
            return None;
        }
        Some((line, rest.rsplit(' ').next()?.parse().ok()?))
    })
}

fn sum(exposition: &str, family: &str) -> f64 {
    // An empty sum is negative zero. Adding zero makes it positive.
    samples(exposition, family).map(|(_, value)| value).sum::<f64>() + 0.0
}

fn count(exposition: &str, family: &str) -> f64 {
    samples(exposition, family).count() as f64
}
