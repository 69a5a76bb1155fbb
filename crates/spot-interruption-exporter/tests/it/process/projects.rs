//! Several projects: listed, discovered, forbidden and gone.

use std::time::Duration;

use harness::{Answer, Exporter};
use sandbox::google::Instance;
use sandbox::google::assets::{self, ProjectAsset};
use sandbox::google::audit_log::{AuditLog, Naming};
use sandbox::google::compute::{self, Access, Operation, ProjectCompute};

use super::world::{PROJECT, Way, World, ZONE, node, total};

const OFTEN: (&str, &str) = ("SIE_COMPUTE__RESYNC_INTERVAL", "200ms");
const LIST: &str = "SIE_GCP__PROJECTS";
const DISCOVER: &str = "SIE_GCP__DISCOVER";

/// A project with some nodes of a cluster.
fn project(world: &World, id: &str, number: u64, nodes: u64) -> ProjectCompute {
    let project = world.compute.add_project(id, number);
    project.insert_all((1..=nodes).map(|node_id| node(number * 1_000 + node_id, id)));
    project
}

fn found(id: &str, number: u64) -> ProjectAsset {
    ProjectAsset::new(id, number).folder("folders/7")
}

fn scopes(scrape: &Answer, state: &str) -> f64 {
    scrape.sample(&format!("spot_interruption_exporter_scopes{{state=\"{state}\"}}")).unwrap_or(f64::NAN)
}

fn resyncs(scrape: &Answer, outcome: &str) -> f64 {
    let series = format!("spot_interruption_exporter_resyncs_total{{outcome=\"{outcome}\"}}");
    scrape.sample(&series).unwrap_or(f64::NAN)
}

fn spot(cluster: &str) -> impl Fn(&Answer) -> f64 {
    let label = format!("kubernetes_cluster=\"{cluster}\"");
    move |scrape| {
        let text = scrape.text();
        let lines = text.lines().filter(|line| line.starts_with("spot_instances{") && line.contains(&label));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

async fn listings(exporter: &Exporter, more: f64) {
    let now = resyncs(&exporter.scrape().await, "success");
    exporter.scraped("it lists on", |scrape| resyncs(scrape, "success") >= now + more).await;
}

#[tokio::test]
async fn listings_of_one_project_leave_the_nodes_of_another() {
    let world = World::sandbox().await;
    let exporter = world.ready(&[OFTEN]).await;
    let mut log = AuditLog::new("other-project", 42);
    let stranger = node(1, "other");
    world.publish(Way::Creation, [log.inserted(&stranger).first]).await;
    exporter.scraped("it is known", |scrape| spot("other")(scrape) == 1.0).await;
    listings(&exporter, 4.0).await;
    assert_eq!(spot("other")(&exporter.scrape().await), 1.0);
    let line = exporter.log("events come from a project that is not listed").await;
    assert!(line.contains("other-project"), "{line}");
    world.publish(Way::Interruption, [log.preempted(&stranger)]).await;
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("other")) == Some(1.0)).await;
}

