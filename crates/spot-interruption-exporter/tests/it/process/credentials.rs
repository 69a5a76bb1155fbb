//! Connections as on GKE: TLS, tokens of the metadata server, and proxies.

use std::net::SocketAddr;
use std::time::Duration;

use harness::{Exporter, Link, NetworkConditions, Proxy, TIMEOUT, TlsProxy};
use sandbox::google::compute::{Hold, Reply};
use sandbox::google::{Metadata, TOKEN_LIFETIME};
use tempfile::TempDir;
use tokio::time::timeout;

use super::network_conditions::wait_until_unready;
use super::services::{EventKind, Services, node, total};

const CLUSTER: &str = "secure";
const TOKEN: &str = "ya29.sandbox";

/// Services with TLS that require a token, and the metadata server that issues it.
struct SecureServices {
    services: Services,
    pubsub: TlsProxy,
    compute: TlsProxy,
    metadata: Metadata,
    folder: TempDir,
}

impl SecureServices {
    async fn new() -> Self {
        Self::with_tokens_for(TOKEN_LIFETIME).await
    }

    async fn with_tokens_for(lifetime: Duration) -> Self {
        let services = Services::sandbox().await;
        let pubsub = TlsProxy::to(services.pubsub().address(), &["h2"]).await;
        let compute = TlsProxy::to(services.compute.address(), &["http/1.1"]).await;
        for front in [&pubsub, &compute] {
            front.set_certificate_until(4_000);
        }
        services.compute.require_token(TOKEN);
        services.pubsub().require_token(TOKEN);
        services.compute.insert(node(1, CLUSTER));
        let metadata = Metadata::start(TOKEN, lifetime).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let authorities = pubsub.authority.pem() + &compute.authority.pem();
        std::fs::write(folder.path().join("ca.pem"), authorities).unwrap();
        Self { services, pubsub, compute, metadata, folder }
    }

    async fn exporter(&self) -> Exporter {
        self.exporter_by(self.compute.address).await
    }

    /// Starts an exporter with this address of the Compute API.
    async fn exporter_by(&self, compute: SocketAddr) -> Exporter {
        self.exporter_with(compute, &[]).await
    }

    async fn exporter_with(&self, compute: SocketAddr, variables: &[(&str, &str)]) -> Exporter {
        let mut command = self.services.command();
        command
            .env("SIE_PUBSUB__ENDPOINT", format!("https://{}", self.pubsub.address))
            .env("SIE_COMPUTE__ENDPOINT", format!("https://{compute}"))
            .env("SIE_COMPUTE__RESYNC_INTERVAL", "1s")
            .env("SSL_CERT_FILE", self.folder.path().join("ca.pem"))
            .env("GCE_METADATA_HOST", self.metadata.host())
            .envs(variables.iter().copied());
        Exporter::run(command).await
    }

    /// Publishes an interruption and waits until it is counted and acknowledged.
    async fn assert_interruption_counted(&mut self, exporter: &Exporter) {
        exporter.readiness(200).await;
        let before = exporter.scrape().await.sample(&total(CLUSTER)).unwrap_or_default();
        let entry = self.services.log.preempted(&node(1, CLUSTER));
        self.services.pubsub().publish(&self.services.topic(EventKind::Interruption), [entry]).unwrap();
        exporter
            .scraped("it is counted", |scrape| scrape.sample(&total(CLUSTER)) == Some(before + 1.0))
            .await;
        let interruptions = self.services.subscription(EventKind::Interruption);
        let drained = self.services.pubsub().wait_until_drained(&interruptions);
        timeout(TIMEOUT, drained).await.expect("the message is never acknowledged");
    }
}

#[tokio::test]
async fn sends_a_token_of_the_metadata_server_with_every_request() {
    let mut google = SecureServices::new().await;
    let exporter = google.exporter().await;
    google.assert_interruption_counted(&exporter).await;
    let recorded = google.services.compute.requests();
    assert!(recorded.iter().all(|request| request.headers["authorization"] == format!("Bearer {TOKEN}")));
}

/// On GKE the metadata server can start after the first container of a node.
#[tokio::test]
async fn recovers_when_the_metadata_server_starts_later() {
    let mut google = SecureServices::new().await;
    google.metadata.stop().await;
    let exporter = google.exporter().await;
    wait_until_unready(
        &exporter,
        &["Pub/Sub subscription", "Compute API", "no access token: ", "Connection refused"],
    )
    .await;
    google.metadata.restart().await.unwrap();
    google.assert_interruption_counted(&exporter).await;
}

/// This happens with Workload Identity while the IAM binding is missing. Google's library treats some statuses as final.
#[tokio::test]
async fn recovers_when_the_metadata_server_refuses_at_first() {
    for code in [403, 404, 500] {
        let mut google = SecureServices::new().await;
        let body = "Permission 'iam.serviceAccounts.getAccessToken' denied".to_owned();
        google.metadata.override_reply(Reply::Status { code, headers: Vec::new(), body: body.clone() });
        let exporter = google.exporter().await;
        let parts = ["Pub/Sub subscription", "Compute API", "no access token: ", &code.to_string(), &body];
        wait_until_unready(&exporter, &parts).await;
        google.metadata.clear_overrides();
        google.assert_interruption_counted(&exporter).await;
    }
}

