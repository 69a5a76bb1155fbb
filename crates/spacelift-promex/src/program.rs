//! Implements [`Program`] for the exporter, which `exporter_common::program::main` runs.

use exporter_common::config::{Arguments, Command, ConfigError, Environment, Setting};
use exporter_common::http::{ListenAddress, Listener, Web};
use exporter_common::program::Program;
use exporter_common::telemetry::Logging;

use crate::config::{Config, VARIABLE_PREFIX};
use crate::{ABOUT, NAME, RunError};

impl Program for Config {
    const COMMAND: Command = Command { name: NAME, about: ABOUT, subcommand: Some("serve") };
    const VARIABLE_PREFIX: &'static str = VARIABLE_PREFIX;
    const LOG_TARGETS: &'static [&'static str] = &["spacelift_promex"];

    type Error = RunError;

    fn settings() -> Vec<Setting> {
        Self::table()
    }

    fn load(arguments: &Arguments, environment: &Environment) -> Result<Self, ConfigError> {
        Self::read(arguments, environment)
    }

    fn logging(&self) -> Logging {
        self.logging
    }

    fn web(&self) -> &Web {
        &self.web
    }

    fn listen_addresses(&self) -> &[ListenAddress] {
        &self.listen_addresses
    }

    fn public_addresses(&self) -> &[ListenAddress] {
        self.runs.as_ref().map(|runs| &*runs.webhook.listen_addresses).unwrap_or_default()
    }

    async fn run(self, listener: Listener, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        crate::run(self, listener, shutdown).await
    }
}
