//! Configuration: flags, variables and the file.

mod invalid;
mod secrets;

use harness::Authority;
use sandbox::spacelift::{DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Spacelift};
use tokio::net::TcpListener;

use super::support::{Exporter, command, get, run_to_end};

const GOOD: [&str; 6] = ["-e", "https://acme.app.spacelift.io", "-k", "id", "-s", "hush"];

/// Runs `--check-config` with flags, variables and a configuration file, and returns the exit code and stderr.
async fn check(flags: &[&str], variables: &[(&str, &str)], file: Option<&str>) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command();
    command.args(["serve", "--check-config"]).args(flags).envs(variables.iter().copied());
    if let Some(text) = file {
        let path = folder.path().join("config.yaml");
        std::fs::write(&path, text).unwrap();
        command.arg("--config").arg(path);
    }
    let (code, _, stderr) = run_to_end(command).await;
    (code, stderr)
}

/// Checks that a configuration is rejected with exit code 1 and one line that contains all `parts`.
async fn check_rejected(flags: &[&str], variables: &[(&str, &str)], file: Option<&str>, parts: &[&str]) {
    let (code, stderr) = check(flags, variables, file).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "no {part:?} in: {stderr}");
    }
    assert!(!stderr.contains("hush"), "{stderr}");
}

#[tokio::test]
async fn accepts_a_valid_configuration() {
    let (code, stderr) = check(&GOOD, &[], None).await;
    assert_eq!(code, Some(0), "{stderr}");
    let file = "api_endpoint: \"https://acme.app.spacelift.io\"\napi_key_id: 42\napi_key_secret: '007'\nscrape_timeout: 10s\nis_development: false\ncache_ttl:\ncollectors:\n  usage: no\n  dora: \"true\"\n";
    assert_eq!(check(&[], &[], Some(file)).await.0, Some(0));
    assert_eq!(check(&GOOD, &[], Some("")).await.0, Some(0));
    // Kubernetes sets variables of this form if a Service has the exporter's name.
    let service_links =
        [("SPACELIFT_PROMEX_PORT", "tcp://10.0.0.1:80"), ("SPACELIFT_PROMEX_SERVICE_HOST", "10.0.0.1")];
    let (code, stderr) = check(&GOOD, &service_links, None).await;
    assert_eq!((code, stderr.lines().count()), (Some(0), 1), "{stderr}");
}

#[tokio::test]
async fn flags_override_variables_and_variables_override_the_file() {
    let api = Spacelift::builder().start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, "scrape_timeout: nonsense\ncache_ttl: 1h\n").unwrap();
    let by_file = |flags: &[&str], variables: &[(&str, &str)]| {
        let mut command = command();
        command.args(["serve", "--check-config"]).args(GOOD).args(flags).envs(variables.iter().copied());
        command.env("CONFIG_PATH", &path);
        run_to_end(command)
    };
    let (_, _, stderr) = by_file(&[], &[]).await;
    assert!(stderr.contains("scrape_timeout from file"), "{stderr}");
    let (_, _, stderr) = by_file(&[], &[("SPACELIFT_PROMEX_SCRAPE_TIMEOUT", "rubbish")]).await;
    assert!(stderr.contains("scrape_timeout from variable SPACELIFT_PROMEX_SCRAPE_TIMEOUT"), "{stderr}");
    let (_, _, stderr) = by_file(&["-t", "junk"], &[("SPACELIFT_PROMEX_SCRAPE_TIMEOUT", "rubbish")]).await;
    assert!(stderr.contains("scrape_timeout from flag --scrape-timeout"), "{stderr}");
    let (code, _, _) = by_file(&["-t", "1s"], &[("SPACELIFT_PROMEX_SCRAPE_TIMEOUT", "rubbish")]).await;
    assert_eq!(code, Some(0));

    // The last of two flags wins.
    let exporter =
        Exporter::start(&api, &["--no-collector.usage", "--collector.usage", "--collector.dora=false"]).await;
    assert!(exporter.scrape().await.has_family("spacelift_current_billing_period_used_seats"));
}

#[tokio::test]
async fn prints_help_and_version() {
    for arguments in [&["--help"][..], &["help"], &["serve", "--help"], &["-h"], &[]] {
        let mut command = command();
        command.args(arguments);
        let (code, stdout, _) = run_to_end(command).await;
        assert_eq!(code, Some(0), "{arguments:?}");
        assert!(stdout.contains("spacelift-promex serve [flags]"), "{stdout}");
    }
    for arguments in [&["--version"][..], &["serve", "-V"], &["version"]] {
        let mut command = command();
        command.args(arguments);
        let (code, stdout, _) = run_to_end(command).await;
        assert_eq!(code, Some(0));
        assert!(
            stdout.starts_with(concat!("spacelift-promex ", env!("CARGO_PKG_VERSION"), " (commit ")),
            "{stdout}"
        );
    }
}

