//! Starts the exporter against the simulated Spacelift API.

pub(crate) use harness::{TIMEOUT, get, request, run_to_end};
use sandbox::spacelift::{DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Spacelift};
use std::ops::{Deref, DerefMut};
use tokio::process::Command;

/// The flags that enable every collector.
pub(crate) const ALL_COLLECTORS: [&str; 6] = [
    "--collector.pools",
    "--collector.limits",
    "--collector.integrations",
    "--collector.stacks",
    "--collector.attention",
    "--collector.dora",
];

/// Returns a command for the exporter's binary with an empty environment.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spacelift-promex"));
    command.env_clear();
    command
}

/// A running exporter.
pub(crate) struct Exporter(harness::Exporter);

impl Exporter {
    /// Starts the exporter against the simulated API with the default credentials.
    pub(crate) async fn start(api: &Spacelift, flags: &[&str]) -> Self {
        let url = api.url();
        let mut command = command();
        command.args(["serve", "--api-endpoint", &url]);
        command.args(["--api-key-id", DEFAULT_API_KEY_ID, "--api-key-secret", DEFAULT_API_KEY_SECRET]);
        command.args(flags);
        Self::run(command).await
    }

    /// Starts the exporter as [`Exporter::start`] does, and waits until the session is established.
    pub(crate) async fn ready(api: &Spacelift, flags: &[&str]) -> Self {
        let exporter = Self::start(api, flags).await;
        exporter.log("exchanged the API key").await;
        exporter
    }

    /// Starts a prepared command on a free port.
    pub(crate) async fn run(mut command: Command) -> Self {
        command.args(["--listen-address", "127.0.0.1:0"]);
        Self(harness::Exporter::run(command).await)
    }

    /// Returns the exporter of the common harness.
    pub(crate) fn into_inner(self) -> harness::Exporter {
        self.0
    }
}

impl Deref for Exporter {
    type Target = harness::Exporter;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Exporter {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}
