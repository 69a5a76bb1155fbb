//! Configure, log, bind, run until shutdown, drain, exit code.

use std::process::ExitCode;

use anyhow::Context;
use exporter_common::config::{Environment, Invocation};
use exporter_common::http::Listener;
use exporter_common::program;
use exporter_common::shutdown::Signals;
use exporter_common::telemetry::{self, LogFormat};
use spot_interruption_exporter::Config;

fn main() -> ExitCode {
    program::exit_code(start())
}

fn start() -> anyhow::Result<()> {
    let environment = Environment::of_process();
    let command = spot_interruption_exporter::config::command();
    let arguments = match command.parse(&Config::settings(), std::env::args_os())? {
        Invocation::Run(arguments) => arguments,
        Invocation::Print(text) => {
            program::print(&text);
            return Ok(());
        }
    };
    let config = Config::load(&arguments, &environment)?;
    telemetry::init(LogFormat::Json, config.log_level, &environment)?;
    if arguments.check_config {
        config.web.announce();
        tracing::info!("the configuration is valid");
        return Ok(());
    }
    program::block_on(async {
        let address = &config.listen_address;
        let listener = Listener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
        let signals = Signals::listen()?;
        tracing::info!(address = %listener.local_address()?, "listening");
        spot_interruption_exporter::run(config, listener, signals.shutdown()).await?;
        Ok(())
    })?
}
