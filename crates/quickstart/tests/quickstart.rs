//! The README's first command, as a process: it says where things are, they are there, and Ctrl-C ends it.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

#[tokio::test]
async fn starts_shows_and_stops() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_quickstart"))
        .args(["--spacelift-address", "127.0.0.1:0", "--promex-address", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut address = String::new();
    let summary = timeout(Duration::from_secs(30), async {
        loop {
            let line = lines.next_line().await.unwrap().expect("it ended by itself");
            if line.contains("spacelift-promex  ") {
                address = line.split("http://").nth(1).unwrap().split(' ').next().unwrap().to_owned();
            }
            if line.contains("runs waiting") {
                return line;
            }
        }
    });
    let summary = summary.await.expect("no summary");
    assert!(summary.contains("failed collectors: 0"), "{summary}");

    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.contains("\nspacelift_worker_pool_workers{"),
        "{answer}"
    );

    let pid = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let status =
        timeout(Duration::from_secs(10), child.wait()).await.expect("Ctrl-C does not end it").unwrap();
    assert!(status.success());
}