#[tokio::test]
async fn recovers_when_the_metadata_server_hangs() {
    let mut google = SecureServices::new().await;
    // The first request is never answered, and no other request is sent while it is pending.
    google.metadata.override_reply(Reply::Hold(Hold::new()).once());
    let exporter = google.exporter().await;
    let parts = ["Pub/Sub subscription", "Compute API", "no access token: no response within 5 s"];
    wait_until_unready(&exporter, &parts).await;
    google.assert_interruption_counted(&exporter).await;
    google.metadata.wait_for(2).await;
}

/// Open streams need no token, but acknowledgements do; without them all messages would be redelivered.
#[tokio::test]
async fn recovers_when_a_token_cannot_be_renewed() {
    let mut google = SecureServices::with_tokens_for(Duration::from_secs(11)).await;
    let exporter = google.exporter().await;
    google.assert_interruption_counted(&exporter).await;
    google.metadata.override_reply(Reply::status(403));
    wait_until_unready(&exporter, &["Pub/Sub subscription", "Compute API", "no access token: ", "403"]).await;
    google.metadata.clear_overrides();
    for _ in 0..3 {
        google.assert_interruption_counted(&exporter).await;
    }
    assert_eq!(exporter.scrape().await.sum("interruption_events_total"), 4.0);
}

#[tokio::test]
async fn reports_expired_certificates_and_recovers() {
    let mut google = SecureServices::new().await;
    google.pubsub.set_certificate_until(2_025);
    google.compute.set_certificate_until(2_025);
    let link = Link::to(google.compute.address).await;
    let exporter = google.exporter_by(link.address).await;
    wait_until_unready(&exporter, &["Pub/Sub subscription", "Compute API", "expired"]).await;
    assert_eq!(
        google.services.compute.requests().len(),
        0,
        "a token was sent to a server with an expired certificate"
    );

    google.pubsub.set_certificate_until(4_000);
    google.compute.set_certificate_until(4_000);
    google.assert_interruption_counted(&exporter).await;

    // The certificate expires while the exporter runs, which is detected with the next new connection.
    google.compute.set_certificate_until(2_025);
    link.set(NetworkConditions::Refused).await;
    link.set(NetworkConditions::Normal).await;
    wait_until_unready(&exporter, &["Compute API", "expired"]).await;
    google.compute.set_certificate_until(4_000);
    google.assert_interruption_counted(&exporter).await;
}

/// A proxy address on which nothing listens.
const UNREACHABLE_PROXY: (&str, &str) = ("HTTP_PROXY", "http://127.0.0.1:9");

#[tokio::test]
async fn local_emulators_need_neither_certificates_nor_a_proxy() {
    let services = Services::sandbox().await;
    services
        .ready_exporter(&[
            ("SSL_CERT_FILE", "/nonexistent"),
            ("SSL_CERT_DIR", "/nonexistent"),
            UNREACHABLE_PROXY,
        ])
        .await;
}

#[tokio::test]
async fn requests_to_compute_use_the_proxy_of_the_environment() {
    let services = Services::sandbox().await;
    let proxy = Proxy::to(services.compute.address()).await;
    // The simulated API is reachable only through the proxy.
    let variables = [
        ("SIE_COMPUTE__ENDPOINT", "http://0.0.0.0:9"),
        ("HTTP_PROXY", &proxy.url),
        // Without operations, requests are sequential and use one connection.
        ("SIE_COMPUTE__OPERATIONS", "off"),
    ];
    services.ready_exporter(&variables).await;
    assert_eq!(proxy.connections(), (0, 1));
    let exporter = services.exporter(&[&variables[..], &[("NO_PROXY", "0.0.0.0")]].concat()).await;
    wait_until_unready(&exporter, &["Compute API", "Connection refused"]).await;

    let mut google = SecureServices::new().await;
    let proxy = Proxy::to(google.compute.address).await;
    let exporter = google.exporter_with(google.compute.address, &[("HTTPS_PROXY", &proxy.url)]).await;
    google.assert_interruption_counted(&exporter).await;
    let heads = proxy.heads();
    let tunnel = format!("connect {} ", google.compute.address);
    assert!(!heads.is_empty() && heads.iter().all(|head| head.starts_with(&tunnel)), "{heads:?}");
}

#[tokio::test]
async fn the_metadata_server_must_be_in_no_proxy() {
    let mut google = SecureServices::new().await;
    let exporter = google.exporter_with(google.compute.address, &[UNREACHABLE_PROXY]).await;
    wait_until_unready(&exporter, &["no access token", "Connection refused"]).await;
    drop(exporter);
    let variables = [UNREACHABLE_PROXY, ("NO_PROXY", "127.0.0.1")];
    let exporter = google.exporter_with(google.compute.address, &variables).await;
    google.assert_interruption_counted(&exporter).await;
}
