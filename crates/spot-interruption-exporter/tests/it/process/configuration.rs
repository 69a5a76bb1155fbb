//! The published configuration file, the environment, flags, and errors in each of them.

use exporter_common::program::Program;
use harness::{check_unread_log, run_to_end, run_unread};

use super::services::binary;

const PUBLISHED: &str = "log_level: debug
project_name: example-project
pubsub:
  instance_creation_subscription_name: sie-creation-subscription
  instance_interruption_subscription_name: sie-interruption-subscription
prometheus:
  port: 8090
  path: /metrics
";

/// Runs `--check-config` with a file and variables. Returns the exit code and standard error.
async fn check(file: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, file).unwrap();
    let mut command = binary();
    command.arg("--check-config").arg("--config").arg(path).envs(variables.iter().copied());
    let (code, _, stderr) = run_to_end(command).await;
    (code, stderr)
}

/// Asserts that the configuration is rejected with exit code 1 and one line that contains all `parts`.
async fn assert_rejected(file: &str, variables: &[(&str, &str)], parts: &[&str]) {
    let (code, stderr) = check(file, variables).await;
    assert_eq!(code, Some(1), "{file}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "no {part:?} in: {stderr}");
    }
}

#[tokio::test]
async fn accepts_the_published_file() {
    let (code, stderr) = check(PUBLISHED, &[]).await;
    assert_eq!(code, Some(0), "{stderr}");
    let more = "compute: {endpoint: 'https://compute.example', resync_interval: 5m}\nattribution_grace: 90s\ndedup_window: 1h\ntombstone_ttl: \"10m\"\ninterruption_methods: [compute.instances.preempted, compute.instances.hostError]\n";
    assert_eq!(check(&format!("{PUBLISHED}{more}"), &[]).await.0, Some(0));
    let full =
        [("SIE_PUBSUB__INSTANCE_CREATION_SUBSCRIPTION_NAME", "projects/other/subscriptions/creations")];
    assert_eq!(check(PUBLISHED, &full).await.0, Some(0));
}

#[tokio::test]
async fn accepts_every_key_from_the_environment() {
    let variables = [
        ("SIE_PROJECT_NAME", "p"),
        ("SIE_PUBSUB__INSTANCE_CREATION_SUBSCRIPTION_NAME", "c"),
        ("SIE_PUBSUB__INSTANCE_INTERRUPTION_SUBSCRIPTION_NAME", "i"),
        ("SIE_PUBSUB__ENDPOINT", "http://localhost:8085"),
        ("SIE_COMPUTE__ENDPOINT", "http://localhost:8086"),
        ("SIE_COMPUTE__RESYNC_INTERVAL", "1m"),
        ("SIE_COMPUTE__OPERATIONS", "reconcile"),
        ("SIE_COMPUTE__OPERATIONS_INTERVAL", "1m"),
        ("SIE_GCP__PROJECTS", "team-a, team-b"),
        ("SIE_GCP__DISCOVER", "folders/123456"),
        ("SIE_GCP__DISCOVER_QUERY", "labels.env:prod"),
        ("SIE_GCP__ASSET_ENDPOINT", "http://localhost:8086"),
        ("SIE_AWS__QUEUE_URLS", "https://sqs.eu-central-1.amazonaws.com/123456789012/q"),
        ("SIE_AWS__REGIONS", "eu-central-1, us-east-1"),
        ("SIE_AWS__ROLE_ARNS", "arn:aws:iam::210987654321:role/sie-reader"),
        ("SIE_AWS__CLUSTER_TAGS", "eks:cluster-name"),
        ("SIE_AWS__NODE_POOL_TAGS", "eks:nodegroup-name"),
        ("SIE_AWS__RESYNC_INTERVAL", "1m"),
        ("SIE_AWS__SQS_ENDPOINT", "http://localhost:8087"),
        ("SIE_AWS__EC2_ENDPOINT", "http://localhost:8087"),
        ("SIE_AWS__STS_ENDPOINT", "http://localhost:8087"),
        ("SIE_PROMETHEUS__PORT", "8090"),
        ("SIE_PROMETHEUS__ADDRESS", "127.0.0.1:8090"),
        ("SIE_PROMETHEUS__PATH", "/metrics"),
        ("SIE_PROMETHEUS__CLUSTER_LABEL", "cluster"),
        ("SIE_ATTRIBUTION_GRACE", "1m"),
        ("SIE_DEDUP_WINDOW", "1m"),
        ("SIE_TOMBSTONE_TTL", "1m"),
        ("SIE_INTERRUPTION_METHODS", "compute.instances.preempted"),
        ("SIE_LOG_LEVEL", "info"),
        ("SIE_LOG_FORMAT", "text"),
        ("SIE_STATE__PATH", "/var/lib/spot-interruption-exporter"),
        // An empty web configuration enables nothing.
        ("SIE_WEB__CONFIG_FILE", "/dev/null"),
        ("SIE_WEB__OPEN_PROBES", "true"),
        ("SIE_WEB__INTERRUPTIONS", "true"),
    ];
    assert_eq!(variables.len(), spot_interruption_exporter::Config::settings().len());
    let (code, stderr) = check("", &variables).await;
    assert_eq!(code, Some(0), "{stderr}");
    // These two variables accept the invalid value of the others.
    let is_validated = |variable: &&str| !["SIE_PROJECT_NAME", "SIE_STATE__PATH"].contains(variable);
    for variable in variables.iter().map(|(variable, _)| variable).filter(|variable| is_validated(variable)) {
        let broken = [(*variable, "/ /")];
        assert_rejected(PUBLISHED, &broken, &[&format!("variable {variable}"), "allowed"]).await;
    }
}