#[tokio::test]
async fn accepts_the_flags_of_the_exporter_toolkit() {
    let api = Spacelift::builder().start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, "cache_ttl: 1h\n").unwrap();
    let flags = ["--web.listen-address", "127.0.0.1:0", "--web.listen-address=127.0.0.1:0"];
    let more = ["--web.telemetry-path=/probe", "--config.file", path.to_str().unwrap()];
    let exporter = Exporter::ready(&api, &[&flags[..], &more].concat()).await;
    let listening: Vec<String> = exporter
        .log_text()
        .lines()
        .filter(|line| line.contains("\"listening\""))
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["address"].as_str().unwrap().to_owned()
        })
        .collect();
    // The third address is that of --listen-address, which every test passes.
    assert_eq!(listening.len(), 3, "{}", exporter.log_text());
    for address in &listening {
        assert_eq!(get(&format!("http://{address}/probe"), &[]).await.status, 200);
        assert_eq!(get(&format!("http://{address}/metrics"), &[]).await.status, 404);
    }
    assert!(exporter.get("/").await.text().contains("probe"));
    assert_eq!(api.count("PrometheusExporter_Usage"), 1, "the cache of the file's cache_ttl is not used");

    let several = [("SPACELIFT_PROMEX_LISTEN_ADDRESS", "127.0.0.1:0,[::1]:0")];
    assert_eq!(check(&GOOD, &several, None).await.0, Some(0));
    assert_eq!(check(&GOOD, &[], Some("listen_address: ['127.0.0.1:0', ':0']\n")).await.0, Some(0));
    let flags = ["--web.listen-address=:0", "--web.listen-address=nowhere"];
    check_rejected(
        &[&GOOD[..], &flags].concat(),
        &[],
        None,
        &["flag --web.listen-address", "\"nowhere\"", "HOST:PORT"],
    )
    .await;
}

#[tokio::test]
async fn warns_about_unknown_variables() {
    let variables = [("SPACELIFT_PROMEX_API_KEY_SECRT", "hush"), ("SPACELIFT_PROMEX_LISTENADDRESS", ":1")];
    let (code, stderr) = check(&GOOD, &variables, None).await;
    assert_eq!((code, stderr.lines().count()), (Some(0), 3), "{stderr}");
    for part in [
        "SPACELIFT_PROMEX_API_KEY_SECRT has no meaning; did you mean SPACELIFT_PROMEX_API_KEY_SECRET?",
        "SPACELIFT_PROMEX_LISTENADDRESS has no meaning; did you mean SPACELIFT_PROMEX_LISTEN_ADDRESS?",
    ] {
        assert!(stderr.contains(part), "no {part:?} in: {stderr}");
    }
    assert!(!stderr.contains("hush"), "{stderr}");
}

#[tokio::test]
async fn exits_if_the_port_is_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = command();
    command.arg("serve").args(GOOD).args(["-l", &address]);
    let (code, _, stderr) = run_to_end(command).await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains(&format!("error: cannot listen on {address}")), "{stderr}");
}

#[tokio::test]
async fn logs_json_or_text() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    for line in exporter.log_text().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["timestamp"].is_string() && line["level"].is_string() && line["message"].is_string());
    }
    let mut command = command();
    command.args([
        "serve",
        "-d",
        "-e",
        &api.url(),
        "-k",
        DEFAULT_API_KEY_ID,
        "-s",
        DEFAULT_API_KEY_SECRET,
        "--check-config",
    ]);
    let (_, _, stderr) = run_to_end(command).await;
    assert!(!stderr.starts_with('{') && stderr.contains(" INFO "), "{stderr}");
}

#[tokio::test]
async fn check_config_reports_ignored_web_options() {
    let folder = tempfile::tempdir().unwrap();
    Authority::new("test").issue(&["localhost"]).write(folder.path(), "server");
    let web = folder.path().join("web.yml");
    let tls = "tls_server_config: {cert_file: server.crt, key_file: server.key, min_version: TLS10}\n";
    std::fs::write(&web, tls).unwrap();
    let (code, stderr) =
        check(&[&GOOD[..], &["--web.config.file", web.to_str().unwrap()]].concat(), &[], None).await;
    assert_eq!(code, Some(0), "{stderr}");
    for part in ["TLS is enabled", "left out: ", "TLS10", "the configuration is valid"] {
        assert!(stderr.contains(part), "no {part:?} in: {stderr}");
    }
}
