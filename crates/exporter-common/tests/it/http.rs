//! The server's limits, shutdown and plain HTTP.

use exporter_common::http::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::server::{SHORT, Server, TIMEOUT, UNLIMITED, closed, request, response, send};

#[tokio::test]
async fn closes_connections_with_slow_heads() {
    let server = Server::start(Limits { head_time: SHORT, ..UNLIMITED }, false);
    let mut silent = server.connect().await;
    let mut half = server.connect().await;
    send(&mut half, "GET / HTTP/1.1\r\nx: ").await;
    let mut late = server.connect().await;
    request(&mut late, "/health").await;
    assert!(response(&mut late).await.starts_with("HTTP/1.1 200"));
    send(&mut late, "GET").await;
    for stream in [&mut silent, &mut half, &mut late] {
        closed(stream).await;
    }
    assert_eq!(server.rejections("head_time").await, 3.0);
}

#[tokio::test]
async fn closes_idle_connections() {
    let server = Server::start(Limits { idle_time: SHORT, ..UNLIMITED }, false);
    let mut stream = server.connect().await;
    request(&mut stream, "/health").await;
    assert!(response(&mut stream).await.starts_with("HTTP/1.1 200"));
    closed(&mut stream).await;
    assert_eq!(server.rejections("idle_time").await, 1.0);
}

