//! Tests of the Compute API.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hyper::{Method, StatusCode};
use sandbox::google::{
    Instance, Metadata, Provisioning, Status, TOKEN_LIFETIME,
    compute::{self, Compute, Hold, Operation, Reply},
};
use serde_json::{Value, json};

use crate::client::Client;

const LIST: &str = "/compute/v1/projects/example-project/aggregated/instances";
const GKE: &str = "labels.goog-k8s-cluster-name%3A*";

async fn start() -> (Compute, Client) {
    let compute = Compute::builder().start().await.unwrap();
    let client = Client::to(compute.url());
    (compute, client)
}

fn node(id: u64, zone: &str) -> Instance {
    Instance::new(id, zone, format!("gke-n{id}")).spot().gke("blue", "europe-west1", "pool")
}

/// Returns all instances of a list, and the number of pages.
async fn list(client: &Client, parameters: &str) -> (Vec<Value>, usize) {
    let (mut instances, mut pages, mut token) = (Vec::new(), 0, String::new());
    loop {
        let page = client.get(&format!("{LIST}?{parameters}&pageToken={token}")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text());
        let page = page.json();
        pages += 1;
        for scope in page["items"].as_object().unwrap().values() {
            instances.extend(scope["instances"].as_array().cloned().unwrap_or_default());
        }
        match page["nextPageToken"].as_str() {
            Some(next) => token = next.to_owned(),
            None => return (instances, pages),
        }
    }
}

