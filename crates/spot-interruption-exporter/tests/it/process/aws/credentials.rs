//! The sources of credentials, over TLS as at AWS.

use std::time::Duration;

use harness::{Exporter, TlsProxy};
use sandbox::aws::{Operation, POD_IDENTITY_TOKEN, WEB_IDENTITY_TOKEN};
use tempfile::TempDir;
use tokio::process::Command;

use super::super::network_conditions::wait_until_unready;
use super::super::services::total;
use super::{OFTEN, Services, command_for, listings, node};

/// Services behind TLS, which accept only known credentials.
struct SecureServices {
    services: Services,
    front: TlsProxy,
    folder: TempDir,
}

impl SecureServices {
    async fn new() -> Self {
        let services =
            Services { aws: sandbox::aws::Aws::builder().without_dummy_key().start().await.unwrap() };
        let front = TlsProxy::to(services.aws.address(), &["http/1.1"]).await;
        front.set_certificate_until(4_000);
        services.aws.launch(node(1, "prod"));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), front.authority.pem()).unwrap();
        for (name, token) in [("web", WEB_IDENTITY_TOKEN), ("pod", POD_IDENTITY_TOKEN)] {
            std::fs::write(folder.path().join(name), token).unwrap();
        }
        Self { services, front, folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn command(&self) -> Command {
        let url = format!("https://{}", self.front.address);
        let mut command = command_for(&url, &self.services.aws.queue().aws_url());
        command.env("SSL_CERT_FILE", self.path("ca.pem"));
        command
    }

    async fn exporter(&self, variables: &[(&str, &str)]) -> Exporter {
        let mut command = self.command();
        command.envs(variables.iter().copied());
        Exporter::run(command).await
    }

    async fn counts_with(&self, variables: &[(&str, &str)], operation: Option<Operation>) {
        let exporter = self.exporter(variables).await;
        exporter.readiness(200).await;
        self.services.aws.warn(&node(1, "prod").id).unwrap();
        exporter.scraped("it is counted", |scrape| scrape.sample(&total("prod")) == Some(1.0)).await;
        if let Some(operation) = operation {
            assert_eq!(self.services.aws.count(operation), 1, "the credentials are reused");
        }
    }
}

#[tokio::test]
async fn uses_static_keys() {
    let secure = SecureServices::new().await;
    secure.services.aws.add_key("AKIDSTATIC", "secret", sandbox::aws::ACCOUNT);
    let keys = [("AWS_ACCESS_KEY_ID", "AKIDSTATIC"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    secure.counts_with(&keys, None).await;
}

#[tokio::test]
async fn uses_the_role_of_a_service_account() {
    let secure = SecureServices::new().await;
    let token = secure.path("web");
    let variables = [("AWS_ROLE_ARN", sandbox::aws::ROLE), ("AWS_WEB_IDENTITY_TOKEN_FILE", &*token)];
    secure.counts_with(&variables, Some(Operation::AssumeRoleWithWebIdentity)).await;
}

#[tokio::test]
async fn uses_pod_identity() {
    let secure = SecureServices::new().await;
    let (token, url) = (secure.path("pod"), format!("{}/v1/credentials", secure.services.aws.url()));
    let variables =
        [("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*url), ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &*token)];
    secure.counts_with(&variables, Some(Operation::PodIdentity)).await;
}

#[tokio::test]
async fn uses_the_metadata_service() {
    let secure = SecureServices::new().await;
    let url = secure.services.aws.url();
    let variables = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*url)];
    secure.counts_with(&variables, Some(Operation::MetadataCredentials)).await;
}

#[tokio::test]
async fn renews_credentials_that_expire() {
    let secure = SecureServices::new().await;
    secure.services.aws.set_credential_lifetime(Duration::from_secs(2));
    let token = secure.path("web");
    let variables = [("AWS_ROLE_ARN", sandbox::aws::ROLE), ("AWS_WEB_IDENTITY_TOKEN_FILE", &*token), OFTEN];
    let exporter = secure.exporter(&variables).await;
    exporter.readiness(200).await;
    listings(&exporter, 12.0).await;
    assert!(secure.services.aws.count(Operation::AssumeRoleWithWebIdentity) >= 2);
    let failures = "spot_interruption_exporter_resyncs_total{outcome=\"failure\"}";
    assert_eq!(exporter.scrape().await.sample(failures), Some(0.0));
}

#[tokio::test]
async fn reads_a_rotated_token() {
    let secure = SecureServices::new().await;
    let token = secure.path("web");
    std::fs::write(&token, "an old token").unwrap();
    let variables = [("AWS_ROLE_ARN", sandbox::aws::ROLE), ("AWS_WEB_IDENTITY_TOKEN_FILE", &*token)];
    let exporter = secure.exporter(&variables).await;
    wait_until_unready(&exporter, &["AWS_WEB_IDENTITY_TOKEN_FILE"]).await;
    std::fs::write(&token, WEB_IDENTITY_TOKEN).unwrap();
    exporter.readiness(200).await;
    let log = exporter.log_text();
    assert!(!log.contains("an old token") && !log.contains(WEB_IDENTITY_TOKEN), "a token is in the log");
}

#[tokio::test]
async fn reports_missing_credentials() {
    let secure = SecureServices::new().await;
    let exporter = secure.exporter(&[("AWS_EC2_METADATA_DISABLED", "true")]).await;
    wait_until_unready(&exporter, &["no AWS credentials from the metadata service of EC2"]).await;
}

#[tokio::test]
async fn does_not_send_a_token_to_an_unencrypted_sts() {
    let secure = SecureServices::new().await;
    let token = secure.path("web");
    let url = secure.services.aws.url();
    let variables = [
        ("AWS_ROLE_ARN", sandbox::aws::ROLE),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &*token),
        ("SIE_AWS__STS_ENDPOINT", &*url),
    ];
    let exporter = secure.exporter(&variables).await;
    wait_until_unready(&exporter, &["aws.sts_endpoint is http://"]).await;
    assert_eq!(secure.services.aws.count(Operation::AssumeRoleWithWebIdentity), 0);
}
