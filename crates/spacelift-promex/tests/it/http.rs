//! Pages, content negotiation, and misbehaving clients.

use std::io::Read;
use std::time::Duration;

use futures_util::future::join_all;
use sandbox::spacelift::{DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Spacelift};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use super::support::{ALL_COLLECTORS, Exporter, TIMEOUT, request};

const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

async fn exporter() -> (Spacelift, Exporter) {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    (api, exporter)
}

#[tokio::test]
async fn pages() {
    let (_api, exporter) = exporter().await;
    for (path, text) in
        [("/health", "ok\n"), ("/-/healthy", "ok\n"), ("/ready", "ready\n"), ("/-/ready", "ready\n")]
    {
        let answer = exporter.get(path).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, text), "{path}");
    }
    let landing = exporter.get("/").await;
    assert_eq!(landing.status, 200);
    assert_eq!(landing.header("content-type"), "text/html; charset=utf-8");
    for part in ["spacelift-promex", env!("CARGO_PKG_VERSION"), "href=\"metrics\"", "href=\"ready\""] {
        assert!(landing.text().contains(part), "{part}");
    }
    assert!(!landing.text().contains("=\"/"), "a link is absolute: {}", landing.text());
    for path in ["/metric", "/metrics/", "/-/", "/-/reload", "/index.html", "//"] {
        assert_eq!(exporter.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn methods() {
    let (_api, exporter) = exporter().await;
    for path in ["/metrics", "/health", "/ready", "/-/healthy", "/-/ready", "/"] {
        let url = format!("http://{}{path}", exporter.address);
        for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE"] {
            let answer = request(method, &url, &[]).await;
            assert_eq!(
                (answer.status, answer.header("allow")),
                (405, "GET, HEAD, OPTIONS"),
                "{method} {path}"
            );
        }
        let options = request("OPTIONS", &url, &[]).await;
        assert_eq!((options.status, options.header("allow")), (204, "GET, HEAD, OPTIONS"), "{path}");
        assert!(options.body.is_empty() && !options.headers.contains_key("content-type"));
        let head = request("HEAD", &url, &[]).await;
        assert_eq!(head.status, 200);
        assert!(head.body.is_empty());
        assert!(head.header("content-length").parse::<usize>().unwrap() > 0);
    }
    let url = format!("http://{}/nowhere", exporter.address);
    for method in ["POST", "OPTIONS"] {
        assert_eq!(request(method, &url, &[]).await.status, 404, "{method}");
    }
}

#[tokio::test]
async fn the_classic_text_uses_full_counter_names() {
    let (_api, exporter) = exporter().await;
    let classic = exporter.scrape().await;
    assert!(classic.has_family("spacelift_promex_api_requests_total"));
    let openmetrics = exporter.get_with("/metrics", &[("accept", "application/openmetrics-text")]).await;
    assert!(openmetrics.has_family("spacelift_promex_api_requests"));
    assert!(openmetrics.text().contains("spacelift_promex_api_requests_total{"));
}

#[tokio::test]
async fn protobuf_contains_the_same_families() {
    let (_api, exporter) = exporter().await;
    let answer = exporter.get_with("/metrics", &[("accept", PROTOBUF)]).await;
    assert_eq!(answer.header("content-type"), format!("{PROTOBUF}; escaping=underscores"));
    let text = exporter.scrape().await;
    let mut families = Vec::new();
    let mut rest = answer.body.as_ref();
    while !rest.is_empty() {
        use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::MetricFamily;
        families.push(<MetricFamily as prost::Message>::decode_length_delimited(&mut rest).unwrap());
    }
    for family in &families {
        assert!(text.has_family(&family.name), "{}", family.name);
        assert!(
            text.text().contains(&format!("# HELP {} {}\n", family.name, family.help)),
            "{}",
            family.name
        );
    }
    let names = text.text().lines().filter(|line| line.starts_with("# TYPE ")).count();
    assert_eq!(families.len(), names);
}

#[tokio::test]
async fn compresses_responses() {
    let (_api, exporter) = exporter().await;
    let gzip = exporter.get_with("/metrics", &[("accept-encoding", "gzip")]).await;
    assert_eq!(gzip.header("content-encoding"), "gzip");
    let mut text = String::new();
    flate2::read::GzDecoder::new(gzip.body.as_ref()).read_to_string(&mut text).unwrap();
    assert!(text.contains("\nspacelift_public_worker_pool_parallelism "));
    let zstd = exporter.get_with("/metrics", &[("accept-encoding", "zstd")]).await;
    assert_eq!(zstd.header("content-encoding"), "zstd");
    let text = String::from_utf8(zstd::stream::decode_all(zstd.body.as_ref()).unwrap()).unwrap();
    assert!(text.contains("\nspacelift_public_worker_pool_parallelism "));
    assert_eq!(
        exporter.get_with("/metrics", &[("accept-encoding", "br")]).await.header("content-encoding"),
        ""
    );
}

#[tokio::test]
async fn counts_its_own_requests() {
    let (api, exporter) = exporter().await;
    exporter.scrape().await;
    let second = exporter.scrape().await;
    assert_eq!(second.sample("promhttp_metric_handler_requests_total{code=\"200\"}"), Some(2.0));
    assert_eq!(second.sample("promhttp_metric_handler_requests_in_flight"), Some(1.0));
    api.stop().await;
    exporter.failed_scrape().await;
    api.restart().await.unwrap();
    let after = exporter.scrape().await;
    assert_eq!(after.sample("promhttp_metric_handler_requests_total{code=\"500\"}"), Some(1.0));
}

#[tokio::test]
async fn exports_process_metrics() {
    let (_api, exporter) = exporter().await;
    let scrape = exporter.scrape().await;
    for (name, least, most) in [
        ("process_cpu_seconds_total", 0.0, 60.0),
        ("process_resident_memory_bytes", 1e6, 1e9),
        ("process_virtual_memory_bytes", 1e6, 1e13),
        ("process_open_fds", 5.0, 100.0),
        ("process_max_fds", 100.0, 1e10),
        ("process_start_time_seconds", 1.7e9, 1e10),
        ("process_threads", 1.0, 64.0),
    ] {
        let value = scrape.sample(name).unwrap_or_else(|| panic!("{name} is absent"));
        assert!((least..=most).contains(&value), "{name} is {value}");
    }
}

/// Sends `bytes` and returns the response, which ends when the server closes the connection.
async fn raw(exporter: &Exporter, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(&exporter.address).await.unwrap();
    // The server may close while a large request is still being written.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = timeout(TIMEOUT, stream.read_to_end(&mut answer))
        .await
        .expect("the server does not close the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn rejects_oversized_and_malformed_requests() {
    let (_api, exporter) = exporter().await;
    let huge = format!("GET /metrics HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(1 << 20));
    assert!(raw(&exporter, huge.as_bytes()).await.starts_with("HTTP/1.1 431"));
    let many: String = (0..5_000).map(|index| format!("x{index}: y\r\n")).collect();
    let many = format!("GET /metrics HTTP/1.1\r\nhost: x\r\n{many}\r\n");
    assert!(raw(&exporter, many.as_bytes()).await.starts_with("HTTP/1.1 431"));
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(1 << 20));
    assert!(raw(&exporter, long.as_bytes()).await.starts_with("HTTP/1.1 4"));
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n"[..],
        b"hello\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let answer = raw(&exporter, garbage).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    exporter.scrape().await;
}

#[tokio::test]
async fn slow_and_idle_clients_do_not_delay_scrapes() {
    let (_api, exporter) = exporter().await;
    let connections = join_all((0..1_000).map(|index| {
        let address = exporter.address.clone();
        async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            if index % 2 == 0 {
                let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nx: ").await;
            }
            stream
        }
    }))
    .await;
    let scrape =
        timeout(Duration::from_secs(5), exporter.scrape()).await.expect("idle clients delay the scrape");
    assert!(scrape.sample("process_open_fds").unwrap() < 600.0, "the number of connections is not bounded");
    drop(connections);
}

#[tokio::test]
async fn closes_connections_with_slow_requests() {
    let (_api, exporter) = exporter().await;
    let mut stream = TcpStream::connect(&exporter.address).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\n").await.unwrap();
    let (mut reading, mut writing) = stream.split();
    let drip = async {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            if writing.write_all(b"x: y\r\n").await.is_err() {
                return;
            }
        }
    };
    let mut buffer = [0; 64];
    let closed = async { while !matches!(reading.read(&mut buffer).await, Ok(0) | Err(_)) {} };
    tokio::select! {
        () = closed => {}
        () = drip => {}
        () = tokio::time::sleep(TIMEOUT) => panic!("an endless request keeps its connection"),
    }
}

