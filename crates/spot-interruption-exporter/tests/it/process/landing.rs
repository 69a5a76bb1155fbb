//! The status on the landing page.

use harness::Exporter;
use sandbox::google::compute::Access;

use super::services::{PROJECT, Services, node, operations_exporter, total};

/// Returns the row with this heading.
async fn row(exporter: &Exporter, name: &str) -> String {
    let page = exporter.get("/").await.text();
    let row = page.lines().find(|line| line.contains(&format!("<th>{name}</th>")));
    row.unwrap_or_else(|| panic!("no {name}: {page}")).to_owned()
}

#[tokio::test]
async fn shows_the_last_events_and_the_failing_projects() {
    let mut services = Services::sandbox().await;
    let instance = node(1, "prod");
    services.compute.insert(instance.clone());
    let failing: Vec<String> = (10..22).map(|number| format!("team-{number}")).collect();
    for (number, id) in (10..).zip(&failing) {
        services.compute.add_project(id.as_str(), number).set_access(Access::Forbidden);
    }
    let projects = format!("{PROJECT},{}", failing.join(","));
    let exporter = services.ready_exporter(&[("SIE_GCP__PROJECTS", &projects)]).await;
    let listed = row(&exporter, "Instances listed").await;
    assert!(listed.contains("scopes complete: 1, partial: 0, failing: 12"), "{listed}");
    let named = row(&exporter, "Instances failing").await;
    assert!(named.contains("class=\"warn\"") && named.contains("team-10, team-11"), "{named}");
    assert!(named.contains("team-19, and 2 more") && !named.contains("team-20"), "{named}");
    assert!(row(&exporter, "Last interruption by a message").await.contains("none yet"));

    services.preempted(&[instance]).await;
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("prod")) == Some(1.0)).await;
    let subscription = services.short_subscription(super::services::EventKind::Interruption);
    for name in [format!("Last message of {subscription}"), "Last interruption by a message".to_owned()] {
        let row = row(&exporter, &name).await;
        assert!(row.contains(" s ago</td>"), "{row}");
    }
    assert!(row(&exporter, "Last interruption by an operation").await.contains("none yet"));
    assert!(row(&exporter, "Interruptions counted").await.contains("1, of no known cluster: 0"));
    assert!(row(&exporter, "Instances known").await.contains("1, spot instances running: 0"));
    assert!(row(&exporter, "Interruptions without a message").await.contains("<td>0</td>"));
}

#[tokio::test]
async fn without_pubsub_it_shows_only_operations() {
    let services = Services::sandbox().await;
    let exporter = operations_exporter(&services.compute.url(), &[]).await;
    assert!(row(&exporter, "Last operation").await.contains("none yet"));
    assert!(row(&exporter, "Operations listed").await.contains("complete: 1, partial: 0"));
    let page = exporter.get("/").await.text();
    assert!(!page.contains("message"), "{page}");
}
