//! Listen addresses in the syntax of Go programs: `:9953`, `127.0.0.1:9953`, `[::1]:9953`, `localhost:9953`.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::task::Poll;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::config::{ConfigError, Loaded, TextList};

/// A host and port to listen on, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    /// No host: all interfaces, IPv4 and IPv6.
    Any,
    Address(IpAddr),
    Name(String),
}

/// Why a text is not a listen address. The message names what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListenAddressError {
    /// There is no colon, or an IPv6 address without brackets.
    #[error("is not a listen address; allowed is HOST:PORT or :PORT, with an IPv6 host in brackets")]
    Form,
    /// The text after the last colon is not a port.
    #[error("has no port between 0 and 65535; allowed is HOST:PORT or :PORT")]
    Port,
    /// The text before the last colon is neither an address nor a host name.
    #[error("has no valid host; allowed is HOST:PORT or :PORT")]
    Host,
}

impl ListenAddress {
    /// All interfaces, IPv4 and IPv6, at `port`.
    pub const fn any(port: u16) -> Self {
        Self { host: Host::Any, port }
    }

    /// Parses a list of addresses and removes duplicates; `None` if the list is empty.
    ///
    /// # Errors
    /// An item is not a listen address. The error names key, source and what is allowed.
    pub fn validate<W>(
        loaded: &Loaded<W>,
        key: &str,
        written: Option<&TextList>,
    ) -> Result<Option<Vec<Self>>, ConfigError> {
        let mut addresses = Vec::new();
        for text in written.map(|list| &list.0[..]).unwrap_or_default() {
            let address: Self = text
                .parse()
                .map_err(|error: ListenAddressError| loaded.invalid(key, text, &error.to_string()))?;
            // Each address with port 0 gets a different port.
            if address.port == 0 || !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok((!addresses.is_empty()).then_some(addresses))
    }
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text.trim().rsplit_once(':').ok_or(ListenAddressError::Form)?;
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ListenAddressError::Port);
        }
        let port = port.parse().map_err(|_| ListenAddressError::Port)?;
        let host = if host.is_empty() {
            Host::Any
        } else if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Host::Address(IpAddr::V6(inner.parse().map_err(|_| ListenAddressError::Host)?))
        } else if host.contains(':') {
            return Err(ListenAddressError::Form);
        } else if let Ok(address) = host.parse::<Ipv4Addr>() {
            Host::Address(IpAddr::V4(address))
        } else if is_host_name(host) {
            Host::Name(host.to_owned())
        } else {
            return Err(ListenAddressError::Host);
        };
        Ok(Self { host, port })
    }
}

/// Whether a text is a host name of letters, digits, dots, dashes and underscores. A name of only digits and dots is a
/// mistyped address.
fn is_host_name(text: &str) -> bool {
    text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !text.starts_with(['-', '.'])
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Any => write!(f, ":{}", self.port),
            Host::Address(address) => SocketAddr::new(*address, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// Connections that can wait to be accepted; the kernel limits it to `net.core.somaxconn`.
const BACKLOG: i32 = 1_024;

/// One or more bound sockets. The kernel queues connections from now on, before anything is served.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<ListeningSocket>,
    /// The socket that is polled first. It changes with each connection, so that a busy socket cannot starve another.
    next: usize,
}

#[derive(Debug)]
struct ListeningSocket {
    socket: TcpListener,
    /// Whether it serves public pages. They are served on public sockets only, and public sockets serve only them.
    is_public: bool,
}

/// An accepted connection.
#[derive(Debug)]
pub(super) struct AcceptedConnection {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    /// Whether the client used a public socket.
    pub(super) is_public: bool,
}

/// An address that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}")]
pub struct BindError {
    address: ListenAddress,
    error: io::Error,
}

impl Listener {
    /// Binds an address. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// The name does not resolve, or the port is in use or not permitted.
    pub fn bind(address: &ListenAddress) -> io::Result<Self> {
        let socket = ListeningSocket { socket: Self::bind_one(address)?, is_public: false };
        Ok(Self { sockets: vec![socket], next: 0 })
    }

    /// Binds all addresses. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// One of them cannot be bound.
    pub fn bind_all(addresses: &[ListenAddress]) -> Result<Self, BindError> {
        let mut listener = Self { sockets: Vec::new(), next: 0 };
        listener.add(addresses, false)?;
        Ok(listener)
    }

    /// Binds more addresses, which serve only the public pages. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// One of them cannot be bound.
    pub fn bind_public(&mut self, addresses: &[ListenAddress]) -> Result<(), BindError> {
        self.add(addresses, true)
    }

    fn add(&mut self, addresses: &[ListenAddress], is_public: bool) -> Result<(), BindError> {
        for address in addresses {
            let socket =
                Self::bind_one(address).map_err(|error| BindError { address: address.clone(), error })?;
            self.sockets.push(ListeningSocket { socket, is_public });
        }
        Ok(())
    }

    /// Accepts the next connection of any socket.
    pub(super) async fn accept(&mut self) -> io::Result<AcceptedConnection> {
        poll_fn(|context| {
            let count = self.sockets.len();
            for index in (0..count).map(|offset| (self.next + offset) % count) {
                let ListeningSocket { socket, is_public } = &self.sockets[index];
                if let Poll::Ready(accepted) = socket.poll_accept(context) {
                    self.next = index + 1;
                    let is_public = *is_public;
                    let accepted =
                        accepted.map(|(stream, peer)| AcceptedConnection { stream, peer, is_public });
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }

    fn bind_one(address: &ListenAddress) -> io::Result<TcpListener> {
        match &address.host {
            Host::Any => {
                Self::bind_to(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), address.port)).or_else(|error| {
                    // A host without IPv6 still has IPv4; any other error (such as a port in use) is returned.
                    match error.raw_os_error() {
                        Some(code) if code == EAFNOSUPPORT || code == EADDRNOTAVAIL => {
                            Self::bind_to(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port))
                        }
                        _ => Err(error),
                    }
                })
            }
            Host::Address(ip) => Self::bind_to(SocketAddr::new(*ip, address.port)),
            Host::Name(name) => {
                // IPv4 first, as in Go, because most clients resolve `localhost` to it.
                let mut addresses: Vec<SocketAddr> =
                    (name.as_str(), address.port).to_socket_addrs()?.collect();
                addresses.sort_by_key(SocketAddr::is_ipv6);
                let first =
                    addresses.first().ok_or_else(|| io::Error::other(format!("{name} has no address")))?;
                Self::bind_to(*first)
            }
        }
    }

    fn bind_to(address: SocketAddr) -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    }

    /// Returns the address that was bound first, with the port that the kernel chose for port 0.
    ///
    /// # Errors
    /// The kernel cannot report the address.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.sockets.first().ok_or(io::ErrorKind::NotFound)?.socket.local_addr()
    }

    /// Returns all bound addresses in the order in which they were bound.
    ///
    /// # Errors
    /// The kernel cannot report an address.
    pub fn local_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.sockets.iter().map(|socket| socket.socket.local_addr()).collect()
    }
}

