//! The exporter against the simulated Spacelift.

pub(crate) use harness::{PATIENCE, get, request, run_to_end};
use sandbox::spacelift::{DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Spacelift};
use std::ops::{Deref, DerefMut};
use tokio::process::Command;

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
    command.env_clear();
    command
}

/// A running exporter.
pub(crate) struct Exporter(harness::Exporter);

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

    /// Runs a prepared command on a free port.
    pub(crate) async fn run(mut command: Command) -> Self {
        command.args(["--listen-address", "127.0.0.1:0"]);
        Self(harness::Exporter::run(command).await)
    }

    /// Without what is special about this exporter.
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
