//! Tests with several projects.

use std::{collections::BTreeSet, time::Duration};

use hyper::{Method, StatusCode};
use sandbox::google::{
    CREATION_SUBSCRIPTION, FOLDER, Google, INTERRUPTION_SUBSCRIPTION, Instance, Truth,
    compute::{self, Access, Compute, Operation},
};
use serde_json::Value;

use super::together::{entries, subscriber};
use crate::client::Client;

fn list(project: &str) -> String {
    format!("/compute/v1/projects/{project}/aggregated/instances")
}

fn get(project: &str) -> String {
    format!("/compute/v1/projects/{project}/zones/europe-west1-c/instances/gke-n1")
}

fn node() -> Instance {
    Instance::new(1, "europe-west1-c", "gke-n1").spot().gke("blue", "europe-west1", "pool")
}

async fn start() -> (Compute, Client) {
    let compute = Compute::builder().add_project("team-b", 222).start().await.unwrap();
    let client = Client::to(compute.url());
    (compute, client)
}

#[tokio::test]
async fn projects_have_separate_instances() {
    let (compute, client) = start().await;
    compute.insert(node());
    let other = compute.project("team-b").unwrap();
    other.insert(node().machine_type("c3-standard-22"));
    other.set_unreachable(["us-central1-a"]);
    for (project, id, number, machine_type) in [
        ("example-project", "example-project", 123_456_789_012_u64, "e2-medium"),
        ("222", "team-b", 222, "c3-standard-22"),
    ] {
        let page = client.get(&list(project)).await.json();
        let instance = &page["items"]["zones/europe-west1-c"]["instances"][0];
        let here = format!("https://www.googleapis.com/compute/v1/projects/{id}/zones/europe-west1-c");
        assert_eq!(instance["machineType"], format!("{here}/machineTypes/{machine_type}"));
        let email = &instance["serviceAccounts"][0]["email"];
        assert_eq!(*email, format!("{number}-compute@developer.gserviceaccount.com"));
        assert_eq!(page["unreachables"].is_array(), id == "team-b");
        assert_eq!(client.get(&get(project)).await.json()["selfLink"], format!("{here}/instances/gke-n1"));
    }
    assert_eq!(compute.projects().len(), 2);
    assert_eq!(compute.add_project("team-b", 3).number(), 222, "the existing project is returned");
}