/// `errno` of Linux: the kernel has no IPv6.
const EAFNOSUPPORT: i32 = 97;
/// `errno` of Linux: IPv6 is disabled on all interfaces.
const EADDRNOTAVAIL: i32 = 99;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parses_addresses_of_go_programs() {
        for (text, shown) in [
            (":9953", ":9953"),
            ("127.0.0.1:9953", "127.0.0.1:9953"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:9953", "[::1]:9953"),
            ("[::]:0", "[::]:0"),
            ("localhost:9953", "localhost:9953"),
            ("my-host.example_1.org:1", "my-host.example_1.org:1"),
        ] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn rejects_other_texts_with_the_reason() {
        for (text, error) in [
            ("", ListenAddressError::Form),
            ("9953", ListenAddressError::Form),
            ("localhost", ListenAddressError::Form),
            ("::1:9953", ListenAddressError::Form),
            (":", ListenAddressError::Port),
            (":http", ListenAddressError::Port),
            (":65536", ListenAddressError::Port),
            (":-1", ListenAddressError::Port),
            (":+1", ListenAddressError::Port),
            ("[::1:9953", ListenAddressError::Form),
            ("[]:1", ListenAddressError::Host),
            ("[127.0.0.1]:1", ListenAddressError::Host),
            ("256.0.0.1:1", ListenAddressError::Host),
            ("a b:1", ListenAddressError::Host),
            ("-x:1", ListenAddressError::Host),
        ] {
            assert_eq!(text.parse::<ListenAddress>(), Err(error), "{text:?}");
        }
    }

    #[tokio::test]
    async fn listens_on_ipv4_and_ipv6_without_a_host() {
        let listener = Listener::bind(&ListenAddress::any(0)).unwrap();
        let port = listener.local_address().unwrap().port();
        TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        if listener.local_address().unwrap().is_ipv6() {
            TcpStream::connect(("::1", port)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn reports_a_port_in_use() {
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let taken = listener.local_address().unwrap().to_string().parse().unwrap();
        assert_eq!(Listener::bind(&taken).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn accepts_from_all_sockets_in_turn() {
        let any = "127.0.0.1:0".parse().unwrap();
        let mut listener = Listener::bind_all(&[any, "127.0.0.1:0".parse().unwrap()]).unwrap();
        let [one, other] = listener.local_addresses().unwrap()[..] else { panic!("not two") };
        let mut clients = Vec::new();
        for address in [one, one, other, other] {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let mut served = Vec::new();
        for _ in 0..4 {
            served.push(listener.accept().await.unwrap().stream.local_addr().unwrap());
        }
        assert_eq!(served, [one, other, one, other]);
        let error = Listener::bind_all(&[one.to_string().parse().unwrap()]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot listen on {one}: ")), "{error}");
    }

    proptest! {
        #[test]
        fn never_panics(text in ".*") {
            let _ = text.parse::<ListenAddress>();
        }

        #[test]
        fn parsing_the_displayed_address_returns_the_same(text in "(\\[[0-9a-f:]{0,20}\\]|[a-z0-9.-]{0,12}):[0-9]{0,6}") {
            if let Ok(address) = text.parse::<ListenAddress>() {
                prop_assert_eq!(address.to_string().parse::<ListenAddress>(), Ok(address));
            }
        }
    }
}
