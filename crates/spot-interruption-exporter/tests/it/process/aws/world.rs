//! A simulated AWS with clusters in two regions and two accounts: the counts equal the interruptions that happened.

use std::time::Duration;

use sandbox::aws::{Aws, OTHER_ROLE, Queue, QueueFaults, StaleReceipts};

use super::super::services::total;
use super::{OFTEN, command_for};

#[tokio::test]
async fn counts_equal_the_interruptions_of_a_simulated_world() {
    let aws = Aws::builder().simulated().seed(11).speed(0.0).start().await.unwrap();
    let urls: Vec<String> = aws.queues().iter().map(Queue::aws_url).collect();
    for queue in aws.queues() {
        queue.set_faults(QueueFaults {
            duplicate_sends: 0.1,
            duplicate_receives: 0.1,
            lost_deletes: 0.05,
            reorder: 20,
            stale_receipts: StaleReceipts::Ignore,
            ..QueueFaults::default()
        });
    }
    let mut command = command_for(&aws.url(), &urls.join(","));
    command.env("SIE_AWS__ROLE_ARNS", OTHER_ROLE).envs([OFTEN, ("SIE_ATTRIBUTION_GRACE", "10s")]);
    let exporter = harness::Exporter::run(command).await;
    exporter.readiness(200).await;
    for step in 0..20 {
        aws.advance(Duration::from_secs(60));
        if step == 10 {
            aws.burst(0.5);
        }
        super::listings(&exporter, 4.0).await;
    }
    let truth = aws.truth();
    assert!(truth.interruptions_by_reason.len() == 2, "{truth:?}");
    for (cluster, count) in &truth.interruptions_by_cluster {
        let expected = Some(*count as f64);
        exporter
            .scraped(&format!("{cluster}: {count}"), |scrape| scrape.sample(&total(cluster)) == expected)
            .await;
    }
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.sum("interruption_events_unattributed_total"), truth.unattributed as f64);
    let counted: u64 = truth.interruptions_by_cluster.values().sum();
    assert_eq!(scrape.sum("spot_interruptions_total"), counted as f64);
}
