//! Errors of SQS and EC2: what `/ready` says, and that nothing is lost.

use harness::Clock;
use sandbox::aws::{Operation, Reply, StateReason};

use super::super::network_conditions::wait_until_unready;
use super::super::services::total;
use super::{OFTEN, SHORT_GRACE, Services, interruptions, listings, node};

#[tokio::test]
async fn reports_a_queue_that_is_missing_or_denied_and_recovers() {
    let (services, nodes) = Services::with_nodes(1).await;
    services.aws.queue().set_deleted(true);
    let exporter = services.exporter(&[]).await;
    wait_until_unready(&exporter, &["SQS queue sie-interruption-queue", "QueueDoesNotExist"]).await;
    services.aws.queue().set_deleted(false);
    exporter.readiness(200).await;
    services.aws.queue().set_denied(true);
    wait_until_unready(&exporter, &["SQS queue sie-interruption-queue", "AccessDenied"]).await;
    services.aws.queue().set_denied(false);
    exporter.readiness(200).await;
    services.aws.warn(&nodes[0].id).unwrap();
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("prod")) == Some(1.0)).await;
}

#[tokio::test]
async fn reports_messages_that_cannot_be_deleted() {
    let (services, nodes) = Services::with_nodes(1).await;
    let exporter = services.ready_exporter(&[]).await;
    services.aws.fail(Operation::DeleteMessageBatch, "AccessDeniedException");
    services.aws.warn(&nodes[0].id).unwrap();
    let parts = ["SQS queue sie-interruption-queue", "processed messages cannot be deleted", "AccessDenied"];
    wait_until_unready(&exporter, &parts).await;
    services.aws.clear_overrides();
    exporter.readiness(200).await;
    services.aws.queue().wait_until_deleted(1).await;
    assert_eq!(exporter.scrape().await.sample(&total("prod")), Some(1.0));
}

#[tokio::test]
async fn recovers_from_throttled_and_broken_requests() {
    let (services, nodes) = Services::with_nodes(4).await;
    let exporter = services.ready_exporter(&[]).await;
    for (index, node) in nodes.iter().enumerate() {
        match index {
            0 => services.aws.fail_times(Operation::ReceiveMessage, "RequestThrottled", 2),
            1 => services.aws.override_reply(Operation::ReceiveMessage, Reply::Reset.once()),
            2 => services.aws.override_reply(Operation::ReceiveMessage, Reply::Truncated.once()),
            _ => services.aws.fail_times(Operation::DeleteMessageBatch, "RequestThrottled", 2),
        };
        services.aws.warn(&node.id).unwrap();
        let count = Some((index + 1) as f64);
        exporter.scraped("it is counted", |scrape| scrape.sample(&total("prod")) == count).await;
    }
    services.aws.queue().wait_until_drained().await;
}

#[tokio::test]
async fn a_failed_listing_removes_no_instance() {
    let (services, nodes) = Services::with_nodes(3).await;
    let exporter = services.ready_exporter(&[OFTEN]).await;
    let failures = "spot_interruption_exporter_resyncs_total{outcome=\"failure\"}";
    for reply in [Reply::Truncated, Reply::Reset] {
        services.aws.override_reply(Operation::DescribeInstances, reply);
        let before = exporter.scrape().await.sample(failures).unwrap();
        exporter.scraped("listings fail", |scrape| scrape.sample(failures) >= Some(before + 2.0)).await;
        services.aws.clear_overrides();
        listings(&exporter, 1.0).await;
    }
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.sum("spot_instances"), 3.0);
    services.aws.warn(&nodes[0].id).unwrap();
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("prod")) == Some(1.0)).await;
}

#[tokio::test]
async fn is_not_ready_before_the_first_listing() {
    let services = Services::new().await;
    services.aws.fail(Operation::DescribeInstances, "UnauthorizedOperation");
    let exporter = services.exporter(&[]).await;
    wait_until_unready(&exporter, &["EC2", "eu-central-1", "UnauthorizedOperation"]).await;
    services.aws.clear_overrides();
    exporter.readiness(200).await;
}

#[tokio::test]
async fn lists_where_ec2_does_not_know_managed_resources() {
    let (services, _) = Services::with_nodes(2).await;
    services.aws.configure_ec2(|ec2| ec2.reject_managed_resources = true);
    let exporter = services.ready_exporter(&[]).await;
    exporter.scraped("they run", |scrape| scrape.sum("spot_instances") == 2.0).await;
}

#[tokio::test]
async fn reads_every_form_of_a_description() {
    let services = Services::new().await;
    services.aws.configure_ec2(|ec2| {
        ec2.shuffle = true;
        ec2.padding = 8_000;
        ec2.time_zone = "UTC";
    });
    services.aws.launch_all((1..=1_200).map(|number| node(number, "prod")));
    let exporter = services.ready_exporter(&[OFTEN, SHORT_GRACE]).await;
    exporter.scraped("they run", |scrape| scrape.sum("spot_instances") == 1_200.0).await;
    let id = node(700, "prod").id;
    services.aws.terminate(&id, StateReason::SpotTermination).unwrap();
    exporter.scraped("it is counted", |scrape| interruptions(scrape, "prod", "unannounced") == 1.0).await;
}

#[tokio::test]
async fn removes_an_instance_after_two_listings_without_it() {
    let (services, nodes) = Services::with_nodes(2).await;
    let exporter = services.ready_exporter(&[OFTEN]).await;
    services.aws.remove(&nodes[0].id);
    exporter.scraped("one runs", |scrape| scrape.sum("spot_instances") == 1.0).await;
    let known = "spot_interruption_exporter_inventory_instances";
    assert_eq!(exporter.scrape().await.sample(known), Some(1.0));
}

#[tokio::test]
async fn follows_the_clock_of_aws() {
    let (services, nodes) = Services::with_nodes(2).await;
    for hours in [6.0, -6.0] {
        services.aws.set_clock_offset(hours * 3_600.0);
        let exporter = services.ready_exporter(&[OFTEN, SHORT_GRACE]).await;
        exporter.log("the clock of this host differs from AWS's").await;
        let node = &nodes[usize::from(hours < 0.0)];
        services.aws.terminate(&node.id, StateReason::SpotTermination).unwrap();
        exporter.scraped("it is counted", |scrape| interruptions(scrape, "prod", "unannounced") == 1.0).await;
    }
}

#[tokio::test]
async fn survives_a_jump_of_its_own_clock() {
    let Some(clock) = Clock::accurate().await else { return };
    let (services, nodes) = Services::with_nodes(2).await;
    let mut command = services.command();
    clock.apply_to(&mut command);
    let exporter = harness::Exporter::run(command).await;
    exporter.readiness(200).await;
    for (offset, node) in [("+6h", &nodes[0]), ("-6h", &nodes[1])] {
        clock.set(offset);
        services.aws.warn(&node.id).unwrap();
        let count = Some(if offset == "+6h" { 1.0 } else { 2.0 });
        exporter.scraped("it is counted", |scrape| scrape.sample(&total("prod")) == count).await;
    }
    services.aws.queue().wait_until_drained().await;
}