#[tokio::test]
async fn limits_for_clients_do_not_apply_to_running_scrapes() {
    let limits = Limits { head_time: SHORT, idle_time: SHORT, stall_time: SHORT, ..UNLIMITED };
    let server = Server::start(limits, false);
    let mut stream = server.connect().await;
    request(&mut stream, "/metrics").await;
    tokio::time::sleep(SHORT * 3).await;
    server.permits.add_permits(1);
    assert!(response(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn closes_connections_of_clients_that_do_not_read() {
    let server = Server::start(Limits { stall_time: SHORT, ..UNLIMITED }, true);
    server.permits.add_permits(1);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    request(&mut stream, "/metrics").await;
    let is_rejected = async { while server.rejections("stall_time").await < 1.0 {} };
    timeout(TIMEOUT, is_rejected).await.expect("the connection is not closed");
    // Only the bytes in the kernel's buffers arrive, which are less than the response.
    let mut received = Vec::new();
    let _ = timeout(TIMEOUT, stream.read_to_end(&mut received)).await.expect("the connection is not closed");
    let head = String::from_utf8_lossy(&received[..1_000.min(received.len())]).into_owned();
    let length: usize =
        head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
    assert!(received.len() < length, "{} of {length}", received.len());
    assert_eq!(server.rejections("stall_time").await, 1.0);
}

#[tokio::test]
async fn closes_the_connection_that_waited_longest_at_the_limit() {
    let server = Server::start(Limits { connections: 3, ..UNLIMITED }, false);
    let mut busy = server.connect().await;
    request(&mut busy, "/metrics").await;
    let mut oldest = server.connect().await;
    request(&mut oldest, "/health").await;
    response(&mut oldest).await;
    let mut newer = server.connect().await;
    request(&mut newer, "/health").await;
    response(&mut newer).await;

    let mut fourth = server.connect().await;
    request(&mut fourth, "/health").await;
    assert!(response(&mut fourth).await.starts_with("HTTP/1.1 200"));
    closed(&mut oldest).await;
    request(&mut newer, "/health").await;
    assert!(response(&mut newer).await.starts_with("HTTP/1.1 200"));
    server.permits.add_permits(1);
    assert!(response(&mut busy).await.starts_with("HTTP/1.1 200"), "a running scrape was cancelled");
    assert!(server.rejections("connections").await >= 1.0);
}

#[tokio::test]
async fn closes_the_newest_connection_of_the_busiest_client_if_none_waits() {
    let server = Server::start(Limits { connections: 2, ..UNLIMITED }, false);
    let mut first = server.connect().await;
    request(&mut first, "/metrics").await;
    let mut second = server.connect().await;
    request(&mut second, "/metrics").await;
    // Both scrapes are running, so no connection waits for its client.
    let mut third = server.connect().await;
    request(&mut third, "/health").await;
    assert!(response(&mut third).await.starts_with("HTTP/1.1 200"));
    closed(&mut second).await;
    server.permits.add_permits(1);
    assert!(response(&mut first).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn responds_to_a_client_that_has_closed_its_sending_half() {
    let server = Server::start(UNLIMITED, false);
    let mut stream = server.connect().await;
    request(&mut stream, "/health").await;
    stream.shutdown().await.unwrap();
    assert!(response(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn readiness_follows_its_conditions() {
    let server = Server::start(UNLIMITED, false);
    let mut stream = server.connect().await;
    request(&mut stream, "/ready").await;
    let not_ready = response(&mut stream).await;
    assert!(
        not_ready.starts_with("HTTP/1.1 503") && not_ready.ends_with("not ready: testing\n"),
        "{not_ready}"
    );
    server.readiness.ready();
    request(&mut stream, "/ready").await;
    assert!(response(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn shutdown_finishes_running_requests_and_closes_other_connections() {
    let mut server = Server::start(UNLIMITED, false);
    let mut idle = server.connect().await;
    request(&mut idle, "/health").await;
    response(&mut idle).await;
    let mut half = server.connect().await;
    send(&mut half, "GET / HT").await;
    let mut running = server.connect().await;
    request(&mut running, "/metrics").await;
    // After its response, the server has read the requests that were sent before.
    let mut probe = server.connect().await;
    request(&mut probe, "/health").await;
    response(&mut probe).await;

    server.stop();
    closed(&mut idle).await;
    closed(&mut half).await;
    assert!(TcpStream::connect(server.address).await.is_err());
    server.permits.add_permits(1);
    assert!(response(&mut running).await.starts_with("HTTP/1.1 200"));
    timeout(TIMEOUT, server.running).await.expect("the server does not stop").unwrap();
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_scrape_that_never_ends() {
    let mut server = Server::start(UNLIMITED, false);
    let mut stuck = server.connect().await;
    request(&mut stuck, "/metrics").await;
    let mut probe = server.connect().await;
    request(&mut probe, "/health").await;
    response(&mut probe).await;
    server.stop();
    timeout(TIMEOUT, server.running).await.expect("the server does not stop").unwrap();
}

#[tokio::test]
async fn rejects_large_heads() {
    let server = Server::start(Limits { head_bytes: 8_192, ..UNLIMITED }, false);
    let mut stream = server.connect().await;
    send(&mut stream, &format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(9_000))).await;
    assert!(response(&mut stream).await.starts_with("HTTP/1.1 431"));
    closed(&mut stream).await;
    assert_eq!(server.rejections("head_bytes").await, 1.0);
}

#[tokio::test]
async fn rejects_scrapes_above_the_limit() {
    let server = Server::start(Limits { in_flight: 8, ..UNLIMITED }, false);
    let mut running = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        request(&mut stream, "/metrics").await;
        running.push(stream);
    }
    // The share of one client is a quarter.
    let mut rejected = server.connect().await;
    request(&mut rejected, "/metrics").await;
    let text = response(&mut rejected).await;
    assert!(text.starts_with("HTTP/1.1 503") && text.contains("retry-after: 1"), "{text}");
    request(&mut rejected, "/health").await;
    assert!(response(&mut rejected).await.starts_with("HTTP/1.1 200"));
    server.permits.add_permits(2);
    for stream in &mut running {
        assert!(response(stream).await.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(server.rejections("in_flight").await, 1.0);
}

#[tokio::test]
async fn responses_do_not_name_the_server() {
    let server = Server::start(UNLIMITED, false);
    for path in ["/", "/health", "/nowhere"] {
        let mut stream = server.connect().await;
        request(&mut stream, path).await;
        let response = response(&mut stream).await.to_lowercase();
        let head = response.split("\r\n\r\n").next().unwrap();
        assert!(!head.contains("server:") && !head.contains("hyper"), "{head}");
    }
}

/// Sends a request as written; returns the first line and the head of the response.
async fn response_to(server: &Server, request: &str) -> (String, String) {
    let mut stream = server.connect().await;
    send(&mut stream, request).await;
    let text = response(&mut stream).await;
    let head = text.split("\r\n\r\n").next().unwrap().to_owned();
    (head.lines().next().unwrap().to_owned(), head)
}

#[tokio::test]
async fn requires_one_valid_host_header() {
    let server = Server::start(UNLIMITED, false);
    for (request, status) in [
        ("GET /health HTTP/1.1\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET /health HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\nhost: a/b\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
        ("GET http://a/health HTTP/1.1\r\n\r\n", 400),
        ("GET /nowhere HTTP/1.1\r\n\r\n", 400),
        ("OPTIONS * HTTP/1.1\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\nhost:\r\n\r\n", 200),
        ("GET /health HTTP/1.1\r\nhost: a\r\n\r\n", 200),
        ("GET /health HTTP/1.1\r\nhost: [::1%25eth0]:9953\r\n\r\n", 200),
        ("GET http://a/health HTTP/1.1\r\nhost: a\r\n\r\n", 200),
        ("GET /health HTTP/1.0\r\n\r\n", 200),
    ] {
        let (first, head) = response_to(&server, request).await;
        assert!(first.split(' ').nth(1) == Some(&status.to_string()), "{request}{first}");
        assert_eq!(head.contains("connection: close"), status == 400, "{request}{head}");
    }
    assert_eq!(server.rejections("host").await, 9.0);
}

#[tokio::test]
async fn responds_to_options_with_allow() {
    let server = Server::start(UNLIMITED, false);
    for (request, status) in [
        // The default health check of HAProxy.
        ("OPTIONS / HTTP/1.0\r\n\r\n", 204),
        ("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", 204),
        ("OPTIONS /metrics HTTP/1.1\r\nhost: a\r\n\r\n", 204),
        ("OPTIONS /-/ready HTTP/1.1\r\nhost: a\r\n\r\n", 204),
        ("OPTIONS /nowhere HTTP/1.1\r\nhost: a\r\n\r\n", 404),
        ("GET * HTTP/1.1\r\nhost: a\r\n\r\n", 404),
        ("DELETE /metrics HTTP/1.1\r\nhost: a\r\n\r\n", 405),
    ] {
        let (first, head) = response_to(&server, request).await;
        assert!(first.split(' ').nth(1) == Some(&status.to_string()), "{request}{first}");
        assert_eq!(head.contains("allow: GET, HEAD, OPTIONS"), status != 404, "{request}{head}");
        assert_eq!(head.contains("content-type"), status != 204, "{request}{head}");
    }
}

#[tokio::test]
async fn exposes_conditions_from_the_start() {
    let server = Server::start(UNLIMITED, false);
    server.permits.add_permits(2);
    let url = format!("http://{}/metrics", server.address);
    let series = "exporter_condition{condition=\"test\"}";
    assert_eq!(harness::get(&url, &[]).await.sample(series), Some(0.0));
    server.readiness.ready();
    assert_eq!(harness::get(&url, &[]).await.sample(series), Some(1.0));
}

/// Connects with a small receive buffer.
async fn connect_with_small_buffer(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(server.address).await.unwrap()
}

#[tokio::test]
async fn an_unread_response_keeps_its_permit() {
    let server = Server::start(Limits { in_flight: 4, ..UNLIMITED }, true);
    server.permits.add_permits(1);
    let mut unread = connect_with_small_buffer(&server).await;
    request(&mut unread, "/metrics").await;
    // After the first byte of the response, the scrape has finished.
    unread.readable().await.unwrap();
    let mut other = server.connect().await;
    request(&mut other, "/metrics").await;
    assert!(
        response(&mut other).await.starts_with("HTTP/1.1 503"),
        "the permit was released before the response was read"
    );
    // The permit is released when the response has been read.
    let mut received = vec![0; 64 * 1024];
    let mut left = None;
    while left != Some(0) {
        let read = timeout(TIMEOUT, unread.read(&mut received)).await.expect("no response").unwrap();
        let head = String::from_utf8_lossy(&received[..read.min(1_000)]).into_owned();
        left = Some(match left {
            None => {
                let body = head.find("\r\n\r\n").unwrap() + 4;
                let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
                length.parse::<usize>().unwrap() + body - read
            }
            Some(left) => left - read,
        });
    }
    server.permits.add_permits(1);
    request(&mut other, "/metrics").await;
    assert!(response(&mut other).await.starts_with("HTTP/1.1 200"), "the permit was not released");
    // The permit is also released when the client disconnects.
    let server = Server::start(Limits { in_flight: 4, ..UNLIMITED }, true);
    server.permits.add_permits(1);
    let mut unread = connect_with_small_buffer(&server).await;
    request(&mut unread, "/metrics").await;
    unread.readable().await.unwrap();
    drop(unread);
    server.permits.add_permits(1);
    let is_served = async {
        let mut other = server.connect().await;
        loop {
            request(&mut other, "/metrics").await;
            if response(&mut other).await.starts_with("HTTP/1.1 200") {
                return;
            }
        }
    };
    timeout(TIMEOUT, is_served).await.expect("the permit was not released");
}

#[tokio::test]
async fn limits_the_bytes_of_unread_responses() {
    // The large response has about 20 MB.
    let server = Server::start(Limits { unsent_bytes: 4 * 1_000_000, ..UNLIMITED }, true);
    server.permits.add_permits(2);
    let mut unread = connect_with_small_buffer(&server).await;
    request(&mut unread, "/metrics").await;
    unread.readable().await.unwrap();
    let mut other = server.connect().await;
    request(&mut other, "/metrics").await;
    assert!(response(&mut other).await.starts_with("HTTP/1.1 503"));
    request(&mut other, "/health").await;
    assert!(response(&mut other).await.starts_with("HTTP/1.1 200"));
    drop(unread);
    let counted = async { while server.rejections("in_flight").await < 1.0 {} };
    timeout(TIMEOUT, counted).await.expect("not counted");
}
