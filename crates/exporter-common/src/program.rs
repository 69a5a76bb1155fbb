//! The edges of a process: what it prints, how it ends, and the runtime that it runs on.

use std::fmt::Display;
use std::future::Future;
use std::io::{self, Write};
use std::process::ExitCode;

/// Prints the answer to `--help` or `--version`. A reader that has gone away is no error.
pub fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// The exit code of a result; an error is the one line that reaches the operator even where logging does not.
pub fn exit_code<E: Display>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a future to its end on one thread, and does not wait for what it left running, such as a name that is
/// still being resolved.
///
/// # Errors
/// The runtime cannot be set up.
pub fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn work_that_hangs_does_not_hold_up_the_end() {
        let began = Instant::now();
        let hang = || std::thread::sleep(Duration::from_secs(60));
        block_on(async { drop(tokio::task::spawn_blocking(hang)) }).unwrap();
        assert!(began.elapsed() < Duration::from_secs(30));
    }
}
