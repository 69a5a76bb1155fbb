//! Tests of STS and of the endpoints that issue credentials.

use std::time::Duration;

use hyper::{Method, StatusCode};
use sandbox::aws::{
    Aws, Instance, OTHER_ACCOUNT, OTHER_ROLE, Operation, POD_IDENTITY_TOKEN, ROLE, WEB_IDENTITY_TOKEN,
};
use serde_json::{Value, json};

use super::client::{Client, Reply, elements};

async fn start() -> (Aws, Client) {
    let aws = Aws::builder().start().await.unwrap();
    let client = Client::new(&aws);
    (aws, client)
}

/// Returns a client with the credentials of an STS response.
fn with_result(client: &Client, reply: &Reply) -> Client {
    let token = reply.element("SessionToken").replace("&amp;", "&");
    client.clone().key(&reply.element("AccessKeyId"), &reply.element("SecretAccessKey"), Some(&token))
}

/// Returns a client with the credentials of a JSON response.
fn with_json(client: &Client, credentials: &Value) -> Client {
    let text = |name: &str| credentials[name].as_str().unwrap_or_else(|| panic!("{name} in {credentials}"));
    client.clone().key(text("AccessKeyId"), text("SecretAccessKey"), Some(text("Token")))
}

async fn account(client: &Client) -> String {
    client.sts("GetCallerIdentity", &[]).await.ok().element("Account")
}

#[tokio::test]
async fn assumes_roles_of_other_accounts() {
    let (aws, client) = start().await;
    aws.launch(Instance::spot(1, "eu-central-1a").account(OTHER_ACCOUNT));
    assert_eq!(account(&client).await, "123456789012");
    let parameters = [("RoleArn", OTHER_ROLE), ("RoleSessionName", "sie"), ("DurationSeconds", "900")];
    let reply = client.sts("AssumeRole", &parameters).await.ok();
    assert!(
        reply.text().starts_with("<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">")
    );
    assert_eq!(reply.element("Arn"), "arn:aws:sts::210987654321:assumed-role/sie-reader/sie");
    let expires = humantime::parse_rfc3339(&reply.element("Expiration")).unwrap();
    let left = expires.duration_since(std::time::SystemTime::now()).unwrap();
    assert!((800..=900).contains(&left.as_secs()), "{left:?}");

    let other = with_result(&client, &reply);
    assert_eq!(account(&other).await, OTHER_ACCOUNT);
    assert_eq!(elements(other.describe(&[]).await.ok().text(), "instanceId").len(), 1);
    other.queue(Operation::ReceiveMessage, json!({})).await.failed(403, "AccessDeniedException");
    // The session token is required.
    let without = Client { token: None, ..other.clone() };
    without.sts("GetCallerIdentity", &[]).await.failed(403, "InvalidClientTokenId");

    let unknown = [("RoleArn", "arn:aws:iam::1:role/unknown"), ("RoleSessionName", "sie")];
    client.sts("AssumeRole", &unknown).await.failed(403, "AccessDenied");
    aws.add_role("arn:aws:iam::1:role/unknown");
    client.sts("AssumeRole", &unknown).await.ok();
    assert!(aws.remove_role(OTHER_ROLE));
    client.sts("AssumeRole", &parameters).await.failed(403, "AccessDenied");
    client.sts("AssumeRole", &parameters[..1]).await.failed(400, "ValidationError");
    client
        .clone()
        .key("test", "wrong", None)
        .sts("AssumeRole", &parameters)
        .await
        .failed(403, "SignatureDoesNotMatch");
}

#[tokio::test]
async fn exchanges_tokens_of_kubernetes() {
    let (aws, client) = start().await;
    let exchange = async |token: &str| {
        let path = format!(
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={ROLE}&RoleSessionName=sie&WebIdentityToken={token}"
        );
        let request = hyper::Request::post(aws.url())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(path.into())
            .unwrap();
        client.reply(request).await
    };
    let reply = exchange(WEB_IDENTITY_TOKEN).await.ok();
    assert!(reply.text().starts_with("<AssumeRoleWithWebIdentityResponse "), "{}", reply.text());
    assert_eq!(account(&with_result(&client, &reply)).await, "123456789012");
    exchange("wrong").await.failed(400, "InvalidIdentityToken");
    aws.set_web_identity_token("rotated");
    exchange(WEB_IDENTITY_TOKEN).await.failed(400, "InvalidIdentityToken");
    exchange("rotated").await.ok();
    let recorded = aws.requests().into_iter().next().unwrap();
    assert_eq!((recorded.key_id, recorded.account), (None, None));
}

#[tokio::test]
async fn credentials_expire() {
    let (aws, client) = start().await;
    aws.set_credential_lifetime(Duration::from_secs(60));
    let parameters = [("RoleArn", ROLE), ("RoleSessionName", "sie")];
    let temporary = with_result(&client, &client.sts("AssumeRole", &parameters).await.ok());
    temporary.describe(&[]).await.ok();
    aws.set_clock_offset(61.0);
    temporary.describe(&[]).await.failed(400, "RequestExpired");
    temporary.sts("GetCallerIdentity", &[]).await.failed(403, "ExpiredToken");
    temporary.queue(Operation::ReceiveMessage, json!({})).await.failed(403, "ExpiredTokenException");
    assert!(aws.credentials(&temporary.key_id).unwrap().expires.is_some());
}

#[tokio::test]
async fn serves_pod_identity() {
    let (aws, client) = start().await;
    let get =
        async |token: &str| client.plain(Method::GET, "/v1/credentials", &[("authorization", token)]).await;
    let credentials = get(POD_IDENTITY_TOKEN).await.ok().json();
    assert_eq!(credentials["AccountId"], "123456789012");
    assert!(humantime::parse_rfc3339(credentials["Expiration"].as_str().unwrap()).is_ok());
    assert_eq!(account(&with_json(&client, &credentials)).await, "123456789012");
    assert_eq!(get("wrong").await.status, StatusCode::UNAUTHORIZED);
    aws.set_pod_identity_token("rotated");
    get("rotated").await.ok();
    assert_eq!(aws.count(Operation::PodIdentity), 3);
    let reply = client.plain(Method::POST, "/v1/credentials", &[]).await;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn serves_ecs_and_the_instance_metadata() {
    let (_aws, client) = start().await;
    let task = client.plain(Method::GET, "/v2/credentials/5a9c", &[]).await.ok().json();
    assert_eq!(task["RoleArn"], ROLE);
    assert_eq!(account(&with_json(&client, &task)).await, "123456789012");

    let roles = "/latest/meta-data/iam/security-credentials/";
    assert_eq!(client.plain(Method::GET, roles, &[]).await.status, StatusCode::UNAUTHORIZED);
    let put = async |lifetime: &str| {
        let header = [("x-aws-ec2-metadata-token-ttl-seconds", lifetime)];
        client.plain(Method::PUT, "/latest/api/token", &header).await
    };
    assert_eq!(put("0").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(put("21601").await.status, StatusCode::BAD_REQUEST);
    let token = put("21600").await.ok().text().to_owned();
    let header = [("x-aws-ec2-metadata-token", token.as_str())];
    let role = client.plain(Method::GET, roles, &header).await.ok().text().to_owned();
    assert_eq!(role, "sie");
    let credentials = client.plain(Method::GET, &format!("{roles}{role}"), &header).await.ok().json();
    assert_eq!((&credentials["Code"], &credentials["Type"]), (&json!("Success"), &json!("AWS-HMAC")));
    assert_eq!(account(&with_json(&client, &credentials)).await, "123456789012");
    let missing = client.plain(Method::GET, &format!("{roles}other"), &header).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}
