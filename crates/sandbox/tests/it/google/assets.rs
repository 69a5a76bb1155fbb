//! Tests of Cloud Asset Inventory.

use hyper::{Method, StatusCode};
use sandbox::google::{
    assets::{self, AssetInventory, Operation, ProjectAsset, ProjectState},
    compute::Compute,
};
use serde_json::{Value, json};

use crate::client::Client;

const PROJECTS: &str = "assetTypes=cloudresourcemanager.googleapis.com/Project";

async fn start() -> (AssetInventory, Compute, Client) {
    let assets = AssetInventory::new();
    let compute = Compute::builder().assets(&assets).start().await.unwrap();
    let client = Client::to(compute.url());
    (assets, compute, client)
}

fn path(scope: &str, parameters: &str) -> String {
    format!("/v1/{scope}:searchAllResources?{PROJECTS}&{parameters}")
}

/// Returns the project ids of all results, and the number of pages.
async fn search(client: &Client, scope: &str, parameters: &str) -> (Vec<String>, usize) {
    let (mut ids, mut pages, mut token) = (Vec::new(), 0, String::new());
    loop {
        let page = client.get(&path(scope, &format!("{parameters}&pageToken={token}"))).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text());
        let page = page.json();
        pages += 1;
        let results = page["results"].as_array().cloned().unwrap_or_default();
        ids.extend(
            results
                .iter()
                .map(|found| found["additionalAttributes"]["projectId"].as_str().unwrap().to_owned()),
        );
        match page["nextPageToken"].as_str() {
            Some(next) => token = next.to_owned(),
            None => return (ids, pages),
        }
    }
}

#[tokio::test]
async fn finds_the_projects_below_a_scope() {
    let (assets, _compute, client) = start().await;
    assets.add(ProjectAsset::new("team-b", 2).folder("folders/7").folder("folders/70").label("env", "prod"));
    assets.add(ProjectAsset::new("team-a", 1).folder("folders/7").label("env", "test"));
    assets.add(ProjectAsset::new("loner", 3));
    assets.add(ProjectAsset::new("elsewhere", 4).organization("organizations/9"));
    for (scope, expected) in [
        ("folders/7", &["team-a", "team-b"][..]),
        ("folders/70", &["team-b"]),
        ("organizations/1", &["loner", "team-a", "team-b"]),
        ("organizations/9", &["elsewhere"]),
        ("projects/loner", &["loner"]),
        ("projects/3", &["loner"]),
    ] {
        assert_eq!(search(&client, scope, "").await.0, expected, "{scope}");
    }

    let found = client.get(&path("folders/70", "")).await.json();
    let expected = json!({
        "name": "//cloudresourcemanager.googleapis.com/projects/team-b",
        "assetType": "cloudresourcemanager.googleapis.com/Project",
        "project": "projects/2",
        "displayName": "team-b",
        "location": "global",
        "state": "ACTIVE",
        "labels": { "env": "prod" },
        "additionalAttributes": { "projectId": "team-b" },
        "folders": ["folders/7", "folders/70"],
        "organization": "organizations/1",
        "parentFullResourceName": "//cloudresourcemanager.googleapis.com/folders/7",
    });
    assert_eq!(found, json!({ "results": [expected] }));
}

#[tokio::test]
async fn filters_by_state_and_label() {
    let (assets, _compute, client) = start().await;
    assets.add(ProjectAsset::new("team-a", 1).label("env", "prod").label("tier", "gold"));
    assets.add(ProjectAsset::new("team-b", 2).label("env", "test").state(ProjectState::DeleteRequested));
    assets.add(ProjectAsset::new("infra", 3));
    for (query, expected) in [
        ("state:ACTIVE", &["infra", "team-a"][..]),
        ("state%3DDELETE_REQUESTED", &["team-b"]),
        ("labels.env:prod", &["team-a"]),
        ("labels.env:*", &["team-a", "team-b"]),
        ("state:ACTIVE+labels.env:prod", &["team-a"]),
        ("state:ACTIVE+AND+labels.env:test", &[]),
        ("labels.env:PROD", &["team-a"]),
        ("labels.tier%3Dgold", &["team-a"]),
    ] {
        let (found, _) = search(&client, "organizations/1", &format!("query={query}")).await;
        assert_eq!(found, expected, "{query}");
    }
    let others = "/v1/organizations/1:searchAllResources?assetTypes=compute.googleapis.com/Instance";
    assert_eq!(client.get(others).await.json(), json!({}), "empty fields are omitted");
    let all = client.get("/v1/organizations/1:searchAllResources").await.json();
    assert_eq!(all["results"].as_array().unwrap().len(), 3, "the default is every asset type");
}