#[tokio::test]
async fn every_project_of_the_list_is_listed() {
    let world = World::sandbox().await;
    world.compute.insert_all([node(1, "ours")]);
    project(&world, "team-a", 41, 2);
    project(&world, "team-b", 42, 3);
    // Names of machines may be the same in all of them.
    let exporter = world.ready(&[OFTEN, (LIST, " team-a, team-b,team-a ,example-project")]).await;
    let scrape = exporter.scrape().await;
    let running = ["ours", "team-a", "team-b"].map(|cluster| spot(cluster)(&scrape));
    assert_eq!(running, [1.0, 2.0, 3.0], "the first listings are complete when it is ready");
    assert_eq!(scopes(&scrape, "complete"), 3.0);
    assert!(scrape.text().contains(r#"project="team-b""#));
    let before = world.compute.count(Operation::List);
    listings(&exporter, 6.0).await;
    assert!(world.compute.count(Operation::List) >= before + 6);
    let end = "spot_interruption_exporter_last_resync_timestamp_seconds";
    assert!(exporter.scrape().await.sample(end) > Some(0.0));
}

#[tokio::test]
async fn a_project_that_fails_touches_no_other() {
    let world = World::sandbox().await;
    world.compute.insert_all([node(1, "ours")]);
    let forbidden = project(&world, "team-a", 41, 2);
    forbidden.set_access(Access::Forbidden);
    let exporter = world.exporter(&[OFTEN, (LIST, "team-a")]).await;
    let impaired = exporter.readiness(200).await;
    assert!(impaired.contains("1 of 2 projects cannot be listed: team-a: HTTP 403"), "{impaired}");
    let line = exporter.log("cannot list all instances").await;
    assert!(line.contains("team-a"), "{line}");
    let scrape = exporter.scraped("it fails", |scrape| scopes(scrape, "failing") == 1.0).await;
    assert_eq!((scopes(&scrape, "complete"), spot("ours")(&scrape)), (1.0, 1.0));

    forbidden.set_access(Access::Granted);
    exporter.scraped("its nodes are known", |scrape| spot("team-a")(scrape) == 2.0).await;
    exporter.scraped("both are listed", |scrape| scopes(scrape, "complete") == 2.0).await;
    assert!(!exporter.readiness(200).await.contains("cannot be listed"));

    // And again, while the other goes on: what is not listed now is not gone.
    forbidden.set_access(Access::Forbidden);
    exporter.scraped("it fails again", |scrape| scopes(scrape, "failing") == 1.0).await;
    listings(&exporter, 3.0).await;
    assert_eq!(spot("team-a")(&exporter.scrape().await), 2.0);
}

#[tokio::test]
async fn without_any_project_it_is_not_ready() {
    let world = World::sandbox().await;
    project(&world, "team-a", 41, 1);
    world.compute.override_reply(Operation::List, compute::permission_denied());
    let exporter = world.exporter(&[OFTEN, (LIST, "team-a")]).await;
    exporter.scraped("both fail", |scrape| scopes(scrape, "failing") == 2.0).await;
    let missing = exporter.readiness(503).await;
    assert!(missing.contains("none of 2 projects can be listed: example-project: HTTP 403"), "{missing}");
    world.compute.clear_overrides();
    exporter.readiness(200).await;
}

#[tokio::test]
async fn only_three_failing_projects_are_named() {
    let world = World::sandbox().await;
    for number in 1..=5 {
        project(&world, &format!("team-{number}"), 40 + number, 1).set_access(Access::NotFound);
    }
    let exporter = world.exporter(&[OFTEN, (LIST, "team-1,team-2,team-3,team-4,team-5")]).await;
    let impaired = exporter.readiness(200).await;
    assert!(impaired.contains("5 of 6 projects cannot be listed: team-1: ") && impaired.contains("team-3: "));
    assert!(impaired.contains("and 2 more") && !impaired.contains("team-4"), "{impaired}");
}

#[tokio::test]
async fn a_zone_that_does_not_answer_makes_its_project_partial() {
    let world = World::sandbox().await;
    world.compute.insert_all([node(1, "ours")]);
    let team = project(&world, "team-a", 41, 2);
    let elsewhere = Instance::new(9, "us-central1-a", "gke-elsewhere").spot().gke("far", "us-central1", "p");
    team.insert(elsewhere.clone());
    let exporter = world.ready(&[OFTEN, (LIST, "team-a")]).await;
    team.set_unreachable([ZONE]);
    team.remove(&elsewhere.zone, &elsewhere.name);
    let scrape = exporter
        .scraped("what is seen to be gone is dropped", |scrape| {
            scopes(scrape, "partial") == 1.0 && spot("far")(scrape) == 0.0
        })
        .await;
    assert_eq!((spot("team-a")(&scrape), spot("ours")(&scrape)), (2.0, 1.0));
    let impaired = exporter.readiness(200).await;
    assert!(
        impaired.contains("1 of 2 projects listed in part: team-a: ") && impaired.contains(ZONE),
        "{impaired}"
    );
}

#[tokio::test]
async fn a_project_that_is_limited_delays_no_other() {
    let world = World::sandbox().await;
    let limited = project(&world, "team-a", 41, 1);
    limited.override_reply(Operation::List, compute::rate_limited(Duration::from_secs(3_600)));
    let exporter = world.ready(&[OFTEN, (LIST, "team-a")]).await;
    exporter.scraped("one fails", |scrape| scopes(scrape, "failing") == 1.0).await;
    listings(&exporter, 3.0).await;
    assert_eq!(limited.count(Operation::List), 1, "it is left alone");
    // Look-ups in it wait, and those in others do not.
    let late = node(7, "late");
    let mut their_log = AuditLog::new("team-a", 41);
    world.publish(Way::Interruption, [their_log.preempted(&node(41_001, "team-a"))]).await;
    world.compute.insert_all([late.clone()]);
    let mut log = AuditLog::new(PROJECT, super::world::NUMBER);
    world.publish(Way::Interruption, [log.preempted(&late)]).await;
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("late")) == Some(1.0)).await;
}

