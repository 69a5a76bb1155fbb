//! Every way to configure it, and every way to get that wrong.

use harness::Authority;
use sandbox::spacelift::{DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Spacelift};
use tokio::net::TcpListener;

use super::support::{Exporter, command, run_to_end};

const GOOD: [&str; 6] = ["-e", "https://acme.app.spacelift.io", "-k", "id", "-s", "hush"];

/// Checks a configuration: flags, then variables, then the file's text.
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

/// The configuration is refused with exit code 1 and one line that holds every one of `parts`.
async fn refused(flags: &[&str], variables: &[(&str, &str)], file: Option<&str>, parts: &[&str]) {
    let (code, stderr) = check(flags, variables, file).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "no {part:?} in: {stderr}");
    }
    assert!(!stderr.contains("hush"), "{stderr}");
}

#[tokio::test]
async fn what_is_missing() {
    refused(
        &["-k", "id", "-s", "hush"],
        &[],
        None,
        &["api_endpoint is required", "--api-endpoint", "SPACELIFT_PROMEX_API_ENDPOINT"],
    )
    .await;
    refused(
        &["-e", "http://x", "-s", "hush"],
        &[],
        None,
        &["api_key_id is required", "SPACELIFT_PROMEX_API_KEY_ID"],
    )
    .await;
    refused(
        &["-e", "http://x", "-k", "id"],
        &[],
        None,
        &["api_key_secret is required", "--api-key-secret-file"],
    )
    .await;
    let empty = [("SPACELIFT_PROMEX_API_KEY_ID", "")];
    refused(&["-e", "http://x", "-s", "hush"], &empty, None, &["api_key_id is required"]).await;
}

#[tokio::test]
async fn exactly_one_secret() {
    let file = [("SPACELIFT_PROMEX_API_KEY_SECRET_FILE", "/dev/null")];
    refused(
        &GOOD,
        &file,
        None,
        &["both set", "flag --api-key-secret", "variable SPACELIFT_PROMEX_API_KEY_SECRET_FILE"],
    )
    .await;
    refused(&["-e", "http://x", "-k", "id"], &file, None, &["api_key_secret_file", "is empty"]).await;
    let missing = ["-e", "http://x", "-k", "id", "--api-key-secret-file", "/no/such/file"];
    refused(&missing, &[], None, &["api_key_secret_file", "No such file"]).await;
}

#[tokio::test]
async fn values_that_mean_nothing() {
    for (flag, key, value, allowed) in [
        ("--api-endpoint", "api_endpoint", "acme.app.spacelift.io", "allowed is an http or https URL"),
        ("--api-endpoint", "api_endpoint", "ftp://acme", "allowed is an http or https URL"),
        ("--api-endpoint", "api_endpoint", "https://", "allowed is an http or https URL"),
        ("--api-endpoint", "api_endpoint", "https://user:hush@acme", "belong in api_key_id"),
        ("--api-endpoint", "api_endpoint", "https://acme:99999", "no port from 0 to 65535"),
        ("--api-endpoint", "api_endpoint", "https://acme:https", "allowed is an http or https URL"),
        ("--api-endpoint", "api_endpoint", "https://acme?x=y", "has a query"),
        ("--listen-address", "listen_address", "9953", "allowed is HOST:PORT"),
        ("--listen-address", "listen_address", ":99999", "between 0 and 65535"),
        ("--scrape-timeout", "scrape_timeout", "0s", "must be greater than 0"),
        ("--scrape-timeout", "scrape_timeout", "-1s", "is negative"),
        ("--scrape-timeout", "scrape_timeout", "5", "has no unit"),
        ("--scrape-timeout", "scrape_timeout", "soon", "allowed is a duration"),
        ("--scrape-timeout-offset", "scrape_timeout_offset", "-1s", "is negative"),
        ("--scrape-timeout-offset", "scrape_timeout_offset", "0.5", "has no unit"),
        ("--cache-ttl", "cache_ttl", "1 hour", "allowed is a duration"),
        ("--dora-window", "dora_window", "0s", "must be at least 1s"),
        ("--ca-cert-path", "ca_cert_path", "/no/such/file", "cannot be read"),
        ("--ca-cert-path", "ca_cert_path", "/dev/null", "allowed is a PEM file"),
    ] {
        let flags = [&GOOD[..], &[flag, value]].concat();
        refused(&flags, &[], None, &[key, &format!("flag {flag}"), allowed]).await;
        if flag != "--api-endpoint" {
            let variable = format!("SPACELIFT_PROMEX_{}", key.to_uppercase());
            refused(&GOOD, &[(&variable, value)], None, &[key, &format!("variable {variable}"), allowed])
                .await;
            refused(&GOOD, &[], Some(&format!("{key}: {value}\n")), &[key, "from file /", allowed]).await;
        }
    }
    for (key, variable) in [
        ("is_development", "SPACELIFT_PROMEX_IS_DEVELOPMENT"),
        ("partial_scrapes", "SPACELIFT_PROMEX_PARTIAL_SCRAPES"),
        ("collectors.usage", "SPACELIFT_PROMEX_COLLECTOR_USAGE"),
    ] {
        refused(&GOOD, &[(variable, "maybe")], None, &[key, variable, "allowed is true or false"]).await;
    }
    refused(&GOOD, &[("RUST_LOG", "shouting=very")], None, &["RUST_LOG", "allowed is a level"]).await;
}

