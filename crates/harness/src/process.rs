//! An exporter as a process.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::{HttpResponse, TIMEOUT, get};

/// A running exporter; killed when dropped.
pub struct Exporter {
    /// The address on which it listens.
    pub address: String,
    child: Child,
    log: Log,
}

/// The lines that were written to standard error.
struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    count: watch::Receiver<usize>,
}

impl Log {
    fn follow(stderr: ChildStderr) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (counted, count) = watch::channel(0);
        let log = Self { lines: lines.clone(), count };
        tokio::spawn(async move {
            let mut source = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = source.next_line().await {
                lines.lock().unwrap().push(line);
                counted.send_modify(|count| *count += 1);
            }
        });
        log
    }

    fn text(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    async fn line_with(&self, part: &str) -> String {
        let mut count = self.count.clone();
        let found = async {
            loop {
                count.borrow_and_update();
                if let Some(line) = self.lines.lock().unwrap().iter().find(|line| line.contains(part)) {
                    return line.clone();
                }
                if count.changed().await.is_err() {
                    panic!("the log ended without {part:?}:\n{}", self.text());
                }
            }
        };
        timeout(TIMEOUT, found).await.unwrap_or_else(|_| panic!("no {part:?} in the log:\n{}", self.text()))
    }
}

impl Exporter {
    /// Runs a command, which must listen on a free port, and waits until its log has the address.
    pub async fn run(mut command: Command) -> Self {
        let mut child = prepare(&mut command).spawn().unwrap();
        let log = Log::follow(child.stderr.take().unwrap());
        let line = log.line_with("\"listening\"").await;
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = line["address"].as_str().unwrap().to_owned();
        Self { address, child, log }
    }

    /// Waits for a log line that contains `part` and returns it.
    pub async fn log(&self, part: &str) -> String {
        self.log.line_with(part).await
    }

    /// Waits until `count` log lines contain `part`.
    pub async fn log_lines(&self, part: &str, count: usize) {
        let mut lines = self.log.count.clone();
        let reached = lines.wait_for(|_| self.log_text().matches(part).count() >= count);
        let reached = timeout(TIMEOUT, reached).await;
        assert!(reached.is_ok_and(|log| log.is_ok()), "not {count} times {part:?}:\n{}", self.log_text());
    }

    /// Returns the log so far.
    pub fn log_text(&self) -> String {
        self.log.text()
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends a signal by its name: `TERM`, `KILL`.
    pub fn signal(&self, name: &str) {
        let status =
            std::process::Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits until the process exits.
    pub async fn exit(&mut self) -> ExitStatus {
        timeout(TIMEOUT, self.child.wait()).await.expect("the exporter does not exit").unwrap()
    }

    /// Gets a page.
    pub async fn get(&self, path: &str) -> HttpResponse {
        self.get_with(path, &[]).await
    }

    /// Gets a page with request headers.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> HttpResponse {
        get(&format!("http://{}{path}", self.address), headers).await
    }

    /// Scrapes. Panics if the scrape fails.
    pub async fn scrape(&self) -> HttpResponse {
        let response = self.get("/metrics").await;
        assert_eq!(response.status, 200, "{}", response.text());
        response
    }

    /// Scrapes and returns the body of the error. Panics if the scrape succeeds.
    pub async fn failed_scrape(&self) -> String {
        let response = self.get("/metrics").await;
        assert_eq!(response.status, 500, "{}", response.text());
        assert_eq!(response.header("content-type"), "text/plain; charset=utf-8");
        response.text()
    }

    /// Waits until `/ready` has the status `status` and returns its body.
    pub async fn readiness(&self, status: u16) -> String {
        let what = format!("/ready does not become {status}");
        self.poll(&what, "/ready", |response| response.status == status).await.text()
    }

    /// Waits until a scrape matches `condition` and returns it.
    pub async fn scraped(&self, what: &str, condition: impl Fn(&HttpResponse) -> bool) -> HttpResponse {
        self.poll(what, "/metrics", condition).await
    }

    /// Requests a page repeatedly until it matches `condition`, because pages do not report changes.
    async fn poll(&self, what: &str, path: &str, condition: impl Fn(&HttpResponse) -> bool) -> HttpResponse {
        let mut last = String::new();
        let reached = async {
            loop {
                let response = self.get(path).await;
                if condition(&response) {
                    return response;
                }
                last = response.text();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match timeout(TIMEOUT, reached).await {
            Ok(response) => response,
            Err(_) => panic!("{what}; last response:\n{last}\nlog:\n{}", self.log_text()),
        }
    }
}

/// Runs a command until it exits. Returns exit code, standard output and standard error.
pub async fn run_to_end(mut command: Command) -> (Option<i32>, String, String) {
    let output =
        timeout(TIMEOUT, prepare(&mut command).output()).await.expect("the exporter does not exit").unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn prepare(command: &mut Command) -> &mut Command {
    command.kill_on_drop(true).stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::piped())
}
