//! The server's limits, with limits that a test can wait for.

use exporter_common::http::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::server::{PATIENCE, SHORT, Server, UNLIMITED, answer, ask, closed, send};

#[tokio::test]
async fn a_head_that_takes_too_long_ends_the_connection() {
    let server = Server::start(Limits { head_time: SHORT, ..UNLIMITED }, false);
    let mut silent = server.connect().await;
    let mut half = server.connect().await;
    send(&mut half, "GET / HTTP/1.1\r\nx: ").await;
    let mut late = server.connect().await;
    ask(&mut late, "/health").await;
    assert!(answer(&mut late).await.starts_with("HTTP/1.1 200"));
    send(&mut late, "GET").await;
    for stream in [&mut silent, &mut half, &mut late] {
        closed(stream).await;
    }
    assert_eq!(server.rejections("head_time").await, 3.0);
}

#[tokio::test]
async fn an_idle_connection_ends_after_its_time() {
    let server = Server::start(Limits { idle_time: SHORT, ..UNLIMITED }, false);
    let mut stream = server.connect().await;
    ask(&mut stream, "/health").await;
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
    closed(&mut stream).await;
    assert_eq!(server.rejections("idle_time").await, 1.0);
}

#[tokio::test]
async fn a_scrape_may_take_longer_than_the_limits_for_clients() {
    let limits = Limits { head_time: SHORT, idle_time: SHORT, stall_time: SHORT, ..UNLIMITED };
    let server = Server::start(limits, false);
    let mut stream = server.connect().await;
    ask(&mut stream, "/metrics").await;
    tokio::time::sleep(SHORT * 3).await;
    server.permits.add_permits(1);
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up() {
    let server = Server::start(Limits { stall_time: SHORT, ..UNLIMITED }, true);
    server.permits.add_permits(1);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    ask(&mut stream, "/metrics").await;
    let is_given_up = async { while server.rejections("stall_time").await < 1.0 {} };
    timeout(PATIENCE, is_given_up).await.expect("the connection is kept");
    // What it had buffered in the kernel is all there is: less than the answer.
    let mut received = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut received)).await.expect("the connection is kept");
    let head = String::from_utf8_lossy(&received[..1_000.min(received.len())]).into_owned();
    let length: usize =
        head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
    assert!(received.len() < length, "{} of {length}", received.len());
    assert_eq!(server.rejections("stall_time").await, 1.0);
}

#[tokio::test]
async fn the_connection_that_waits_longest_makes_room() {
    let server = Server::start(Limits { connections: 3, ..UNLIMITED }, false);
    let mut busy = server.connect().await;
    ask(&mut busy, "/metrics").await;
    let mut oldest = server.connect().await;
    ask(&mut oldest, "/health").await;
    answer(&mut oldest).await;
    let mut newer = server.connect().await;
    ask(&mut newer, "/health").await;
    answer(&mut newer).await;

    let mut fourth = server.connect().await;
    ask(&mut fourth, "/health").await;
    assert!(answer(&mut fourth).await.starts_with("HTTP/1.1 200"));
    closed(&mut oldest).await;
    ask(&mut newer, "/health").await;
    assert!(answer(&mut newer).await.starts_with("HTTP/1.1 200"));
    server.permits.add_permits(1);
    assert!(answer(&mut busy).await.starts_with("HTTP/1.1 200"), "a running scrape was sacrificed");
    assert!(server.rejections("connections").await >= 1.0);
}

