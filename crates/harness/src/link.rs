//! A TCP proxy between an exporter and a service that simulates network conditions.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use fastrand::Rng;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Bytes in a TCP packet on an Ethernet.
const PACKET: usize = 1_448;

/// Packets of a connection that can be in transit in one direction. More wait at the sender.
const MAX_IN_TRANSIT: usize = 4_096;

/// The time in addition to the round trip after which Linux retransmits a packet.
const RETRANSMISSION: Duration = Duration::from_millis(200);

/// The network conditions on a [`Link`], as a program sees them after TCP has handled them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NetworkConditions {
    /// All bytes arrive immediately.
    Normal,
    /// Latency, jitter and packet loss. TCP retransmits a lost packet after a timeout, which delays the packets behind
    /// it.
    Slow {
        /// The one-way latency.
        delay: Duration,
        /// The maximum additional latency.
        jitter: Duration,
        /// The share of packets that are lost once.
        loss: f64,
    },
    /// A partition in one direction: bytes that are sent to this end do not arrive. They arrive after the partition,
    /// because TCP retransmits them. New connections are established by the kernel.
    Partition(End),
    /// Existing connections, and those made during this condition, stop working for ever without a notification of
    /// either end, as after a power failure or when a router drops its state.
    HalfOpen,
    /// Existing and new connections are reset.
    Reset,
    /// Existing connections are closed, and new ones are refused.
    Refused,
}

/// An end of a [`Link`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The exporter.
    Client,
    /// The service.
    Service,
}

/// Forwards TCP connections to a service under [`NetworkConditions`] that can change while they are open.
#[derive(Debug)]
pub struct Link {
    /// The address on which it listens.
    pub address: SocketAddr,
    conditions: watch::Sender<NetworkConditions>,
    listening: watch::Receiver<bool>,
    /// The task that forwards connections. It is aborted when the link is dropped.
    _forwarding: JoinSet<()>,
}

impl Link {
    /// Starts a link with normal conditions on a free port of 127.0.0.1.
    pub async fn to(service: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (conditions, current) = watch::channel(NetworkConditions::Normal);
        let (set_listening, listening) = watch::channel(true);
        let mut forwarding = JoinSet::new();
        forwarding.spawn(forward(listener, service, current, set_listening));
        Self { address, conditions, listening, _forwarding: forwarding }
    }

    /// Changes the network conditions. When this returns, the socket is closed or open as the conditions require.
    pub async fn set(&self, conditions: NetworkConditions) {
        self.conditions.send_replace(conditions);
        let open = conditions != NetworkConditions::Refused;
        self.listening.clone().wait_for(|listening| *listening == open).await.unwrap();
    }
}

impl NetworkConditions {
    /// Whether existing connections stop working.
    fn breaks_connections(&self) -> bool {
        matches!(self, Self::HalfOpen | Self::Reset | Self::Refused)
    }

    /// Returns the random time in transit of a packet.
    fn transit_time(&self, random: &mut Rng) -> Duration {
        let Self::Slow { delay, jitter, loss } = *self else { return Duration::ZERO };
        let retransmission = if random.f64() < loss { 2 * delay + RETRANSMISSION } else { Duration::ZERO };
        delay + jitter.mul_f64(random.f64()) + retransmission
    }
}

async fn forward(
    mut listener: TcpListener,
    service: SocketAddr,
    mut conditions: watch::Receiver<NetworkConditions>,
    listening: watch::Sender<bool>,
) {
    let address = listener.local_addr().unwrap();
    let mut connections = JoinSet::new();
    // The seed is fixed, so that the same packets are lost in each run.
    let mut random = Rng::with_seed(1);
    loop {
        let is_refused = |conditions| conditions == NetworkConditions::Refused;
        tokio::select! {
            refused = until(&mut conditions, is_refused) => if refused.is_none() { return },
            accepted = listener.accept() => {
                let (client, _) = accepted.unwrap();
                connections.spawn(connect(client, service, conditions.clone(), random.fork()));
                continue;
            }
        }
        drop(listener);
        connections.shutdown().await;
        listening.send_replace(false);
        if until(&mut conditions, |conditions| !is_refused(conditions)).await.is_none() {
            return;
        }
        listener = TcpListener::bind(address).await.unwrap();
        listening.send_replace(true);
    }
}

/// Waits for conditions that match `predicate`. Returns `None` if the link is dropped before.
async fn until(
    conditions: &mut watch::Receiver<NetworkConditions>,
    predicate: impl Fn(NetworkConditions) -> bool + Send,
) -> Option<NetworkConditions> {
    conditions.wait_for(|conditions| predicate(*conditions)).await.ok().map(|conditions| *conditions)
}

/// Forwards a connection until it is closed or the conditions break it.
async fn connect(
    mut client: TcpStream,
    service: SocketAddr,
    mut conditions: watch::Receiver<NetworkConditions>,
    mut random: Rng,
) {
    let Ok(mut service) = TcpStream::connect(service).await else { return };
    for stream in [&client, &service] {
        stream.set_nodelay(true).unwrap();
    }
    let broken_by = {
        let (from_client, to_client) = client.split();
        let (from_service, to_service) = service.split();
        let requests = transfer(from_client, to_service, End::Service, conditions.clone(), random.fork());
        let responses = transfer(from_service, to_client, End::Client, conditions.clone(), random);
        tokio::select! {
            broken_by = until(&mut conditions, |conditions| conditions.breaks_connections()) => broken_by,
            _ = async { tokio::join!(requests, responses) } => return,
        }
    };
    match broken_by {
        Some(NetworkConditions::HalfOpen) => std::future::pending().await,
        Some(NetworkConditions::Reset) => {
            // With a linger time of zero, the kernel discards unsent bytes and sends a reset.
            for stream in [&client, &service] {
                SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
        _ => {}
    }
}

/// Transfers the bytes of one direction in order, and the shutdown at their end.
async fn transfer(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    end: End,
    mut conditions: watch::Receiver<NetworkConditions>,
    mut random: Rng,
) {
    let (send, mut arriving) = mpsc::channel(MAX_IN_TRANSIT);
    let current = conditions.clone();
    let sending = async move {
        let mut arrival = Instant::now();
        let mut packet = [0; PACKET];
        while let Ok(length @ 1..) = from.read(&mut packet).await {
            let transit_time = current.borrow().transit_time(&mut random);
            arrival = arrival.max(Instant::now() + transit_time);
            if send.send((arrival, packet[..length].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let receiving = async move {
        let is_open = |conditions| conditions != NetworkConditions::Partition(end);
        while let Some((arrival, packet)) = arriving.recv().await {
            sleep_until(arrival).await;
            if until(&mut conditions, is_open).await.is_none() || to.write_all(&packet).await.is_err() {
                return Ok(());
            }
        }
        match until(&mut conditions, is_open).await {
            Some(_) => to.shutdown().await,
            None => io::Result::Ok(()),
        }
    };
    let _ = tokio::join!(sending, receiving);
}
