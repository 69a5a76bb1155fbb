//! Tests of Compute Engine's operations.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use hyper::{Method, StatusCode};
use sandbox::google::{
    CREATION_SUBSCRIPTION, Event, Google, INTERRUPTION_SUBSCRIPTION, Instance,
    compute::{self, Access, Compute, Operation, ProjectCompute, ZoneOperation},
};
use serde_json::{Value, json};

use super::together::{entries, subscriber};
use crate::client::Client;

const AGGREGATED: &str = "/compute/v1/projects/example-project/aggregated/operations";
const ZONE: &str = "/compute/v1/projects/example-project/zones/europe-west1-c/operations";
const PREEMPTED: &str = "filter=(operationType%3D%22compute.instances.preempted%22)";

async fn start() -> (Compute, Client) {
    let compute = Compute::builder().start().await.unwrap();
    let client = Client::to(compute.url());
    (compute, client)
}

fn node(id: u64, zone: &str) -> Instance {
    Instance::new(id, zone, format!("gke-n{id}")).spot().gke("blue", "europe-west1", "pool")
}

fn preempted(id: u64, zone: &str) -> ZoneOperation {
    ZoneOperation::preempted(format!("systemevent-{id:05}"), &node(id, zone), SystemTime::now())
}

/// Returns the operations of a page of an aggregated or zonal list.
fn operations(page: &Value) -> Vec<Value> {
    match page["items"].as_object() {
        Some(scopes) => scopes
            .values()
            .flat_map(|scope| scope["operations"].as_array().cloned().unwrap_or_default())
            .collect(),
        None => page["items"].as_array().cloned().unwrap_or_default(),
    }
}

/// Returns all operations of a list, and the number of pages.
async fn list(client: &Client, path: &str, parameters: &str) -> (Vec<Value>, usize) {
    let (mut all, mut pages, mut token) = (Vec::new(), 0, String::new());
    loop {
        let page = client.get(&format!("{path}?{parameters}&pageToken={token}")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text());
        let page = page.json();
        pages += 1;
        all.extend(operations(&page));
        match page["nextPageToken"].as_str() {
            Some(next) => token = next.to_owned(),
            None => return (all, pages),
        }
    }
}

