//! A line now and then that shows the numbers move, read from the exporter like Prometheus reads them.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::interval;

use crate::say;

/// Prints a line every `pause`, for ever.
pub(crate) async fn print(metrics: String, pause: Duration) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut tick = interval(pause);
    loop {
        tick.tick().await;
        match scrape(&client, &metrics).await {
            Ok(exposition) => say(&line(&exposition)),
            Err(error) => say(&format!("  no metrics: {error:#}")),
        }
    }
}

async fn scrape(client: &Client<HttpConnector, Empty<Bytes>>, url: &str) -> anyhow::Result<String> {
    let (head, body) = client.get(url.parse()?).await?.into_parts();
    let text = String::from_utf8(body.collect().await?.to_bytes().to_vec()).context("not text")?;
    anyhow::ensure!(head.status.is_success(), "{}", text.trim().replace('\n', "; "));
    Ok(text)
}

fn line(exposition: &str) -> String {
    let family = |name: &str| sum(exposition, name);
    format!(
        "  private pools: {:>3} workers, {:>3} busy, {:>2} drained, {:>3} runs waiting   public: {:>2} busy, {:>2} waiting   used: {:>6.0} private minutes   failed collectors: {}",
        family("spacelift_worker_pool_workers"),
        family("spacelift_worker_pool_workers_busy"),
        family("spacelift_worker_pool_workers_drained"),
        family("spacelift_worker_pool_runs_pending"),
        family("spacelift_public_worker_pool_workers_busy"),
        family("spacelift_public_worker_pool_runs_pending"),
        family("spacelift_current_billing_period_used_private_seconds") / 60.0,
        count(exposition, "spacelift_scrape_collector_success")
            - family("spacelift_scrape_collector_success"),
    )
}

/// The samples of a family.
fn samples<'a>(exposition: &'a str, family: &'a str) -> impl Iterator<Item = f64> + 'a {
    exposition.lines().filter_map(move |line| {
        let rest = line.strip_prefix(family)?;
        if !rest.starts_with(['{', ' ']) {
            return None;
        }
        rest.rsplit(' ').next()?.parse().ok()
    })
}

fn sum(exposition: &str, family: &str) -> f64 {
    samples(exposition, family).sum()
}

fn count(exposition: &str, family: &str) -> f64 {
    samples(exposition, family).count() as f64
}