#[tokio::test]
async fn a_connection_serves_many_scrapes() {
    let (_api, exporter) = exporter().await;
    let mut stream = TcpStream::connect(&exporter.address).await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut buffer = [0; 1_024];
        let read = timeout(TIMEOUT, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(buffer[..read].starts_with(b"HTTP/1.1 200 OK"));
    }
}

/// Load balancers and browsers keep connections that they do not use.
#[tokio::test]
async fn idle_connections_leave_descriptors_for_a_scrape() {
    const DESCRIPTORS: usize = 64;
    let api = Spacelift::builder().start().await.unwrap();
    let mut command = Command::new("/bin/sh");
    command.env_clear().args(["-c", &format!("ulimit -n {DESCRIPTORS}; exec \"$0\" \"$@\"")]);
    command.args([env!("CARGO_BIN_EXE_spacelift-promex"), "serve", "--api-endpoint", &api.url()]);
    command.args(["--api-key-id", DEFAULT_API_KEY_ID, "--api-key-secret", DEFAULT_API_KEY_SECRET]);
    command.args(ALL_COLLECTORS);
    let exporter = Exporter::run(command).await;
    exporter.log("exchanged the API key").await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(TcpStream::connect(&exporter.address).await.unwrap());
    }
    for _ in 0..3 {
        let scrape = exporter.scrape().await;
        let failed = scrape
            .text()
            .lines()
            .find(|line| line.contains("collector_success{") && line.ends_with(" 0"))
            .map(str::to_owned);
        assert_eq!(failed, None);
        assert!(scrape.sample("process_open_fds").unwrap() < DESCRIPTORS as f64);
    }
    assert!(!exporter.log_text().contains("cannot accept"), "{}", exporter.log_text());
}

#[tokio::test]
async fn sighup_does_not_stop_the_process() {
    let (_api, exporter) = exporter().await;
    exporter.signal("HUP");
    exporter.log("no web configuration to read again").await;
    exporter.scrape().await;
}
