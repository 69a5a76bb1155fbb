//! A link between an exporter and a service, and the weather on it.

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

/// What a packet of TCP carries on an Ethernet.
const PACKET: usize = 1_448;

/// Packets of a connection that may be on their way in one direction; more wait at their sender.
const ON_THEIR_WAY: usize = 4_096;

/// What Linux waits beyond the round trip before it sends a packet again that was not acknowledged.
const RETRANSMISSION: Duration = Duration::from_millis(200);

/// The state of a [`Link`]. It is shown as what a network's faults become once TCP has dealt with them, which is all
/// that a program gets to see of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weather {
    /// Everything arrives at once.
    Fair,
    /// Everything arrives late, and some of it later: TCP sends a lost packet again after a time-out, and holds back
    /// what came after it until then.
    Slow {
        /// How long a packet travels, one way.
        delay: Duration,
        /// The most that it may take beyond that.
        jitter: Duration,
        /// The share of packets that are lost once.
        loss: f64,
    },
    /// A partition in one direction: what is sent to this end does not arrive. TCP goes on trying, so that it arrives
    /// once the partition ends. New connections are still made, since the kernel makes them without us.
    Deaf(End),
    /// A connection that exists now, or is made while this lasts, leads nowhere for ever, and neither end is told: the
    /// other one lost its power, or a router on the way forgot the connection.
    HalfOpen,
    /// Every connection is reset, new ones as well.
    Reset,
    /// Every connection ends, and new ones are refused.
    Refused,
}

/// An end of a [`Link`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The exporter.
    Client,
    /// What it depends on.
    Service,
}

/// Forwards TCP connections to a service, through [`Weather`] that can change while they are open.
#[derive(Debug)]
pub struct Link {
    /// Where it listens.
    pub address: SocketAddr,
    weather: watch::Sender<Weather>,
    listening: watch::Receiver<bool>,
    /// Ends with the link, and its connections with it.
    _carrier: JoinSet<()>,
}

impl Link {
    /// A link in fair weather, on a free port of 127.0.0.1.
    pub async fn to(service: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (weather, seen) = watch::channel(Weather::Fair);
        let (tell, listening) = watch::channel(true);
        let mut carrier = JoinSet::new();
        carrier.spawn(forward(listener, service, seen, tell));
        Self { address, weather, listening, _carrier: carrier }
    }

    /// Changes the weather. When this returns, connections are refused if, and only if, they are to be.
    pub async fn turn(&self, weather: Weather) {
        self.weather.send_replace(weather);
        let open = weather != Weather::Refused;
        self.listening.clone().wait_for(|listening| *listening == open).await.unwrap();
    }
}

impl Weather {
    /// Whether a connection does not outlast this.
    fn ends_connections(&self) -> bool {
        matches!(self, Self::HalfOpen | Self::Reset | Self::Refused)
    }

    /// How long a packet is on its way.
    fn travel_time(&self, chance: &mut Rng) -> Duration {
        let Self::Slow { delay, jitter, loss } = *self else { return Duration::ZERO };
        let again = if chance.f64() < loss { 2 * delay + RETRANSMISSION } else { Duration::ZERO };
        delay + jitter.mul_f64(chance.f64()) + again
    }
}

async fn forward(
    mut listener: TcpListener,
    service: SocketAddr,
    mut weather: watch::Receiver<Weather>,
    listening: watch::Sender<bool>,
) {
    let address = listener.local_addr().unwrap();
    let mut connections = JoinSet::new();
    // Runs differ in timing, but not in what is lost.
    let mut chance = Rng::with_seed(1);
    loop {
        tokio::select! {
            refused = until(&mut weather, |weather| weather == Weather::Refused) => if refused.is_none() { return },
            accepted = listener.accept() => {
                let (client, _) = accepted.unwrap();
                connections.spawn(connect(client, service, weather.clone(), chance.fork()));
                continue;
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
        listening.send_replace(false);
        if until(&mut weather, |weather| weather != Weather::Refused).await.is_none() {
            return;
        }
        listener = TcpListener::bind(address).await.unwrap();
        listening.send_replace(true);
    }
}

/// Waits for such weather; `None` if the link is gone before.
async fn until(
    weather: &mut watch::Receiver<Weather>,
    such: impl Fn(Weather) -> bool + Send,
) -> Option<Weather> {
    weather.wait_for(|weather| such(*weather)).await.ok().map(|weather| *weather)
}

/// Carries a connection until it ends or the weather ends it.
async fn connect(
    mut client: TcpStream,
    service: SocketAddr,
    mut weather: watch::Receiver<Weather>,
    mut chance: Rng,
) {
    let Ok(mut service) = TcpStream::connect(service).await else { return };
    for stream in [&client, &service] {
        stream.set_nodelay(true).unwrap();
    }
    let ended = {
        let (from_client, to_client) = client.split();
        let (from_service, to_service) = service.split();
        let there = carry(from_client, to_service, End::Service, weather.clone(), chance.fork());
        let back = carry(from_service, to_client, End::Client, weather.clone(), chance);
        tokio::select! {
            ended = until(&mut weather, |weather| weather.ends_connections()) => ended,
            _ = async { tokio::join!(there, back) } => return,
        }
    };
    match ended {
        Some(Weather::HalfOpen) => std::future::pending().await,
        Some(Weather::Reset) => {
            // With no time to linger, the kernel discards what is unsent and answers with a reset.
            for stream in [&client, &service] {
                SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
        _ => {}
    }
}

/// Carries what is sent in one direction, in its order, and the end of it.
async fn carry(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    end: End,
    mut weather: watch::Receiver<Weather>,
    mut chance: Rng,
) {
    let (send, mut arriving) = mpsc::channel(ON_THEIR_WAY);
    let now = weather.clone();
    let sending = async move {
        let mut arrival = Instant::now();
        let mut packet = [0; PACKET];
        while let Ok(length @ 1..) = from.read(&mut packet).await {
            let travel_time = now.borrow().travel_time(&mut chance);
            arrival = arrival.max(Instant::now() + travel_time);
            if send.send((arrival, packet[..length].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let receiving = async move {
        let hears = |weather| weather != Weather::Deaf(end);
        while let Some((arrival, packet)) = arriving.recv().await {
            sleep_until(arrival).await;
            if until(&mut weather, hears).await.is_none() || to.write_all(&packet).await.is_err() {
                return Ok(());
            }
        }
        match until(&mut weather, hears).await {
            Some(_) => to.shutdown().await,
            None => io::Result::Ok(()),
        }
    };
    let _ = tokio::join!(sending, receiving);
}
