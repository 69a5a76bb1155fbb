//! The edges of a process: the way from the command line to the exit code, and the runtime in between.

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

/// How long log lines that still wait may take at the end of a process. After a signal it is less, see
/// [`shutdown::time_left`].
const FLUSH: Duration = Duration::from_secs(1);

/// A validated configuration, and what it makes of a process.
pub trait Program: Sized {
    /// Name and command line.
    const COMMAND: Command;

    /// What the program's environment variables begin with.
    const VARIABLE_PREFIX: &'static str;

    /// The crates, or beginnings of their names, whose log lines `RUST_LOG` may name.
    const LOG_TARGETS: &'static [&'static str];

    /// What ends the program other than shutdown.
    type Error: Error;

    /// The table of all options.
    fn settings() -> Vec<Setting>;

    /// Reads and validates the configuration.
    ///
    /// # Errors
    /// One line that names the key, its source and what is allowed.
    fn load(arguments: &Arguments, environment: &Environment) -> Result<Self, ConfigError>;

    /// How the program logs.
    fn logging(&self) -> Logging;

    /// Who may use its server.
    fn web(&self) -> &Web;

    /// Where it listens.
    fn listen_addresses(&self) -> &[ListenAddress];

    /// Where it listens for what may come from everywhere: its public pages are served there, and nothing else.
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

/// Prints the answer to `--help` or `--version`. A reader that has gone away is no error.
fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// The exit code of a result, once the log is written. An error is the one line that reaches the operator even where
/// logging does not. Neither waits long for a reader of standard error that does not read.
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

/// Runs a future to its end on one thread, and does not wait for what it left running, such as a name that is
/// still being resolved.
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

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn work_that_hangs_does_not_hold_up_the_end() {
        // The sender lives until the end of the test, so that the work never ends by itself.
        let (_alive, never) = channel::<()>();
        block_on(async { drop(tokio::task::spawn_blocking(move || never.recv())) }).unwrap();
    }

    #[test]
    fn a_panic_is_an_error_that_says_so() {
        let error = block_on(async { panic!("boom {}", 1) }).unwrap_err().to_string();
        assert_eq!(error, "the program ended by a defect: boom 1");
    }
}
