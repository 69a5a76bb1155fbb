//! The options of AWS.

use harness::{Exporter, run_to_end};
use sandbox::aws::{Aws, Operation};
use tokio::process::Command;

use super::super::services::{binary, total};
use super::{Services, command_for};

const URL: &str = "https://sqs.eu-central-1.amazonaws.com/123456789012/q";

async fn assert_rejected(variables: &[(&str, &str)], parts: &[&str]) {
    let mut command: Command = binary();
    command.envs(variables.iter().copied());
    let (code, _, error) = run_to_end(command).await;
    assert_eq!(code, Some(1), "{variables:?}: {error}");
    for part in parts {
        assert!(error.contains(part), "{variables:?}: no {part:?} in {error}");
    }
}

#[tokio::test]
async fn rejects_invalid_options() {
    for (variables, parts) in [
        (&[][..], &["project_name is required", "aws.queue_urls"][..]),
        (
            &[("SIE_AWS__QUEUE_URLS", "q")],
            &["aws.queue_urls", "https://sqs.REGION.amazonaws.com/ACCOUNT/NAME"],
        ),
        (&[("SIE_AWS__QUEUE_URLS", "http://localhost/123456789012/q")], &["aws.queue_urls", "AWS_REGION"]),
        (
            &[("SIE_AWS__QUEUE_URLS", URL), ("SIE_AWS__REGIONS", "Frankfurt")],
            &["aws.regions", "Frankfurt", "eu-central-1"],
        ),
        (
            &[("SIE_AWS__QUEUE_URLS", URL), ("SIE_AWS__ROLE_ARNS", "role/x")],
            &["aws.role_arns", "arn:aws:iam::"],
        ),
        (
            &[
                ("SIE_AWS__QUEUE_URLS", URL),
                ("SIE_AWS__ROLE_ARNS", "arn:aws:iam::210987654321:role/a,arn:aws:iam::210987654321:role/b"),
            ],
            &["aws.role_arns", "second role of account 210987654321"],
        ),
        (&[("SIE_AWS__QUEUE_URLS", URL), ("SIE_AWS__RESYNC_INTERVAL", "soon")], &["aws.resync_interval"]),
        (&[("SIE_AWS__QUEUE_URLS", URL), ("SIE_AWS__EC2_ENDPOINT", "ftp://x")], &["aws.ec2_endpoint"]),
        (
            &[("SIE_PROJECT_NAME", "example-project"), ("SIE_AWS__REGIONS", "eu-central-1")],
            &["aws.regions", "aws.queue_urls"],
        ),
        (
            &[("SIE_AWS__QUEUE_URLS", URL), ("SIE_GCP__PROJECTS", "other-project")],
            &["gcp.projects", "project_name"],
        ),
    ] {
        assert_rejected(variables, parts).await;
    }
}

#[tokio::test]
async fn real_credentials_are_never_sent_without_encryption() {
    let services = Services::new().await;
    let mut command = services.command();
    command
        .env("AWS_ACCESS_KEY_ID", "AKIAREALREALREAL")
        .env("AWS_SECRET_ACCESS_KEY", "real-secret")
        .env("AWS_SESSION_TOKEN", "real-token");
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    let requests = services.aws.requests();
    assert!(!requests.is_empty());
    for request in requests {
        let text = format!("{request:?}");
        for secret in ["AKIAREAL", "real-secret", "real-token"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

/// The queue's own URL, as moto and LocalStack return it.
#[tokio::test]
async fn a_queue_url_can_be_that_of_a_stand_in() {
    let services = Services::new().await;
    let node = super::node(1, "prod");
    services.aws.launch(node.clone());
    let mut command = binary();
    command
        .env("SIE_AWS__QUEUE_URLS", services.aws.queue_url())
        .env("AWS_REGION", "eu-central-1")
        .env("SIE_AWS__EC2_ENDPOINT", services.aws.url())
        .env("SIE_PROMETHEUS__ADDRESS", "127.0.0.1:0");
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    services.aws.warn(&node.id).unwrap();
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("prod")) == Some(1.0)).await;
}

#[tokio::test]
async fn reads_the_options_from_a_file() {
    let aws = Aws::builder().start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    let url = aws.url();
    let text = format!(
        "aws:\n  queue_urls: [\"{}\"]\n  sqs_endpoint: {url}\n  ec2_endpoint: {url}\n  cluster_tags: [\"ghr:Application\"]\n  \
         node_pool_tags: \"ghr:environment\"\nprometheus:\n  address: [\"127.0.0.1:0\"]\n",
        aws.queue().aws_url()
    );
    std::fs::write(&file, text).unwrap();
    let runner = sandbox::aws::Instance::spot(1, "eu-central-1a").tag("ghr:Application", "ci");
    aws.launch(runner.tag("ghr:environment", "linux"));
    let mut command = binary();
    command.arg("--config").arg(&file);
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    let scrape = exporter.scraped("it runs", |scrape| scrape.sum("spot_instances") == 1.0).await;
    for label in ["kubernetes_cluster=\"ci\"", "node_pool=\"linux\""] {
        assert!(scrape.text().contains(label), "{}", scrape.text());
    }
}

#[tokio::test]
async fn lists_a_queue_once() {
    let services = Services::new().await;
    let url = services.aws.queue().aws_url();
    let mut command = command_for(&services.aws.url(), &format!("{url}, {url}"));
    command.env("SIE_AWS__REGIONS", "eu-central-1, eu-central-1");
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    assert_eq!(services.aws.count(Operation::DescribeInstances), 1);
}