#[tokio::test]
async fn restricts_access_to_a_project() {
    let (compute, client) = start().await;
    let other = compute.project("team-b").unwrap();
    other.insert(node());
    for (access, status, reason, words) in [
        (
            Access::Forbidden,
            StatusCode::FORBIDDEN,
            "PERMISSION_DENIED",
            "Required 'compute.instances.list' permission for 'projects/team-b'",
        ),
        (
            Access::NotFound,
            StatusCode::NOT_FOUND,
            "NOT_FOUND",
            "The resource 'projects/team-b' was not found",
        ),
        (Access::Deleted, StatusCode::FORBIDDEN, "PERMISSION_DENIED", "Project #222 has been deleted."),
        (
            Access::ApiDisabled,
            StatusCode::FORBIDDEN,
            "PERMISSION_DENIED",
            "Compute Engine API has not been used in project 222",
        ),
    ] {
        other.set_access(access);
        for path in [list("team-b"), list("222"), get("team-b")] {
            let refused = client.get(&path).await;
            assert_eq!(refused.status, status, "{access} {path}");
            let error = &refused.json()["error"];
            assert_eq!(error["status"], reason);
            let message = error["message"].as_str().unwrap();
            let words = match path.contains("zones") {
                true => words.replace("instances.list", "instances.get"),
                false => words.to_owned(),
            };
            assert!(message.starts_with(words.trim_end_matches('\'')), "{message}");
        }
        assert_eq!(
            client.get(&list("example-project")).await.status,
            StatusCode::OK,
            "{access} affects only one project"
        );
    }
    other.set_access(Access::Granted);
    assert_eq!(client.get(&get("team-b")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn separates_overrides_and_requests_by_project() {
    let (compute, client) = start().await;
    let other = compute.project("team-b").unwrap();
    compute.override_reply(Operation::List, compute::unavailable());
    other.override_reply(Operation::List, compute::internal_error().once());
    assert_eq!(client.get(&list("team-b")).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(client.get(&list("team-b")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(client.get(&list("example-project")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    compute.clear_overrides();
    assert_eq!(client.get(&list("222")).await.status, StatusCode::OK);
    client.get(&list("unknown")).await;

    let projects: Vec<String> =
        compute.requests().into_iter().map(|request| request.project.unwrap()).collect();
    assert_eq!(projects, ["team-b", "team-b", "example-project", "team-b", "unknown"]);
    assert_eq!((other.count(Operation::List), compute.count(Operation::List)), (3, 5));
    assert_eq!(other.requests().len(), 3);
}

#[tokio::test]
async fn all_projects_publish_to_the_topics_of_the_first() {
    let google = Google::builder()
        .add_project("team-b", 222)
        .add_project("team-c", 333)
        .seed(3)
        .start()
        .await
        .unwrap();
    let mut interruptions = subscriber(&google, INTERRUPTION_SUBSCRIPTION).await;
    let mut creations = subscriber(&google, CREATION_SUBSCRIPTION).await;
    google.advance(Duration::from_secs(300)).await.unwrap();
    google.burst(0.5).await.unwrap();

    let truths = google.truths().await;
    assert_eq!(truths.keys().collect::<Vec<_>>(), ["example-project", "team-b", "team-c"]);
    let truth = google.truth().await;
    assert_eq!(truth.instances, truths.values().map(|truth| truth.instances).sum::<u64>());
    let staging = |truth: &Truth| truth.spot_by_cluster["shop-staging"];
    assert_eq!(
        staging(&truth),
        truths.values().map(staging).sum::<u64>(),
        "clusters with the same name are added up"
    );
    let mut ids = BTreeSet::new();
    for (project, truth) in &truths {
        let instances = google.compute().project(project).unwrap().instances();
        assert_eq!(instances.len() as u64, truth.instances, "{project}");
        ids.extend(instances.iter().map(|instance| instance.id));
    }
    assert_eq!(ids.len() as u64, truth.instances, "instance ids are unique");

    let mut counted: Vec<(String, String)> = entries(&mut interruptions)
        .await
        .into_iter()
        .map(|entry| {
            let project = entry["resource"]["labels"]["project_id"].as_str().unwrap().to_owned();
            let name = entry["protoPayload"]["resourceName"].as_str().unwrap();
            assert!(name.starts_with(&format!("projects/{project}/")), "{name}");
            assert!(entry["logName"].as_str().unwrap().starts_with(&format!("projects/{project}/logs")));
            (project, entry["insertId"].as_str().unwrap().to_owned())
        })
        .collect();
    counted.sort();
    counted.dedup();
    for (project, truth) in &truths {
        let expected = truth.interruptions_by_cluster.values().sum::<u64>() + truth.unattributed;
        assert_eq!(
            counted.iter().filter(|(other, _)| other == project).count() as u64,
            expected,
            "{project}"
        );
        assert!(expected > 0, "{project}");
    }

    // Some creations contain the project's number.
    let creations = entries(&mut creations).await;
    for number in ["projects/123456789012/", "projects/222/", "projects/333/"] {
        let is_named = |entry: &Value| {
            entry["protoPayload"]["resourceName"].as_str().is_some_and(|name| name.starts_with(number))
        };
        assert!(creations.iter().any(is_named), "{number}");
    }
}

#[tokio::test]
async fn adds_and_deletes_projects_at_runtime() {
    let google = Google::builder().start().await.unwrap();
    let client = Client::to(google.compute().url());
    let found = async || {
        let path = format!("/v1/{FOLDER}:searchAllResources?query=state:ACTIVE");
        let results = client.get(&path).await.json()["results"].as_array().cloned().unwrap();
        results.iter().map(|found| found["displayName"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found().await, ["example-project"]);
    let added = google.add_project("team-b", 222).await;
    assert!(!added.instances().is_empty());
    assert_eq!(found().await, ["example-project", "team-b"]);
    google.burst(1.0).await.unwrap();

    let interruptions = google.truths().await["team-b"].interruptions_by_cluster.clone();
    assert!(google.delete_project("team-b").await);
    assert!(!google.delete_project("unknown").await);
    assert_eq!(found().await, ["example-project"]);
    assert_eq!(client.get(&list("team-b")).await.status, StatusCode::FORBIDDEN);
    google.advance(Duration::from_secs(30)).await.unwrap();
    let truth = &google.truths().await["team-b"];
    assert_eq!((truth.instances, &truth.interruptions_by_cluster), (0, &interruptions));
}

#[tokio::test]
async fn changes_projects_through_the_control_endpoint() {
    let google = Google::builder().start().await.unwrap();
    let client = Client::to(google.compute().url());
    let put = async |path: &str, body: &'static str| {
        client.request(Method::PUT, &format!("/_sandbox/projects/{path}"), body).await.status
    };
    let delete = async |path: &str| {
        client.request(Method::DELETE, &format!("/_sandbox/projects/{path}"), "").await.status
    };
    let view = async || client.get("/_sandbox/projects").await.json();
    assert_eq!(put("team-b", "222").await, StatusCode::NO_CONTENT);
    assert_eq!(put("team-c", "").await, StatusCode::NO_CONTENT);
    let projects = view().await;
    assert_eq!(projects.as_object().unwrap().len(), 3);
    assert_eq!(projects["team-b"]["number"], 222);
    assert_eq!(projects["team-b"]["folders"][0], FOLDER);
    let truth = client.get("/_sandbox/truth").await.json();
    assert_eq!(truth["projects"]["team-b"]["instances"], projects["team-b"]["instances"]);

    assert_eq!(put("team-b/access", "forbidden").await, StatusCode::NO_CONTENT);
    assert_eq!(
        put("team-b/discovery", "state=DELETE_REQUESTED env=prod folders/7").await,
        StatusCode::NO_CONTENT
    );
    assert_eq!(delete("team-c/discovery").await, StatusCode::NO_CONTENT);
    let projects = view().await;
    let team = &projects["team-b"];
    assert_eq!(team["access"], "forbidden");
    assert_eq!((&team["state"], &team["labels"]["env"]), (&"DELETE_REQUESTED".into(), &"prod".into()));
    assert_eq!(team["folders"][0], "folders/7");
    assert_eq!((&projects["team-c"]["discovered"], &team["discovered"]), (&false.into(), &true.into()));
    assert_eq!(put("team-c/discovery", "").await, StatusCode::NO_CONTENT);
    assert_eq!(view().await["team-c"]["discovered"], true);

    assert_eq!(delete("team-c").await, StatusCode::NO_CONTENT);
    assert_eq!(view().await["team-c"]["access"], "deleted");
    for (path, body) in [
        ("team-b", "x"),
        ("team-b/access", "nonsense"),
        ("team-b/discovery", "state=LOST"),
        ("team-b/discovery", "nonsense"),
    ] {
        assert_eq!(put(path, body).await, StatusCode::BAD_REQUEST, "{path} {body}");
    }
    for path in ["", "unknown/access", "team-b/nonsense"] {
        assert_eq!(put(path, "granted").await, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(delete("unknown").await, StatusCode::NOT_FOUND);
    assert_eq!(delete("team-b/access").await, StatusCode::METHOD_NOT_ALLOWED);

    let faulty = client.request(Method::PUT, "/_sandbox/faults/assets", "permission_denied").await;
    assert_eq!(faulty.status, StatusCode::NO_CONTENT);
    let search = format!("/v1/{FOLDER}:searchAllResources");
    assert_eq!(client.get(&search).await.status, StatusCode::FORBIDDEN);
    client.request(Method::DELETE, "/_sandbox/faults/assets", "").await;
    assert_eq!(client.get(&search).await.status, StatusCode::OK);
}
