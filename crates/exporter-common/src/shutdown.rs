//! Signals. The first of `SIGTERM` and `SIGINT` begins the end of the process, a second one cuts it short; `SIGHUP` is
//! a request to read the web configuration again and never ends anything.

use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::telemetry;

/// How long running requests and unflushed work get after the first signal. A process is gone within five
/// seconds; the rest is for what comes after the drain.
pub const DRAIN: Duration = Duration::from_millis(4_500);

/// The time from the first signal to the end of the process, with what is left for the log after the drain.
const END: Duration = Duration::from_millis(4_850);

/// The least that is left for the log.
const LEAST: Duration = Duration::from_millis(100);

/// When the first signal came.
static BEGAN: OnceLock<Instant> = OnceLock::new();

/// How long the process may still take after the first signal; `None` before it.
pub(crate) fn time_left() -> Option<Duration> {
    BEGAN.get().map(|began| END.saturating_sub(began.elapsed()).max(LEAST))
}

/// Exit code of a process whose drain was cut short by a second signal.
const ABORTED: i32 = 130;

/// `SIGTERM` and `SIGINT`, listened to from now on.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// From the start, lest one that comes before the server runs ends the process.
    _hangups: Hangups,
}

/// `SIGHUP`, listened to from now on.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// Takes the signal away from its default action for the rest of the process' life.
    ///
    /// # Errors
    /// The handler cannot be installed.
    pub fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Completes at the next signal.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            // No more of them will come, as the runtime ends.
            std::future::pending::<()>().await;
        }
    }
}

impl Signals {
    /// Takes the signals away from their default action.
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

    /// Completes at the first signal; a second one then ends the process at once.
    pub async fn shutdown(mut self) {
        let name = self.next().await;
        BEGAN.get_or_init(Instant::now);
        tracing::info!(signal = name, "shutting down");
        tokio::spawn(async move {
            let name = self.next().await;
            tracing::warn!(signal = name, "second signal, not waiting for running work");
            telemetry::flush(LEAST);
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
