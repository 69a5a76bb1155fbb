//! The `main` function of both exporters: command line, configuration, logs, sockets, runtime, exit code.

use std::any::Any;
use std::error::Error;
use std::fmt::Display;
use std::future::Future;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use crate::config::{Arguments, Command, ConfigError, Environment, Invocation, Setting, unknown_variables};
use crate::http::{ListenAddress, Listener, Web};
use crate::shutdown::{self, Signals};
use crate::telemetry::{self, Logging};
use crate::upstream::chain;

/// The maximum time to write the remaining log lines before the process exits. After a signal it is less, see
/// [`shutdown::time_left`].
const FLUSH: Duration = Duration::from_secs(1);

/// A program, implemented by its validated configuration.
pub trait Program: Sized {
    /// The name and the command line.
    const COMMAND: Command;

    /// The prefix of the program's environment variables.
    const VARIABLE_PREFIX: &'static str;

    /// The crates, or prefixes of their names, that `RUST_LOG` can name.
    const LOG_TARGETS: &'static [&'static str];

    /// An error that stops the program.
    type Error: Error;

    /// Returns the table of all options.
    fn settings() -> Vec<Setting>;

    /// Reads and validates the configuration.
    ///
    /// # Errors
    /// A value is invalid. The error is one line that names the key, its source and what is allowed.
    fn load(arguments: &Arguments, environment: &Environment) -> Result<Self, ConfigError>;

    /// Returns the format and level of logs.
    fn logging(&self) -> Logging;

    /// Returns the access control of the server.
    fn web(&self) -> &Web;

    /// Returns the addresses to listen on.
    fn listen_addresses(&self) -> &[ListenAddress];

    /// Returns the addresses that can be open to the internet: only public pages are served on them.
    fn public_addresses(&self) -> &[ListenAddress] {
        &[]
    }

    /// Runs until `shutdown` completes.
    fn run(
        self,
        listener: Listener,
        shutdown: impl Future<Output = ()>,
    ) -> impl Future<Output = Result<(), Self::Error>>;
}

/// The `main` of a program: configure, log, bind, run until shutdown, drain, exit code.
pub fn main<P: Program>() -> ExitCode {
    exit_code(start::<P>())
}

fn start<P: Program>() -> Result<(), String> {
    let environment = Environment::of_process();
    let settings = P::settings();
    let arguments = match P::COMMAND.parse(&settings, std::env::args_os()).map_err(one_line)? {
        Invocation::Run(arguments) => arguments,
        Invocation::Print(text) => {
            print(&text);
            return Ok(());
        }
    };
    let config = P::load(&arguments, &environment).map_err(one_line)?;
    telemetry::init(config.logging(), P::LOG_TARGETS, &environment).map_err(one_line)?;
    for warning in unknown_variables(P::VARIABLE_PREFIX, &settings, &environment) {
        tracing::warn!("{warning}");
    }
    if arguments.check_config {
        config.web().announce();
        tracing::info!("the configuration is valid");
        return Ok(());
    }
    block_on(async {
        let mut listener = Listener::bind_all(config.listen_addresses()).map_err(one_line)?;
        listener.bind_public(config.public_addresses()).map_err(one_line)?;
        let signals = Signals::listen().map_err(one_line)?;
        for address in listener.local_addresses().map_err(one_line)? {
            tracing::info!(%address, "listening");
        }
        config.run(listener, signals.shutdown()).await.map_err(one_line)
    })
    .map_err(one_line)?
}

fn one_line(error: impl Error) -> String {
    chain(&error)
}

/// Prints the text of `--help` or `--version`. A closed standard output is not an error.
fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Writes the remaining log lines and returns the exit code of a result. An error is written as the last line in any
/// log level. If nobody reads standard error, both are given up after a short time.
pub fn exit_code<E: Display>(result: Result<(), E>) -> ExitCode {
    let code = match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            telemetry::last_line(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    };
    telemetry::flush(shutdown::time_left().unwrap_or(FLUSH).min(FLUSH));
    code
}

/// Runs a future on one thread. Does not wait for blocking work that is still running at the end, such as a name
/// lookup.
///
/// # Errors
/// The runtime cannot be set up, or the future panicked.
pub fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Nothing of the future is used after a panic.
    let output = catch_unwind(AssertUnwindSafe(|| runtime.block_on(future)));
    runtime.shutdown_background();
    output.map_err(|panic| {
        io::Error::other(format!("the program ended by a defect: {}", panic_message(&*panic)))
    })
}

/// Returns the message of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn blocking_work_does_not_delay_the_exit() {
        // The sender is dropped at the end of the test, so the work does not end before.
        let (_sender, never) = channel::<()>();
        block_on(async { drop(tokio::task::spawn_blocking(move || never.recv())) }).unwrap();
    }

    #[test]
    fn returns_a_panic_as_an_error() {
        let error = block_on(async { panic!("boom {}", 1) }).unwrap_err().to_string();
        assert_eq!(error, "the program ended by a defect: boom 1");
    }
}
