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
    // Once the server gave up, what it had buffered in the kernel is all there is: less than the answer.
    tokio::time::sleep(SHORT * 4).await;
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
