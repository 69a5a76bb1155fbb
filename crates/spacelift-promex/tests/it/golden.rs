//! Compares expositions with the files in `tests/golden`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p spacelift-promex golden` updates the files.

use std::path::Path;

use sandbox::spacelift::{Account, Scenario, Spacelift};

use super::support::{ALL_COLLECTORS, Exporter};
use super::webhook::Receiver;

/// Accepted findings of promtool, with the reason. The names are those of Spacelift's own exporter or follow the API.
const GRANDFATHERED: [(&str, &str); 5] = [
    (
        "spacelift_current_avg_stack_size_by_resource_count non-histogram and non-summary metrics should not have \"_count\" suffix",
        "the name that existing dashboards use",
    ),
    (
        "spacelift_current_max_stack_size_by_resource_count non-histogram and non-summary metrics should not have \"_count\" suffix",
        "named like its published sibling above",
    ),
    (
        "spacelift_integrations_count non-histogram and non-summary metrics should not have \"_count\" suffix",
        "the published name of the field",
    ),
    (
        "spacelift_audit_trail_retention_days use base unit \"seconds\" instead of \"days\"",
        "a setting in days, exported in its own unit",
    ),
    (
        "spacelift_run_log_retention_days use base unit \"seconds\" instead of \"days\"",
        "a setting in days, exported in its own unit",
    ),
];

#[tokio::test]
async fn rich_account() {
    check("rich", Account::rich(), Scenario::Healthy).await;
}

#[tokio::test]
async fn empty_account() {
    check("empty", Account::empty(), Scenario::Healthy).await;
}

#[tokio::test]
async fn self_hosted_without_public_pool() {
    check("self_hosted", Account::self_hosted(), Scenario::Healthy).await;
}

#[tokio::test]
async fn machine_key() {
    check("machine_key", Account::rich(), Scenario::MachineKey).await;
}

#[tokio::test]
async fn partial_failure() {
    check("partial_failure", Account::rich(), Scenario::PartialFailure).await;
}

#[tokio::test]
async fn hostile_names() {
    check("hostile", Account::hostile(), Scenario::Healthy).await;
}

/// The metrics of webhooks: a run with both payloads, a waiting run, a failed run, and rejected deliveries.
#[tokio::test]
async fn webhooks() {
    let receiver = Receiver::with_every_kind(&[]).await;
    let text = receiver.scrape_every_kind().await.text();
    harness::lint(&text, &GRANDFATHERED).await;
    compare("webhooks.prom", &text);
}

async fn check(name: &str, account: Account, scenario: Scenario) {
    let api = Spacelift::builder().account(account).scenario(scenario).start().await.unwrap();
    let exporter = Exporter::ready(&api, &ALL_COLLECTORS).await;
    let text = exporter.scrape().await;
    assert_eq!(text.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    harness::lint(&text.text(), &GRANDFATHERED).await;
    compare(&format!("{name}.prom"), &text.text());
    let accept = [("accept", "application/openmetrics-text; version=1.0.0")];
    let openmetrics = exporter.get_with("/metrics", &accept).await;
    assert_eq!(
        openmetrics.header("content-type"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
    );
    assert!(openmetrics.text().ends_with("# EOF\n"));
    compare(&format!("{name}.openmetrics"), &openmetrics.text());
}

fn compare(file: &str, exposition: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    harness::compare_exposition(&path, exposition, |name| {
        name.starts_with("spacelift_promex_")
            || name.ends_with("scrape_duration_seconds")
            || name.starts_with("spacelift_webhook_delivery_delay")
            || name.starts_with("spacelift_webhook_last_delivery")
            || name.ends_with("collector_duration_seconds")
    });
}
