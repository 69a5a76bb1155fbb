//! Every way to configure it, and every way to get that wrong.

use harness::Authority;
use sandbox::spacelift::{DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Spacelift};
use tokio::net::TcpListener;

use super::support::{Exporter, command, get, run_to_end};

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
async fn what_surrounds_a_secret_is_no_part_of_it() {
    let api = Spacelift::builder().start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let surrounded = format!("\u{feff} {DEFAULT_API_KEY_SECRET}\r\n");
    std::fs::write(&path, &surrounded).unwrap();
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, format!("\u{feff}api_key_secret: \"{DEFAULT_API_KEY_SECRET}\\n\"\n")).unwrap();
    let run = async |flags: &[&str], variables: &[(&str, &str)]| {
        let mut command = command();
        command.args(["serve", "-e", &api.url(), "-k", &format!("{DEFAULT_API_KEY_ID}\n")]).args(flags);
        command.envs(variables.iter().copied());
        Exporter::run(command).await.log("exchanged the API key").await;
    };
    run(&["--api-key-secret", &surrounded], &[]).await;
    run(&["--api-key-secret-file", path.to_str().unwrap()], &[]).await;
    run(&["--config", config.to_str().unwrap()], &[]).await;
    run(&[], &[("SPACELIFT_PROMEX_API_KEY_SECRET", &surrounded)]).await;
}

#[tokio::test]
async fn a_secret_that_cannot_be_meant_is_refused_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    for (secret, hint) in [
        ("\"hush\"", "quotes around it"),
        ("'hush'\n", "quotes around it"),
        ("hush\nhush", "several lines"),
        (" \n", "is empty"),
        ("h\0u\0s\0h\0", "NUL"),
    ] {
        std::fs::write(&path, secret).unwrap();
        let file = ["--api-key-secret-file", path.to_str().unwrap()];
        refused(&[&GOOD[..4], &file].concat(), &[], None, &["api_key_secret_file", hint]).await;
        if !secret.contains('\0') {
            refused(&[&GOOD[..4], &["-s", secret]].concat(), &[], None, &["flag --api-key-secret", hint])
                .await;
            let variable = [("SPACELIFT_PROMEX_API_KEY_SECRET", secret)];
            refused(&GOOD[..4], &variable, None, &["api_key_secret from variable", hint]).await;
        }
    }
    std::fs::write(&path, b"\xff\xfeh\0u\0s\0h\0").unwrap();
    let file = ["--api-key-secret-file", path.to_str().unwrap()];
    refused(&[&GOOD[..4], &file].concat(), &[], None, &["api_key_secret_file", "UTF-16"]).await;
}

#[tokio::test]
async fn a_secret_on_a_volume_that_hangs_costs_no_page() {
    let api = Spacelift::builder().start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    // Opening it waits until somebody writes.
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut command = command();
    command.args(["serve", "-e", &api.url(), "-k", DEFAULT_API_KEY_ID, "--api-key-secret-file"]).arg(&path);
    let exporter = Exporter::run(command).await;
    assert_eq!(exporter.get("/health").await.status, 200);
    let reason = exporter.log("not read within 2s, the volume may hang").await;
    assert!(reason.contains(path.to_str().unwrap()), "{reason}");
    assert_eq!(exporter.get("/health").await.status, 200);
    assert!(exporter.readiness(503).await.contains("the volume may hang"));
    // The volume is back: the read that hung ends, and the next one finds the secret.
    let hanging = folder.path().join("hanging");
    std::fs::rename(&path, &hanging).unwrap();
    std::fs::write(&path, DEFAULT_API_KEY_SECRET).unwrap();
    tokio::task::spawn_blocking(move || std::fs::write(hanging, "")).await.unwrap().unwrap();
    exporter.readiness(200).await;
}

#[tokio::test]
async fn a_file_of_certificates_on_a_volume_that_hangs_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roots");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let path = path.to_str().unwrap();
    refused(
        &[&GOOD[..], &["--ca-cert-path", path]].concat(),
        &[],
        None,
        &["ca_cert_path", "not read within 5s"],
    )
    .await;
    refused(&GOOD, &[("CONFIG_PATH", path)], None, &["configuration file", path, "not read within 5s"]).await;
}