#[tokio::test]
async fn names_the_key_and_the_source_of_an_error() {
    assert_rejected("", &[], &["project_name is required", "SIE_PROJECT_NAME"]).await;
    let without = PUBLISHED.replace("  instance_creation_subscription_name: sie-creation-subscription\n", "");
    assert_rejected(&without, &[], &["pubsub.instance_creation_subscription_name is required"]).await;
    let twice = PUBLISHED.replace("sie-creation-subscription", "sie-interruption-subscription");
    assert_rejected(
        &twice,
        &[],
        &["instance_creation_subscription_name", "allowed are two different subscriptions"],
    )
    .await;
    for (from, to, parts) in [
        ("log_level: debug", "log_level: loud", &["log_level from file /", "allowed are trace"][..]),
        ("port: 8090", "port: 99999", &["prometheus.port from file /", "65535"]),
        ("port: 8090", "prot: 8090", &["unknown key prometheus.prot", "port, path, address, cluster_label"]),
        ("path: /metrics", "path: metrics", &["prometheus.path", "such as /metrics"]),
        ("path: /metrics", "path: /health", &["prometheus.path", "other than"]),
        ("path: /metrics", "path: /-/ready", &["prometheus.path", "other than"]),
        ("path: /metrics", "path: /a/../b", &["prometheus.path", "such as /metrics"]),
        ("path: /metrics", "path: '/a b'", &["prometheus.path", "such as /metrics"]),
        ("path: /metrics", "path: /metrics?all=1", &["prometheus.path", "such as /metrics"]),
        ("path: /metrics", "cluster_label: zone", &["prometheus.cluster_label", "the name of another label"]),
        ("path: /metrics", "cluster_label: 1st", &["prometheus.cluster_label", "letters, digits"]),
        ("path: /metrics", "address: localhost", &["prometheus.address", "HOST:PORT"]),
        (
            "sie-creation-subscription",
            "topics/x",
            &["instance_creation_subscription_name", "projects/P/subscriptions/S"],
        ),
        ("project_name: example-project", "project_name: a/b", &["project_name", "is not a project id"]),
        ("log_level: debug", "attribution_grace: -1s", &["attribution_grace", "negative"]),
        (
            "log_level: debug",
            "compute: {resync_interval: 0s}",
            &["compute.resync_interval", "at least 100ms"],
        ),
        ("log_level: debug", "compute: {endpoint: compute}", &["compute.endpoint", "http or https URL"]),
        ("log_level: debug", "interruption_methods: []", &["interruption_methods"]),
        ("log_level: debug", "state: {path: ' '}", &["state.path", "the path of a directory"]),
        ("log_level: debug", "attribution: 1s", &["unknown key attribution"]),
    ] {
        assert_rejected(&PUBLISHED.replace(from, to), &[], parts).await;
    }
    assert_rejected(PUBLISHED, &[("PUBSUB_EMULATOR_HOST", "a b")], &["PUBSUB_EMULATOR_HOST", "HOST:PORT"])
        .await;
}

#[tokio::test]
async fn errors_do_not_repeat_credentials_of_a_url() {
    for (variable, key) in
        [("SIE_PUBSUB__ENDPOINT", "pubsub.endpoint"), ("SIE_COMPUTE__ENDPOINT", "compute.endpoint")]
    {
        for url in ["http://user:hush@host", "http://user:hu/sh@host:80", "http://host?token=hush"] {
            let (code, stderr) = check(PUBLISHED, &[(variable, url)]).await;
            assert_eq!(code, Some(1), "{stderr}");
            assert!(stderr.contains(&format!("{key} from variable {variable} h")), "{stderr}");
            assert!(!stderr.contains("hush") && !stderr.contains("hu/sh"), "{stderr}");
        }
    }
    let (code, stderr) = check(PUBLISHED, &[("PUBSUB_EMULATOR_HOST", "user:hush@host:80")]).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains("PUBSUB_EMULATOR_HOST holds credentials") && !stderr.contains("hush"),
        "{stderr}"
    );
}

