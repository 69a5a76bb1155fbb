//! Signals. The first `SIGTERM` or `SIGINT` starts a graceful shutdown, the second one exits immediately. `SIGHUP`
//! reloads the web configuration and never stops the process.

use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::telemetry;

/// The time for running requests and unfinished work after the first signal. The process exits within five seconds; the
/// rest of them is for the steps after the drain.
pub const DRAIN: Duration = Duration::from_millis(4_500);

/// The time from the first signal to the exit, including the time to write the log after the drain.
const EXIT_WITHIN: Duration = Duration::from_millis(4_850);

/// The minimum time to write the log.
const MIN_FLUSH: Duration = Duration::from_millis(100);

/// When the first signal arrived.
static STARTED: OnceLock<Instant> = OnceLock::new();

/// Returns the time until the process has to exit; `None` before the first signal.
pub(crate) fn time_left() -> Option<Duration> {
    STARTED.get().map(|started| EXIT_WITHIN.saturating_sub(started.elapsed()).max(MIN_FLUSH))
}

/// Exit code after a second signal.
const ABORTED: i32 = 130;

/// Handlers of `SIGTERM` and `SIGINT`.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Installed from the start, because the default action of a `SIGHUP` before the server runs would stop the process.
    _hangups: Hangups,
}

/// A handler of `SIGHUP`.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// Installs the handler. It replaces the default action until the process exits.
    ///
    /// # Errors
    /// The handler cannot be installed.
    pub fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Completes at the next signal.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            // The runtime shuts down, so no more signals will arrive.
            std::future::pending::<()>().await;
        }
    }
}

impl Signals {
    /// Installs the handlers. They replace the default actions until the process exits.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _hangups: Hangups::listen()?,
        })
    }

    /// Completes at the first signal. A second one then exits the process immediately.
    pub async fn shutdown(mut self) {
        let name = self.next().await;
        STARTED.get_or_init(Instant::now);
        tracing::info!(signal = name, "shutting down");
        tokio::spawn(async move {
            let name = self.next().await;
            tracing::warn!(signal = name, "second signal, not waiting for running work");
            telemetry::flush(MIN_FLUSH);
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
