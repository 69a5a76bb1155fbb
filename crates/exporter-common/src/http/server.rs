//! The accept loop and the graceful shutdown.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};

use super::connection::Connection;
use super::limits::Limits;
use super::line_limit::LineLimit;
use super::listen::AcceptedConnection;
use super::monitor::ConnectionMonitor;
use super::rejection::Rejection;
use super::{Listener, Scrape, Site};
use crate::shutdown::Hangups;

/// The pause after a failed `accept`, for example because no file descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves the site until `shutdown` completes, then waits at most `drain` for running requests.
///
/// At shutdown readiness turns false first, then the sockets are closed; connections without a request are closed
/// immediately. One second before the end of `drain`, scrapes that still wait get a response with the data that has
/// arrived. Until shutdown, `SIGHUP` reloads the web configuration.
pub async fn serve<S: Scrape>(
    mut listener: Listener,
    site: Site<S>,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
    drain: Duration,
) {
    let graceful = GracefulShutdown::new();
    let mut connections = Connections::default();
    let accept_lines = LineLimit::default();
    let mut shutdown = pin!(shutdown);
    let mut hangups =
        Hangups::listen().inspect_err(|error| tracing::warn!(%error, "cannot handle SIGHUP")).ok();
    let site = Arc::new(site);
    site.web().announce();
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok(AcceptedConnection { stream, peer, is_public }) => {
                    // Responses are written completely; waiting to fill a packet would only delay their end.
                    let _ = stream.set_nodelay(true);
                    if connections.open.len() >= limits.connections {
                        // Requests that have just arrived are read first: their connections wait no longer.
                        yield_now().await;
                        if connections.close_one() {
                            site.rejections().count(Rejection::Connections);
                        }
                    }
                    let (site, client, monitor) = (site.clone(), peer.ip(), ConnectionMonitor::new());
                    let connection = Connection { site, client, is_public, monitor: monitor.clone(), limits };
                    connections.start(client, monitor, connection.run(stream, graceful.watcher()));
                }
                Err(error) => {
                    if lacks_descriptors(&error) && connections.close_longest_waiting() {
                        site.rejections().count(Rejection::Connections);
                    }
                    accept_failed(&error, &accept_lines).await;
                }
            },
            Some(ended) = connections.tasks.join_next_with_id() => connections.ended(ended),
            Some(()) = next(hangups.as_mut()) => site.web().reload(),
        }
    }
    site.shut_down(drain);
    drop(listener);
    // Requests that have just arrived are read first, and get their responses.
    yield_now().await;
    connections.close_without_request();
    if timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still running at the end of the drain");
    }
}

async fn next(hangups: Option<&mut Hangups>) -> Option<()> {
    hangups?.next().await;
    Some(())
}

/// The open connections, by the ids of their tasks. Dropping it closes them.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    open: HashMap<Id, OpenConnection>,
}

struct OpenConnection {
    task: AbortHandle,
    client: IpAddr,
    accepted: Instant,
    monitor: ConnectionMonitor,
}

impl Connections {
    fn start(
        &mut self,
        client: IpAddr,
        monitor: ConnectionMonitor,
        connection: impl Future<Output = ()> + Send + 'static,
    ) {
        let task = self.tasks.spawn(connection);
        self.open.insert(task.id(), OpenConnection { task, client, accepted: Instant::now(), monitor });
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                if error.is_panic() {
                    // A panic in a handler closes only its own connection.
                    tracing::error!(%error, "a connection ended by a defect of this program");
                }
                error.id()
            }
        };
        self.open.remove(&id);
    }

    /// Closes the connection that has waited longest for its client. If no connection waits, all of them have running
    /// requests; then closes the newest connection of the client with the most connections, so that a flood affects
    /// the client that causes it. Returns false if there are no connections.
    fn close_one(&mut self) -> bool {
        self.close_longest_waiting() || self.close_newest_of_busiest_client()
    }

    fn close_longest_waiting(&mut self) -> bool {
        let waiting = self.open.iter().filter_map(|(id, open)| Some((open.monitor.waiting_since()?, *id)));
        let longest = waiting.min_by_key(|(since, _)| *since);
        longest.is_some_and(|(_, id)| self.close(id))
    }

    fn close_newest_of_busiest_client(&mut self) -> bool {
        let mut by_client: HashMap<IpAddr, (usize, Instant, Id)> = HashMap::new();
        for (id, open) in &self.open {
            let (count, newest, newest_id) = by_client.entry(open.client).or_insert((0, open.accepted, *id));
            *count += 1;
            if open.accepted > *newest {
                (*newest, *newest_id) = (open.accepted, *id);
            }
        }
        let busiest = by_client.into_values().max_by_key(|(count, newest, _)| (*count, *newest));
        busiest.is_some_and(|(_, _, id)| self.close(id))
    }

    /// Closes the connections that have not received a complete request head.
    fn close_without_request(&self) {
        self.open.values().filter(|open| open.monitor.expects_head()).for_each(|open| open.task.abort());
    }

    fn close(&mut self, id: Id) -> bool {
        self.open.remove(&id).inspect(|open| open.task.abort()).is_some()
    }
}

/// Whether the process or the system has no file descriptor left for a connection.
fn lacks_descriptors(error: &io::Error) -> bool {
    /// `errno` of Linux: too many open files in the system.
    const ENFILE: i32 = 23;
    /// `errno` of Linux: too many open files in the process.
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

async fn accept_failed(error: &io::Error, lines: &LineLimit) {
    match error.kind() {
        // The client closed the connection before it was accepted.
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => {}
        _ => {
            if let Some(left_out) = lines.pass() {
                tracing::warn!(%error, left_out, "cannot accept a connection");
            }
            sleep(ACCEPT_PAUSE).await;
        }
    }
}
