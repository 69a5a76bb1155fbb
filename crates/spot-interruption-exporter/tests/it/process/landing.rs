//! The landing page says what is well and what is not.

use harness::Exporter;
use sandbox::google::compute::Access;

use super::world::{PROJECT, World, node, source, total};

/// The row of a fact.
async fn row(exporter: &Exporter, name: &str) -> String {
    let page = exporter.get("/").await.text();
    let row = page.lines().find(|line| line.contains(&format!("<th>{name}</th>")));
    row.unwrap_or_else(|| panic!("no {name}: {page}")).to_owned()
}

#[tokio::test]
async fn it_says_what_came_last_and_which_projects_fail() {
    let mut world = World::sandbox().await;
    let instance = node(1, "prod");
    world.compute.insert(instance.clone());
    let failing: Vec<String> = (10..22).map(|number| format!("team-{number}")).collect();
    for (number, id) in (10..).zip(&failing) {
        world.compute.add_project(id.as_str(), number).set_access(Access::Forbidden);
    }
    let projects = format!("{PROJECT},{}", failing.join(","));
    let exporter = world.ready(&[("SIE_GCP__PROJECTS", &projects)]).await;
    let listed = row(&exporter, "Instances listed").await;
    assert!(listed.contains("scopes complete: 1, partial: 0, failing: 12"), "{listed}");
    let named = row(&exporter, "Instances failing").await;
    assert!(named.contains("class=\"warn\"") && named.contains("team-10, team-11"), "{named}");
    assert!(named.contains("team-19, and 2 more") && !named.contains("team-20"), "{named}");
    assert!(row(&exporter, "Last interruption by a message").await.contains("none yet"));

    world.preempted(&[instance]).await;
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("prod")) == Some(1.0)).await;
    let subscription = world.short_subscription(super::world::Way::Interruption);
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
async fn without_pubsub_it_speaks_of_operations_only() {
    let world = World::sandbox().await;
    let exporter = source(&world.compute.url(), &[]).await;
    assert!(row(&exporter, "Last operation").await.contains("none yet"));
    assert!(row(&exporter, "Operations listed").await.contains("complete: 1, partial: 0"));
    let page = exporter.get("/").await.text();
    assert!(!page.contains("message"), "{page}");
}
