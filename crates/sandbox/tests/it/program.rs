//! Tests of the program.

use std::{process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    process::Command,
    time::timeout,
};

fn sandbox() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

#[tokio::test]
async fn prints_addresses_and_stops_on_signals() {
    for signal in ["-TERM", "-INT"] {
        let mut program = sandbox()
            .args(["spacelift", "--listen", "127.0.0.1:0"])
            .env("SANDBOX_SCENARIO", "machine_key")
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(program.stdout.as_mut().unwrap()).read_line(&mut line).await.unwrap();
        let address = line.trim().strip_prefix("spacelift: listening on http://").expect(&line);

        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /_sandbox/scenario HTTP/1.0\r\n\r\n").await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(response.ends_with("\r\n\r\nmachine_key\n"), "{response}");

        let id = program.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().await.unwrap().success());
        let status =
            timeout(Duration::from_secs(10), program.wait()).await.expect("an exit in time").unwrap();
        assert_eq!(status.code(), Some(0));
    }
}

#[tokio::test]
async fn rejects_invalid_arguments() {
    for argument in [
        "--scenario=nonsense",
        "--speed=-1",
        "--token-lifetime=soon",
        "--webhook-url=https://h/webhook",
        "--webhook-shape=odd",
    ] {
        let output = sandbox().args(["spacelift", argument]).output().await.unwrap();
        assert_eq!(output.status.code(), Some(2), "{argument}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(argument.split_once('=').unwrap().0), "{stderr}");
    }
}

#[tokio::test]
async fn serves_all_services() {
    let mut program = sandbox()
        .args(["all", "--listen=127.0.0.1:0", "--pubsub-listen=127.0.0.1:0", "--compute-listen=127.0.0.1:0"])
        .arg("--aws-listen=127.0.0.1:0")
        .args(["--speed=5", "--project=other-project"])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut addresses = Vec::new();
    for service in ["spacelift", "pubsub", "compute", "aws"] {
        let line = lines.next_line().await.unwrap().unwrap();
        let address = line.strip_prefix(&format!("{service}: listening on http://")).expect(&line);
        addresses.push(address.to_owned());
    }
    let mut stream = TcpStream::connect(&addresses[2]).await.unwrap();
    stream
        .write_all(
            b"GET /compute/v1/projects/other-project/aggregated/instances?maxResults=1 HTTP/1.0\r\n\r\n",
        )
        .await
        .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.contains("nextPageToken"), "{response}");
    let queues = get(&addresses[3], "/_sandbox/queues").await;
    assert!(
        queues.contains("https://sqs.us-east-1.amazonaws.com/123456789012/sie-interruption-queue"),
        "{queues}"
    );

    let id = program.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    let status = timeout(Duration::from_secs(10), program.wait()).await.expect("an exit in time").unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn serves_aws_alone() {
    let mut program = sandbox()
        .args(["aws", "--speed=0", "--aws-scale=0", "--aws-clock-offset=-3600"])
        .env("SANDBOX_AWS_LISTEN", "127.0.0.1:0")
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let address = line.strip_prefix("aws: listening on http://").expect(&line);
    assert!(get(address, "/_sandbox/instances").await.ends_with("\r\n\r\n[]"));
    assert!(get(address, "/_sandbox/clock").await.ends_with("\r\n\r\n-3600\n"));

    let output = sandbox().args(["aws", "--aws-scale=-1"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// Returns the response to a GET request.
async fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn serves_several_projects() {
    let mut program = sandbox()
        .args(["google", "--pubsub-listen=127.0.0.1:0", "--compute-listen=127.0.0.1:0", "--speed=0"])
        .env("SANDBOX_PROJECTS", "team-b,team-c:333=forbidden,old=deleted")
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    lines.next_line().await.unwrap();
    let line = lines.next_line().await.unwrap().unwrap();
    let address = line.strip_prefix("compute: listening on http://").expect(&line);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /_sandbox/projects HTTP/1.0\r\n\r\n").await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let projects: serde_json::Value =
        serde_json::from_str(response.split_once("\r\n\r\n").unwrap().1).unwrap();
    for (id, access, state) in [
        ("example-project", "granted", "ACTIVE"),
        ("team-b", "granted", "ACTIVE"),
        ("team-c", "forbidden", "ACTIVE"),
        ("old", "deleted", "DELETE_REQUESTED"),
    ] {
        assert_eq!(
            (&projects[id]["access"], &projects[id]["state"]),
            (&access.into(), &state.into()),
            "{id}"
        );
    }
    assert_eq!(projects["team-c"]["number"], 333);

    let output = sandbox().args(["google", "--projects=a=nonsense"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test]
async fn delivers_runs_to_a_webhook() {
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhook", receiver.local_addr().unwrap());
    let mut program = sandbox()
        .args(["spacelift", "--listen=127.0.0.1:0", "--speed=20", "--webhook-url", &url])
        .env("SANDBOX_WEBHOOK_SECRET", "s")
        .env("SANDBOX_WEBHOOK_SHAPE", "policy")
        .spawn()
        .unwrap();
    let (mut stream, _) = timeout(Duration::from_secs(30), receiver.accept()).await.unwrap().unwrap();
    let mut request = String::new();
    while !request.contains("\"timing\"") {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).await.unwrap();
        request.push_str(str::from_utf8(&bytes[..count]).unwrap());
    }
    assert!(request.starts_with("POST /webhook HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("x-signature-256: sha256="), "{request}");
    program.kill().await.unwrap();

    let output = sandbox().args(["spacelift", "--webhook-url", &url]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--webhook-secret"));
}