#[tokio::test]
async fn a_url_with_credentials_is_not_repeated() {
    for url in
        ["https://user:hush@acme", "https://user:hu/sh@acme", "https://acme?token=hush", "user:hush@acme"]
    {
        let (code, stderr) = check(&[&GOOD[2..], &["--api-endpoint", url]].concat(), &[], None).await;
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("api_endpoint from flag --api-endpoint h"), "{stderr}");
        assert!(!stderr.contains("hush") && !stderr.contains("hu/sh"), "{stderr}");
    }
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
        ("--web.telemetry-path", "web.telemetry_path", "metrics", "allowed is one such as /metrics"),
        ("--web.telemetry-path", "web.telemetry_path", "/a b", "allowed is one such as /metrics"),
        ("--web.telemetry-path", "web.telemetry_path", "/m?x", "allowed is one such as /metrics"),
        ("--web.telemetry-path", "web.telemetry_path", "/ready", "the path of another page"),
        ("--web.telemetry-path", "web.telemetry_path", "/-/healthy", "the path of another page"),
        ("--cache-ttl", "cache_ttl", "1 hour", "allowed is a duration"),
        ("--dora-window", "dora_window", "0s", "must be at least 1s"),
        ("--webhook.secret-file", "webhook.secret_file", "/no/such/file", "cannot be used"),
        ("--webhook.secret-file", "webhook.secret_file", "/dev/null", "is empty"),
        ("--webhook.path", "webhook.path", "hook", "allowed is one such as /webhook"),
        ("--webhook.path", "webhook.path", "/ready", "the path of another page"),
        ("--webhook.path", "webhook.path", "/metrics", "is the path of the metrics"),
        ("--webhook.listen-address", "webhook.listen_address", "8080", "allowed is HOST:PORT"),
        ("--webhook.max-body", "webhook.max_body", "0", "is not a size between"),
        ("--webhook.max-body", "webhook.max_body", "1GiB", "is not a size between"),
        ("--webhook.max-body", "webhook.max_body", "many", "is not a size between"),
        ("--runs.max-stacks", "runs.max_stacks", "0", "is not a number between"),
        ("--runs.stack-ttl", "runs.stack_ttl", "30d", "allowed is a duration"),
        ("--runs.max-age", "runs.max_age", "0s", "must be at least 1s"),
        ("--ca-cert-path", "ca_cert_path", "/no/such/file", "cannot be read"),
        ("--ca-cert-path", "ca_cert_path", "/dev/null", "allowed is a PEM file"),
    ] {
        let flags = [&GOOD[..], &[flag, value]].concat();
        refused(&flags, &[], None, &[key, &format!("flag {flag}"), allowed]).await;
        if flag != "--api-endpoint" {
            let variable = format!("SPACELIFT_PROMEX_{}", key.replace('.', "_").to_uppercase());
            refused(&GOOD, &[(&variable, value)], None, &[key, &format!("variable {variable}"), allowed])
                .await;
            let file = match key.split_once('.') {
                Some((section, key)) => format!("{section}: {{{key}: \"{value}\"}}\n"),
                None => format!("{key}: {value}\n"),
            };
            refused(&GOOD, &[], Some(&file), &[key, "from file /", allowed]).await;
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
    refused(
        &GOOD,
        &[],
        Some("web: {config: x}\n"),
        &["unknown key web.config", "config_file, open_probes, telemetry_path"],
    )
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
    for (slip, meant) in [
        ("--listen-adress=:1", "--listen-address"),
        ("--web.listen-adress=:1", "--web.listen-address"),
        ("--api_endpoint", "--api-endpoint"),
        ("--telemetry-path=/x", "--web.telemetry-path"),
        ("--log-level=info", "--log.level"),
        ("--web.config=x", "--web.config.file"),
        ("--check_config", "--check-config"),
        ("--no-collector.usages", "--no-collector.usage"),
        ("-log.level=debug", "--log.level"),
        ("-version", "--version"),
    ] {
        let flag = slip.split('=').next().unwrap();
        refused(&[slip], &[], None, &[&format!("'{flag}'"), &format!("did you mean {meant}?")]).await;
    }
    refused(&["stray"], &[], None, &["stray"]).await;
    refused(&["--scrape-timeout"], &[], None, &["--scrape-timeout"]).await;
    let mut unknown = command();
    unknown.arg("server");
    let (code, _, stderr) = run_to_end(unknown).await;
    assert_eq!((code, stderr.lines().count()), (Some(1), 1));
    assert!(stderr.contains("unknown command \"server\" (did you mean serve?)"), "{stderr}");
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
    let (code, stderr) = check(&GOOD, &service_links, None).await;
    assert_eq!((code, stderr.lines().count()), (Some(0), 1), "{stderr}");
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
async fn the_spellings_of_the_exporter_toolkit() {
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
    // With that of --listen-address, which every test gives.
    assert_eq!(listening.len(), 3, "{}", exporter.log_text());
    for address in &listening {
        assert_eq!(get(&format!("http://{address}/probe"), &[]).await.status, 200);
        assert_eq!(get(&format!("http://{address}/metrics"), &[]).await.status, 404);
    }
    assert!(exporter.get("/").await.text().contains("probe"));
    assert_eq!(api.count("PrometheusExporter_Usage"), 1, "the file is read");

    let several = [("SPACELIFT_PROMEX_LISTEN_ADDRESS", "127.0.0.1:0,[::1]:0")];
    assert_eq!(check(&GOOD, &several, None).await.0, Some(0));
    assert_eq!(check(&GOOD, &[], Some("listen_address: ['127.0.0.1:0', ':0']\n")).await.0, Some(0));
    let flags = ["--web.listen-address=:0", "--web.listen-address=nowhere"];
    refused(
        &[&GOOD[..], &flags].concat(),
        &[],
        None,
        &["flag --web.listen-address", "\"nowhere\"", "HOST:PORT"],
    )
    .await;
}

#[tokio::test]
async fn a_variable_that_means_nothing_is_a_warning() {
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