#[tokio::test]
async fn supports_pages_and_partial_responses() {
    let (assets, _compute, client) = start().await;
    for number in 0..1_001 {
        assets.add(ProjectAsset::new(format!("project-{number:04}"), number));
    }
    let scope = "organizations/1";
    for (parameters, pages) in
        [("", 11), ("pageSize=500", 3), ("pageSize=9999", 3), ("pageSize=0", 11), ("pageSize=-1", 11)]
    {
        let (found, count) = search(&client, scope, parameters).await;
        assert_eq!((found.len(), count), (1_001, pages), "{parameters}");
    }
    assert_eq!(assets.count(Operation::Search), 5);
    assert_eq!(assets.count(Operation::Page(11)), 3);
    let masked =
        client.get(&path(scope, "pageSize=1&fields=results(name,additionalAttributes)")).await.json();
    let expected = json!({
        "name": "//cloudresourcemanager.googleapis.com/projects/project-0000",
        "additionalAttributes": { "projectId": "project-0000" },
    });
    assert_eq!(masked, json!({ "results": [expected] }));
}

#[tokio::test]
async fn rejects_unknown_scopes_and_invalid_parameters() {
    let (assets, _compute, mut client) = start().await;
    assets.add(ProjectAsset::new("team-a", 1));
    assets.add_scope("folders/8");
    assert_eq!(search(&client, "folders/8", "").await.0, [""; 0]);
    for scope in ["folders/9", "organizations/2", "projects/unknown"] {
        let refused = client.get(&path(scope, "")).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{scope}");
        let error = &refused.json()["error"];
        assert_eq!(error["status"], "PERMISSION_DENIED");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains("cloudasset.assets.searchAllResources") && message.contains(scope),
            "{message}"
        );
    }
    for (scope, parameters) in [
        ("folders/x", ""),
        ("organizations/1", "query=("),
        ("organizations/1", "query=colour:red"),
        ("organizations/1", "pageSize=x"),
        ("organizations/1", "pageToken=x"),
        ("organizations/1", "fields=a("),
    ] {
        let refused = client.get(&path(scope, parameters)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{scope} {parameters}");
    }
    for unknown in ["/v1/folders/8", "/v1/buckets/8:searchAllResources", "/v1/"] {
        assert_eq!(client.get(unknown).await.status, StatusCode::NOT_FOUND, "{unknown}");
    }
    assert_eq!(
        client.request(Method::POST, &path("folders/8", ""), "").await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
    assets.require_token("ya29.test");
    assert_eq!(client.get(&path("folders/8", "")).await.status, StatusCode::UNAUTHORIZED);
    client.token = Some("ya29.test".to_owned());
    assert_eq!(client.get(&path("folders/8", "")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn overrides_replies_and_records_requests() {
    let (assets, compute, client) = start().await;
    assets.add(ProjectAsset::new("team-a", 1));
    assets.override_reply(Operation::Search, assets::permission_denied().once());
    assets.override_reply(Operation::Search, assets::rate_limited(std::time::Duration::from_secs(17)).once());
    let path = path("organizations/1", "query=state:ACTIVE");
    assert_eq!(client.get(&path).await.status, StatusCode::FORBIDDEN);
    let limited = client.get(&path).await;
    assert_eq!(
        (limited.status, &limited.headers["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"17".parse().unwrap())
    );
    assert_eq!(client.get(&path).await.status, StatusCode::OK);

    let requests = assets.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[2].operation, Some(Operation::Page(1)));
    assert_eq!(requests[2].scope.as_deref(), Some("organizations/1"));
    assert_eq!(requests[2].query["query"], "state:ACTIVE");
    assert!(compute.requests().is_empty(), "requests of the inventory are recorded separately");
}

#[tokio::test]
async fn adds_and_removes_projects() {
    let (assets, _compute, client) = start().await;
    let ids = async || search(&client, "organizations/1", "query=state:ACTIVE").await.0;
    assets.add(ProjectAsset::new("team-a", 1));
    assets.add(ProjectAsset::new("team-b", 2));
    assert_eq!(ids().await, ["team-a", "team-b"]);
    assets.set_state("team-a", ProjectState::DeleteRequested);
    assert_eq!(ids().await, ["team-b"]);
    assert_eq!(assets.remove("team-b").unwrap().number, 2);
    assert_eq!(ids().await, [""; 0]);
    let projects: Vec<Value> = assets.projects().iter().map(|project| json!(project.id)).collect();
    assert_eq!(projects, ["team-a"]);
}
