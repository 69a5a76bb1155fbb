//! Listen addresses in the form that Go programs take: `:9953`, `127.0.0.1:9953`, `[::1]:9953`, `localhost:9953`.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Where to listen, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    /// No host: every interface, IPv4 and IPv6.
    Any,
    Address(IpAddr),
    Name(String),
}

/// Why a text is no listen address. The message says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListenAddressError {
    /// There is no colon, or an IPv6 address without brackets.
    #[error("is no listen address; allowed is HOST:PORT or :PORT, with an IPv6 host in brackets")]
    Form,
    /// What follows the last colon is no port.
    #[error("has no port between 0 and 65535; allowed is HOST:PORT or :PORT")]
    Port,
    /// What precedes the last colon is neither an address nor a host name.
    #[error("has no valid host; allowed is HOST:PORT or :PORT")]
    Host,
}

impl ListenAddress {
    /// Every interface, IPv4 and IPv6, at `port`.
    pub const fn any(port: u16) -> Self {
        Self { host: Host::Any, port }
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

/// A host name of letters, digits, dots, dashes and underscores; one of digits and dots only is a mistyped address.
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

/// Connections that wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 1_024;

/// A bound socket: from here on connections queue up, even before anything is served.
#[derive(Debug)]
pub struct Listener(pub(super) TcpListener);

impl Listener {
    /// Binds the address. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// The name does not resolve, the port is taken or not permitted.
    pub fn bind(address: &ListenAddress) -> io::Result<Self> {
        match &address.host {
            Host::Any => {
                Self::bind_to(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), address.port)).or_else(|error| {
                    // A host without IPv6 still has IPv4; any other error (such as a taken port) stands.
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
                // As Go does: IPv4 first, so that `localhost` is where most clients look for it.
                let mut addresses: Vec<SocketAddr> =
                    (name.as_str(), address.port).to_socket_addrs()?.collect();
                addresses.sort_by_key(SocketAddr::is_ipv6);
                let first =
                    addresses.first().ok_or_else(|| io::Error::other(format!("{name} has no address")))?;
                Self::bind_to(*first)
            }
        }
    }

    fn bind_to(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Self(TcpListener::from_std(socket.into())?))
    }

    /// The address that was bound, with the port that the kernel chose for port 0.
    ///
    /// # Errors
    /// The socket has none.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// `errno` of Linux: the kernel has no IPv6.
const EAFNOSUPPORT: i32 = 97;
/// `errno` of Linux: IPv6 is there but disabled on every interface.
const EADDRNOTAVAIL: i32 = 99;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_go_forms() {
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
    fn says_what_is_wrong() {
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
    async fn no_host_means_both_families() {
        let listener = Listener::bind(&ListenAddress::any(0)).unwrap();
        let port = listener.local_address().unwrap().port();
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        if listener.local_address().unwrap().is_ipv6() {
            tokio::net::TcpStream::connect(("::1", port)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_an_error() {
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let taken = listener.local_address().unwrap().to_string().parse().unwrap();
        assert_eq!(Listener::bind(&taken).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    proptest! {
        #[test]
        fn never_panics(text in ".*") {
            let _ = text.parse::<ListenAddress>();
        }

        #[test]
        fn what_is_read_is_written_alike(text in "(\\[[0-9a-f:]{0,20}\\]|[a-z0-9.-]{0,12}):[0-9]{0,6}") {
            if let Ok(address) = text.parse::<ListenAddress>() {
                prop_assert_eq!(address.to_string().parse::<ListenAddress>(), Ok(address));
            }
        }
    }
}
