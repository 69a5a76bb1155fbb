//! Several projects: configured, discovered, forbidden, rate limited and removed.

use std::time::Duration;

use harness::{Exporter, HttpResponse};
use sandbox::google::Instance;
use sandbox::google::assets::{self, ProjectAsset};
use sandbox::google::audit_log::{AuditLog, Naming};
use sandbox::google::compute::{self, Access, Operation, ProjectCompute};

use super::services::{EventKind, PROJECT, Services, ZONE, node, total};

const OFTEN: (&str, &str) = ("SIE_COMPUTE__RESYNC_INTERVAL", "200ms");
const LIST: &str = "SIE_GCP__PROJECTS";
const DISCOVER: &str = "SIE_GCP__DISCOVER";

/// Adds a project with this many nodes of a cluster that is called like the project.
fn project(services: &Services, id: &str, number: u64, nodes: u64) -> ProjectCompute {
    let project = services.compute.add_project(id, number);
    project.insert_all((1..=nodes).map(|node_id| node(number * 1_000 + node_id, id)));
    project
}

fn found(id: &str, number: u64) -> ProjectAsset {
    ProjectAsset::new(id, number).folder("folders/7")
}

fn scopes(scrape: &HttpResponse, state: &str) -> f64 {
    scrape.sample(&format!("spot_interruption_exporter_scopes{{state=\"{state}\"}}")).unwrap_or(f64::NAN)
}

fn resyncs(scrape: &HttpResponse, outcome: &str) -> f64 {
    let series = format!("spot_interruption_exporter_resyncs_total{{outcome=\"{outcome}\"}}");
    scrape.sample(&series).unwrap_or(f64::NAN)
}

fn spot(cluster: &str) -> impl Fn(&HttpResponse) -> f64 {
    let label = format!("kubernetes_cluster=\"{cluster}\"");
    move |scrape| {
        let text = scrape.text();
        let lines = text.lines().filter(|line| line.starts_with("spot_instances{") && line.contains(&label));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

/// Waits for this many further successful listings.
async fn listings(exporter: &Exporter, more: f64) {
    let now = resyncs(&exporter.scrape().await, "success");
    exporter.scraped("further listings succeed", |scrape| resyncs(scrape, "success") >= now + more).await;
}

#[tokio::test]
async fn a_listing_keeps_the_nodes_of_other_projects() {
    let services = Services::sandbox().await;
    let exporter = services.ready_exporter(&[OFTEN]).await;
    let mut log = AuditLog::new("other-project", 42);
    let unlisted = node(1, "other");
    services.publish(EventKind::Creation, [log.inserted(&unlisted).first]).await;
    exporter.scraped("the node is known", |scrape| spot("other")(scrape) == 1.0).await;
    listings(&exporter, 4.0).await;
    assert_eq!(spot("other")(&exporter.scrape().await), 1.0);
    let line = exporter.log("events come from a project that is not listed").await;
    assert!(line.contains("other-project"), "{line}");
    services.publish(EventKind::Interruption, [log.preempted(&unlisted)]).await;
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("other")) == Some(1.0)).await;
}

