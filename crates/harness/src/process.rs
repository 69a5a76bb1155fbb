//! An exporter as a process.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::{Answer, PATIENCE, get};

/// A running exporter; killed when dropped.
pub struct Exporter {
    /// Where it listens.
    pub address: String,
    child: Child,
    log: Log,
}

/// The lines on standard error so far.
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
        timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("no {part:?} in the log:\n{}", self.text()))
    }
}

impl Exporter {
    /// Runs a prepared command, which is to listen on a free port, and waits until it says where.
    pub async fn run(mut command: Command) -> Self {
        let mut child = prepare(&mut command).spawn().unwrap();
        let log = Log::follow(child.stderr.take().unwrap());
        let line = log.line_with("\"listening\"").await;
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = line["address"].as_str().unwrap().to_owned();
        Self { address, child, log }
    }

    /// Waits for a line of the log that contains `part`, and returns it.
    pub async fn log(&self, part: &str) -> String {
        self.log.line_with(part).await
    }

    /// Waits until `count` lines of the log contain `part`.
    pub async fn log_lines(&self, part: &str, count: usize) {
        let mut lines = self.log.count.clone();
        let reached = lines.wait_for(|_| self.log_text().matches(part).count() >= count);
        let reached = timeout(PATIENCE, reached).await;
        assert!(reached.is_ok_and(|log| log.is_ok()), "not {count} times {part:?}:\n{}", self.log_text());
    }

    /// The log so far.
    pub fn log_text(&self) -> String {
        self.log.text()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends a signal by its name: `TERM`, `KILL`.
    pub fn signal(&self, name: &str) {
        let status =
            std::process::Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for the end of the process.
    pub async fn exit(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.expect("the exporter does not end").unwrap()
    }

    /// Gets a page.
    pub async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    /// Gets a page with request headers.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        get(&format!("http://{}{path}", self.address), headers).await
    }

    /// A scrape that must succeed.
    pub async fn scrape(&self) -> Answer {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }

    /// A scrape that must fail; its body.
    pub async fn failed_scrape(&self) -> String {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.status, 500, "{}", answer.text());
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        answer.text()
    }

    /// Waits until `/ready` answers with `status`; its body.
    pub async fn readiness(&self, status: u16) -> String {
        let what = format!("/ready does not become {status}");
        self.poll(&what, "/ready", |answer| answer.status == status).await.text()
    }

    /// Waits until a scrape fulfils `condition`.
    pub async fn scraped(&self, what: &str, condition: impl Fn(&Answer) -> bool) -> Answer {
        self.poll(what, "/metrics", condition).await
    }

    /// What a process shows on its pages is only visible by asking again.
    async fn poll(&self, what: &str, path: &str, condition: impl Fn(&Answer) -> bool) -> Answer {
        let mut last = String::new();
        let reached = async {
            loop {
                let answer = self.get(path).await;
                if condition(&answer) {
                    return answer;
                }
                last = answer.text();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match timeout(PATIENCE, reached).await {
            Ok(answer) => answer,
            Err(_) => panic!("{what}; last seen:\n{last}\nlog:\n{}", self.log_text()),
        }
    }
}

/// Runs a command to its end: exit code, standard output, standard error.
pub async fn run_to_end(mut command: Command) -> (Option<i32>, String, String) {
    let output =
        timeout(PATIENCE, prepare(&mut command).output()).await.expect("the exporter does not end").unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn prepare(command: &mut Command) -> &mut Command {
    command.kill_on_drop(true).stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::piped())
}
