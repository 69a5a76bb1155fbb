//! Pages that receive bodies, and public sockets.

use exporter_common::http::Limits;
use tokio::net::TcpStream;

use super::client::Folder;
use super::server::{MAX_BODY, SHORT, Server, UNLIMITED, closed, request, response, send};

async fn post(stream: &mut TcpStream, path: &str, length: usize) -> String {
    let head = format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n");
    send(stream, &(head + &"x".repeat(length))).await;
    response(stream).await
}

#[tokio::test]
async fn a_body_is_received_whole_and_the_connection_goes_on() {
    let server = Server::start(UNLIMITED, false);
    let mut stream = server.connect().await;
    for length in [0, 1, MAX_BODY] {
        let text = post(&mut stream, "/receive", length).await;
        assert!(text.ends_with(&format!("\r\n\r\n{length} bytes")), "{text}");
    }
    send(&mut stream, "PUT /receive HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n").await;
    send(&mut stream, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").await;
    assert!(response(&mut stream).await.ends_with("5 bytes"));
    request(&mut stream, "/receive").await;
    let rejected = response(&mut stream).await;
    assert!(rejected.starts_with("HTTP/1.1 405"), "{rejected}");
    assert!(rejected.contains("allow: POST, PUT, OPTIONS"), "{rejected}");
}

#[tokio::test]
async fn rejects_large_bodies() {
    let server = Server::start(UNLIMITED, false);
    let mut announced = server.connect().await;
    send(
        &mut announced,
        "POST /receive HTTP/1.1\r\nhost: test\r\ncontent-length: 1001\r\nexpect: 100-continue\r\n\r\n",
    )
    .await;
    let mut chunked = server.connect().await;
    send(&mut chunked, "POST /receive HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n").await;
    send(&mut chunked, &format!("{:x}\r\n{}\r\n", MAX_BODY + 1, "x".repeat(MAX_BODY + 1))).await;
    send(&mut chunked, "0\r\n\r\n").await;
    let mut sent = server.connect().await;
    send(&mut sent, "POST /receive HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\n").await;
    send(&mut sent, &"x".repeat(1_000_000)).await;
    for stream in [&mut announced, &mut chunked, &mut sent] {
        let text = response(stream).await;
        assert!(text.ends_with("the body is too large") && text.contains("connection: close"), "{text}");
        closed(stream).await;
    }
}

#[tokio::test]
async fn discards_bodies_of_requests_rejected_by_their_headers() {
    let server = Server::start(Limits { body_bytes: 0, ..UNLIMITED }, false);
    let mut stream = server.connect().await;
    send(
        &mut stream,
        "POST /receive HTTP/1.1\r\nhost: test\r\nx-rejected: 1\r\ncontent-length: 100000\r\n\r\n",
    )
    .await;
    send(&mut stream, &"x".repeat(100_000)).await;
    let text = response(&mut stream).await;
    assert!(text.ends_with("the request is rejected"), "{text}");
}

#[tokio::test]
async fn gives_up_bodies_that_do_not_arrive() {
    let server = Server::start(Limits { body_time: SHORT, ..UNLIMITED }, false);
    let mut stream = server.connect().await;
    send(&mut stream, "POST /receive HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nab").await;
    let text = response(&mut stream).await;
    assert!(text.ends_with("the body did not arrive in time"), "{text}");
    closed(&mut stream).await;
}

#[tokio::test]
async fn limits_the_memory_of_bodies() {
    let server = Server::start(Limits { body_bytes: 10, ..UNLIMITED }, false);
    let mut stream = server.connect().await;
    let text = post(&mut stream, "/receive", 11).await;
    assert!(text.ends_with("too many requests are being received"), "{text}");
    let mut stream = server.connect().await;
    assert!(post(&mut stream, "/receive", 10).await.ends_with("10 bytes"));
}

#[tokio::test]
async fn public_sockets_serve_only_public_pages() {
    let server = Server::start(UNLIMITED, false);
    let mut public = TcpStream::connect(server.public).await.unwrap();
    assert!(post(&mut public, "/public", 2).await.ends_with("2 bytes"));
    for path in ["/", "/metrics", "/health", "/-/healthy", "/ready", "/-/ready", "/receive"] {
        request(&mut public, path).await;
        assert!(response(&mut public).await.starts_with("HTTP/1.1 404"), "{path}");
    }
    let mut own = server.connect().await;
    assert!(post(&mut own, "/public", 0).await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn pages_that_receive_bodies_require_no_credentials() {
    let folder = Folder::new();
    let server = folder.serve(
        "basic_auth_users:\n  prometheus: $2b$04$FaOSQTzEF2v6jkd2N2U7Ru5Vsf3yNMyAhWKF8mRjkRR7W3b7VHwX2\n",
    );
    let mut stream = server.connect().await;
    assert!(post(&mut stream, "/receive", 2).await.ends_with("2 bytes"));
    request(&mut stream, "/metrics").await;
    assert!(response(&mut stream).await.starts_with("HTTP/1.1 401"));
    // A public socket does not request credentials.
    let mut public = TcpStream::connect(server.public).await.unwrap();
    request(&mut public, "/metrics").await;
    assert!(response(&mut public).await.starts_with("HTTP/1.1 404"));
}