#[tokio::test]
async fn lists_every_configured_project() {
    let services = Services::sandbox().await;
    services.compute.insert_all([node(1, "ours")]);
    project(&services, "team-a", 41, 2);
    project(&services, "team-b", 42, 3);
    let exporter = services.ready_exporter(&[OFTEN, (LIST, " team-a, team-b,team-a ,example-project")]).await;
    let scrape = exporter.scrape().await;
    let running = ["ours", "team-a", "team-b"].map(|cluster| spot(cluster)(&scrape));
    assert_eq!(running, [1.0, 2.0, 3.0], "the initial listings are complete when the exporter is ready");
    assert_eq!(scopes(&scrape, "complete"), 3.0);
    assert!(scrape.text().contains(r#"project="team-b""#));
    let before = services.compute.count(Operation::List);
    listings(&exporter, 6.0).await;
    assert!(services.compute.count(Operation::List) >= before + 6);
    let end = "spot_interruption_exporter_last_resync_timestamp_seconds";
    assert!(exporter.scrape().await.sample(end) > Some(0.0));
}

#[tokio::test]
async fn a_failing_project_does_not_affect_others() {
    let services = Services::sandbox().await;
    services.compute.insert_all([node(1, "ours")]);
    let forbidden = project(&services, "team-a", 41, 2);
    forbidden.set_access(Access::Forbidden);
    let exporter = services.exporter(&[OFTEN, (LIST, "team-a")]).await;
    let impaired = exporter.readiness(200).await;
    assert!(impaired.contains("1 of 2 projects cannot be listed: team-a: HTTP 403"), "{impaired}");
    let line = exporter.log("cannot list all instances").await;
    assert!(line.contains("team-a"), "{line}");
    let scrape = exporter.scraped("the project fails", |scrape| scopes(scrape, "failing") == 1.0).await;
    assert_eq!((scopes(&scrape, "complete"), spot("ours")(&scrape)), (1.0, 1.0));

    forbidden.set_access(Access::Granted);
    exporter.scraped("its nodes are known", |scrape| spot("team-a")(scrape) == 2.0).await;
    exporter.scraped("both are listed", |scrape| scopes(scrape, "complete") == 2.0).await;
    assert!(!exporter.readiness(200).await.contains("cannot be listed"));

    // A second failure, while the other project is listed: nodes of the failing project are kept.
    forbidden.set_access(Access::Forbidden);
    exporter.scraped("the project fails again", |scrape| scopes(scrape, "failing") == 1.0).await;
    listings(&exporter, 3.0).await;
    assert_eq!(spot("team-a")(&exporter.scrape().await), 2.0);
}

#[tokio::test]
async fn is_not_ready_when_every_project_fails() {
    let services = Services::sandbox().await;
    project(&services, "team-a", 41, 1);
    services.compute.override_reply(Operation::List, compute::permission_denied());
    let exporter = services.exporter(&[OFTEN, (LIST, "team-a")]).await;
    exporter.scraped("both fail", |scrape| scopes(scrape, "failing") == 2.0).await;
    let missing = exporter.readiness(503).await;
    assert!(missing.contains("none of 2 projects can be listed: example-project: HTTP 403"), "{missing}");
    services.compute.clear_overrides();
    exporter.readiness(200).await;
}

#[tokio::test]
async fn names_at_most_three_failing_projects() {
    let services = Services::sandbox().await;
    for number in 1..=5 {
        project(&services, &format!("team-{number}"), 40 + number, 1).set_access(Access::NotFound);
    }
    let exporter = services.exporter(&[OFTEN, (LIST, "team-1,team-2,team-3,team-4,team-5")]).await;
    let impaired = exporter.readiness(200).await;
    assert!(impaired.contains("5 of 6 projects cannot be listed: team-1: ") && impaired.contains("team-3: "));
    assert!(impaired.contains("and 2 more") && !impaired.contains("team-4"), "{impaired}");
}

#[tokio::test]
async fn an_unreachable_zone_makes_its_project_partial() {
    let services = Services::sandbox().await;
    services.compute.insert_all([node(1, "ours")]);
    let team = project(&services, "team-a", 41, 2);
    let elsewhere = Instance::new(9, "us-central1-a", "gke-elsewhere").spot().gke("far", "us-central1", "p");
    team.insert(elsewhere.clone());
    let exporter = services.ready_exporter(&[OFTEN, (LIST, "team-a")]).await;
    team.set_unreachable([ZONE]);
    team.remove(&elsewhere.zone, &elsewhere.name);
    let scrape = exporter
        .scraped("the removed instance is dropped", |scrape| {
            scopes(scrape, "partial") == 1.0 && spot("far")(scrape) == 0.0
        })
        .await;
    assert_eq!((spot("team-a")(&scrape), spot("ours")(&scrape)), (2.0, 1.0));
    let impaired = exporter.readiness(200).await;
    assert!(
        impaired.contains("1 of 2 projects listed partially: team-a: ") && impaired.contains(ZONE),
        "{impaired}"
    );
}

#[tokio::test]
async fn a_rate_limited_project_does_not_delay_others() {
    let services = Services::sandbox().await;
    let limited = project(&services, "team-a", 41, 1);
    limited.override_reply(Operation::List, compute::rate_limited(Duration::from_secs(3_600)));
    let exporter = services.ready_exporter(&[OFTEN, (LIST, "team-a")]).await;
    exporter.scraped("one fails", |scrape| scopes(scrape, "failing") == 1.0).await;
    listings(&exporter, 3.0).await;
    assert_eq!(limited.count(Operation::List), 1, "the rate-limited project is not requested again");
    // Lookups in this project wait; those in other projects do not.
    let late = node(7, "late");
    let mut their_log = AuditLog::new("team-a", 41);
    services.publish(EventKind::Interruption, [their_log.preempted(&node(41_001, "team-a"))]).await;
    services.compute.insert_all([late.clone()]);
    let mut log = AuditLog::new(PROJECT, super::services::NUMBER);
    services.publish(EventKind::Interruption, [log.preempted(&late)]).await;
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("late")) == Some(1.0)).await;
}

#[tokio::test]
async fn discovers_projects() {
    let services = Services::sandbox().await;
    for (number, id) in
        [(41, "team-a"), (42, "team-b"), (43, "team-c"), (44, "no-compute"), (45, "elsewhere")]
    {
        project(&services, id, number, 1);
    }
    services.compute.project("no-compute").unwrap().set_access(Access::ApiDisabled);
    services.assets.add(found("team-a", 41).label("env", "prod"));
    services.assets.add(found("team-b", 42).label("env", "dev"));
    services.assets.add(found("no-compute", 44).label("env", "prod"));
    services
        .assets
        .add(found("doomed", 46).label("env", "prod").state(assets::ProjectState::DeleteRequested));
    let variables =
        [OFTEN, (DISCOVER, "folders/7"), ("SIE_GCP__DISCOVER_QUERY", "labels.env:prod"), (LIST, "team-c")];
    let exporter = services.ready_exporter(&variables).await;
    let scrape = exporter.scrape().await;
    let running = ["team-a", "team-b", "team-c", "elsewhere"].map(|cluster| spot(cluster)(&scrape));
    assert_eq!(running, [1.0, 0.0, 1.0, 0.0], "configured and discovered projects are combined");
    assert_eq!((scopes(&scrape, "complete"), scopes(&scrape, "failing")), (4.0, 0.0));
    let operations = "spot_interruption_exporter_operations_scopes{state=\"complete\"}";
    exporter
        .scraped("operations of all projects are listed", |scrape| scrape.sample(operations) == Some(4.0))
        .await;
    let searches = services.assets.requests();
    assert_eq!(searches[0].query["assetTypes"], "cloudresourcemanager.googleapis.com/Project");
    assert_eq!(scrape.sample("spot_interruption_exporter_discovery_total{outcome=\"success\"}"), Some(1.0));
}

