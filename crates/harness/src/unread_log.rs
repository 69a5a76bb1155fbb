//! Exporters whose standard error is a full pipe that nobody reads.

use std::process::Stdio;

use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::{HttpResponse, TIMEOUT, request};

/// Creates a full pipe. Returns the end for a process, and the other end, which has to stay open.
fn full_pipe() -> (Stdio, pipe::Receiver) {
    let (writer, reader) = pipe::pipe().unwrap();
    while writer.try_write(&[b'x'; 4096]).is_ok() {}
    while writer.try_write(b"x").is_ok() {}
    (writer.into_blocking_fd().unwrap().into(), reader)
}

fn spawn(command: &mut Command, stderr: Stdio) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).kill_on_drop(true).spawn().unwrap()
}

/// Runs an exporter with an unread standard error and checks that it responds to requests and exits after `SIGTERM`.
/// `listen` is its flag for the address. If `logs_scrapes`, each scrape causes log lines, and dropped lines must be
/// counted.
pub async fn check_unread_log(mut command: Command, listen: &str, logs_scrapes: bool) {
    let (stderr, _unread) = full_pipe();
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let mut child = spawn(command.args([listen, &address]).env("RUST_LOG", "trace"), stderr);
    let page = async |path: &str| -> HttpResponse {
        let response = timeout(TIMEOUT, request("GET", &format!("http://{address}{path}"), &[])).await;
        response.unwrap_or_else(|_| panic!("{path} hangs"))
    };
    let listening = async {
        while tokio::net::TcpStream::connect(&address).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, listening).await.expect("the exporter does not listen");
    let dropped = async {
        loop {
            // A failed scrape has no metrics but logs a line.
            let response = page("/metrics").await;
            let dropped = response.sample("exporter_log_lines_dropped_total");
            if dropped.is_some_and(|dropped| dropped > 0.0 || !logs_scrapes) {
                break;
            }
        }
    };
    timeout(TIMEOUT, dropped).await.expect("no line is dropped");
    assert_eq!(page("/health").await.status, 200);
    let id = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let status =
        timeout(TIMEOUT, child.wait()).await.expect("the exporter does not exit after SIGTERM").unwrap();
    assert_eq!(status.code(), Some(0));
}

/// Runs a command with an unread standard error until it exits, and returns the exit code.
pub async fn run_unread(mut command: Command) -> Option<i32> {
    let (stderr, _unread) = full_pipe();
    let mut child = spawn(&mut command, stderr);
    timeout(TIMEOUT, child.wait()).await.expect("the exporter does not exit").unwrap().code()
}
