//! An HTTP proxy for `HTTPS_PROXY` and `HTTP_PROXY`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// Opens tunnels and forwards requests with a full URL, all of them to one service.
pub struct Proxy {
    /// The value for `HTTPS_PROXY` or `HTTP_PROXY`, with credentials.
    pub url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts a proxy that connects to `service`, regardless of the requested host.
    pub async fn to(service: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://user:pass@{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = heads.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, service, seen.clone()));
            }
        });
        Self { url, heads }
    }

    /// Returns the first request head of each connection so far, in lower case.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// Returns the number of tunnels and the number of other connections.
    pub fn connections(&self) -> (usize, usize) {
        let heads = self.heads();
        let tunnels = heads.iter().filter(|head| head.starts_with("connect ")).count();
        (tunnels, heads.len() - tunnels)
    }
}

async fn forward(mut client: TcpStream, service: SocketAddr, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match client.read_buf(&mut head).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let Ok(mut service) = TcpStream::connect(service).await else { return };
    let result = if text.starts_with("connect ") {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await
    } else {
        // A server accepts a request with a full URL too.
        service.write_all(&head).await
    };
    heads.lock().unwrap().push(text);
    if result.is_ok() {
        let _ = copy_bidirectional(&mut client, &mut service).await;
    }
}
