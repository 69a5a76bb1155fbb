//! What counts as an interruption, and its labels.

use std::time::{Duration, SystemTime};

use sandbox::aws::{Event, Instance, QUEUE, StateReason};

use super::super::services::total;
use super::{HOME, OFTEN, SHORT_GRACE, Services, interruptions, listings, messages, node};

#[tokio::test]
async fn counts_a_warning_with_the_labels_of_the_instance() {
    let services = Services::new().await;
    let node = Instance::spot(1, "eu-central-1b").instance_type("m6i.xlarge").karpenter("prod", "default");
    services.aws.launch(node.clone());
    let exporter = services.ready_exporter(&[]).await;
    services.aws.warn(&node.id).unwrap();
    let labels = format!(
        "kubernetes_cluster=\"prod\",cluster_location=\"{}\",node_pool=\"default\",machine_type=\"m6i.xlarge\",\
         zone=\"eu-central-1b\",project=\"{}\"",
        HOME.1, HOME.0
    );
    let series = format!("spot_interruptions_total{{{labels},reason=\"interruption_warning\"}}");
    let scrape = exporter.scraped("it is counted", |scrape| scrape.sample(&series) == Some(1.0)).await;
    assert_eq!(scrape.sample(&total("prod")), Some(1.0));
    assert_eq!(scrape.sum("spot_interruptions_total"), 1.0);
    assert_eq!(scrape.sample(&format!("spot_instances{{{labels}}}")), Some(0.0), "it is about to end");
    assert_eq!(messages(&scrape, "counted"), 1.0);
    services.aws.queue().wait_until_deleted(1).await;
}

#[tokio::test]
async fn counts_an_instance_that_was_taken_without_a_warning() {
    let (services, nodes) = Services::with_nodes(3).await;
    let exporter = services.ready_exporter(&[OFTEN, SHORT_GRACE]).await;
    services.aws.warn(&nodes[0].id).unwrap();
    for node in &nodes[..2] {
        services.aws.terminate(&node.id, StateReason::SpotTermination).unwrap();
    }
    services.aws.terminate(&nodes[2].id, "Client.UserInitiatedShutdown").unwrap();
    let scrape = exporter
        .scraped("the second is counted", |scrape| interruptions(scrape, "prod", "unannounced") == 1.0)
        .await;
    assert_eq!(interruptions(&scrape, "prod", "interruption_warning"), 1.0);
    listings(&exporter, 3.0).await;
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.sample(&total("prod")), Some(2.0), "the third was ended by its user");
    let page = exporter.get_with("/interruptions", &[("accept", "application/json")]).await;
    let page: serde_json::Value = serde_json::from_slice(&page.body).unwrap();
    let by: Vec<&str> = page["interruptions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["learnt_by"].as_str().unwrap())
        .collect();
    assert!(by.contains(&"message") && by.contains(&"listing") && by.len() == 2, "{page}");
    assert_eq!(page["interruptions"][0]["zone"], "eu-central-1b", "not the region of the event");
}

#[tokio::test]
async fn a_warning_after_the_end_is_a_duplicate() {
    let (services, nodes) = Services::with_nodes(1).await;
    let exporter = services.ready_exporter(&[OFTEN, SHORT_GRACE]).await;
    services.aws.terminate(&nodes[0].id, StateReason::SpotTermination).unwrap();
    exporter.scraped("it is counted", |scrape| interruptions(scrape, "prod", "unannounced") == 1.0).await;
    services.aws.warn(&nodes[0].id).unwrap();
    let scrape = exporter.scraped("it is a duplicate", |scrape| messages(scrape, "duplicate") == 1.0).await;
    assert_eq!(scrape.sample(&total("prod")), Some(1.0));
}

#[tokio::test]
async fn without_state_does_not_count_ends_before_the_start() {
    let (services, nodes) = Services::with_nodes(2).await;
    services.aws.terminate(&nodes[0].id, StateReason::SpotTermination).unwrap();
    // The time of an end has whole seconds.
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let exporter = services.ready_exporter(&[OFTEN, SHORT_GRACE]).await;
    services.aws.terminate(&nodes[1].id, StateReason::SpotTermination).unwrap();
    exporter
        .scraped("the second is counted", |scrape| interruptions(scrape, "prod", "unannounced") == 1.0)
        .await;
    listings(&exporter, 2.0).await;
    assert_eq!(exporter.scrape().await.sample(&total("prod")), Some(1.0));
}

