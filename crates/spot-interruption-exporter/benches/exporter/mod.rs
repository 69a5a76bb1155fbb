//! Runs the exporter as a process and measures its CPU time and memory.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use harness::Usage;

/// The measured program with an empty environment.
pub(crate) fn command() -> Command {
    let mut command = Command::new(harness::measured(env!("CARGO_BIN_EXE_spot-interruption-exporter")));
    command.env_clear();
    command
}

/// A running exporter process. It is killed on drop.
pub(crate) struct Exporter {
    child: Child,
    address: String,
}

impl Exporter {
    /// Starts the exporter and waits until it listens.
    pub(crate) fn run(mut command: Command) -> Self {
        let mut child =
            command.env("SIE_PROMETHEUS__ADDRESS", "127.0.0.1:0").stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let line: serde_json::Value = serde_json::from_str(&log.next().unwrap().unwrap()).unwrap();
        let address = line["address"].as_str().unwrap().to_owned();
        std::thread::spawn(move || log.count());
        Self { child, address }
    }

    /// Requests a path and returns the whole response, headers included.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.get("/ready").starts_with("HTTP/1.1 200")
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.child.id())
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sum of the samples whose line starts with `beginning`.
pub(crate) fn sum(metrics: &str, beginning: &str) -> f64 {
    let samples = metrics.lines().filter(|line| line.starts_with(beginning));
    samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}