#[tokio::test]
async fn accepts_the_flags_of_the_exporter_toolkit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, PUBLISHED.replace("log_level: debug", "log_level: error")).unwrap();
    let run = async |flags: &[&str], variables: &[(&str, &str)]| {
        let mut command = binary();
        command.args(["--check-config", "--config.file"]).arg(&path).args(flags);
        command.envs(variables.iter().copied());
        let (code, _, stderr) = run_to_end(command).await;
        (code, stderr)
    };
    assert_eq!(run(&[], &[]).await, (Some(0), String::new()));
    let flags =
        ["--web.listen-address=:0", "--web.listen-address", "[::1]:0", "--web.telemetry-path", "/probe"];
    assert_eq!(run(&flags, &[]).await.0, Some(0));
    // Precedence: flag, variable, file.
    assert_eq!(run(&["--log.level=error"], &[("SIE_LOG_LEVEL", "info")]).await.1, "");
    for (format, beginning) in [("json", '{'), ("logfmt", 't'), ("text", '2')] {
        let (code, stderr) = run(&["--log.level=info", "--log.format", format], &[]).await;
        assert_eq!(code, Some(0));
        assert!(stderr.starts_with(beginning) && stderr.contains("the configuration is valid"), "{stderr}");
    }
    for (flag, parts) in [
        ("--web.telemetry-path=x", &["prometheus.path from flag --web.telemetry-path"][..]),
        ("--web.listen-address=x", &["prometheus.address from flag --web.listen-address", "HOST:PORT"]),
        ("--listen-address=:1", &["'--listen-address'", "did you mean --web.listen-address?"]),
        ("--log_level=info", &["did you mean --log.level?"]),
    ] {
        let (code, stderr) = run(&[flag], &[]).await;
        assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{stderr}");
        for part in parts {
            assert!(stderr.contains(part), "no {part:?} in: {stderr}");
        }
    }
}

#[tokio::test]
async fn warns_about_unknown_variables() {
    let (code, stderr) = check(PUBLISHED, &[("SIE_PROMETHEUS_PORT", "9000")]).await;
    assert_eq!((code, stderr.lines().count()), (Some(0), 2), "{stderr}");
    assert!(
        stderr.contains("SIE_PROMETHEUS_PORT has no meaning; did you mean SIE_PROMETHEUS__PORT?"),
        "{stderr}"
    );
    let service_links = [
        ("SIE_SERVICE_HOST", "10.0.0.1"),
        ("SIE_SERVICE_PORT_METRICS", "80"),
        ("SIE_PORT", "tcp://10.0.0.1:80"),
        ("SIE_PORT_80_TCP_ADDR", "10.0.0.1"),
    ];
    let (code, stderr) = check(PUBLISHED, &service_links).await;
    assert_eq!((code, stderr.lines().count()), (Some(0), 1), "{stderr}");
}

#[tokio::test]
async fn an_unread_log_blocks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    // Nothing listens on port 1, so each attempt to connect is logged.
    std::fs::write(&path, format!("{PUBLISHED}compute: {{endpoint: 'http://127.0.0.1:1'}}\n")).unwrap();
    let command = || {
        let mut command = binary();
        command.arg("--config").arg(&path).env("SIE_PUBSUB__ENDPOINT", "http://127.0.0.1:1");
        command
    };
    check_unread_log(command(), "--web.listen-address", false).await;
    let mut wrong = command();
    wrong.arg("--log.level=loud");
    assert_eq!(run_unread(wrong).await, Some(1));
}

#[tokio::test]
async fn prints_help_and_version() {
    let mut help = binary();
    help.arg("--help");
    let (code, stdout, _) = run_to_end(help).await;
    assert_eq!(code, Some(0));
    assert!(stdout.contains("pubsub.endpoint (variable SIE_PUBSUB__ENDPOINT)"), "{stdout}");
    for argument in ["--version", "-V", "version"] {
        let mut version = binary();
        version.arg(argument);
        let (code, stdout, _) = run_to_end(version).await;
        assert_eq!(code, Some(0));
        assert!(stdout.starts_with("spot-interruption-exporter "), "{stdout}");
    }
    let mut unknown = binary();
    unknown.arg("--port=1");
    let (code, _, stderr) = run_to_end(unknown).await;
    assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{stderr}");
}
