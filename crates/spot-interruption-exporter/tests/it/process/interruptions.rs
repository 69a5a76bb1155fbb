//! `/interruptions`: the last interruptions, as JSON and as an HTML page.

use std::path::Path;
use std::time::{Duration, SystemTime};

use harness::{Exporter, HttpResponse, TIMEOUT, tool};
use sandbox::google::Instance;
use sandbox::google::compute::ZoneOperation;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::durable::kill;
use super::services::{PROJECT, Services, ZONE, node, operations_exporter, total};

const BROWSER: [(&str, &str); 1] =
    [("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")];
const UNATTRIBUTED: &str = "interruption_events_unattributed_total";

fn rows(answer: &HttpResponse) -> Vec<Value> {
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let document: Value = serde_json::from_slice(&answer.body).unwrap();
    document["interruptions"].as_array().unwrap().clone()
}

/// Waits until the page contains an interruption. Returns the rows.
async fn wait_for_rows(exporter: &Exporter, query: &str) -> Vec<Value> {
    let waited = async {
        loop {
            let rows = rows(&exporter.get(&format!("/interruptions{query}")).await);
            if !rows.is_empty() {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TIMEOUT, waited).await.expect("no interruption is shown")
}

#[tokio::test]
async fn serves_json_to_programs() {
    let mut services = Services::sandbox().await;
    let known = node(11, "prod").created(SystemTime::now() - Duration::from_secs(3_600));
    services.compute.insert_all([known.clone(), node(12, "other")]);
    let exporter = services.ready_exporter(&[("SIE_ATTRIBUTION_GRACE", "1s")]).await;
    assert!(rows(&exporter.get("/interruptions").await).is_empty());
    services.preempted(&[known, node(13, "unknown")]).await;
    exporter.scraped("one is counted", |scrape| scrape.sample(&total("prod")) == Some(1.0)).await;
    exporter.scraped("the other is not", |scrape| scrape.sample(UNATTRIBUTED) == Some(1.0)).await;

    for headers in [&[][..], &[("accept", "*/*")], &[("accept", "application/json")]] {
        let answer = exporter.get_with("/interruptions?sort=cluster", headers).await;
        assert_eq!(answer.header("vary"), "accept");
        let rows = rows(&answer);
        assert_eq!(rows.len(), 2, "{rows:?}");
        let row = &rows[0];
        for (field, value) in [
            ("instance", "gke-prod-11"),
            ("id", "11"),
            ("project", PROJECT),
            ("zone", ZONE),
            ("cluster", "prod"),
            ("node_pool", "spot-pool"),
            ("machine_type", "n2-standard-4"),
            ("reason", "preempted"),
            ("learnt_by", "message"),
        ] {
            assert_eq!(row[field], value, "{field}: {row}");
        }
        let lifetime = row["lifetime_seconds"].as_f64().unwrap();
        assert!((3_500.0..3_700.0).contains(&lifetime), "{row}");
        assert!(row["delay_seconds"].as_f64().is_some_and(|delay| delay >= 0.0), "{row}");
        assert!(row["time"].as_str().unwrap().ends_with('Z'), "{row}");
        assert!(row["unattributed"].is_null(), "{row}");
        assert_eq!(rows[1]["instance"], "gke-unknown-13");
        assert_eq!(rows[1]["unattributed"], "not_found");
        assert!(rows[1]["cluster"].is_null() && rows[1]["lifetime_seconds"].is_null(), "{}", rows[1]);
    }
    assert_eq!(rows(&exporter.get("/interruptions?cluster=prod").await).len(), 1);
    assert!(rows(&exporter.get("/interruptions?cluster=other").await).is_empty());
    assert_eq!(exporter.get("/interruptions?sort=name").await.status, 400);
}

/// Rows are part of the durable state.
#[tokio::test]
async fn rows_survive_a_kill() {
    let mut services = Services::sandbox().await;
    let nodes = [node(41, "prod"), node(42, "other")];
    services.compute.insert_all(nodes.clone());
    let directory = tempfile::tempdir().unwrap();
    let variables =
        [("SIE_ATTRIBUTION_GRACE", "1s"), ("SIE_STATE__PATH", directory.path().to_str().unwrap())];
    let exporter = services.ready_exporter(&variables).await;
    services.preempted(&[nodes[0].clone(), node(43, "unknown")]).await;
    exporter.scraped("one is counted", |scrape| scrape.sample(&total("prod")) == Some(1.0)).await;
    exporter.scraped("the other is not", |scrape| scrape.sample(UNATTRIBUTED) == Some(1.0)).await;
    let before = rows(&exporter.get("/interruptions").await);
    assert_eq!(before.len(), 2);
    kill(exporter).await;

    let exporter = services.ready_exporter(&variables).await;
    assert_eq!(rows(&exporter.get("/interruptions").await), before);
    services.preempted(&nodes[1..]).await;
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("other")) == Some(1.0)).await;
    let all = rows(&exporter.get("/interruptions").await);
    kill(exporter).await;
    let exporter = services.ready_exporter(&variables).await;
    assert_eq!(rows(&exporter.get("/interruptions").await), all);
    assert_eq!(all.len(), 3);
}