fn names(instances: &[Value]) -> Vec<&str> {
    instances.iter().map(|instance| instance["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn lists_instances_by_zone() {
    let (compute, client) = start().await;
    compute.insert_all([node(2, "europe-west1-d"), node(1, "europe-west1-c")]);
    compute.insert(Instance::new(3, "europe-west1-c", "batch"));
    let page = client.get(&format!("{LIST}?filter={GKE}&maxResults=500&returnPartialSuccess=true")).await;
    assert_eq!(page.headers["content-type"], "application/json");
    let page = page.json();
    assert_eq!(page["kind"], "compute#instanceAggregatedList");
    assert!(page["nextPageToken"].is_null());
    let items = page["items"].as_object().unwrap();
    assert!(items.len() > 100, "all zones are listed");
    assert_eq!(names(items["zones/europe-west1-c"]["instances"].as_array().unwrap()), ["gke-n1"]);
    assert_eq!(names(items["zones/europe-west1-d"]["instances"].as_array().unwrap()), ["gke-n2"]);
    let warning = &items["zones/us-central1-a"]["warning"];
    assert_eq!(warning["code"], "NO_RESULTS_ON_PAGE");
    assert_eq!(warning["data"][0]["value"], "zones/us-central1-a");

    let one = &items["zones/europe-west1-c"]["instances"][0];
    let here = "https://www.googleapis.com/compute/v1/projects/example-project/zones/europe-west1-c";
    assert_eq!(one["id"], "1");
    assert_eq!(one["zone"], here);
    assert_eq!(one["machineType"], format!("{here}/machineTypes/e2-medium"));
    assert_eq!(one["selfLink"], format!("{here}/instances/gke-n1"));
    assert_eq!(one["status"], "RUNNING");
    assert_eq!(one["labels"]["goog-k8s-cluster-name"], "blue");
    assert_eq!(one["scheduling"]["provisioningModel"], "SPOT");
    assert_eq!(one["scheduling"]["preemptible"], true);
    assert!(one["creationTimestamp"].as_str().unwrap().ends_with("-07:00"));
    assert!((2000..4000).contains(&one.to_string().len()));
}

#[tokio::test]
async fn lists_have_pages_and_filters() {
    let (compute, client) = start().await;
    for id in 0..25 {
        compute.insert(node(id, ["europe-west1-b", "europe-west1-c"][id as usize % 2]));
        compute
            .insert(Instance::new(100 + id, "europe-west1-b", format!("batch-{id}")).label("team", "data"));
    }
    let (all, pages) = list(&client, "").await;
    assert_eq!((all.len(), pages), (50, 1));
    let (nodes, pages) = list(&client, &format!("filter={GKE}&maxResults=7")).await;
    assert_eq!((nodes.len(), pages), (25, 4));
    let (rest, _) = list(&client, "filter=labels.team:*").await;
    assert_eq!(rest.len(), 25);
    let (none, pages) = list(&client, "filter=labels.unknown:*").await;
    assert_eq!((none.len(), pages), (0, 1));
    // A full last page has no next page.
    let (nodes, pages) = list(&client, &format!("filter={GKE}&maxResults=25")).await;
    assert_eq!((nodes.len(), pages), (25, 1));
    assert_eq!(compute.count(Operation::List), 5);
    assert_eq!(compute.count(Operation::Page(4)), 1);
}

#[tokio::test]
async fn supports_partial_responses() {
    let (compute, client) = start().await;
    compute.insert(node(1, "europe-west1-c"));
    let fields = "items/*/instances(name,labels,scheduling/preemptible),items/*/warning/code,unreachables";
    let page = client.get(&format!("{LIST}?fields={fields}")).await.json();
    let items = page["items"].as_object().unwrap();
    assert_eq!(page.as_object().unwrap().len(), 1, "{page}");
    assert_eq!(items["zones/us-central1-a"], json!({"warning": {"code": "NO_RESULTS_ON_PAGE"}}));
    let one = &items["zones/europe-west1-c"]["instances"][0];
    assert_eq!(one["labels"]["goog-k8s-cluster-name"], "blue");
    assert_eq!(one["scheduling"], json!({"preemptible": true}));
    assert_eq!(one.as_object().unwrap().len(), 3, "{one}");
    let path = "/compute/v1/projects/example-project/zones/europe-west1-c/instances/gke-n1";
    assert_eq!(
        client.get(&format!("{path}?fields=id,name")).await.json(),
        json!({"id": "1", "name": "gke-n1"})
    );
}

#[tokio::test]
async fn rejects_requests_without_the_token() {
    let metadata = Metadata::start("ya29.test", TOKEN_LIFETIME).await.unwrap();
    let (compute, mut client) = start().await;
    compute.require_token("ya29.test");
    let refused = client.get(LIST).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.json()["error"]["status"], "UNAUTHENTICATED");

    // Without the required header, like a request forged by a web page.
    let url = format!("http://{}", metadata.host());
    let path = "/computeMetadata/v1/instance/service-accounts/default/token";
    assert_eq!(Client::to(url).get(path).await.status, StatusCode::FORBIDDEN);
    client.token = Some("ya29.test".to_owned());
    assert_eq!(client.get(LIST).await.status, StatusCode::OK);
}

#[tokio::test]
async fn gets_an_instance_by_name() {
    let (compute, client) = start().await;
    compute.insert(node(1, "europe-west1-c").provisioning(Provisioning::Preemptible));
    let path = "/compute/v1/projects/123456789012/zones/europe-west1-c/instances/gke-n1";
    let instance = client.get(path).await.json();
    assert_eq!((&instance["id"], &instance["status"]), (&"1".into(), &"RUNNING".into()));
    assert!(instance["scheduling"]["provisioningModel"].is_null());

    compute.first().set_status("europe-west1-c", "gke-n1", Status::Terminated);
    assert_eq!(client.get(path).await.json()["status"], "TERMINATED");
    assert_eq!(compute.instance("europe-west1-c", "gke-n1").unwrap().status, Status::Terminated);
    assert_eq!(compute.remove("europe-west1-c", "gke-n1").unwrap().id, 1);
    let missing = client.get(path).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    let error = &missing.json()["error"];
    assert_eq!(error["code"], 404);
    assert_eq!(error["errors"][0]["reason"], "notFound");
    assert!(error["message"].as_str().unwrap().contains("zones/europe-west1-c/instances/gke-n1"), "{error}");
    assert_eq!(compute.count(Operation::Get), 3);
}

#[tokio::test]
async fn rejects_invalid_requests() {
    let (_compute, client) = start().await;
    for parameters in
        ["filter=nonsense", "maxResults=501", "maxResults=-1", "maxResults=x", "pageToken=x", "fields=a("]
    {
        let reply = client.get(&format!("{LIST}?{parameters}")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{parameters}");
        let field = parameters.split_once('=').unwrap().0;
        assert!(reply.json()["error"]["message"].as_str().unwrap().contains(field), "{parameters}");
    }
    for path in ["/", "/compute/v1/projects/example-project/zones", "/_sandbox/", &LIST.replace("v1", "v2")] {
        assert_eq!(client.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let other = client.get(&LIST.replace("example-project", "other")).await;
    assert_eq!(
        (other.status, &other.json()["error"]["status"]),
        (StatusCode::NOT_FOUND, &"NOT_FOUND".into())
    );
    assert_eq!(client.request(Method::POST, LIST, "").await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn overrides_replies() {
    let (compute, client) = start().await;
    compute.insert_all((0..4).map(|id| node(id, "europe-west1-c")));
    compute.override_reply(Operation::List, compute::permission_denied().once());
    compute.override_reply(Operation::List, compute::rate_limited(Duration::from_secs(17)).once());
    compute.override_reply(Operation::List, compute::internal_error().once());
    compute.override_reply(Operation::List, compute::unavailable().once());
    compute.override_reply(Operation::List, compute::garbage().once());
    for (status, reason) in [
        (StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
        (StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED"),
        (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
        (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
    ] {
        let reply = client.get(LIST).await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.json()["error"]["status"], reason);
        assert_eq!(reply.headers.contains_key("retry-after"), status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(client.get(LIST).await.text().starts_with("<!DOCTYPE html>"));
    assert_eq!(client.get(LIST).await.status, StatusCode::OK);

    compute.override_reply(Operation::Page(2), compute::unavailable());
    let first = client.get(&format!("{LIST}?maxResults=2")).await.json();
    let second = format!("{LIST}?maxResults=2&pageToken={}", first["nextPageToken"].as_str().unwrap());
    assert_eq!(client.get(&second).await.status, StatusCode::SERVICE_UNAVAILABLE);
    compute.clear_overrides();
    assert_eq!(client.get(&second).await.status, StatusCode::OK);

    compute.override_reply(Operation::Get, Reply::Reset);
    client.try_get("/compute/v1/projects/example-project/zones/z/instances/n").await.unwrap_err();
    compute.override_reply(Operation::List, Reply::Delay(Duration::from_millis(150)));
    let start = Instant::now();
    assert_eq!(client.get(LIST).await.status, StatusCode::OK);
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn zones_can_be_unreachable() {
    let (compute, client) = start().await;
    compute.insert_all([node(1, "europe-west1-c"), node(2, "europe-west1-d")]);
    compute.set_unreachable(["europe-west1-c"]);
    let page = client.get(&format!("{LIST}?filter={GKE}&returnPartialSuccess=true")).await.json();
    assert_eq!(page["items"]["zones/europe-west1-c"]["warning"]["code"], "UNREACHABLE");
    assert!(page["items"]["zones/europe-west1-c"]["instances"].is_null());
    assert_eq!(names(page["items"]["zones/europe-west1-d"]["instances"].as_array().unwrap()), ["gke-n2"]);
    assert_eq!(page["unreachables"].as_array().unwrap().len(), 1);
    compute.set_unreachable([""; 0]);
    let (all, _) = list(&client, "").await;
    assert_eq!(all.len(), 2);
}

#[tokio::test]
async fn records_requests() {
    let (compute, client) = start().await;
    let hold = Hold::new();
    compute.override_reply(Operation::Get, Reply::Hold(hold.clone()));
    let asking = async { client.get("/compute/v1/projects/example-project/zones/z/instances/a%20b").await };
    let releasing = async {
        hold.arrived(1).await;
        compute.wait_for(Operation::Get, 1).await;
        hold.release();
    };
    let (reply, ()) = tokio::join!(asking, releasing);
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    client.get(&format!("{LIST}?filter={GKE}")).await;
    let [get, list] = &compute.requests()[..] else { panic!("not two requests") };
    assert_eq!(get.operation, Some(Operation::Get));
    assert_eq!(list.operation, Some(Operation::Page(1)));
    assert_eq!(list.path, LIST);
    let query = BTreeMap::from_iter(&list.query);
    assert_eq!(query[&"filter".to_owned()], "labels.goog-k8s-cluster-name:*");
}

#[tokio::test]
async fn keeps_instances_after_a_restart() {
    let (compute, client) = start().await;
    compute.insert(node(1, "europe-west1-c"));
    compute.stop().await;
    client.try_get(LIST).await.unwrap_err();
    compute.restart().await.unwrap();
    assert_eq!(list(&client, "").await.0.len(), 1);
    compute.clear();
    assert!(compute.instances().is_empty());
}

#[tokio::test]
async fn lists_a_hundred_thousand_instances() {
    let (compute, client) = start().await;
    compute.insert_all((0..100_000).map(|id| node(id, "europe-west1-c")));
    let (mut count, mut bytes, mut token) = (0, 0, String::new());
    loop {
        let page = client.get(&format!("{LIST}?filter={GKE}&pageToken={token}")).await;
        // Parsing the JSON would take longer than listing.
        count += page.text().matches(r#""kind":"compute#instance","#).count();
        bytes += page.body.len();
        match page.text().split_once(r#""nextPageToken":""#) {
            Some((_, next)) => token = next.split('"').next().unwrap().to_owned(),
            None => break,
        }
    }
    assert_eq!(count, 100_000);
    assert!(bytes > 200_000_000);
    assert_eq!(compute.count(Operation::Page(200)), 1);
}
