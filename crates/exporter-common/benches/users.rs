//! Measures how long the check of a wrong password takes for existing and for unknown users.
//!
//! `cargo bench -p exporter-common --bench users` prints the table of `BENCHMARKS.md`. If the times differed, clients
//! could find out which users exist.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people at a terminal")]

use std::future::pending;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use exporter_common::http::{Limits, Listener, Scrape, ScrapeError, ScrapeRequest, Site, Web, serve};
use exporter_common::readiness::Readiness;
use prometheus_client::registry::Registry;

/// The bcrypt cost that `htpasswd` and the documentation of Prometheus use.
const COST: u32 = 10;
const ATTEMPTS: usize = 100;

struct EmptyScrape;

impl Scrape for EmptyScrape {
    async fn scrape(&self, _: &ScrapeRequest) -> Result<Registry, ScrapeError> {
        Ok(Registry::default())
    }
}

#[tokio::main]
async fn main() {
    // `cargo test` runs bench targets too, without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let hash = bcrypt::hash("secret", COST).unwrap();
    std::fs::write(file.path(), format!("basic_auth_users: {{alice: {hash}}}\n")).unwrap();
    let web = Web::load(file.path(), false).unwrap();
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/metrics", listener.local_address().unwrap());
    let (readiness, registry) = (Readiness::default(), Registry::default());
    let site =
        Site::new("bench", "A benchmark", "/metrics".to_owned(), readiness, registry, EmptyScrape, web);
    tokio::spawn(serve(listener, site, Limits::default(), pending(), Duration::ZERO));

    // Alternating, so that other load on the machine affects all of them alike.
    let users = ["alice", "somebody-else"];
    let mut times: [Vec<Duration>; 3] = Default::default();
    for attempt in 0..ATTEMPTS {
        for (user, times) in users.iter().zip(&mut times) {
            times.push(time(&url, &format!("{user}:wrong-{attempt}"), 401).await);
        }
        times[2].push(time(&url, "alice:secret", 200).await);
    }
    println!("| | lower quartile | median | upper quartile |\n|---|---|---|---|");
    let names = ["wrong password of a known user", "wrong password of an unknown user", "right password"];
    for (name, mut times) in names.into_iter().zip(times) {
        times.sort_unstable();
        let quartile =
            |number: usize| format!("{:.1} ms", times[ATTEMPTS * number / 4].as_secs_f64() * 1_000.0);
        println!("| {name} | {} | {} | {} |", quartile(1), quartile(2), quartile(3));
    }
}

async fn time(url: &str, credentials: &str, status: u16) -> Duration {
    let authorization = format!("Basic {}", STANDARD.encode(credentials));
    let began = Instant::now();
    let response = harness::get(url, &[("authorization", &authorization)]).await;
    assert_eq!(response.status, status);
    began.elapsed()
}
