//! Google as it is outside of tests: TLS all the way, tokens from the metadata server, as on GKE, and maybe a proxy.

use std::net::SocketAddr;
use std::time::Duration;

use harness::{Exporter, Front, Link, PATIENCE, Proxy, Weather};
use sandbox::google::compute::{Hold, Reply};
use sandbox::google::{Metadata, TOKEN_LIFETIME};
use tempfile::TempDir;
use tokio::time::timeout;

use super::weather::unready;
use super::world::{Way, World, node, total};

const CLUSTER: &str = "secure";
const TOKEN: &str = "ya29.sandbox";

/// Services that want a token, behind certificates, and where the token is to be had.
struct Secure {
    world: World,
    pubsub: Front,
    compute: Front,
    metadata: Metadata,
    folder: TempDir,
}

impl Secure {
    async fn new() -> Self {
        Self::with_tokens_for(TOKEN_LIFETIME).await
    }

    async fn with_tokens_for(lifetime: Duration) -> Self {
        let world = World::sandbox().await;
        let pubsub = Front::of(world.pubsub().address(), &["h2"]).await;
        let compute = Front::of(world.compute.address(), &["http/1.1"]).await;
        for front in [&pubsub, &compute] {
            front.certify_until(4_000);
        }
        world.compute.require_token(TOKEN);
        world.pubsub().require_token(TOKEN);
        world.compute.insert(node(1, CLUSTER));
        let metadata = Metadata::start(TOKEN, lifetime).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let authorities = pubsub.authority.pem() + &compute.authority.pem();
        std::fs::write(folder.path().join("ca.pem"), authorities).unwrap();
        Self { world, pubsub, compute, metadata, folder }
    }

    async fn exporter(&self) -> Exporter {
        self.exporter_by(self.compute.address).await
    }

    /// An exporter that finds the Compute API there.
    async fn exporter_by(&self, compute: SocketAddr) -> Exporter {
        self.exporter_with(compute, &[]).await
    }

    async fn exporter_with(&self, compute: SocketAddr, variables: &[(&str, &str)]) -> Exporter {
        let mut command = self.world.command();
        command
            .env("SIE_PUBSUB__ENDPOINT", format!("https://{}", self.pubsub.address))
            .env("SIE_COMPUTE__ENDPOINT", format!("https://{compute}"))
            .env("SIE_COMPUTE__RESYNC_INTERVAL", "1s")
            .env("SSL_CERT_FILE", self.folder.path().join("ca.pem"))
            .env("GCE_METADATA_HOST", self.metadata.host())
            .envs(variables.iter().copied());
        Exporter::run(command).await
    }

    /// Everything that it needs is there, and works.
    async fn one_interruption_counts(&mut self, exporter: &Exporter) {
        exporter.readiness(200).await;
        let before = exporter.scrape().await.sample(&total(CLUSTER)).unwrap_or_default();
        let entry = self.world.log.preempted(&node(1, CLUSTER));
        self.world.pubsub().publish(&self.world.topic(Way::Interruption), [entry]).unwrap();
        exporter
            .scraped("it is counted", |scrape| scrape.sample(&total(CLUSTER)) == Some(before + 1.0))
            .await;
        let interruptions = self.world.subscription(Way::Interruption);
        let drained = self.world.pubsub().wait_until_drained(&interruptions);
        timeout(PATIENCE, drained).await.expect("it is never acknowledged");
    }
}

#[tokio::test]
async fn tokens_of_the_metadata_server_open_every_door() {
    let mut google = Secure::new().await;
    let exporter = google.exporter().await;
    google.one_interruption_counts(&exporter).await;
    let recorded = google.world.compute.requests();
    assert!(recorded.iter().all(|request| request.headers["authorization"] == format!("Bearer {TOKEN}")));
}

/// On GKE it may come up later than the first container of a node.
#[tokio::test]
async fn a_metadata_server_that_comes_up_later() {
    let mut google = Secure::new().await;
    google.metadata.stop().await;
    let exporter = google.exporter().await;
    unready(&exporter, &["Pub/Sub subscription", "Compute API", "no access token: ", "Connection refused"])
        .await;
    google.metadata.restart().await.unwrap();
    google.one_interruption_counts(&exporter).await;
}

/// Such as Workload Identity's while its binding is missing. Google's library takes some answers for final.
#[tokio::test]
async fn a_metadata_server_that_refuses_at_first() {
    for code in [403, 404, 500] {
        let mut google = Secure::new().await;
        let body = "Permission 'iam.serviceAccounts.getAccessToken' denied".to_owned();
        google.metadata.override_reply(Reply::Status { code, headers: Vec::new(), body: body.clone() });
        let exporter = google.exporter().await;
        let told = ["Pub/Sub subscription", "Compute API", "no access token: ", &code.to_string(), &body];
        unready(&exporter, &told).await;
        google.metadata.clear_overrides();
        google.one_interruption_counts(&exporter).await;
    }
}

