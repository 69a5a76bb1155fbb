//! Tests of connections: HTTP/1.1, HTTP/2, TLS, stop and restart.

use std::{io, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, StatusCode, Version, body::Incoming, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sandbox::spacelift::{Reply, Spacelift};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

use crate::client::{Client, POOLS, USAGE};

const QUERY: &str = r#"{"query": "query Pools { workerPools { id } }", "operationName": "Pools"}"#;

/// Opens a TLS connection that trusts the sandbox's CA and offers a protocol by ALPN.
async fn connect(spacelift: &Spacelift, name: &'static str, alpn: &[u8]) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(spacelift.ca_pem().unwrap().as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let stream = TcpStream::connect(spacelift.address()).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name).unwrap(), stream).await
}

/// Sends one query over HTTP/2.
async fn query_http2(
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    url: &str,
) -> hyper::Result<Response<Incoming>> {
    let (mut sender, connection) = conn::http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await?;
    tokio::spawn(connection);
    let request =
        Request::post(format!("{url}/graphql")).header("Spacelift-Client-Type", "prometheus-exporter");
    sender.send_request(request.body(Full::new(Bytes::from(QUERY))).unwrap()).await
}

/// Returns a connection after its first response, which proves that the server accepted it.
async fn idle_connection(spacelift: &Spacelift) -> TcpStream {
    let mut stream = TcpStream::connect(spacelift.address()).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\nok\n") {
        assert_ne!(stream.read_buf(&mut response).await.unwrap(), 0);
    }
    stream
}

#[tokio::test]
async fn supports_http2_without_tls() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let stream = TcpStream::connect(spacelift.address()).await.unwrap();
    let response = query_http2(stream, &spacelift.url()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(spacelift.requests()[0].version, Version::HTTP_2);
}

#[tokio::test]
async fn supports_http2_and_http1_over_tls() {
    let spacelift = Spacelift::builder().tls(true).start().await.unwrap();
    assert!(spacelift.url().starts_with("https://127.0.0.1:"), "{}", spacelift.url());

    let stream = connect(&spacelift, "localhost", b"h2").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(query_http2(stream, &spacelift.url()).await.unwrap().status(), StatusCode::OK);

    let mut stream = connect(&spacelift, "127.0.0.1", b"http/1.1").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    stream.write_all(b"GET /_sandbox/ca.pem HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.ends_with(spacelift.ca_pem().unwrap()), "{response}");

    let [request] = &spacelift.requests()[..] else { panic!("not one request") };
    assert_eq!(request.version, Version::HTTP_2);
    connect(&spacelift, "elsewhere.example", b"h2").await.unwrap_err();
}

#[tokio::test]
async fn truncates_http2_responses() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    spacelift.override_reply("Pools", Reply::Truncated);
    let stream = TcpStream::connect(spacelift.address()).await.unwrap();
    let response = query_http2(stream, &spacelift.url()).await.unwrap();
    response.into_body().collect().await.unwrap_err();
}

#[tokio::test]
async fn stopping_closes_connections_and_refuses_new_ones() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let client = Client::logged_in(&spacelift).await;
    let mut idle = idle_connection(&spacelift).await;

    spacelift.stop().await;
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0, "the connection is closed");
    let error = TcpStream::connect(spacelift.address()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    client.try_query(POOLS).await.unwrap_err();
    spacelift.stop().await;

    let (address, before) = (spacelift.address(), spacelift.count("Pools"));
    spacelift.restart().await.unwrap();
    assert_eq!(spacelift.address(), address);
    assert!(client.query(POOLS).await.json()["errors"].is_null(), "the token is still valid");
    assert_eq!(spacelift.count("Pools"), before + 1);
}

#[tokio::test]
async fn restarts_without_a_stop() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let client = Client::logged_in(&spacelift).await;
    let mut idle = idle_connection(&spacelift).await;
    spacelift.restart().await.unwrap();
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
    assert!(client.query(POOLS).await.json()["errors"].is_null());
}

#[tokio::test]
async fn stops_when_dropped() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let mut idle = idle_connection(&spacelift).await;
    drop(spacelift);
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn reports_an_address_in_use() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let error = Spacelift::builder().listen(spacelift.address()).start().await.err().unwrap();
    assert!(error.to_string().contains(&spacelift.address().to_string()), "{error}");
}

#[tokio::test]
async fn cached_responses_depend_on_the_account_and_the_token() {
    let account = sandbox::spacelift::Account::with_pools(3, 2);
    let spacelift = Spacelift::builder().account(account).cache_responses(true).start().await.unwrap();
    let mut client = Client::logged_in(&spacelift).await;

    let first = client.query(POOLS).await;
    assert_eq!(first.json()["data"]["workerPools"].as_array().unwrap().len(), 3);
    assert_eq!(client.query(POOLS).await.body, first.body);
    let renamed = "query Pools { workerPools { name } }";
    assert_ne!(client.query(renamed).await.body, first.body, "another document has a different response");
    assert_eq!(client.query(USAGE).await.json()["data"]["usage"]["usedPrivateMinutes"], 12_345);

    spacelift.set_account(sandbox::spacelift::Account::with_pools(1, 1));
    assert_eq!(client.query(POOLS).await.json()["data"]["workerPools"].as_array().unwrap().len(), 1);

    spacelift.revoke_tokens();
    assert_eq!(client.query(POOLS).await.json()["errors"][0]["message"], "unauthorized");
    client.log_in().await;
    assert!(client.query(POOLS).await.json()["errors"].is_null());
    assert_eq!((spacelift.exchanges(), spacelift.count("Pools")), (2, 6));
}
