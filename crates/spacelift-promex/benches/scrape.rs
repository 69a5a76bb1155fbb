//! Measures scrapes: CPU time, latency and memory of the release binary, which runs as a separate process.
//!
//! `cargo bench -p spacelift-promex` prints the tables of `BENCHMARKS.md`. CPU time and memory are those of the exporter's
//! process, from `/proc`, without the simulated API and this program.
//!
//! Environment: `SCRAPES=100000` sets the number of scrapes of the small account, to check that memory does not grow;
//! `EXPORTER` is the path of another binary to measure, such as one from an image.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a command-line program")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::{Usage, mebibytes};
use sandbox::spacelift::{Account, DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Spacelift};

/// The queries of the default collectors. The simulated API caches its responses by the operation name.
const QUERIES: [(&str, &str); 4] = [
    ("PrometheusExporter_PublicWorkerPool", "publicWorkerPool { parallelism busyWorkers pendingRuns }"),
    (
        "PrometheusExporter_WorkerPools",
        "workerPools { id name pendingRuns busyWorkers workers { id drained } }",
    ),
    ("PrometheusExporter_Usage", "usage { usedPrivateMinutes usedPublicMinutes usedSeats }"),
    ("PrometheusExporter_Aggregates", "metrics { stacksCountByState { value labels } }"),
];

fn main() {
    // `cargo test --benches` runs this binary too, and should not measure.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let small: u32 = std::env::var("SCRAPES").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let binary = &harness::measured(env!("CARGO_BIN_EXE_spacelift-promex"));
    let size = std::fs::metadata(binary).unwrap().len();
    println!("Binary (with symbol names): {:.1} MiB\n", size as f64 / 1_048_576.0);
    println!(
        "| pools | exposition | encoding | CPU a scrape | p50 | p99 | API alone p99 | idle | after | peak |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for (pools, scrapes) in [(10, small), (1_000, 500), (10_000, 100)] {
        let account = Account::with_pools(pools, 10);
        let api = runtime
            .block_on(
                Spacelift::builder()
                    .account(account)
                    .cache_responses(true)
                    .token_lifetime(Duration::from_secs(86_400))
                    .start(),
            )
            .unwrap();
        for encoding in ["identity", "gzip"] {
            measure(binary, &api, pools, encoding, scrapes);
        }
    }
    println!("\nFrom start to a listening socket, of 50 starts: {}", startup(binary));
}

fn measure(binary: &Path, api: &Spacelift, pools: usize, encoding: &str, scrapes: u32) {
    let exporter = Exporter::start(binary, &api.url());
    let idle = exporter.usage().resident;
    let mut client = Client::connect(&exporter.address);
    for _ in 0..5 {
        client.scrape(encoding);
    }
    let cpu = exporter.usage().cpu;
    let mut times = Vec::new();
    let mut length = 0;
    for _ in 0..scrapes {
        let began = Instant::now();
        length = client.scrape(encoding);
        times.push(began.elapsed());
    }
    let cpu = (exporter.usage().cpu - cpu) / scrapes;
    println!(
        "| {pools} | {} kB | {encoding} | {:.3} ms | {:.2} ms | {:.2} ms | {:.2} ms | {} | {} | {} |",
        length / 1_000,
        milliseconds(cpu),
        milliseconds(quantile(&mut times, 0.5)),
        milliseconds(quantile(&mut times, 0.99)),
        milliseconds(api_alone(api, scrapes.min(2_000))),
        mebibytes(idle),
        mebibytes(exporter.usage().resident),
        mebibytes(exporter.usage().peak),
    );
}

/// Returns the 99th percentile of the latency of the API alone: the queries of the default collectors, sent concurrently
/// over kept-alive connections as the exporter does.
fn api_alone(api: &Spacelift, rounds: u32) -> Duration {
    let mut connections: Vec<Client> =
        QUERIES.iter().map(|_| Client::connect(&api.address().to_string())).collect();
    let token = api.requests().iter().rev().find_map(|request| request.token.clone()).unwrap();
    let mut times = Vec::new();
    for _ in 0..rounds {
        let began = Instant::now();
        for (connection, (name, fields)) in connections.iter_mut().zip(QUERIES) {
            let body = format!("{{\"operationName\":\"{name}\",\"query\":\"query {name} {{ {fields} }}\"}}");
            let head = format!(
                "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nspacelift-client-type: prometheus-exporter\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            connection.stream.get_mut().write_all((head + &body).as_bytes()).unwrap();
        }
        for connection in &mut connections {
            connection.read_response();
        }
        times.push(began.elapsed());
    }
    quantile(&mut times, 0.99)
}

fn startup(binary: &Path) -> String {
    let mut times: Vec<Duration> = (0..50)
        .map(|_| {
            let began = Instant::now();
            let exporter = Exporter::start(binary, "http://127.0.0.1:9");
            let elapsed = began.elapsed();
            drop(exporter);
            elapsed
        })
        .collect();
    let (median, most) = (quantile(&mut times, 0.5), quantile(&mut times, 1.0));
    format!("median {:.1} ms, longest {:.1} ms", milliseconds(median), milliseconds(most))
}

/// A running exporter, which is killed when dropped.
struct Exporter {
    child: Child,
    address: String,
}

impl Exporter {
    /// Starts the exporter and waits for the log line with its address.
    fn start(binary: &Path, endpoint: &str) -> Self {
        let mut child = Command::new(binary)
            .env_clear()
            .args(["serve", "-e", endpoint, "-k", DEFAULT_API_KEY_ID, "-s", DEFAULT_API_KEY_SECRET])
            .args(["-l", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = log.next().unwrap().unwrap();
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = line["address"].as_str().unwrap().to_owned();
        std::thread::spawn(move || log.count());
        Self { child, address }
    }

    fn usage(&self) -> Usage {
        Usage::of(self.child.id())
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client with one kept-alive connection.
struct Client {
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

impl Client {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::with_capacity(1 << 20, stream), body: Vec::new() }
    }

    /// Scrapes, and returns the length of the body in bytes.
    fn scrape(&mut self, encoding: &str) -> usize {
        let request = format!("GET /metrics HTTP/1.1\r\nhost: x\r\naccept-encoding: {encoding}\r\n\r\n");
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        self.read_response()
    }

    /// Reads a response, which must have status 200, and returns the length of its body in bytes.
    fn read_response(&mut self) -> usize {
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            assert!(!line.starts_with("HTTP/1.1") || line.starts_with("HTTP/1.1 200"), "{line}");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).unwrap();
        length
    }
}

fn quantile(times: &mut [Duration], share: f64) -> Duration {
    times.sort();
    times[((times.len() - 1) as f64 * share) as usize]
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