async fn names(client: &Client, path: &str, parameters: &str) -> Vec<String> {
    let (all, _) = list(client, path, parameters).await;
    all.iter().map(|operation| operation["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn lists_operations_by_scope() {
    let (compute, client) = start().await;
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    compute.insert_operation(ZoneOperation::preempted("systemevent-1", &node(7, "europe-west1-c"), at));
    let page = client.get(&format!("{AGGREGATED}?returnPartialSuccess=true")).await.json();
    assert_eq!(page["kind"], "compute#operationAggregatedList");
    let items = page["items"].as_object().unwrap();
    for empty in ["global", "regions/europe-west1", "zones/europe-west1-b"] {
        let warning = &items[empty]["warning"];
        assert_eq!(warning["code"], "NO_RESULTS_ON_PAGE", "{empty}");
        assert_eq!(warning["data"][0]["value"], empty);
    }
    let mut operation = items["zones/europe-west1-c"]["operations"][0].clone();
    let here = "https://www.googleapis.com/compute/v1/projects/example-project/zones/europe-west1-c";
    assert!(operation["id"].take().as_str().unwrap().parse::<u64>().is_ok());
    let expected = json!({
        "kind": "compute#operation",
        "id": null,
        "name": "systemevent-1",
        "zone": here,
        "operationType": "compute.instances.preempted",
        "targetLink": format!("{here}/instances/gke-n7"),
        "targetId": "7",
        "status": "DONE",
        "statusMessage": "Instance was preempted.",
        "user": "system",
        "progress": 100,
        "insertTime": "2096-10-02T00:06:40.000-07:00",
        "startTime": "2096-10-02T00:06:40.000-07:00",
        "endTime": "2096-10-02T00:06:40.000-07:00",
        "selfLink": format!("{here}/operations/systemevent-1"),
    });
    assert_eq!(operation, expected);

    let zone = client.get(&format!("{ZONE}?fields=kind,items(name,insertTime)")).await.json();
    let expected = json!({ "name": "systemevent-1", "insertTime": "2096-10-02T00:06:40.000-07:00" });
    assert_eq!(zone, json!({ "kind": "compute#operationList", "items": [expected] }));
    let empty = client.get(&ZONE.replace("west1-c", "west1-b")).await.json();
    assert!(empty["items"].is_null());
}

#[tokio::test]
async fn lists_have_pages_filters_and_a_limit() {
    let (compute, client) = start().await;
    let zones = ["europe-west1-b", "europe-west1-c"];
    compute.first().insert_operations((0..6_000).map(|id| preempted(id, zones[id as usize % 2])));
    let other = ZoneOperation::inserted("operation-1", &node(1, "europe-west1-c"), SystemTime::now());
    compute.insert_operation(other);

    let (all, pages) = list(&client, AGGREGATED, PREEMPTED).await;
    assert_eq!((all.len(), pages), (5_000, 10), "operations beyond the limit are on no page");
    for zone in zones {
        let (all, _) = list(&client, &ZONE.replace("europe-west1-c", zone), PREEMPTED).await;
        assert_eq!(all.len(), 3_000, "{zone}");
    }
    let names = names(&client, AGGREGATED, "filter=operationType%3Dinsert").await;
    assert_eq!(names, ["operation-1"]);
    assert_eq!(compute.count(Operation::Operations), 2);
    assert_eq!(compute.count(Operation::OperationsPage(10)), 1);
    assert_eq!(compute.count(Operation::ZoneOperations), 2);
}

#[tokio::test]
async fn does_not_list_old_operations() {
    let (compute, client) = start().await;
    let day = Duration::from_secs(24 * 60 * 60);
    let now = SystemTime::now();
    for (name, age) in [("new", 0), ("old", 13), ("older", 15)] {
        let operation = ZoneOperation::preempted(name, &node(1, "europe-west1-c"), now - day * age);
        compute.insert_operation(operation);
    }
    assert_eq!(names(&client, AGGREGATED, "").await, ["new", "old"]);
    let since = humantime::format_rfc3339_millis(now - day);
    let filter = format!("{PREEMPTED}+AND+(insertTime%3E%3D%22{since}%22)");
    assert_eq!(names(&client, AGGREGATED, &filter).await, ["new"]);
    assert_eq!(names(&client, ZONE, &filter).await, ["new"]);
    assert_eq!(compute.first().all_operations().len(), 3);
    compute.first().clear_operations();
    assert_eq!(names(&client, AGGREGATED, "").await, [""; 0]);
}

#[tokio::test]
async fn delays_operations() {
    let (compute, client) = start().await;
    let project = compute.first();
    project.insert_operations((1..=3).map(|id| preempted(id, "europe-west1-c")));
    project.set_operations_late(Duration::from_secs(3_600), Duration::from_secs(7_200));
    project.insert_operation(preempted(4, "europe-west1-c"));
    assert_eq!(names(&client, ZONE, "").await.len(), 3);
    project.set_operations_late(Duration::ZERO, Duration::ZERO);
    project.insert_operation(preempted(5, "europe-west1-c"));
    assert_eq!(names(&client, ZONE, "").await.len(), 4);
}

#[tokio::test]
async fn returns_partial_lists() {
    let (compute, client) = start().await;
    let project = compute.first();
    project.insert_operations([preempted(1, "europe-west1-b"), preempted(2, "europe-west1-c")]);
    project.insert(node(2, "europe-west1-c"));
    project.set_operations_unreachable(["europe-west1-c"]);
    let page = client.get(&format!("{AGGREGATED}?returnPartialSuccess=true")).await.json();
    assert_eq!(page["items"]["zones/europe-west1-c"]["warning"]["code"], "UNREACHABLE");
    assert_eq!(page["unreachables"].as_array().unwrap().len(), 1);
    assert_eq!(operations(&page).len(), 1);
    assert_eq!(client.get(AGGREGATED).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(client.get(ZONE).await.status, StatusCode::SERVICE_UNAVAILABLE);
    let instances = client.get(&AGGREGATED.replace("operations", "instances")).await.json();
    assert!(instances["unreachables"].is_null(), "instances are still reachable");

    project.set_operations_unreachable([""; 0]);
    project.set_unreachable(["europe-west1-b"]);
    let page = client.get(&format!("{AGGREGATED}?returnPartialSuccess=true")).await.json();
    assert_eq!(operations(&page)[0]["name"], "systemevent-00002");
}

#[tokio::test]
async fn checks_permissions() {
    let (compute, client) = start().await;
    let project = compute.first();
    let status = async |path: &str| client.get(path).await.status;
    let instances = AGGREGATED.replace("operations", "instances");
    for (path, permission, others) in [
        (AGGREGATED, "compute.globalOperations.list", [ZONE, &instances]),
        (ZONE, "compute.zoneOperations.list", [AGGREGATED, &instances]),
        (&instances, "compute.instances.list", [AGGREGATED, ZONE]),
    ] {
        project.set_denied([permission]);
        let refused = client.get(path).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
        let message = refused.json()["error"]["message"].clone();
        assert_eq!(message, format!("Required '{permission}' permission for 'projects/example-project'"));
        for other in others {
            assert_eq!(status(other).await, StatusCode::OK, "{other} without {permission}");
        }
    }
    project.set_denied([""; 0]);
    project.set_access(Access::Forbidden);
    assert_eq!(status(AGGREGATED).await, StatusCode::FORBIDDEN);
    project.set_access(Access::Granted);

    compute.override_reply(Operation::Operations, compute::unavailable().once());
    compute.override_reply(Operation::ZoneOperations, compute::internal_error().once());
    assert_eq!(status(AGGREGATED).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(status(ZONE).await, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(status(&instances).await, StatusCode::OK);
    for parameters in ["filter=progress%3D1", "filter=insertTime%3Esoon", "maxResults=501"] {
        assert_eq!(
            status(&format!("{AGGREGATED}?{parameters}")).await,
            StatusCode::BAD_REQUEST,
            "{parameters}"
        );
    }
    let nowhere = ZONE.replace("europe-west1-c", "nowhere");
    assert_eq!(status(&nowhere).await, StatusCode::BAD_REQUEST);
}

/// Returns the names of all operations of a type in all projects, with the ids of their targets.
fn operation_ids(google: &Google, operation_type: &str) -> BTreeMap<String, u64> {
    let projects = google.compute().projects();
    let all = projects.iter().flat_map(ProjectCompute::all_operations);
    let wanted = all.filter(|operation| operation.operation_type == operation_type);
    wanted.filter_map(|operation| Some((operation.name, operation.target?.1))).collect()
}

#[tokio::test]
async fn operations_have_the_names_in_log_entries() {
    let google = Google::builder().add_project("team-b", 222).seed(3).start().await.unwrap();
    let mut interruptions = subscriber(&google, INTERRUPTION_SUBSCRIPTION).await;
    let mut creations = subscriber(&google, CREATION_SUBSCRIPTION).await;
    let mut events = google.advance(Duration::from_secs(300)).await.unwrap();
    events.extend(google.burst(0.5).await.unwrap());

    let id_and_name = |entry: &Value| {
        let id = entry["resource"]["labels"]["instance_id"].as_str()?.parse::<u64>().ok()?;
        Some((entry["operation"]["id"].as_str()?.to_owned(), id))
    };
    let published: BTreeMap<String, u64> =
        entries(&mut interruptions).await.iter().filter_map(id_and_name).collect();
    assert_eq!(operation_ids(&google, "compute.instances.preempted"), published);
    let preemptions = events.iter().filter(|event| matches!(event, Event::Preempted(_))).count();
    assert_eq!(published.len(), preemptions, "operation names are unique");

    let creations = entries(&mut creations).await;
    let published: BTreeMap<String, u64> = creations.iter().filter_map(id_and_name).collect();
    assert_eq!(operation_ids(&google, "insert"), published);
    let mut bulk = BTreeSet::new();
    for project in google.compute().projects() {
        for operation in project.all_operations() {
            let group = operation.group.clone();
            if operation.operation_type == "bulkInsert" {
                assert_eq!((operation.target, group), (None, Some(operation.name.clone())));
                bulk.insert(operation.name);
            } else if let Some(group) = group {
                assert!(bulk.contains(&group), "{group}");
            }
        }
    }
    assert!(!bulk.is_empty());
    let failed = creations.iter().filter(|entry| entry["severity"] == "ERROR").count();
    let all = google.compute().projects().into_iter().flat_map(|project| project.all_operations());
    let errors: Vec<_> = all.filter_map(|operation| operation.error).collect();
    assert_eq!(errors.len(), failed);
    assert!(errors.iter().all(|(code, _)| code == "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"), "{errors:?}");
}

#[tokio::test]
async fn creates_operations_while_the_sink_is_off() {
    let google = Google::builder().start().await.unwrap();
    let client = Client::to(google.compute().url());
    let put = async |path: &str, body: &'static str| {
        client.request(Method::PUT, &format!("/_sandbox/{path}"), body).await.status
    };
    let interruptions = google.subscription(INTERRUPTION_SUBSCRIPTION);
    let published = || google.pubsub().unwrap().counts(&interruptions).published;
    google.burst(0.3).await.unwrap();
    let before = published();
    assert!(before > 0);

    assert_eq!(put("sink", "off").await, StatusCode::NO_CONTENT);
    assert_eq!(client.get("/_sandbox/sink").await.text(), "off\n");
    let missed = google.burst(0.3).await.unwrap().len();
    assert!(missed > 0);
    assert_eq!(published(), before);
    let truth = google.truth().await;
    let expected = truth.interruptions_by_cluster.values().sum::<u64>() + truth.unattributed;
    let (all, _) = list(&client, AGGREGATED, PREEMPTED).await;
    assert_eq!(all.len() as u64, expected);

    google.set_sink(true);
    google.burst(1.0).await.unwrap();
    assert!(published() > before);
    assert_eq!(put("sink", "nonsense").await, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn injects_faults_into_operations() {
    let google = Google::builder().start().await.unwrap();
    let client = Client::to(google.compute().url());
    let put = async |path: &str, body: &'static str| {
        client.request(Method::PUT, &format!("/_sandbox/{path}"), body).await.status
    };
    let instances = AGGREGATED.replace("operations", "instances");
    assert_eq!(put("faults/operations", "rate_limited").await, StatusCode::NO_CONTENT);
    assert_eq!(client.get(AGGREGATED).await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(client.get(&instances).await.status, StatusCode::OK);
    client.request(Method::DELETE, "/_sandbox/faults/operations", "").await;
    assert_eq!(client.get(AGGREGATED).await.status, StatusCode::OK);
}
