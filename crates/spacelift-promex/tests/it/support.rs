//! Runs the exporter as a process and talks to it.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use sandbox::spacelift::{DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Spacelift};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// Nothing that a test waits for takes this long unless it never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The flags that turn every collector on.
pub(crate) const EVERYTHING: [&str; 6] = [
    "--collector.pools",
    "--collector.limits",
    "--collector.integrations",
    "--collector.stacks",
    "--collector.attention",
    "--collector.dora",
];

/// The exporter's binary with nothing of this process's environment.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spacelift-promex"));
    command.env_clear().kill_on_drop(true).stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// A running exporter; killed when dropped.
pub(crate) struct Exporter {
    child: Child,
    pub(crate) address: String,
    log: Log,
}

/// The lines on standard error so far.
#[derive(Clone)]
pub(crate) struct Log {
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

    pub(crate) fn text(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Waits for a line that contains `part` and returns it.
    pub(crate) async fn line_with(&self, part: &str) -> String {
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
    /// Starts it against the simulated API with its default credentials.
    pub(crate) async fn start(api: &Spacelift, flags: &[&str]) -> Self {
        let url = api.url();
        let mut command = command();
        command.args(["serve", "--api-endpoint", &url]);
        command.args(["--api-key-id", DEFAULT_API_KEY_ID, "--api-key-secret", DEFAULT_API_KEY_SECRET]);
        command.args(flags);
        Self::run(command).await
    }

    /// Like [`Exporter::start`], once the session is established.
    pub(crate) async fn ready(api: &Spacelift, flags: &[&str]) -> Self {
        let exporter = Self::start(api, flags).await;
        exporter.log("exchanged the API key").await;
        exporter
    }

    /// Runs a prepared command on a free port and waits until it listens.
    pub(crate) async fn run(mut command: Command) -> Self {
        let mut child = command.args(["--listen-address", "127.0.0.1:0"]).spawn().unwrap();
        let log = Log::follow(child.stderr.take().unwrap());
        let line = log.line_with("\"listening\"").await;
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = line["address"].as_str().unwrap().to_owned();
        Self { child, address, log }
    }

    pub(crate) async fn log(&self, part: &str) -> String {
        self.log.line_with(part).await
    }

    pub(crate) fn log_text(&self) -> String {
        self.log.text()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status =
            std::process::Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(status.unwrap().success());
    }

    pub(crate) async fn exit(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.expect("the exporter does not end").unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        get(&format!("http://{}{path}", self.address), headers).await
    }

    /// A scrape that must succeed.
    pub(crate) async fn scrape(&self) -> Answer {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }

    /// A scrape that must fail; its body.
    pub(crate) async fn failed_scrape(&self) -> String {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.status, 500, "{}", answer.text());
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        answer.text()
    }

    /// Waits until `/ready` answers with `status`; its body.
    pub(crate) async fn readiness(&self, status: u16) -> String {
        let reached = async {
            loop {
                let answer = self.get("/ready").await;
                if answer.status == status {
                    return answer.text();
                }
                // Readiness is only visible by asking.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("/ready does not become {status}"))
    }
}

/// Runs a command to its end: exit code, standard output, standard error.
pub(crate) async fn run_to_end(mut command: Command) -> (Option<i32>, String, String) {
    let output = timeout(PATIENCE, command.output()).await.expect("the exporter does not end").unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// An HTTP answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The value of the sample that is written exactly like `series`.
    pub(crate) fn sample(&self, series: &str) -> Option<f64> {
        let prefix = format!("{series} ");
        self.text().lines().find_map(|line| line.strip_prefix(&prefix)).map(|value| value.parse().unwrap())
    }

    pub(crate) fn has_family(&self, name: &str) -> bool {
        self.text().contains(&format!("# TYPE {name} "))
    }
}

pub(crate) async fn get(url: &str, headers: &[(&str, &str)]) -> Answer {
    request("GET", url, headers).await
}

pub(crate) async fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> Answer {
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let exchange = async {
        let (head, body) = client.request(request.body(Empty::new()).unwrap()).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    };
    timeout(PATIENCE, exchange).await.unwrap_or_else(|_| panic!("no answer from {url}"))
}

/// The path of a program of the test environment. In CI it must be there; elsewhere the caller skips, and says so.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!in_ci, "{name} is not installed, and CI must not go without it");
        eprintln!("SKIPPED: {name} is not installed");
    }
    found
}
