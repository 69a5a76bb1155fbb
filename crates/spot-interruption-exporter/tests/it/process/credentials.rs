//! Google as it is outside of tests: TLS all the way, tokens from the metadata server, as on GKE, and maybe a proxy.

use std::net::SocketAddr;

use harness::{Exporter, Front, Link, Weather};
use sandbox::google::Metadata;
use sandbox::google::compute::{Hold, Reply};
use tempfile::TempDir;

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
        let world = World::sandbox().await;
        let pubsub = Front::of(world.pubsub().address(), &["h2"]).await;
        let compute = Front::of(world.compute.address(), &["http/1.1"]).await;
        for front in [&pubsub, &compute] {
            front.certify_until(4_000);
        }
        world.compute.require_token(TOKEN);
        world.pubsub().require_token(TOKEN);
        world.compute.insert(node(1, CLUSTER));
        let metadata = Metadata::start(TOKEN).await.unwrap();
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
    let hold = Hold::new();
    google.metadata.override_reply(Reply::Hold(hold.clone()));
    let exporter = google.exporter().await;
    unready(&exporter, &["Pub/Sub subscription", "Compute API", "no access token within 5 s"]).await;
    hold.release();
    google.one_interruption_counts(&exporter).await;
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
const NO_PROXY_THERE: (&str, &str) = ("HTTP_PROXY", "http://127.0.0.1:9");

#[tokio::test]
async fn emulators_on_this_host_need_neither_certificates_nor_a_proxy() {
    let world = World::sandbox().await;
    world.ready(&[("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent"), NO_PROXY_THERE]).await;
}

#[tokio::test]
async fn compute_is_asked_through_the_proxy_of_the_environment() {
    let world = World::sandbox().await;
    // For plain requests, a proxy is a server that is asked for whole URLs.
    let proxy = world.compute.url();
    let variables = [("SIE_COMPUTE__ENDPOINT", "http://compute.test"), ("HTTP_PROXY", proxy.as_str())];
    world.ready(&variables).await;

    let exporter = world.exporter(&[&variables[..], &[("NO_PROXY", "compute.test")]].concat()).await;
    unready(&exporter, &["Compute API", "dns error"]).await;
}

#[tokio::test]
async fn a_proxy_is_not_for_the_metadata_server() {
    let mut google = Secure::new().await;
    let exporter = google.exporter_with(google.compute.address, &[NO_PROXY_THERE]).await;
    unready(&exporter, &["no access token", "Connection refused"]).await;
    drop(exporter);
    let variables = [NO_PROXY_THERE, ("NO_PROXY", "127.0.0.1")];
    let exporter = google.exporter_with(google.compute.address, &variables).await;
    google.one_interruption_counts(&exporter).await;
}