#[tokio::test]
async fn an_event_of_an_unknown_project_triggers_a_search() {
    let services = Services::sandbox().await;
    project(&services, "team-a", 41, 2);
    services.assets.add_scope("folders/7");

    let exporter = services.ready_exporter(&[OFTEN, (DISCOVER, "folders/7")]).await;
    assert_eq!(services.assets.count(assets::Operation::Search), 1);
    services.assets.add(found("team-a", 41));
    let mut log = AuditLog::new("team-a", 41);
    services.publish(EventKind::Creation, [log.inserted(&node(41_001, "team-a")).first]).await;
    exporter.scraped("the event is processed", |scrape| spot("team-a")(scrape) == 1.0).await;
    // Searches are limited to one per minute, so this project is not yet discovered.
    assert_eq!(services.assets.count(assets::Operation::Search), 1);
}

#[tokio::test]
async fn a_failed_search_affects_nothing_else() {
    let services = Services::sandbox().await;
    services.compute.insert_all([node(1, "ours")]);
    project(&services, "team-a", 41, 1);
    services.assets.add(found("team-a", 41));
    services.assets.override_reply(assets::Operation::Search, assets::permission_denied());
    let exporter = services.exporter(&[OFTEN, (DISCOVER, "folders/7")]).await;
    let impaired = exporter.readiness(200).await;
    assert!(impaired.contains("Cloud Asset API, searching for projects: folders/7: HTTP 403"), "{impaired}");
    assert_eq!(spot("ours")(&exporter.scrape().await), 1.0);
    services.assets.clear_overrides();
    exporter.scraped("the project is found", |scrape| spot("team-a")(scrape) == 1.0).await;
    assert!(!exporter.readiness(200).await.contains("Cloud Asset"));
}

#[tokio::test]
async fn matches_events_by_project_number() {
    let services = Services::sandbox().await;
    project(&services, "team-a", 41, 0);
    let exporter = services.ready_exporter(&[(LIST, "team-a")]).await;
    // Two projects with the same instance name in the same zone. The events have only the project number and the name.
    let mut logs = [AuditLog::new(PROJECT, super::services::NUMBER), AuditLog::new("team-a", 41)];
    let named = |id| Instance::new(id, ZONE, "gke-same").spot();
    let ours = named(1).gke("ours", "europe-west1", "p");
    let theirs = named(2).gke("theirs", "europe-west1", "p");
    logs[0].named_by(Naming::Number);
    logs[1].named_by(Naming::Number);
    services.publish(EventKind::Creation, [logs[0].inserted(&ours).first]).await;
    exporter.scraped("ours is known", |scrape| spot("ours")(scrape) == 1.0).await;
    services.publish(EventKind::Creation, [logs[1].inserted(&theirs).first]).await;
    exporter.scraped("theirs is known", |scrape| spot("theirs")(scrape) == 1.0).await;
    assert_eq!(
        spot("ours")(&exporter.scrape().await),
        1.0,
        "the instance of the other project did not replace it"
    );
    let event = |log: &AuditLog, instance: &Instance| log.handmade_interruption(instance);
    services.publish(EventKind::Interruption, [event(&logs[0], &ours), event(&logs[1], &theirs)]).await;
    for cluster in ["ours", "theirs"] {
        exporter.scraped("it is counted", |scrape| scrape.sample(&total(cluster)) == Some(1.0)).await;
    }
}

#[tokio::test]
async fn rejects_invalid_project_settings() {
    let services = Services::sandbox().await;
    for (key, value, problem) in [
        (LIST, "team-a,Team B", "gcp.projects"),
        (LIST, "123456", "is not a project id"),
        (DISCOVER, "folder/7", "gcp.discover"),
        (DISCOVER, "folders/x", "allowed is an id such as folders/123456"),
        ("SIE_GCP__DISCOVER_QUERY", "state:ACTIVE", "has no effect without gcp.discover"),
        ("SIE_GCP__ASSET_ENDPOINT", "assets", "gcp.asset_endpoint"),
    ] {
        let mut command = services.command();
        let output = command.arg("--check-config").env(key, value).output().await.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && stderr.contains(problem), "{value}: {stderr}");
    }
}