#[tokio::test]
async fn where_none_waits_the_newest_of_the_busiest_client_goes() {
    let server = Server::start(Limits { connections: 2, ..UNLIMITED }, false);
    let mut first = server.connect().await;
    ask(&mut first, "/metrics").await;
    let mut second = server.connect().await;
    ask(&mut second, "/metrics").await;
    // Both scrapes hang; a bound that gives way to a flood of them would be none.
    let mut third = server.connect().await;
    ask(&mut third, "/health").await;
    assert!(answer(&mut third).await.starts_with("HTTP/1.1 200"));
    closed(&mut second).await;
    server.permits.add_permits(1);
    assert!(answer(&mut first).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_client_that_only_closes_its_sending_half_gets_its_answer() {
    let server = Server::start(UNLIMITED, false);
    let mut stream = server.connect().await;
    ask(&mut stream, "/health").await;
    stream.shutdown().await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn readiness_follows_its_conditions() {
    let server = Server::start(UNLIMITED, false);
    let mut stream = server.connect().await;
    ask(&mut stream, "/ready").await;
    let refused = answer(&mut stream).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.ends_with("not ready: testing\n"), "{refused}");
    server.readiness.ready();
    ask(&mut stream, "/ready").await;
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn shutdown_finishes_what_runs_and_drops_what_waits() {
    let mut server = Server::start(UNLIMITED, false);
    let mut idle = server.connect().await;
    ask(&mut idle, "/health").await;
    answer(&mut idle).await;
    let mut half = server.connect().await;
    send(&mut half, "GET / HT").await;
    let mut running = server.connect().await;
    ask(&mut running, "/metrics").await;
    // Its answer tells that the server has read what was sent before.
    let mut probe = server.connect().await;
    ask(&mut probe, "/health").await;
    answer(&mut probe).await;

    server.stop();
    closed(&mut idle).await;
    closed(&mut half).await;
    assert!(TcpStream::connect(server.address).await.is_err());
    server.permits.add_permits(1);
    assert!(answer(&mut running).await.starts_with("HTTP/1.1 200"));
    timeout(PATIENCE, server.running).await.expect("the server does not end").unwrap();
}

#[tokio::test]
async fn a_scrape_that_never_ends_does_not_keep_the_server() {
    let mut server = Server::start(UNLIMITED, false);
    let mut stuck = server.connect().await;
    ask(&mut stuck, "/metrics").await;
    let mut probe = server.connect().await;
    ask(&mut probe, "/health").await;
    answer(&mut probe).await;
    server.stop();
    timeout(PATIENCE, server.running).await.expect("the server does not end").unwrap();
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = Server::start(Limits { head_bytes: 8_192, ..UNLIMITED }, false);
    let mut stream = server.connect().await;
    send(&mut stream, &format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(9_000))).await;
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 431"));
    closed(&mut stream).await;
    assert_eq!(server.rejections("head_bytes").await, 1.0);
}

#[tokio::test]
async fn scrapes_beyond_the_bound_are_refused_and_the_others_answered() {
    let server = Server::start(Limits { in_flight: 8, ..UNLIMITED }, false);
    let mut running = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        ask(&mut stream, "/metrics").await;
        running.push(stream);
    }
    // This client's share is a quarter.
    let mut refused = server.connect().await;
    ask(&mut refused, "/metrics").await;
    let text = answer(&mut refused).await;
    assert!(text.starts_with("HTTP/1.1 503") && text.contains("retry-after: 1"), "{text}");
    ask(&mut refused, "/health").await;
    assert!(answer(&mut refused).await.starts_with("HTTP/1.1 200"));
    server.permits.add_permits(2);
    for stream in &mut running {
        assert!(answer(stream).await.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(server.rejections("in_flight").await, 1.0);
}

#[tokio::test]
async fn no_answer_names_its_server() {
    let server = Server::start(UNLIMITED, false);
    for path in ["/", "/health", "/nowhere"] {
        let mut stream = server.connect().await;
        ask(&mut stream, path).await;
        let answer = answer(&mut stream).await.to_lowercase();
        let head = answer.split("\r\n\r\n").next().unwrap();
        assert!(!head.contains("server:") && !head.contains("hyper"), "{head}");
    }
}

/// The first line of the answer to a request as it is written, and its head.
async fn answer_to(server: &Server, request: &str) -> (String, String) {
    let mut stream = server.connect().await;
    send(&mut stream, request).await;
    let text = answer(&mut stream).await;
    let head = text.split("\r\n\r\n").next().unwrap().to_owned();
    (head.lines().next().unwrap().to_owned(), head)
}

#[tokio::test]
async fn a_request_names_one_host() {
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
        let (first, head) = answer_to(&server, request).await;
        assert!(first.split(' ').nth(1) == Some(&status.to_string()), "{request}{first}");
        assert_eq!(head.contains("connection: close"), status == 400, "{request}{head}");
    }
    assert_eq!(server.rejections("host").await, 9.0);
}

#[tokio::test]
async fn options_say_what_a_page_allows() {
    let server = Server::start(UNLIMITED, false);
    for (request, status) in [
        // HAProxy's check, word for word.
        ("OPTIONS / HTTP/1.0\r\n\r\n", 204),
        ("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", 204),
        ("OPTIONS /metrics HTTP/1.1\r\nhost: a\r\n\r\n", 204),
        ("OPTIONS /-/ready HTTP/1.1\r\nhost: a\r\n\r\n", 204),
        ("OPTIONS /nowhere HTTP/1.1\r\nhost: a\r\n\r\n", 404),
        ("GET * HTTP/1.1\r\nhost: a\r\n\r\n", 404),
        ("DELETE /metrics HTTP/1.1\r\nhost: a\r\n\r\n", 405),
    ] {
        let (first, head) = answer_to(&server, request).await;
        assert!(first.split(' ').nth(1) == Some(&status.to_string()), "{request}{first}");
        assert_eq!(head.contains("allow: GET, HEAD, OPTIONS"), status != 404, "{request}{head}");
        assert_eq!(head.contains("content-type"), status != 204, "{request}{head}");
    }
}

#[tokio::test]
async fn conditions_are_shown_from_the_start() {
    let server = Server::start(UNLIMITED, false);
    server.permits.add_permits(2);
    let url = format!("http://{}/metrics", server.address);
    let series = "exporter_condition{condition=\"test\"}";
    assert_eq!(harness::get(&url, &[]).await.sample(series), Some(0.0));
    server.readiness.ready();
    assert_eq!(harness::get(&url, &[]).await.sample(series), Some(1.0));
}

/// Connects with buffers that hold next to nothing of an answer.
async fn connect_narrow(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(server.address).await.unwrap()
}

#[tokio::test]
async fn an_answer_that_nobody_reads_keeps_its_place() {
    let server = Server::start(Limits { in_flight: 4, ..UNLIMITED }, true);
    server.permits.add_permits(1);
    let mut unread = connect_narrow(&server).await;
    ask(&mut unread, "/metrics").await;
    // Its first byte tells that the scrape is over.
    unread.readable().await.unwrap();
    let mut other = server.connect().await;
    ask(&mut other, "/metrics").await;
    assert!(answer(&mut other).await.starts_with("HTTP/1.1 503"), "the place was given back unread");
    // Read to its end, it gives the place back.
    let mut received = vec![0; 64 * 1024];
    let mut left = None;
    while left != Some(0) {
        let read = timeout(PATIENCE, unread.read(&mut received)).await.expect("no answer").unwrap();
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
    ask(&mut other, "/metrics").await;
    assert!(answer(&mut other).await.starts_with("HTTP/1.1 200"), "the place was not given back");
    // So does one that is given up.
    let server = Server::start(Limits { in_flight: 4, ..UNLIMITED }, true);
    server.permits.add_permits(1);
    let mut unread = connect_narrow(&server).await;
    ask(&mut unread, "/metrics").await;
    unread.readable().await.unwrap();
    drop(unread);
    server.permits.add_permits(1);
    let is_served = async {
        let mut other = server.connect().await;
        loop {
            ask(&mut other, "/metrics").await;
            if answer(&mut other).await.starts_with("HTTP/1.1 200") {
                return;
            }
        }
    };
    timeout(PATIENCE, is_served).await.expect("the place was not given back");
}

#[tokio::test]
async fn answers_that_nobody_reads_are_bounded_in_bytes() {
    // The large answer has some 20 MB.
    let server = Server::start(Limits { unsent_bytes: 4 * 1_000_000, ..UNLIMITED }, true);
    server.permits.add_permits(2);
    let mut unread = connect_narrow(&server).await;
    ask(&mut unread, "/metrics").await;
    unread.readable().await.unwrap();
    let mut other = server.connect().await;
    ask(&mut other, "/metrics").await;
    assert!(answer(&mut other).await.starts_with("HTTP/1.1 503"));
    ask(&mut other, "/health").await;
    assert!(answer(&mut other).await.starts_with("HTTP/1.1 200"));
    drop(unread);
    let counted = async { while server.rejections("in_flight").await < 1.0 {} };
    timeout(PATIENCE, counted).await.expect("not counted");
}