#[tokio::test]
async fn projects_are_discovered() {
    let world = World::sandbox().await;
    for (number, id) in
        [(41, "team-a"), (42, "team-b"), (43, "team-c"), (44, "no-compute"), (45, "elsewhere")]
    {
        project(&world, id, number, 1);
    }
    world.compute.project("no-compute").unwrap().set_access(Access::ApiDisabled);
    world.assets.add(found("team-a", 41).label("env", "prod"));
    world.assets.add(found("team-b", 42).label("env", "dev"));
    world.assets.add(found("no-compute", 44).label("env", "prod"));
    world.assets.add(found("doomed", 46).label("env", "prod").state(assets::ProjectState::DeleteRequested));
    let variables =
        [OFTEN, (DISCOVER, "folders/7"), ("SIE_GCP__DISCOVER_QUERY", "labels.env:prod"), (LIST, "team-c")];
    let exporter = world.ready(&variables).await;
    let scrape = exporter.scrape().await;
    let running = ["team-a", "team-b", "team-c", "elsewhere"].map(|cluster| spot(cluster)(&scrape));
    assert_eq!(running, [1.0, 0.0, 1.0, 0.0], "the list and what is found add up");
    assert_eq!((scopes(&scrape, "complete"), scopes(&scrape, "failing")), (4.0, 0.0));
    let operations = "spot_interruption_exporter_operations_scopes{state=\"complete\"}";
    exporter.scraped("operations too", |scrape| scrape.sample(operations) == Some(4.0)).await;
    let asked = world.assets.requests();
    assert_eq!(asked[0].query["assetTypes"], "cloudresourcemanager.googleapis.com/Project");
    assert_eq!(scrape.sample("spot_interruption_exporter_discovery_total{outcome=\"success\"}"), Some(1.0));
}

#[tokio::test]
async fn an_event_of_a_project_that_is_not_known_leads_to_a_search() {
    let world = World::sandbox().await;
    project(&world, "team-a", 41, 2);
    world.assets.add_scope("folders/7");

    let exporter = world.ready(&[OFTEN, (DISCOVER, "folders/7")]).await;
    assert_eq!(world.assets.count(assets::Operation::Search), 1);
    world.assets.add(found("team-a", 41));
    let mut log = AuditLog::new("team-a", 41);
    world.publish(Way::Creation, [log.inserted(&node(41_001, "team-a")).first]).await;
    exporter.scraped("the event is taken", |scrape| spot("team-a")(scrape) == 1.0).await;
    // Not more than once a minute, so what waits for the search does so for that long.
    assert_eq!(world.assets.count(assets::Operation::Search), 1);
}

#[tokio::test]
async fn a_search_that_fails_costs_nothing_else() {
    let world = World::sandbox().await;
    world.compute.insert_all([node(1, "ours")]);
    project(&world, "team-a", 41, 1);
    world.assets.add(found("team-a", 41));
    world.assets.override_reply(assets::Operation::Search, assets::permission_denied());
    let exporter = world.exporter(&[OFTEN, (DISCOVER, "folders/7")]).await;
    let impaired = exporter.readiness(200).await;
    assert!(impaired.contains("Cloud Asset API, searching for projects: folders/7: HTTP 403"), "{impaired}");
    assert_eq!(spot("ours")(&exporter.scrape().await), 1.0);
    world.assets.clear_overrides();
    exporter.scraped("the project is found", |scrape| spot("team-a")(scrape) == 1.0).await;
    assert!(!exporter.readiness(200).await.contains("Cloud Asset"));
}

#[tokio::test]
async fn numbers_of_projects_are_learnt() {
    let world = World::sandbox().await;
    project(&world, "team-a", 41, 0);
    let exporter = world.ready(&[(LIST, "team-a")]).await;
    // Two projects with the same names in the same zone, known by the number of their project and the name only.
    let mut logs = [AuditLog::new(PROJECT, super::world::NUMBER), AuditLog::new("team-a", 41)];
    let named = |id| Instance::new(id, ZONE, "gke-same").spot();
    let ours = named(1).gke("ours", "europe-west1", "p");
    let theirs = named(2).gke("theirs", "europe-west1", "p");
    logs[0].named_by(Naming::Number);
    logs[1].named_by(Naming::Number);
    world.publish(Way::Creation, [logs[0].inserted(&ours).first]).await;
    exporter.scraped("ours is known", |scrape| spot("ours")(scrape) == 1.0).await;
    world.publish(Way::Creation, [logs[1].inserted(&theirs).first]).await;
    exporter.scraped("theirs is known", |scrape| spot("theirs")(scrape) == 1.0).await;
    assert_eq!(spot("ours")(&exporter.scrape().await), 1.0, "its name was not taken");
    let event = |log: &AuditLog, instance: &Instance| log.handmade_interruption(instance);
    world.publish(Way::Interruption, [event(&logs[0], &ours), event(&logs[1], &theirs)]).await;
    for cluster in ["ours", "theirs"] {
        exporter.scraped("it is counted", |scrape| scrape.sample(&total(cluster)) == Some(1.0)).await;
    }
}

#[tokio::test]
async fn what_is_no_project_is_refused() {
    let world = World::sandbox().await;
    for (key, value, problem) in [
        (LIST, "team-a,Team B", "gcp.projects"),
        (LIST, "123456", "is no project id"),
        (DISCOVER, "folder/7", "gcp.discover"),
        (DISCOVER, "folders/x", "allowed is one such as folders/123456"),
        ("SIE_GCP__DISCOVER_QUERY", "state:ACTIVE", "narrows nothing"),
        ("SIE_GCP__ASSET_ENDPOINT", "assets", "gcp.asset_endpoint"),
    ] {
        let mut command = world.command();
        let output = command.arg("--check-config").env(key, value).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(problem), "{value}: {said}");
    }
}