#[tokio::test]
async fn shows_that_an_operation_reported_the_interruption() {
    let services = Services::sandbox().await;
    let lost = node(21, "silent");
    services.compute.insert(lost.clone());
    let exporter = operations_exporter(&services.compute.url(), &[]).await;
    services.compute.insert_operation(ZoneOperation::preempted("systemevent-1", &lost, SystemTime::now()));
    let rows = wait_for_rows(&exporter, "?cluster=silent").await;
    assert_eq!(rows[0]["learnt_by"], "operation", "{rows:?}");
    assert_eq!(rows[0]["instance"], "gke-silent-21", "{rows:?}");
}

#[tokio::test]
async fn serves_browsers_a_table_without_scripts() {
    let services = Services::sandbox().await;
    let exporter = services.ready_exporter(&[]).await;
    let page = exporter.get_with("/interruptions", &BROWSER).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("script-src"), "{policy}");
    for part in ["<table>", "<form", "?sort=cluster"] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    assert!(!page.text().contains("http"), "the page loads external content: {}", page.text());
    let landing = exporter.get("/").await.text();
    assert!(landing.contains("<a href=\"interruptions\">Interruptions</a>"), "{landing}");
    // Conditions that hold are also shown.
    assert!(landing.contains("<strong>Ready</strong>") && landing.contains("<td>ok</td>"), "{landing}");
    let url = format!("http://{}/interruptions", exporter.address);
    let post = harness::request("POST", &url, &[]).await;
    assert_eq!((post.status, post.header("allow")), (405, "GET, HEAD, OPTIONS"));
    let head = harness::request("HEAD", &url, &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn the_page_can_be_disabled() {
    let services = Services::sandbox().await;
    let exporter = services.ready_exporter(&[("SIE_WEB__INTERRUPTIONS", "false")]).await;
    assert_eq!(exporter.get("/interruptions").await.status, 404);
    assert!(!exporter.get("/").await.text().contains("nterruptions\""));
}

#[tokio::test]
async fn the_page_requires_authentication() {
    let services = Services::sandbox().await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("web.yml");
    // The hash of "hush" with the lowest bcrypt cost.
    let hash = "$2b$04$abcdefghijklmnopqrstuuppZFpU9n.F.R29ic//YRPBUgRHbgy9m";
    std::fs::write(&config, format!("basic_auth_users: {{prometheus: {hash}}}\n")).unwrap();
    let variables = [("SIE_WEB__CONFIG_FILE", config.to_str().unwrap()), ("SIE_WEB__OPEN_PROBES", "true")];
    let exporter = services.ready_exporter(&variables).await;
    assert_eq!(exporter.get("/interruptions").await.status, 401);
    let headers = [("authorization", "Basic cHJvbWV0aGV1czpodXNo")];
    assert_eq!(exporter.get_with("/interruptions", &headers).await.status, 200);
}

/// Loads a page in a browser and returns its DOM.
async fn dom(chromium: &Path, profile: &Path, url: &str) -> String {
    let mut browser = Command::new(chromium);
    browser.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"]);
    browser.arg(format!("--user-data-dir={}", profile.display())).arg(url).env("HOME", profile);
    let output =
        timeout(TIMEOUT, browser.kill_on_drop(true).output()).await.expect("the browser did not finish");
    String::from_utf8(output.unwrap().stdout).unwrap()
}

#[tokio::test]
async fn a_browser_shows_filters_and_runs_no_script() {
    let Some(chromium) = tool("chromium") else { return };
    let profile = tempfile::tempdir().unwrap();
    const HOSTILE: &str = "\"><script>document.title='it ran'</script>";
    let mut services = Services::sandbox().await;
    let hostile = Instance::new(32, ZONE, "gke-hostile-32").spot().gke(HOSTILE, "europe-west1", "spot-pool");
    let nodes = [node(31, "calm"), hostile];
    services.compute.insert_all(nodes.clone());
    let exporter = services.ready_exporter(&[]).await;
    services.preempted(&nodes).await;
    exporter.scraped("both are counted", |scrape| scrape.sum("interruption_events_total") == 2.0).await;

    let url = format!("http://{}/interruptions", exporter.address);
    let all = dom(&chromium, profile.path(), &url).await;
    assert!(all.contains("<td>gke-calm-31</td>") && all.contains("<td>gke-hostile-32</td>"), "{all}");
    assert!(all.contains("<title>Interruptions</title>") && !all.contains("<script"), "{all}");
    assert!(all.contains("\"&gt;&lt;script&gt;document.title='it ran'&lt;/script&gt;</a>"), "{all}");

    // The link of each cluster filters by it.
    for (cluster, other) in [("gke-calm-31", "gke-hostile-32"), ("gke-hostile-32", "gke-calm-31")] {
        let row = all.lines().find(|line| line.contains(&format!("<td>{cluster}</td>"))).unwrap();
        let link = row.split("<a href=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let filtered = dom(&chromium, profile.path(), &format!("{url}{}", link.replace("&amp;", "&"))).await;
        assert!(filtered.contains(&format!("<td>{cluster}</td>")), "{link}: {filtered}");
        assert!(!filtered.contains(other) && !filtered.contains("<script"), "{link}: {filtered}");
    }
}