#[tokio::test]
async fn files_that_make_no_sense() {
    refused(
        &GOOD,
        &[],
        Some("scrape_timout: 5s\n"),
        &["unknown key scrape_timout in file /", "scrape_timeout"],
    )
    .await;
    refused(
        &GOOD,
        &[],
        Some("collectors: {usages: true}\n"),
        &["unknown key collectors.usages", "workerpools"],
    )
    .await;
    refused(&GOOD, &[], Some("scrape_timeout: {a: b}\n"), &["scrape_timeout from file /", "found map"]).await;
    refused(&GOOD[..4], &[], Some("api_key_secret: [hush]\n"), &["api_key_secret from file /"]).await;
    refused(&GOOD, &[], Some("a: [1\n"), &["config.yaml", "not YAML"]).await;
    refused(&GOOD, &[], Some("- a\n"), &["config.yaml", "not a mapping"]).await;
    refused(&GOOD, &[("CONFIG_PATH", "/no/such/file")], None, &["/no/such/file", "variable CONFIG_PATH"])
        .await;
}

#[tokio::test]
async fn web_configurations_that_make_no_sense() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.yml");
    std::fs::write(&path, "basic_auth_users:\n  alice: secret\n").unwrap();
    let path = path.to_str().unwrap();
    for (flags, variables, file, source) in [
        (&["--web.config.file", path][..], &[][..], None, "flag --web.config.file"),
        (
            &[],
            &[("SPACELIFT_PROMEX_WEB_CONFIG_FILE", path)],
            None,
            "variable SPACELIFT_PROMEX_WEB_CONFIG_FILE",
        ),
        (&[], &[], Some(format!("web:\n  config_file: {path}\n")), "file /"),
    ] {
        let place = format!("web.config_file from {source}");
        let parts = [&place, "line 2", "hashedSecret too short", "allowed is a web configuration"];
        refused(&[&GOOD[..], flags].concat(), variables, file.as_deref(), &parts).await;
    }
    refused(
        &GOOD,
        &[],
        Some("web: {open_probes: maybe}\n"),
        &["web.open_probes", "allowed is true or false"],
    )
    .await;
    refused(&GOOD, &[], Some("web: {config: x}\n"), &["unknown key web.config", "config_file, open_probes"])
        .await;
    std::fs::write(path, "").unwrap();
    assert_eq!(
        check(&[&GOOD[..], &["--web.config.file", path, "--web.open-probes"]].concat(), &[], None).await.0,
        Some(0)
    );
}

#[tokio::test]
async fn command_lines_that_make_no_sense() {
    refused(&["--no-such-flag"], &[], None, &["--no-such-flag"]).await;
    refused(&["stray"], &[], None, &["stray"]).await;
    refused(&["--scrape-timeout"], &[], None, &["--scrape-timeout"]).await;
    let mut unknown = command();
    unknown.arg("server");
    let (code, _, stderr) = run_to_end(unknown).await;
    assert_eq!((code, stderr.lines().count()), (Some(1), 1));
    assert!(stderr.contains("unknown command \"server\""), "{stderr}");
}

#[tokio::test]
async fn a_good_configuration_is_accepted() {
    let (code, stderr) = check(&GOOD, &[], None).await;
    assert_eq!(code, Some(0), "{stderr}");
    let file = "api_endpoint: \"https://acme.app.spacelift.io\"\napi_key_id: 42\napi_key_secret: '007'\nscrape_timeout: 10s\nis_development: false\ncache_ttl:\ncollectors:\n  usage: no\n  dora: \"true\"\n";
    assert_eq!(check(&[], &[], Some(file)).await.0, Some(0));
    assert_eq!(check(&GOOD, &[], Some("")).await.0, Some(0));
    // Kubernetes adds variables of this form for a Service of the exporter's name.
    let service_links =
        [("SPACELIFT_PROMEX_PORT", "tcp://10.0.0.1:80"), ("SPACELIFT_PROMEX_SERVICE_HOST", "10.0.0.1")];
    assert_eq!(check(&GOOD, &service_links, None).await.0, Some(0));
}

#[tokio::test]
async fn flag_over_variable_over_file_over_default() {
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

    // --config wins over CONFIG_PATH, and the last of two flags over the first.
    let exporter =
        Exporter::start(&api, &["--no-collector.usage", "--collector.usage", "--collector.dora=false"]).await;
    assert!(exporter.scrape().await.has_family("spacelift_current_billing_period_used_seats"));
}

#[tokio::test]
async fn help_and_version() {
    for arguments in [&["--help"][..], &["serve", "--help"], &["-h"], &[]] {
        let mut command = command();
        command.args(arguments);
        let (code, stdout, _) = run_to_end(command).await;
        assert_eq!(code, Some(0), "{arguments:?}");
        assert!(stdout.contains("spacelift-promex serve [flags]"), "{stdout}");
    }
    for arguments in [&["--version"][..], &["serve", "-V"]] {
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
async fn a_taken_port_ends_the_process() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = command();
    command.arg("serve").args(GOOD).args(["-l", &address]);
    let (code, _, stderr) = run_to_end(command).await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains(&format!("error: cannot listen on {address}")), "{stderr}");
}

#[tokio::test]
async fn logs_are_json_or_for_people() {
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
async fn a_check_says_what_the_web_configuration_leaves_out() {
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
