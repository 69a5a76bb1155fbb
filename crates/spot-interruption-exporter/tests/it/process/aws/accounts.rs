//! Several regions, accounts and clouds in one process.

use harness::Exporter;
use sandbox::aws::{ACCOUNT, OTHER_ACCOUNT, OTHER_ROLE, Operation, QUEUE, REGION, Target};

use super::super::network_conditions::wait_until_unready;
use super::super::services::{EventKind, Services as GoogleServices, node as google_node, total};
use super::{Services, node};

const OTHER_REGION: &str = "us-east-1";

#[tokio::test]
async fn counts_in_another_account() {
    let services = Services::new().await;
    let other = node(1, "member").account(OTHER_ACCOUNT);
    services.aws.launch(other.clone());
    services.aws.queue().allow_account(OTHER_ACCOUNT);
    let exporter = services.ready_exporter(&[("SIE_AWS__ROLE_ARNS", OTHER_ROLE)]).await;
    let scrape = exporter.scraped("it runs", |scrape| scrape.sum("spot_instances") == 1.0).await;
    assert!(scrape.text().contains(&format!("project=\"{OTHER_ACCOUNT}\"")));
    assert_eq!(scrape.sample("spot_interruption_exporter_scopes{state=\"complete\"}"), Some(2.0));
    services.aws.queue().send(sandbox::aws::Event::interruption_warning(&other).body());
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("member")) == Some(1.0)).await;
}

#[tokio::test]
async fn one_account_that_fails_does_not_affect_others() {
    let (services, nodes) = Services::with_nodes(1).await;
    services.aws.remove_role(OTHER_ROLE);
    let exporter = services.ready_exporter(&[("SIE_AWS__ROLE_ARNS", OTHER_ROLE)]).await;
    let ready = exporter.get("/ready").await.text();
    assert!(ready.contains(OTHER_ACCOUNT) && ready.contains(OTHER_ROLE), "{ready}");
    services.aws.warn(&nodes[0].id).unwrap();
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("prod")) == Some(1.0)).await;
    let failing = "spot_interruption_exporter_scopes{state=\"failing\"}";
    assert_eq!(exporter.scrape().await.sample(failing), Some(1.0));
}

#[tokio::test]
async fn receives_from_the_queues_of_two_regions() {
    let (services, nodes) = Services::with_nodes(1).await;
    let queue = services.aws.add_queue(ACCOUNT, OTHER_REGION, "second-queue");
    let other = sandbox::aws::Instance::spot(2, "us-east-1a").eks("prod", "workers");
    services.aws.launch(other.clone());
    let urls = format!("{},{}", services.aws.queue().aws_url(), queue.aws_url());
    let exporter = services.ready_exporter(&[("SIE_AWS__QUEUE_URLS", &urls)]).await;
    services.aws.warn(&nodes[0].id).unwrap();
    services.aws.warn(&other.id).unwrap();
    let scrape =
        exporter.scraped("both are counted", |scrape| scrape.sample(&total("prod")) == Some(2.0)).await;
    for name in [QUEUE, "second-queue"] {
        let series = format!(
            "spot_interruption_exporter_messages_total{{subscription=\"{name}\",outcome=\"counted\"}}"
        );
        assert_eq!(scrape.sample(&series), Some(1.0), "{name}");
    }
    for region in [REGION, OTHER_REGION] {
        assert!(scrape.text().contains(&format!("cluster_location=\"{region}\"")), "{region}");
    }
}

#[tokio::test]
async fn one_region_that_fails_does_not_affect_others() {
    let (services, nodes) = Services::with_nodes(1).await;
    services
        .aws
        .fail(Target::new(Operation::DescribeInstances).region(OTHER_REGION), "UnauthorizedOperation");
    let regions = format!("{REGION},{OTHER_REGION}");
    let exporter = services.ready_exporter(&[("SIE_AWS__REGIONS", &regions)]).await;
    let ready = exporter.get("/ready").await.text();
    assert!(ready.contains(&format!("{ACCOUNT}/{OTHER_REGION}")), "{ready}");
    services.aws.warn(&nodes[0].id).unwrap();
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("prod")) == Some(1.0)).await;
}

#[tokio::test]
async fn both_clouds_run_in_one_process() {
    let services = Services::new().await;
    // The clouds share one inventory, so their ids must differ.
    let nodes = [node(0xb662_ef99_3138_8ba0, "prod")];
    services.aws.launch_all(nodes.clone());
    let mut google = GoogleServices::sandbox().await;
    let google_nodes = [google_node(1, "gke")];
    google.compute.insert_all(google_nodes.clone());
    let mut command = google.command();
    command
        .env("SIE_AWS__QUEUE_URLS", services.aws.queue().aws_url())
        .env("SIE_AWS__SQS_ENDPOINT", services.aws.url())
        .env("SIE_AWS__EC2_ENDPOINT", services.aws.url());
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    google.preempted(&google_nodes).await;
    services.aws.warn(&nodes[0].id).unwrap();
    for cluster in ["gke", "prod"] {
        exporter.scraped("it is counted", |scrape| scrape.sample(&total(cluster)) == Some(1.0)).await;
    }
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.sum("spot_interruptions_total"), 2.0);
    assert_eq!(scrape.sample("spot_interruption_exporter_scopes{state=\"complete\"}"), Some(2.0));
    // Each cloud has its own conditions.
    google.delete_subscription(EventKind::Interruption).await;
    wait_until_unready(&exporter, &["Pub/Sub subscription"]).await;
    let conditions = exporter.scrape().await.text();
    for condition in ["queue", "ec2", "compute", "interruption_subscription"] {
        assert!(conditions.contains(&format!("condition=\"{condition}\"")), "{condition}");
    }
}
