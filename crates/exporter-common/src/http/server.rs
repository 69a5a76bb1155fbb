//! The accept loop and the drain.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};

use super::connection::{Limits, Watch};
use super::listen::Accepted;
use super::visit::Visit;
use super::{Listener, Scrape, Site};
use crate::shutdown::Hangups;

/// The pause after a failed `accept`, such as one for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The least time between two log lines about that.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// Serves the site until `shutdown` completes, then lets running requests finish within `drain`.
///
/// Readiness turns false first, then the socket closes; connections without a request end at once. A second before
/// `drain` is over, scrapes that still wait are answered with what they have. Until shutdown, `SIGHUP` has the web
/// configuration read again.
pub async fn serve<S: Scrape>(
    mut listener: Listener,
    site: Site<S>,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
    drain: Duration,
) {
    let (closing, closing_seen) = watch::channel(false);
    let mut connections = Connections { tasks: JoinSet::new(), open: HashMap::new(), next: 0 };
    let mut complained = None;
    let mut shutdown = pin!(shutdown);
    let mut hangups =
        Hangups::listen().inspect_err(|error| tracing::warn!(%error, "SIGHUP is not listened to")).ok();
    let site = Arc::new(site);
    site.web().announce();
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok(Accepted { stream, peer, is_public }) => {
                    // Answers are written whole; waiting to fill a packet would only delay their end.
                    let _ = stream.set_nodelay(true);
                    if connections.open.len() >= limits.connections {
                        // Whoever's request has just arrived does not wait any more, once it is read.
                        yield_now().await;
                    }
                    connections.make_room(limits.connections);
                    let watch = Watch::new();
                    let open = Open { watch: watch.clone(), peer: peer.ip() };
                    let (site, closing) = (site.clone(), closing_seen.clone());
                    let visit = Visit { site, client: peer.ip(), is_public, watch, limits, closing };
                    connections.start(open, visit.run(stream));
                }
                Err(error) => {
                    if wants_descriptors(&error) {
                        connections.evict_waiting();
                    }
                    accept_failed(&error, &mut complained).await;
                }
            },
            Some(ended) = connections.tasks.join_next() => connections.ended(ended),
            Some(()) = next(hangups.as_mut()) => site.web().reload(),
        }
    }
    site.shut_down(drain);
    drop(listener);
    // Receivers live in the connections; without any there is nobody to tell.
    let _ = closing.send(true);
    let drained = async { while connections.tasks.join_next().await.is_some() {} };
    if timeout(drain, drained).await.is_err() {
        tracing::warn!("requests were still running at the end of the drain");
    }
}

async fn next(hangups: Option<&mut Hangups>) -> Option<()> {
    hangups?.next().await;
    Some(())
}

/// The running connections by number, which later ones have higher.
struct Connections {
    tasks: JoinSet<u64>,
    open: HashMap<u64, Open>,
    next: u64,
}

/// A connection as the server sees it.
struct Open {
    watch: Arc<Watch>,
    peer: IpAddr,
}

impl Connections {
    fn start(&mut self, open: Open, connection: impl Future<Output = ()> + Send + 'static) {
        let number = self.next;
        self.next += 1;
        self.open.insert(number, open);
        self.tasks.spawn(async move {
            connection.await;
            number
        });
    }

    fn ended(&mut self, ended: Result<u64, tokio::task::JoinError>) {
        match ended {
            Ok(number) => {
                self.open.remove(&number);
            }
            Err(error) => {
                // A panic in a handler took only its own connection with it; its watch is left without a task.
                tracing::error!(%error, "a connection ended by a defect of this program");
                self.open.retain(|_, open| Arc::strong_count(&open.watch) > 1);
            }
        }
    }

    /// At the bound, ends the connection that has waited longest for its client. Where none waits, every one is a
    /// request that is being answered; then the newest one of the address that has the most has to go, so that
    /// whoever floods the server is the one to suffer.
    fn make_room(&mut self, bound: usize) {
        if self.open.len() < bound {
            return;
        }
        if self.evict_waiting() {
            return;
        }
        let mut by_peer: HashMap<IpAddr, (usize, u64)> = HashMap::new();
        for (number, open) in &self.open {
            let (count, newest) = by_peer.entry(open.peer).or_default();
            *count += 1;
            *newest = (*newest).max(*number);
        }
        if let Some((_, newest)) = by_peer.into_values().max() {
            self.evict(newest);
        }
    }

    /// Ends the connection that has waited longest for its client; false where none waits.
    fn evict_waiting(&mut self) -> bool {
        let waiting =
            self.open.iter().filter_map(|(number, open)| Some((open.watch.waiting_since()?, *number)));
        let longest = waiting.min().map(|(_, number)| number);
        longest.is_some_and(|number| self.evict(number))
    }

    fn evict(&mut self, number: u64) -> bool {
        let open = self.open.remove(&number);
        open.inspect(|open| open.watch.evict()).is_some()
    }
}

/// Whether the process or the system has no descriptor left for a connection.
fn wants_descriptors(error: &io::Error) -> bool {
    /// `errno` of Linux: the system has too many open files.
    const ENFILE: i32 = 23;
    /// `errno` of Linux: the process has too many open files.
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

async fn accept_failed(error: &io::Error, complained: &mut Option<Instant>) {
    match error.kind() {
        // The client went away before it was accepted.
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => {}
        _ => {
            if complained.is_none_or(|last| last.elapsed() > COMPLAINT_INTERVAL) {
                tracing::warn!(%error, "cannot accept a connection");
                *complained = Some(Instant::now());
            }
            sleep(ACCEPT_PAUSE).await;
        }
    }
}