#[tokio::test]
async fn a_metadata_server_that_hangs() {
    let mut google = Secure::new().await;
    // The first question is never answered, and there is only one while it waits.
    google.metadata.override_reply(Reply::Hold(Hold::new()).once());
    let exporter = google.exporter().await;
    let told = ["Pub/Sub subscription", "Compute API", "no access token: nothing came within 5 s"];
    unready(&exporter, &told).await;
    google.one_interruption_counts(&exporter).await;
    google.metadata.wait_for(2).await;
}

/// Streams that are open need no token, but acknowledgements do: without them everything would come again.
#[tokio::test]
async fn a_token_that_is_not_renewed_at_first() {
    let mut google = Secure::with_tokens_for(Duration::from_secs(11)).await;
    let exporter = google.exporter().await;
    google.one_interruption_counts(&exporter).await;
    google.metadata.override_reply(Reply::status(403));
    unready(&exporter, &["Pub/Sub subscription", "Compute API", "no access token: ", "403"]).await;
    google.metadata.clear_overrides();
    for _ in 0..3 {
        google.one_interruption_counts(&exporter).await;
    }
    assert_eq!(exporter.scrape().await.sum("interruption_events_total"), 4.0);
}

#[tokio::test]
async fn certificates_that_have_expired() {
    let mut google = Secure::new().await;
    google.pubsub.certify_until(2_025);
    google.compute.certify_until(2_025);
    let link = Link::to(google.compute.address).await;
    let exporter = google.exporter_by(link.address).await;
    unready(&exporter, &["Pub/Sub subscription", "Compute API", "expired"]).await;
    assert_eq!(google.world.compute.requests().len(), 0, "the token was sent all the same");

    google.pubsub.certify_until(4_000);
    google.compute.certify_until(4_000);
    google.one_interruption_counts(&exporter).await;

    // It expires while the exporter runs, and shows as soon as a new connection is needed.
    google.compute.certify_until(2_025);
    link.turn(Weather::Refused).await;
    link.turn(Weather::Fair).await;
    unready(&exporter, &["Compute API", "expired"]).await;
    google.compute.certify_until(4_000);
    google.one_interruption_counts(&exporter).await;
}

/// Nothing listens there.
const DEAD_PROXY: (&str, &str) = ("HTTP_PROXY", "http://127.0.0.1:9");

#[tokio::test]
async fn emulators_on_this_host_need_neither_certificates_nor_a_proxy() {
    let world = World::sandbox().await;
    world.ready(&[("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent"), DEAD_PROXY]).await;
}

#[tokio::test]
async fn compute_is_asked_through_the_proxy_of_the_environment() {
    let world = World::sandbox().await;
    let proxy = Proxy::to(world.compute.address()).await;
    // Nothing else leads from there to the simulated API.
    let variables = [
        ("SIE_COMPUTE__ENDPOINT", "http://0.0.0.0:9"),
        ("HTTP_PROXY", &proxy.url),
        // One question at a time needs one connection.
        ("SIE_COMPUTE__OPERATIONS", "off"),
    ];
    world.ready(&variables).await;
    assert_eq!(proxy.connections(), (0, 1));
    let exporter = world.exporter(&[&variables[..], &[("NO_PROXY", "0.0.0.0")]].concat()).await;
    unready(&exporter, &["Compute API", "Connection refused"]).await;

    let mut google = Secure::new().await;
    let proxy = Proxy::to(google.compute.address).await;
    let exporter = google.exporter_with(google.compute.address, &[("HTTPS_PROXY", &proxy.url)]).await;
    google.one_interruption_counts(&exporter).await;
    let heads = proxy.heads();
    let tunnel = format!("connect {} ", google.compute.address);
    assert!(!heads.is_empty() && heads.iter().all(|head| head.starts_with(&tunnel)), "{heads:?}");
}

#[tokio::test]
async fn the_metadata_server_has_to_be_left_out_of_a_proxy() {
    let mut google = Secure::new().await;
    let exporter = google.exporter_with(google.compute.address, &[DEAD_PROXY]).await;
    unready(&exporter, &["no access token", "Connection refused"]).await;
    drop(exporter);
    let variables = [DEAD_PROXY, ("NO_PROXY", "127.0.0.1")];
    let exporter = google.exporter_with(google.compute.address, &variables).await;
    google.one_interruption_counts(&exporter).await;
}
