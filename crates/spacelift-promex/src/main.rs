//! Configure, log, bind, run until shutdown, drain, exit code.

use std::process::ExitCode;

use anyhow::Context;
use exporter_common::config::{Environment, Invocation};
use exporter_common::http::Listener;
use exporter_common::shutdown::Signals;
use exporter_common::{program, telemetry};
use spacelift_promex::Config;

fn main() -> ExitCode {
    program::exit_code(start())
}

fn start() -> anyhow::Result<()> {
    let environment = Environment::of_process();
    let arguments =
        match spacelift_promex::config::command().parse(&Config::settings(), std::env::args_os())? {
            Invocation::Run(arguments) => arguments,
            Invocation::Print(text) => {
                program::print(&text);
                return Ok(());
            }
        };
    let config = Config::load(&arguments, &environment)?;
    telemetry::init(config.log_format, config.log_level, &environment)?;
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
        Ok(spacelift_promex::run(config, listener, signals.shutdown()).await?)
    })?
}
