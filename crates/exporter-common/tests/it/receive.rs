//! Pages that receive bodies, and sockets for the public.

use exporter_common::http::Limits;
use tokio::net::TcpStream;

use super::client::Folder;
use super::server::{MAX_BODY, SHORT, Server, UNLIMITED, answer, ask, closed, send};

async fn post(stream: &mut TcpStream, path: &str, length: usize) -> String {
    let head = format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n");
    send(stream, &(head + &"x".repeat(length))).await;
    answer(stream).await
}

#[tokio::test]
async fn a_body_is_received_whole_and_the_connection_goes_on() {
    let server = Server::start(UNLIMITED, false);
    let mut stream = server.connect().await;
    for length in [0, 1, MAX_BODY] {
        let said = post(&mut stream, "/receive", length).await;
        assert!(said.ends_with(&format!("\r\n\r\n{length} bytes")), "{said}");
    }
    send(&mut stream, "PUT /receive HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n").await;
    send(&mut stream, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").await;
    assert!(answer(&mut stream).await.ends_with("5 bytes"));
    ask(&mut stream, "/receive").await;
    let refused = answer(&mut stream).await;
    assert!(refused.starts_with("HTTP/1.1 405"), "{refused}");
    assert!(refused.contains("allow: POST, PUT, OPTIONS"), "{refused}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
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
        let said = answer(stream).await;
        assert!(said.ends_with("the body is too large") && said.contains("connection: close"), "{said}");
        closed(stream).await;
    }
}

#[tokio::test]
async fn nothing_is_kept_of_a_body_that_is_refused_by_its_head() {
    let server = Server::start(Limits { body_bytes: 0, ..UNLIMITED }, false);
    let mut stream = server.connect().await;
    send(
        &mut stream,
        "POST /receive HTTP/1.1\r\nhost: test\r\nx-refused: 1\r\ncontent-length: 100000\r\n\r\n",
    )
    .await;
    send(&mut stream, &"x".repeat(100_000)).await;
    let said = answer(&mut stream).await;
    assert!(said.ends_with("the request is refused"), "{said}");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_given_up() {
    let server = Server::start(Limits { body_time: SHORT, ..UNLIMITED }, false);
    let mut stream = server.connect().await;
    send(&mut stream, "POST /receive HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nab").await;
    let said = answer(&mut stream).await;
    assert!(said.ends_with("the body did not arrive in time"), "{said}");
    closed(&mut stream).await;
}

#[tokio::test]
async fn bodies_have_a_bound_on_their_memory() {
    let server = Server::start(Limits { body_bytes: 10, ..UNLIMITED }, false);
    let mut stream = server.connect().await;
    let said = post(&mut stream, "/receive", 11).await;
    assert!(said.ends_with("too many requests are being received"), "{said}");
    let mut stream = server.connect().await;
    assert!(post(&mut stream, "/receive", 10).await.ends_with("10 bytes"));
}

#[tokio::test]
async fn a_public_socket_serves_public_pages_and_nothing_else() {
    let server = Server::start(UNLIMITED, false);
    let mut public = TcpStream::connect(server.public).await.unwrap();
    assert!(post(&mut public, "/public", 2).await.ends_with("2 bytes"));
    for path in ["/", "/metrics", "/health", "/-/healthy", "/ready", "/-/ready", "/receive"] {
        ask(&mut public, path).await;
        assert!(answer(&mut public).await.starts_with("HTTP/1.1 404"), "{path}");
    }
    let mut own = server.connect().await;
    assert!(post(&mut own, "/public", 0).await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn a_page_that_checks_its_requests_itself_has_no_users() {
    let folder = Folder::new();
    let server = folder.serve(
        "basic_auth_users:\n  prometheus: $2b$04$FaOSQTzEF2v6jkd2N2U7Ru5Vsf3yNMyAhWKF8mRjkRR7W3b7VHwX2\n",
    );
    let mut stream = server.connect().await;
    assert!(post(&mut stream, "/receive", 2).await.ends_with("2 bytes"));
    ask(&mut stream, "/metrics").await;
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 401"));
    // A public socket does not ask for a password.
    let mut public = TcpStream::connect(server.public).await.unwrap();
    ask(&mut public, "/metrics").await;
    assert!(answer(&mut public).await.starts_with("HTTP/1.1 404"));
}
