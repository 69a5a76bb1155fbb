//! The way to the API: TLS, proxies, HTTP versions, one connection.

use sandbox::spacelift::{DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Spacelift};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use super::support::{Exporter, command};

pub(crate) fn serve(endpoint: &str) -> Command {
    let mut command = command();
    command.args(["serve", "-e", endpoint, "-k", DEFAULT_API_KEY_ID, "-s", DEFAULT_API_KEY_SECRET]);
    command
}

/// A folder that holds the simulated API's CA certificate, and the certificate's path.
pub(crate) fn ca_file(api: &Spacelift) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, api.ca_pem().unwrap()).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[tokio::test]
async fn a_custom_ca_over_one_http2_connection() {
    let api = Spacelift::builder().tls(true).start().await.unwrap();
    let (_folder, ca) = ca_file(&api);
    let mut command = serve(&api.url());
    command.args(["--ca-cert-path", &ca]);
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    for _ in 0..3 {
        exporter.scrape().await;
    }
    let requests = api.requests();
    assert!(requests.iter().all(|request| request.version == hyper::Version::HTTP_2));
    let connections: BTreeSet<u64> = requests.iter().map(|request| request.connection).collect();
    assert_eq!(connections.len(), 1, "{connections:?}");
}

#[tokio::test]
async fn an_unknown_ca_is_not_trusted() {
    let api = Spacelift::builder().tls(true).start().await.unwrap();
    // Some other CA is trusted, so that trust exists at all whatever the system has.
    let other = Spacelift::builder().tls(true).start().await.unwrap();
    let (_folder, ca) = ca_file(&other);
    let mut command = serve(&api.url());
    command.args(["--ca-cert-path", &ca]);
    let exporter = Exporter::run(command).await;
    exporter.log("cannot exchange").await;
    let body = exporter.failed_scrape().await;
    assert!(body.contains("certificate"), "{body}");
    assert!(api.requests().is_empty());
}

#[tokio::test]
async fn kept_alive_connections_over_plain_http() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    for _ in 0..10 {
        exporter.scrape().await;
    }
    let connections: BTreeSet<u64> = api.requests().iter().map(|request| request.connection).collect();
    assert!(connections.len() <= 4, "HTTP/1.1 needs one for each collector, not {connections:?}");
}

/// A proxy that counts: `CONNECT` tunnels, and requests with a whole URL, both to `target`.
async fn proxy(target: String) -> (String, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:pass@{}", listener.local_addr().unwrap());
    let (tunnels, plain) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (tunnelled, forwarded) = (tunnels.clone(), plain.clone());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (tunnelled, forwarded, target) = (tunnelled.clone(), forwarded.clone(), target.clone());
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    let mut buffer = [0; 4_096];
                    let read = client.read(&mut buffer).await.unwrap();
                    assert!(read > 0, "the client left within the head");
                    head.extend_from_slice(&buffer[..read]);
                }
                let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
                assert!(text.contains("proxy-authorization: basic dxnlcjpwyxnz"), "{text}");
                let mut upstream = TcpStream::connect(target).await.unwrap();
                if text.starts_with("connect ") {
                    tunnelled.fetch_add(1, Ordering::SeqCst);
                    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                } else {
                    assert!(text.starts_with("post http://spacelift.test/graphql "), "{text}");
                    forwarded.fetch_add(1, Ordering::SeqCst);
                    let local = String::from_utf8_lossy(&head).replacen("http://spacelift.test", "", 1);
                    upstream.write_all(local.as_bytes()).await.unwrap();
                }
                let _ = copy_bidirectional(&mut client, &mut upstream).await;
            });
        }
    });
    (url, tunnels, plain)
}

#[tokio::test]
async fn https_goes_through_a_tunnel_of_the_proxy() {
    let api = Spacelift::builder().tls(true).start().await.unwrap();
    let (_folder, ca) = ca_file(&api);
    let (proxy, tunnels, _) = proxy(api.address().to_string()).await;
    let mut command = serve(&format!("https://localhost:{}", api.address().port()));
    command.args(["--ca-cert-path", &ca]).env("HTTPS_PROXY", &proxy);
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    exporter.scrape().await;
    assert_eq!(tunnels.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn no_proxy_is_honoured() {
    let api = Spacelift::builder().tls(true).start().await.unwrap();
    let (_folder, ca) = ca_file(&api);
    let (proxy, tunnels, _) = proxy(api.address().to_string()).await;
    let mut command = serve(&format!("https://localhost:{}", api.address().port()));
    command.args(["--ca-cert-path", &ca]).env("HTTPS_PROXY", &proxy).env("NO_PROXY", "example.org,localhost");
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    assert_eq!(tunnels.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_star_means_no_proxy_for_anything() {
    let api = Spacelift::builder().tls(true).start().await.unwrap();
    let (_folder, ca) = ca_file(&api);
    let (proxy, tunnels, _) = proxy(api.address().to_string()).await;
    let mut command = serve(&api.url());
    command.args(["--ca-cert-path", &ca]).env("HTTPS_PROXY", &proxy).env("NO_PROXY", "*");
    Exporter::run(command).await.readiness(200).await;
    assert_eq!(tunnels.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_proxy_of_another_kind_is_refused() {
    for proxy in ["https://proxy.test:3128", "socks5://proxy.test:1080"] {
        let mut command = serve("http://acme.spacelift.test");
        command.env("HTTP_PROXY", proxy).args(["-l", "127.0.0.1:0"]);
        let (code, _, stderr) = super::support::run_to_end(command).await;
        assert_eq!(code, Some(1));
        assert!(stderr.contains("is no http:// proxy"), "{stderr}");
    }
}

#[tokio::test]
async fn plain_http_is_forwarded_by_the_proxy() {
    let api = Spacelift::builder().start().await.unwrap();
    let (proxy, _, plain) = proxy(api.address().to_string()).await;
    let mut command = serve("http://spacelift.test");
    command.env("HTTP_PROXY", &proxy);
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    assert_eq!(plain.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_sidecar_on_this_host_is_reached_directly() {
    let api = Spacelift::builder().start().await.unwrap();
    let (proxy, tunnels, plain) = proxy(api.address().to_string()).await;
    let mut command = serve(&api.url());
    command.env("HTTP_PROXY", &proxy).env("HTTPS_PROXY", &proxy);
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    assert_eq!(tunnels.load(Ordering::SeqCst) + plain.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_base_path_is_kept() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::run(serve(&format!("{}/", api.url()))).await;
    exporter.readiness(200).await;
    let nowhere = Exporter::run(serve(&format!("{}/behind/a/path", api.url()))).await;
    let reason = nowhere.log("cannot exchange").await;
    assert!(reason.contains("HTTP 404"), "{reason}");
}
