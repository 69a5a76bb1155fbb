//! Connections to the API: TLS, proxies, HTTP versions, connection reuse.

use std::collections::BTreeSet;

use harness::Proxy;
use sandbox::spacelift::{DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Spacelift};
use tokio::process::Command;

use super::support::{Exporter, command};

pub(crate) fn serve(endpoint: &str) -> Command {
    let mut command = command();
    command.args(["serve", "-e", endpoint, "-k", DEFAULT_API_KEY_ID, "-s", DEFAULT_API_KEY_SECRET]);
    command
}

/// Writes the CA certificate of the simulated API to a folder, and returns the folder and the path.
pub(crate) fn ca_file(api: &Spacelift) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, api.ca_pem().unwrap()).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[tokio::test]
async fn uses_a_custom_ca_and_one_http2_connection() {
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
async fn rejects_an_unknown_ca() {
    let api = Spacelift::builder().tls(true).start().await.unwrap();
    // Another CA is trusted, because without any trusted CA the exporter does not start.
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
async fn keeps_plain_http_connections_alive() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    for _ in 0..10 {
        exporter.scrape().await;
    }
    let connections: BTreeSet<u64> = api.requests().iter().map(|request| request.connection).collect();
    assert!(connections.len() <= 4, "HTTP/1.1 needs one for each collector, not {connections:?}");
}

/// Whether each connection through the proxy begins in this way, with the credentials of its URL.
fn all_begin(proxy: &Proxy, beginning: &str) -> bool {
    let authorization = "proxy-authorization: basic dxnlcjpwyxnz";
    proxy.heads().iter().all(|head| head.starts_with(beginning) && head.contains(authorization))
}

#[tokio::test]
async fn tunnels_https_through_the_proxy() {
    let api = Spacelift::builder().tls(true).start().await.unwrap();
    let (_folder, ca) = ca_file(&api);
    let proxy = Proxy::to(api.address()).await;
    let mut command = serve(&format!("https://localhost:{}", api.address().port()));
    command.args(["--ca-cert-path", &ca]).env("HTTPS_PROXY", &proxy.url);
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    exporter.scrape().await;
    assert_eq!(proxy.connections(), (1, 0));
    assert!(all_begin(&proxy, "connect localhost:"), "{:?}", proxy.heads());
}

#[tokio::test]
async fn respects_no_proxy() {
    let api = Spacelift::builder().tls(true).start().await.unwrap();
    let (_folder, ca) = ca_file(&api);
    let proxy = Proxy::to(api.address()).await;
    let mut command = serve(&format!("https://localhost:{}", api.address().port()));
    command
        .args(["--ca-cert-path", &ca])
        .env("HTTPS_PROXY", &proxy.url)
        .env("NO_PROXY", "example.org,localhost");
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    assert_eq!(proxy.connections(), (0, 0));
}

#[tokio::test]
async fn no_proxy_star_disables_the_proxy() {
    let api = Spacelift::builder().tls(true).start().await.unwrap();
    let (_folder, ca) = ca_file(&api);
    let proxy = Proxy::to(api.address()).await;
    let mut command = serve(&api.url());
    command.args(["--ca-cert-path", &ca]).env("HTTPS_PROXY", &proxy.url).env("NO_PROXY", "*");
    Exporter::run(command).await.readiness(200).await;
    assert_eq!(proxy.connections(), (0, 0));
}

#[tokio::test]
async fn rejects_unsupported_proxies() {
    for (variable, value, problem) in [
        ("HTTP_PROXY", "https://proxy.test:3128", "is not an http:// proxy but https://"),
        ("http_proxy", "socks5://proxy.test:1080", "is not an http:// proxy but socks5://"),
        ("HTTP_PROXY", " ftp://proxy.test ", "is not an http:// proxy but ftp://"),
        ("HTTP_PROXY", "http://user:hu@sh@proxy.test", "@ is written %40 there"),
    ] {
        for flags in [&["-l", "127.0.0.1:0"][..], &["--check-config"]] {
            let mut command = serve("http://acme.spacelift.test");
            command.env(variable, value).args(flags);
            let (code, _, stderr) = super::support::run_to_end(command).await;
            assert_eq!(code, Some(1));
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
            assert!(
                stderr.contains(&format!("variable {variable} ")) && stderr.contains(problem),
                "{stderr}"
            );
            assert!(!stderr.contains("hu@"), "{stderr}");
        }
    }
}

#[tokio::test]
async fn trims_the_proxy_url() {
    let api = Spacelift::builder().tls(true).start().await.unwrap();
    let (_folder, ca) = ca_file(&api);
    let proxy = Proxy::to(api.address()).await;
    let mut command = serve(&format!("https://localhost:{}", api.address().port()));
    command.args(["--ca-cert-path", &ca]).env("HTTPS_PROXY", format!(" {}\n", proxy.url));
    command.env("ALL_PROXY", "socks5://nowhere.test:1");
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    assert_eq!(proxy.connections().0, 1);
    let line = exporter.log("through a proxy").await;
    assert!(line.contains("HTTPS_PROXY") && !line.contains("pass"), "{line}");
}

#[tokio::test]
async fn ignores_all_proxy() {
    let api = Spacelift::builder().tls(true).start().await.unwrap();
    let (_folder, ca) = ca_file(&api);
    let mut command = serve(&api.url());
    command.args(["--ca-cert-path", &ca]);
    command.env("ALL_PROXY", "socks5://nowhere.test:1").env("all_proxy", "http://127.0.0.1:1");
    Exporter::run(command).await.readiness(200).await;
}

#[tokio::test]
async fn trusts_a_configured_self_signed_certificate() {
    let api = Spacelift::builder().start().await.unwrap();
    let front = harness::TlsProxy::to(api.address(), &[]).await;
    let certificate = harness::Certificate::self_signed(&["127.0.0.1"]);
    front.set_certificate(&certificate);
    let folder = tempfile::tempdir().unwrap();
    let [ca, _] = certificate.write(folder.path(), "server");
    let trusting = || {
        let mut command = serve(&format!("https://{}", front.address));
        command.arg("--ca-cert-path").arg(&ca);
        command
    };
    let exporter = Exporter::run(trusting()).await;
    exporter.readiness(200).await;
    exporter.scrape().await;
    let mut by_variable = serve(&format!("https://{}", front.address));
    by_variable.env("SSL_CERT_FILE", &ca);
    Exporter::run(by_variable).await.readiness(200).await;

    // It is trusted for its own names only, and other self-signed certificates are not trusted.
    for names in [&["127.0.0.1"][..], &["other.test"]] {
        let other = harness::Certificate::self_signed(names);
        front.set_certificate(&other);
        let [own, _] = other.write(folder.path(), "other");
        let ca = if names == ["127.0.0.1"] { &ca } else { &own };
        let mut command = serve(&format!("https://{}", front.address));
        command.arg("--ca-cert-path").arg(ca);
        let exporter = Exporter::run(command).await;
        let line = exporter.log("cannot exchange").await;
        assert!(line.contains("invalid peer certificate: "), "{line}");
    }
}

#[tokio::test]
async fn forwards_plain_http_through_the_proxy() {
    let api = Spacelift::builder().start().await.unwrap();
    let proxy = Proxy::to(api.address()).await;
    let mut command = serve("http://spacelift.test");
    command.env("HTTP_PROXY", &proxy.url);
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    assert_eq!(proxy.connections(), (0, 1));
    assert!(all_begin(&proxy, "post http://spacelift.test/graphql "), "{:?}", proxy.heads());
}

#[tokio::test]
async fn reaches_a_sidecar_directly() {
    let api = Spacelift::builder().start().await.unwrap();
    let proxy = Proxy::to(api.address()).await;
    let mut command = serve(&api.url());
    command.env("HTTP_PROXY", &proxy.url).env("HTTPS_PROXY", &proxy.url);
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    assert_eq!(proxy.connections(), (0, 0));
}

#[tokio::test]
async fn keeps_the_base_path() {
    let api = Spacelift::builder().start().await.unwrap();
    let endpoints = ["/", "///", "/graphql", "/graphql/", "/graphql//"];
    for path in endpoints {
        let exporter = Exporter::run(serve(&format!("{}{path}", api.url()))).await;
        exporter.readiness(200).await;
    }
    for path in ["/behind/a/path", "/graphql/graphql", "/GraphQL", "/xgraphql"] {
        let nowhere = Exporter::run(serve(&format!("{}{path}", api.url()))).await;
        let reason = nowhere.log("cannot exchange").await;
        assert!(reason.contains("HTTP 404"), "{reason}");
    }
}
