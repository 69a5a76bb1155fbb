//! A log that nobody reads.

use std::process::Stdio;

use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::{Answer, PATIENCE, request};

/// A pipe that is full, as one end for a process, and the other, which has to stay open.
fn full_pipe() -> (Stdio, pipe::Receiver) {
    let (writer, reader) = pipe::pipe().unwrap();
    while writer.try_write(&[b'x'; 4096]).is_ok() {}
    while writer.try_write(b"x").is_ok() {}
    (writer.into_blocking_fd().unwrap().into(), reader)
}

fn spawn(command: &mut Command, stderr: Stdio) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).kill_on_drop(true).spawn().unwrap()
}

/// Runs an exporter whose standard error nobody reads, with `listen` as the flag for its address: it answers, and ends
/// when it is told to. If it `chatters`, a line a scrape or more, it counts the lines that it drops.
pub async fn check_unread_log(mut command: Command, listen: &str, chatters: bool) {
    let (stderr, _unread) = full_pipe();
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let mut child = spawn(command.args([listen, &address]).env("RUST_LOG", "trace"), stderr);
    let page = async |path: &str| -> Answer {
        let answered = timeout(PATIENCE, request("GET", &format!("http://{address}{path}"), &[])).await;
        answered.unwrap_or_else(|_| panic!("{path} hangs"))
    };
    let listening = async {
        while tokio::net::TcpStream::connect(&address).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, listening).await.expect("the exporter does not listen");
    let dropped = async {
        loop {
            // A scrape that fails shows no metrics, but is a line.
            let answer = page("/metrics").await;
            let dropped = answer.sample("exporter_log_lines_dropped_total");
            if dropped.is_some_and(|dropped| dropped > 0.0 || !chatters) {
                break;
            }
        }
    };
    timeout(PATIENCE, dropped).await.expect("no line is dropped");
    assert_eq!(page("/health").await.status, 200);
    let id = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let status = timeout(PATIENCE, child.wait()).await.expect("SIGTERM does not end it").unwrap();
    assert_eq!(status.code(), Some(0));
}

/// Runs a command whose standard error nobody reads to its end; the exit code.
pub async fn run_unread(mut command: Command) -> Option<i32> {
    let (stderr, _unread) = full_pipe();
    let mut child = spawn(&mut command, stderr);
    timeout(PATIENCE, child.wait()).await.expect("the exporter does not end").unwrap().code()
}
