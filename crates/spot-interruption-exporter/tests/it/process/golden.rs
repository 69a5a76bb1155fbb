//! The golden exposition: every change of the metrics changes `tests/golden`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p spot-interruption-exporter golden` regenerates it.

use std::path::Path;
use std::time::{Duration, SystemTime};

use sandbox::google::Instance;

use super::services::{EventKind, Services, ZONE, node, total};

/// A cluster with spot nodes of two kinds, one interruption of each outcome, and names that need escaping.
#[tokio::test]
async fn exposition_matches_the_golden_files() {
    let mut services = Services::sandbox().await;
    let odd = "odd \"name\\ with\nlines";
    let hour_ago = SystemTime::now() - Duration::from_secs(3_600);
    let nodes = [
        node(1, "production"),
        node(2, "production"),
        Instance::new(3, ZONE, "gke-odd-3").spot().machine_type("c3-standard-8").gke(odd, "us-east1", "pool"),
    ]
    .map(|node| node.created(hour_ago));
    services.compute.insert_all(nodes.clone());
    let creations = "projects/example-project/subscriptions/sie-creation-subscription";
    let interruptions = "projects/example-project/subscriptions/sie-interruption-subscription";
    for (subscription, kind) in [(creations, EventKind::Creation), (interruptions, EventKind::Interruption)] {
        services.pubsub().create_subscription(subscription, &services.topic(kind)).unwrap();
    }
    let exporter = services
        .ready_exporter(&[
            ("SIE_PUBSUB__INSTANCE_CREATION_SUBSCRIPTION_NAME", "sie-creation-subscription"),
            ("SIE_PUBSUB__INSTANCE_INTERRUPTION_SUBSCRIPTION_NAME", "sie-interruption-subscription"),
            ("SIE_ATTRIBUTION_GRACE", "1s"),
        ])
        .await;
    services.preempted(&[nodes[0].clone(), nodes[2].clone(), node(9, "unknown")]).await;
    exporter
        .scraped("one is unattributed", |scrape| {
            scrape.sample("interruption_events_unattributed_total") == Some(1.0)
        })
        .await;
    let text =
        exporter.scraped("one is counted", |scrape| scrape.sample(&total("production")) == Some(1.0)).await;
    harness::lint(&text.text(), &[]).await;
    compare("spot.prom", &text.text());
    let accept = [("accept", "application/openmetrics-text")];
    compare("spot.openmetrics", &exporter.get_with("/metrics", &accept).await.text());
}

fn compare(file: &str, exposition: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    harness::compare_exposition(&path, exposition, |name| {
        name.starts_with("spot_interruption_delivery_seconds")
            || name.starts_with("spot_instance_lifetime_seconds")
            || name.ends_with("_timestamp_seconds")
    });
}
