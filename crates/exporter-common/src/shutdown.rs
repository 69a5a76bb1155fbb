//! The end of the process: the first signal begins it, a second one cuts it short.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long running requests and unflushed work get after the first signal. A process is gone within five
/// seconds; the rest is for what comes after the drain.
pub const DRAIN: Duration = Duration::from_millis(4_500);

/// Exit code of a process whose drain was cut short by a second signal.
const ABORTED: i32 = 130;

/// `SIGTERM` and `SIGINT`, listened to from now on.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes both signals away from their default action.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Completes at the first signal; a second one then ends the process at once.
    pub async fn shutdown(mut self) {
        let name = self.next().await;
        tracing::info!(signal = name, "shutting down");
        tokio::spawn(async move {
            let name = self.next().await;
            tracing::warn!(signal = name, "second signal, not waiting for running work");
            std::process::exit(ABORTED);
        });
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
