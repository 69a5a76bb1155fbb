//! The quickstart as a process: it prints the endpoints, they serve changing metrics, and Ctrl-C stops it.

#![allow(clippy::panic, clippy::unwrap_used, reason = "failures of tests panic")]

use std::process::Stdio;
use std::time::Duration;

use harness::{get, pubsub_emulator};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{ChildStdout, Command};
use tokio::time::timeout;

/// The configured project, the discovered one, and the two accounts of AWS.
const PROJECTS: [&str; 4] = ["example-project", "example-shop", "123456789012", "210987654321"];

#[tokio::test]
async fn starts_shows_and_stops() {
    run_quickstart(None).await;
}

#[tokio::test]
async fn runs_with_the_emulator() {
    if let Some(host) = pubsub_emulator().await {
        run_quickstart(Some(host)).await;
    }
}

async fn run_quickstart(emulator: Option<String>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quickstart"));
    command.env_clear().envs(emulator.iter().map(|host| ("PUBSUB_EMULATOR_HOST", host)));
    for part in ["spacelift", "pubsub", "compute", "aws", "promex", "spot", "operations"] {
        command.args([&format!("--{part}-address"), "127.0.0.1:0"]);
    }
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let compute = line(&mut lines, "  simulated Compute API ").await;
    let promex = line(&mut lines, "  spacelift-promex ").await;
    let spot = line(&mut lines, "  spot-interruption-exporter ").await;
    line(&mut lines, "  the same without Pub/Sub ").await;
    let compute = url(&compute);
    let summary = line(&mut lines, "runs waiting").await;
    assert!(summary.contains(" 0 collectors failing"), "{summary}");
    let runs = line(&mut lines, " by webhook: ").await;
    assert!(runs.contains(" runs active"), "{runs}");
    for project in PROJECTS {
        line(&mut lines, &format!(" interruptions in {project}")).await;
    }

    let metrics = get(&format!("{}/metrics", url(&promex)), &[]).await;
    assert!(metrics.has_family("spacelift_worker_pool_workers"));
    let counted = timeout(Duration::from_secs(60), async {
        loop {
            let metrics = get(&format!("{}/metrics", url(&spot)), &[]).await.text();
            let counts = |project: &str| {
                let label = format!("project=\"{project}\"");
                let interruptions =
                    metrics.lines().filter(|line| line.starts_with("spot_interruptions_total{"));
                interruptions.into_iter().any(|line| line.contains(&label) && !line.ends_with(" 0"))
            };
            if PROJECTS.into_iter().all(counts) {
                return;
            }
            // New counts are visible only in the next scrape.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    counted.await.expect("interruptions of all projects and accounts");

    // Both counts agree while the simulation is paused, and again after events that were not published.
    control(&compute, "PUT /_sandbox/speed", "0").await;
    let before = agreement(&mut lines, 0).await;
    control(&compute, "PUT /_sandbox/sink", "off").await;
    control(&compute, "POST /_sandbox/burst", "0.3").await;
    agreement(&mut lines, before).await;

    let pid = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let status = timeout(Duration::from_secs(10), child.wait()).await.expect("an exit in time").unwrap();
    assert!(status.success());
}

/// Returns the next line that contains `part`.
async fn line(lines: &mut Lines<BufReader<ChildStdout>>, part: &str) -> String {
    let found = async {
        loop {
            let line = lines.next_line().await.unwrap().expect("the process is running");
            if line.contains(part) {
                return line;
            }
        }
    };
    timeout(Duration::from_secs(30), found).await.unwrap_or_else(|_| panic!("no line contains {part}"))
}

/// Sends a request to the control endpoint.
async fn control(compute: &str, what: &str, body: &str) {
    let (address, length) = (compute.strip_prefix("http://").unwrap(), body.len());
    let head = format!("{what} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {length}\r\n");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).await.unwrap();
    let mut response = String::new();
    timeout(Duration::from_secs(30), stream.read_to_string(&mut response)).await.unwrap().unwrap();
    assert!(response.starts_with("HTTP/1.1 20"), "{response}");
}

/// Waits until the summary reports the same count for both ways, higher than `beyond`, and returns it.
async fn agreement(lines: &mut Lines<BufReader<ChildStdout>>, beyond: u64) -> u64 {
    let mut last = String::new();
    for _ in 0..24 {
        last = line(lines, " by operations").await;
        let counts: Vec<u64> = last.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        if let [by_pubsub, by_operations] = counts[..]
            && by_pubsub == by_operations
            && by_pubsub > beyond
        {
            return by_pubsub;
        }
    }
    panic!("the two counts differ: {last}");
}

fn url(line: &str) -> String {
    format!("http://{}", line.split("http://").nth(1).unwrap().split_whitespace().next().unwrap())
}
