//! Invalid and missing values, and the messages about them.

use super::super::support::{command, run_to_end};
use super::{GOOD, check, check_rejected};

#[tokio::test]
async fn rejects_missing_required_options() {
    check_rejected(
        &["-k", "id", "-s", "hush"],
        &[],
        None,
        &["api_endpoint is required", "--api-endpoint", "SPACELIFT_PROMEX_API_ENDPOINT"],
    )
    .await;
    check_rejected(
        &["-e", "http://x", "-s", "hush"],
        &[],
        None,
        &["api_key_id is required", "SPACELIFT_PROMEX_API_KEY_ID"],
    )
    .await;
    check_rejected(
        &["-e", "http://x", "-k", "id"],
        &[],
        None,
        &["api_key_secret is required", "--api-key-secret-file"],
    )
    .await;
    let empty = [("SPACELIFT_PROMEX_API_KEY_ID", "")];
    check_rejected(&["-e", "http://x", "-s", "hush"], &empty, None, &["api_key_id is required"]).await;
}

#[tokio::test]
async fn rejects_files_whose_read_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roots");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let path = path.to_str().unwrap();
    check_rejected(
        &[&GOOD[..], &["--ca-cert-path", path]].concat(),
        &[],
        None,
        &["ca_cert_path", "not read within 5s"],
    )
    .await;
    check_rejected(
        &GOOD,
        &[("CONFIG_PATH", path)],
        None,
        &["configuration file", path, "not read within 5s"],
    )
    .await;
}

#[tokio::test]
async fn rejects_invalid_values() {
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
        check_rejected(&flags, &[], None, &[key, &format!("flag {flag}"), allowed]).await;
        if flag != "--api-endpoint" {
            let variable = format!("SPACELIFT_PROMEX_{}", key.replace('.', "_").to_uppercase());
            check_rejected(
                &GOOD,
                &[(&variable, value)],
                None,
                &[key, &format!("variable {variable}"), allowed],
            )
            .await;
            let file = match key.split_once('.') {
                Some((section, key)) => format!("{section}: {{{key}: \"{value}\"}}\n"),
                None => format!("{key}: {value}\n"),
            };
            check_rejected(&GOOD, &[], Some(&file), &[key, "from file /", allowed]).await;
        }
    }
    for (key, variable) in [
        ("is_development", "SPACELIFT_PROMEX_IS_DEVELOPMENT"),
        ("partial_scrapes", "SPACELIFT_PROMEX_PARTIAL_SCRAPES"),
        ("collectors.usage", "SPACELIFT_PROMEX_COLLECTOR_USAGE"),
    ] {
        check_rejected(&GOOD, &[(variable, "maybe")], None, &[key, variable, "allowed is true or false"])
            .await;
    }
    check_rejected(&GOOD, &[("RUST_LOG", "shouting=very")], None, &["RUST_LOG", "allowed is a level"]).await;
}

#[tokio::test]
async fn rejects_invalid_files() {
    check_rejected(
        &GOOD,
        &[],
        Some("scrape_timout: 5s\n"),
        &["unknown key scrape_timout in file /", "scrape_timeout"],
    )
    .await;
    check_rejected(
        &GOOD,
        &[],
        Some("collectors: {usages: true}\n"),
        &["unknown key collectors.usages", "workerpools"],
    )
    .await;
    check_rejected(
        &GOOD,
        &[],
        Some("scrape_timeout: {a: b}\n"),
        &["scrape_timeout from file /", "found map"],
    )
    .await;
    check_rejected(&GOOD[..4], &[], Some("api_key_secret: [hush]\n"), &["api_key_secret from file /"]).await;
    check_rejected(&GOOD, &[], Some("a: [1\n"), &["config.yaml", "not YAML"]).await;
    check_rejected(&GOOD, &[], Some("- a\n"), &["config.yaml", "not a mapping"]).await;
    check_rejected(
        &GOOD,
        &[("CONFIG_PATH", "/no/such/file")],
        None,
        &["/no/such/file", "variable CONFIG_PATH"],
    )
    .await;
}

#[tokio::test]
async fn rejects_invalid_web_configurations() {
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
        check_rejected(&[&GOOD[..], flags].concat(), variables, file.as_deref(), &parts).await;
    }
    check_rejected(
        &GOOD,
        &[],
        Some("web: {open_probes: maybe}\n"),
        &["web.open_probes", "allowed is true or false"],
    )
    .await;
    check_rejected(
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
async fn rejects_invalid_command_lines() {
    check_rejected(&["--no-such-flag"], &[], None, &["--no-such-flag"]).await;
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
        check_rejected(&[slip], &[], None, &[&format!("'{flag}'"), &format!("did you mean {meant}?")]).await;
    }
    check_rejected(&["stray"], &[], None, &["stray"]).await;
    check_rejected(&["--scrape-timeout"], &[], None, &["--scrape-timeout"]).await;
    let mut unknown = command();
    unknown.arg("server");
    let (code, _, stderr) = run_to_end(unknown).await;
    assert_eq!((code, stderr.lines().count()), (Some(1), 1));
    assert!(stderr.contains("unknown command \"server\" (did you mean serve?)"), "{stderr}");
}
