//! Golden expositions: a change of what the exporter exposes is a change of `tests/golden`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p spacelift-promex golden` writes them anew.

use std::path::Path;
use std::process::Stdio;

use sandbox::spacelift::{Account, Scenario, Spacelift};
use tokio::io::AsyncWriteExt;

use super::support::{EVERYTHING, Exporter, tool};

/// What promtool says of names that are Spacelift's own exporter's or follow from the API's, and why each stays.
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
        "a setting in days, shown as it is set",
    ),
    (
        "spacelift_run_log_retention_days use base unit \"seconds\" instead of \"days\"",
        "a setting in days, shown as it is set",
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

async fn check(name: &str, account: Account, scenario: Scenario) {
    let api = Spacelift::builder().account(account).scenario(scenario).start().await.unwrap();
    let exporter = Exporter::ready(&api, &EVERYTHING).await;
    let text = exporter.scrape().await;
    assert_eq!(text.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    lint(&text.text()).await;
    compare(&format!("{name}.prom"), &text.text());
    let accept = [("accept", "application/openmetrics-text; version=1.0.0")];
    let openmetrics = exporter.get_with("/metrics", &accept).await;
    assert_eq!(
        openmetrics.header("content-type"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(openmetrics.text().ends_with("# EOF\n"));
    compare(&format!("{name}.openmetrics"), &openmetrics.text());
}

fn compare(file: &str, exposition: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    let got = stable(exposition);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, got).unwrap();
        return;
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    let differences: Vec<String> = want
        .lines()
        .filter(|line| !got.contains(line))
        .map(|line| format!("-{line}"))
        .chain(got.lines().filter(|line| !want.contains(line)).map(|line| format!("+{line}")))
        .collect();
    assert!(
        got == want,
        "the exposition is not that of {file}; if that is meant, write it anew with UPDATE_GOLDEN=1:\n{}",
        differences.join("\n")
    );
}

/// The exposition with what differs from run to run left out, and each family's samples sorted, since the
/// registry keeps them in a hash map.
fn stable(exposition: &str) -> String {
    let mut text = String::new();
    let mut samples: Vec<String> = Vec::new();
    for line in exposition.lines().chain(["#"]) {
        if line.starts_with('#') {
            samples.sort_by_key(|sample| without_bucket(sample));
            for sample in samples.drain(..) {
                text += &(sample + "\n");
            }
            text += &format!("{line}\n");
        } else {
            samples.push(stable_sample(line));
        }
    }
    text.trim_end_matches("#\n").to_owned()
}

/// What the samples of one series have in common, so that a histogram's stay together and in order.
fn without_bucket(sample: &str) -> String {
    let labels = sample.find('{').map_or("", |start| &sample[start + 1..]);
    let labels = match labels.strip_prefix("le=\"") {
        Some(rest) => rest.split_once("\",").map_or("", |(_, labels)| labels),
        None => labels,
    };
    labels.rsplit_once('}').map_or(String::new(), |(labels, _)| labels.to_owned())
}

fn stable_sample(line: &str) -> String {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let name = series.split('{').next().unwrap();
    if name == "spacelift_build_info" {
        return format!("{name}{{version,commit,rustversion}} {value}");
    }
    let is_volatile = name.starts_with("process_")
        || name.starts_with("spacelift_promex_")
        || name.starts_with("promhttp_")
        || name.ends_with("scrape_duration_seconds")
        || name.ends_with("collector_duration_seconds");
    format!("{series} {}", if is_volatile { "…" } else { value })
}

/// promtool's linter finds nothing beyond [`GRANDFATHERED`].
async fn lint(exposition: &str) {
    let Some(promtool) = tool("promtool") else { return };
    let mut child = tokio::process::Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(exposition.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let findings = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let new: Vec<&str> = findings
        .lines()
        .filter(|finding| GRANDFATHERED.iter().all(|(known, _reason)| known != finding))
        .collect();
    assert!(new.is_empty(), "promtool finds:\n{}", new.join("\n"));
    assert!(output.status.code() != Some(1), "promtool cannot read the exposition");
}
