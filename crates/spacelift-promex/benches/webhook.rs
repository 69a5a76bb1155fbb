//! Measures webhook deliveries: throughput, CPU time and memory of the release binary, with clients that send as fast as it
//! responds.
//!
//! `cargo bench -p spacelift-promex --bench webhook` prints the table of `BENCHMARKS.md`. CPU time and memory are those of
//! the exporter's process, from `/proc`. The exporter is scraped ten times a second meanwhile, and no scrape may fail.
//! `EXPORTER` is the path of another binary to measure, such as one from an image.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a command-line program")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::{Usage, mebibytes};
use sandbox::spacelift::webhook::{Changes, Delivery, RunInfo, SignedRequest};
use sandbox::spacelift::{Account, DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Spacelift};

const SECRET: &str = "bench";
const STACKS: usize = 500;
const CREATED: Duration = Duration::from_secs(1_757_500_000);

/// Number of requests that a client sends before it reads the responses.
const PIPELINE: usize = 16;

fn main() {
    // `cargo test --benches` runs this binary too, and should not measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let binary = &harness::measured(env!("CARGO_BIN_EXE_spacelift-promex"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let builder = Spacelift::builder().account(Account::with_pools(10, 10)).cache_responses(true);
    let api = runtime.block_on(builder.token_lifetime(Duration::from_secs(86_400)).start()).unwrap();
    println!(
        "| deliveries | runs | state | clients | deliveries a second | CPU a delivery | scrapes | p50 | p99 | longest | idle | after | peak |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    measure(binary, &api.url(), &Load { runs: 50_000, has_all_states: true, clients: 4 }, None);
    measure(binary, &api.url(), &Load { runs: 1_000_000, has_all_states: false, clients: 4 }, None);
    let folder = tempfile::tempdir().unwrap();
    measure(
        binary,
        &api.url(),
        &Load { runs: 10_000, has_all_states: true, clients: 200 },
        Some(folder.path()),
    );
}

/// The deliveries of one measurement.
struct Load {
    runs: usize,
    /// Whether each run has five deliveries, or only that of its end.
    has_all_states: bool,
    clients: usize,
}

impl Load {
    /// Returns the raw requests of one client: those of every `clients`th run.
    fn requests(&self, client: usize) -> Vec<Vec<u8>> {
        (client..self.runs).step_by(self.clients).flat_map(|run| self.run(run)).collect()
    }

    fn run(&self, number: usize) -> Vec<Vec<u8>> {
        let run = RunInfo::new(format!("01K5{number:022}"), format!("stack-{}", number % STACKS))
            .created_at(CREATED)
            .worker_pool("01K5BBBBBBBBBBBBBBBBBBBBBB", "blue")
            .changes(Changes { added: 2, ..Changes::default() });
        let states = ["QUEUED", "READY", "PLANNING", "APPLYING", "FINISHED"];
        let history = Delivery::history(
            &run,
            states
                .iter()
                .zip(0..)
                .map(|(state, seconds)| (*state, CREATED + Duration::from_secs(10 * seconds))),
        );
        let sent = if self.has_all_states { &history[..] } else { &history[4..] };
        sent.iter()
            .map(|delivery| request(&SignedRequest::new(delivery.default_payload().to_string(), SECRET)))
            .collect()
    }
}

fn request(signed: &SignedRequest) -> Vec<u8> {
    let mut request =
        format!("POST /webhook HTTP/1.1\r\nhost: bench\r\ncontent-length: {}\r\n", signed.body.len());
    for (name, value) in &signed.headers {
        request += &format!("{name}: {value}\r\n");
    }
    let mut request = (request + "\r\n").into_bytes();
    request.extend_from_slice(&signed.body);
    request
}

fn measure(binary: &Path, api: &str, load: &Load, state: Option<&Path>) {
    let exporter = Exporter::start(binary, api, state);
    exporter.scrape();
    let idle = exporter.usage();
    let requests: Vec<Vec<Vec<u8>>> = (0..load.clients).map(|client| load.requests(client)).collect();
    let deliveries: usize = requests.iter().map(Vec::len).sum();
    let (done, began) = (AtomicBool::new(false), Instant::now());
    let (took, mut scrapes) = std::thread::scope(|scope| {
        let scraper = scope.spawn(|| {
            let mut times = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let began = Instant::now();
                exporter.scrape();
                times.push(began.elapsed());
                std::thread::sleep(Duration::from_millis(100).saturating_sub(began.elapsed()));
            }
            times
        });
        let clients: Vec<_> = requests
            .iter()
            .map(|requests| {
                let address = &exporter.address;
                // Without pipelining if each delivery waits for its commit.
                let pipeline = if state.is_some() { 1 } else { PIPELINE };
                scope.spawn(move || deliver(address, requests, pipeline))
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
        let took = began.elapsed();
        done.store(true, Ordering::Relaxed);
        (took, scraper.join().unwrap())
    });
    let after = exporter.usage();
    let text = exporter.scrape();
    let counted: f64 = text
        .lines()
        .filter(|line| line.starts_with("spacelift_runs_total{"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert_eq!(counted as usize, load.runs, "runs were lost or counted twice");
    scrapes.sort_unstable();
    let quantile = |share: f64| {
        let index = ((scrapes.len() - 1) as f64 * share) as usize;
        format!("{:.1} ms", scrapes[index].as_secs_f64() * 1e3)
    };
    println!(
        "| {deliveries} | {} | {} | {} | {:.0} | {:.1} us | {} | {} | {} | {} | {} | {} | {} |",
        load.runs,
        if state.is_some() { "on disk" } else { "none" },
        load.clients,
        deliveries as f64 / took.as_secs_f64(),
        (after.cpu - idle.cpu).as_secs_f64() * 1e6 / deliveries as f64,
        scrapes.len(),
        quantile(0.5),
        quantile(0.99),
        quantile(1.0),
        mebibytes(idle.resident),
        mebibytes(after.resident),
        mebibytes(after.peak),
    );
}

fn deliver(address: &str, requests: &[Vec<u8>], pipeline: usize) {
    let mut writer = TcpStream::connect(address).unwrap();
    let mut reader = BufReader::new(writer.try_clone().unwrap());
    for batch in requests.chunks(pipeline) {
        writer.write_all(&batch.concat()).unwrap();
        for _ in batch {
            read_response(&mut reader);
        }
    }
}

/// Reads a response, which must have status 200, and returns its body.
fn read_response(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

/// A running exporter, which is killed when dropped.
struct Exporter {
    child: Child,
    address: String,
}

impl Exporter {
    fn start(binary: &Path, api: &str, state: Option<&Path>) -> Self {
        let mut command = Command::new(binary);
        command.args(["serve", "--api-endpoint", api, "--listen-address", "127.0.0.1:0"]);
        command.args(["--api-key-id", DEFAULT_API_KEY_ID, "--api-key-secret", DEFAULT_API_KEY_SECRET]);
        command.args(["--webhook.secret", SECRET]);
        command.args(state.iter().flat_map(|path| ["--state.path".as_ref(), path.as_os_str()]));
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("\"listening\"") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "the exporter ended");
        }
        let address = line.split("\"address\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, address }
    }

    fn usage(&self) -> Usage {
        Usage::of(self.child.id())
    }

    fn scrape(&self) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: bench\r\n\r\n").unwrap();
        read_response(&mut BufReader::new(stream))
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