#[tokio::test]
async fn changes_of_state_and_recommendations_are_not_interruptions() {
    let (services, nodes) = Services::with_nodes(1).await;
    let exporter = services.ready_exporter(&[]).await;
    let id = &nodes[0].id;
    services.aws.recommend_rebalance(id).unwrap();
    for state in ["shutting-down", "terminated", "stopping"] {
        services.aws.send_event(&Event::state_change(&nodes[0]).state(state));
    }
    services.aws.send_event(&Event::health(&nodes[0]));
    services.aws.send_event(&Event::bid_evicted(&[nodes[0].clone()]));
    services.aws.queue().wait_until_deleted(6).await;
    let scrape = exporter.scraped("they are ignored", |scrape| messages(scrape, "ignored") == 6.0).await;
    assert_eq!(scrape.sample(&total("prod")), Some(0.0));
}

#[tokio::test]
async fn a_fulfilled_request_makes_its_instance_known() {
    let services = Services::new().await;
    let exporter = services.ready_exporter(&[]).await;
    let node = node(1, "new");
    services.aws.launch(node.clone());
    services.aws.fulfill(&node.id).unwrap();
    exporter
        .scraped("the instance runs", |scrape| {
            scrape.sample(&total("new")) == Some(0.0) && scrape.sum("spot_instances") == 1.0
        })
        .await;
    assert_eq!(messages(&exporter.scrape().await, "added"), 1.0);
}

#[tokio::test]
async fn looks_up_an_unknown_instance() {
    let services = Services::new().await;
    let exporter = services.ready_exporter(&[]).await;
    let node = node(1, "unknown");
    services.aws.launch(node.clone());
    services.aws.warn(&node.id).unwrap();
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("unknown")) == Some(1.0)).await;
}

#[tokio::test]
async fn an_instance_without_cluster_is_unattributed() {
    let services = Services::new().await;
    let exporter = services.ready_exporter(&[SHORT_GRACE]).await;
    let outsider = Instance::spot(1, "eu-central-1a");
    services.aws.launch(outsider.clone());
    services.aws.warn(&outsider.id).unwrap();
    // An instance that does not exist.
    services.aws.send_event(&Event::interruption_warning(&Instance::spot(2, "eu-central-1a")));
    let unattributed = "interruption_events_unattributed_total";
    exporter.scraped("both are counted", |scrape| scrape.sample(unattributed) == Some(2.0)).await;
}

#[tokio::test]
async fn reads_other_forms_of_messages() {
    let (services, nodes) = Services::with_nodes(3).await;
    let exporter = services.ready_exporter(&[]).await;
    services.aws.send_event_by_sns(&Event::interruption_warning(&nodes[0]));
    services
        .aws
        .send_event(&Event::interruption_warning(&nodes[1]).account_resource(&nodes[1]).action("stop"));
    services.aws.send_event(&Event::capacity_reservation_warning(&nodes[2]));
    for damaged in
        ["", "not JSON", "{}", "[1, 2]", r#"{"detail-type": "EC2 Spot Instance Interruption Warning"}"#]
    {
        services.aws.queue().send(damaged);
    }
    let scrape = exporter.scraped("all are processed", |scrape| messages(scrape, "invalid") == 5.0).await;
    assert_eq!(messages(&scrape, "counted"), 3.0);
    assert_eq!(interruptions(&scrape, "prod", "interruption_warning"), 2.0);
    assert_eq!(interruptions(&scrape, "prod", "capacity_reservation_warning"), 1.0);
    services.aws.queue().wait_until_deleted(8).await;
    exporter.log("a message cannot be decoded and is dropped").await;
}

#[tokio::test]
async fn observes_the_lifetime_and_the_delivery() {
    let services = Services::new().await;
    let launched = SystemTime::now() - Duration::from_secs(7_000);
    let node = node(1, "old").launched(launched);
    services.aws.launch(node.clone());
    let exporter = services.ready_exporter(&[]).await;
    services.aws.warn(&node.id).unwrap();
    let scrape = exporter
        .scraped("it is observed", |scrape| {
            scrape.sample("spot_instance_lifetime_seconds_count{kubernetes_cluster=\"old\"}") == Some(1.0)
        })
        .await;
    let lifetime = scrape.sample("spot_instance_lifetime_seconds_sum{kubernetes_cluster=\"old\"}").unwrap();
    assert!((6_990.0..7_100.0).contains(&lifetime), "{lifetime}");
    assert_eq!(scrape.sample("spot_interruption_delivery_seconds_count"), Some(1.0));
}

#[tokio::test]
async fn shows_aws_on_the_pages() {
    let (services, nodes) = Services::with_nodes(1).await;
    let exporter = services.ready_exporter(&[]).await;
    services.aws.warn(&nodes[0].id).unwrap();
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("prod")) == Some(1.0)).await;
    let landing = exporter.get("/").await.text();
    for part in [format!("Last message of {QUEUE}"), "Instances listed".to_owned()] {
        assert!(landing.contains(&part), "{landing}");
    }
    let scopes = "spot_interruption_exporter_scopes{state=\"complete\"}";
    assert_eq!(exporter.scrape().await.sample(scopes), Some(1.0));
}
