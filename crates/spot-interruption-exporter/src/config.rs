//! The exporter's options: as written, and validated.

use std::path::PathBuf;
use std::time::Duration;

use exporter_common::config::{
    Arguments, Command, ConfigError, Environment, Loaded, Setting, TextList, format_duration, load,
    parse_metrics_path,
};
use exporter_common::http::web::WebWritten;
use exporter_common::http::{ListenAddress, Listener, Web};
use exporter_common::program::Program;
use exporter_common::telemetry::Logging;
use serde::Deserialize;

use crate::attribution::OPERATION_LATENESS;
use crate::attribution::Settings;
use crate::provider::aws;
use crate::provider::aws::config::{AwsConfig, AwsWritten};
use crate::provider::google;
use crate::provider::google::config::{
    ComputeWritten, DEFAULT_METHOD, GcpWritten, GoogleConfig, PubsubWritten,
};
use crate::{ABOUT, NAME, RunError};

const VARIABLE_PREFIX: &str = "SIE_";

const DEFAULT_PORT: u16 = 8090;
const DEFAULT_PATH: &str = "/metrics";
const DEFAULT_CLUSTER_LABEL: &str = "kubernetes_cluster";
const DEFAULT_ATTRIBUTION_GRACE: Duration = Duration::from_secs(60);
const DEFAULT_DEDUP_WINDOW: Duration = Duration::from_secs(600);
const DEFAULT_TOMBSTONE_TTL: Duration = Duration::from_secs(600);

/// Labels that the exporter uses itself. The label of the cluster cannot have one of these names.
const OTHER_LABELS: [&str; 9] = [
    "cluster_location",
    "node_pool",
    "machine_type",
    "zone",
    "project",
    "reason",
    "subscription",
    "outcome",
    "le",
];

/// The configuration as written: texts that are not validated.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    log_level: Option<String>,
    log_format: Option<String>,
    project_name: Option<String>,
    #[serde(default)]
    pubsub: PubsubWritten,
    #[serde(default)]
    prometheus: PrometheusWritten,
    #[serde(default)]
    compute: ComputeWritten,
    #[serde(default)]
    gcp: GcpWritten,
    #[serde(default)]
    aws: AwsWritten,
    #[serde(default)]
    state: StateWritten,
    #[serde(default)]
    web: PagesWritten,
    attribution_grace: Option<String>,
    dedup_window: Option<String>,
    tombstone_ttl: Option<String>,
    interruption_methods: Option<TextList>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PrometheusWritten {
    port: Option<String>,
    path: Option<String>,
    address: Option<TextList>,
    cluster_label: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateWritten {
    path: Option<String>,
}

/// The section `web`: options of the common crate, and the page of this exporter.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PagesWritten {
    config_file: Option<String>,
    open_probes: Option<String>,
    interruptions: Option<String>,
}

/// A validated configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Log level and format.
    pub logging: Logging,
    /// Options of Google Cloud, if `project_name` is set.
    pub google: Option<GoogleConfig>,
    /// Options of AWS, if `aws.queue_urls` is set.
    pub aws: Option<AwsConfig>,
    /// Addresses to listen on.
    pub listen_addresses: Vec<ListenAddress>,
    /// Path of the metrics.
    pub metrics_path: String,
    /// Name of the label that contains the cluster.
    pub cluster_label: String,
    /// Directory of the durable state, if configured.
    pub state_path: Option<PathBuf>,
    /// Time limits of the state machine.
    pub attribution: Settings,
    /// TLS, client certificates and users of the HTTP server.
    pub web: Web,
    /// Whether `/interruptions` is served.
    pub interruptions_page: bool,
}

impl Config {
    fn table() -> Vec<Setting> {
        let variable = |key: &str| format!("{VARIABLE_PREFIX}{}", key.replace('.', "__").to_uppercase());
        let option = |key: &'static str, help: &'static str| Setting::new(key, variable(key), help);
        let mut settings = GoogleConfig::settings(option);
        settings.extend(AwsConfig::settings(option));
        settings.extend([
            option("prometheus.port", "Port to serve metrics on, on every interface")
                .default(DEFAULT_PORT.to_string()),
            option("prometheus.address", "Address to serve metrics on; overrides prometheus.port")
                .list_flag("web.listen-address")
                .value_name("ADDRESS"),
            option("prometheus.path", "Path of the metrics")
                .flag("web.telemetry-path")
                .value_name("PATH")
                .default(DEFAULT_PATH),
            option("prometheus.cluster_label", "Name of the label for the cluster")
                .default(DEFAULT_CLUSTER_LABEL),
            option(
                "state.path",
                "Directory in which counts, instances and recent events are kept across restarts; without it they are lost",
            ),
            option(
                "attribution_grace",
                "How long an interruption of an unknown instance is held before it counts as unattributed",
            )
            .default(format_duration(DEFAULT_ATTRIBUTION_GRACE)),
            option("dedup_window", "How long an event is recognised as a duplicate; at least 75m with AWS")
                .default(format_duration(DEFAULT_DEDUP_WINDOW)),
            option("tombstone_ttl", "How long an interrupted instance is remembered; at least 75m with AWS")
                .default(format_duration(DEFAULT_TOMBSTONE_TTL)),
            option(
                "interruption_methods",
                "Audit log methods that count as interruptions; a list, separated by commas in the variable",
            )
            .default(DEFAULT_METHOD),
        ]);
        settings.extend(Logging::settings(variable, "info", "json"));
        settings.extend(Web::settings(variable));
        settings.push(
            option(
                "web.interruptions",
                "Show the last 1,000 interruptions with instance names at /interruptions",
            )
            .default("true"),
        );
        settings
    }
}

impl Program for Config {
    const COMMAND: Command = Command { name: NAME, about: ABOUT, subcommand: None };
    const VARIABLE_PREFIX: &'static str = VARIABLE_PREFIX;
    const LOG_TARGETS: &'static [&'static str] = &["spot_interruption_exporter", "google_cloud"];

    type Error = RunError;

    /// All options. The Go exporter has only the flag `--config`; other options have a flag only if Prometheus
    /// exporters have one in common.
    fn settings() -> Vec<Setting> {
        Self::table()
    }

    fn load(arguments: &Arguments, environment: &Environment) -> Result<Self, ConfigError> {
        let loaded = load::<Written>(Self::settings(), arguments, environment)?;
        validate(&loaded, environment)
    }

    fn logging(&self) -> Logging {
        self.logging
    }

    fn web(&self) -> &Web {
        &self.web
    }

    fn listen_addresses(&self) -> &[ListenAddress] {
        &self.listen_addresses
    }

    async fn run(self, listener: Listener, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        crate::run(self, listener, shutdown).await
    }
}

fn validate(loaded: &Loaded<Written>, environment: &Environment) -> Result<Config, ConfigError> {
    let written = &loaded.written;
    let prometheus = &written.prometheus;
    let (level, format) = (written.log_level.as_ref(), written.log_format.as_ref());
    let logging = Logging::validate(loaded, level, format, Logging::default())?;
    let google = google::config::Written {
        project_name: written.project_name.as_ref(),
        pubsub: &written.pubsub,
        compute: &written.compute,
        gcp: &written.gcp,
        interruption_methods: written.interruption_methods.as_ref(),
    };
    let aws = AwsConfig::validate(loaded, &written.aws, environment)?;
    let google = GoogleConfig::validate(loaded, &google, environment, aws.is_some())?;
    let port = loaded.optional("prometheus.port", prometheus.port.as_ref(), |text| {
        text.trim()
            .parse::<u16>()
            .map_err(|_| "is not a port; allowed is a number from 0 to 65535".to_owned())
    })?;
    let addresses = ListenAddress::validate(loaded, "prometheus.address", prometheus.address.as_ref())?;
    let web = WebWritten {
        config_file: written.web.config_file.clone(),
        open_probes: written.web.open_probes.clone(),
    };
    let duration = |key: &str, text: Option<&String>, default: Duration, least: Duration| {
        loaded.duration(key, text, default, least)
    };
    let attribution = Settings {
        attribution_grace: duration(
            "attribution_grace",
            written.attribution_grace.as_ref(),
            DEFAULT_ATTRIBUTION_GRACE,
            Duration::ZERO,
        )?,
        dedup_window: duration(
            "dedup_window",
            written.dedup_window.as_ref(),
            DEFAULT_DEDUP_WINDOW,
            Duration::ZERO,
        )?,
        tombstone_ttl: duration(
            "tombstone_ttl",
            written.tombstone_ttl.as_ref(),
            DEFAULT_TOMBSTONE_TTL,
            Duration::ZERO,
        )?,
        project: match (&google, &aws) {
            (Some(google), _) => google.project.clone(),
            (None, Some(aws)) => aws.account().to_owned(),
            (None, None) => String::new(),
        },
        fixed_scopes: aws.as_ref().map(AwsConfig::scopes).unwrap_or_default(),
        lateness: OPERATION_LATENESS,
    };
    let attribution = if aws.is_some() { with_memory(attribution, aws::MEMORY) } else { attribution };
    Ok(Config {
        logging,
        listen_addresses: addresses.unwrap_or_else(|| vec![ListenAddress::any(port.unwrap_or(DEFAULT_PORT))]),
        metrics_path: loaded
            .optional("prometheus.path", prometheus.path.as_ref(), parse_metrics_path)?
            .unwrap_or_else(|| DEFAULT_PATH.to_owned()),
        state_path: loaded.optional("state.path", loaded.written.state.path.as_ref(), |text| {
            match text.trim() {
                "" => Err("is not a path; allowed is the path of a directory".to_owned()),
                path => Ok(PathBuf::from(path)),
            }
        })?,
        cluster_label: cluster_label(loaded)?,
        attribution,
        web: Web::validate(loaded, &web)?,
        interruptions_page: loaded.switch("web.interruptions", written.web.interruptions.as_ref(), true)?,
        google,
        aws,
    })
}

/// Extends the time for which interruptions are remembered.
fn with_memory(settings: Settings, least: Duration) -> Settings {
    Settings {
        dedup_window: settings.dedup_window.max(least),
        tombstone_ttl: settings.tombstone_ttl.max(least),
        lateness: settings.lateness.max(least),
        ..settings
    }
}

/// The entries of a list, trimmed, without empty ones.
pub(crate) fn entries(list: Option<&TextList>) -> impl Iterator<Item = &str> {
    let entries = list.into_iter().flat_map(|TextList(entries)| entries);
    entries.map(|entry| entry.trim()).filter(|entry| !entry.is_empty())
}

fn cluster_label(loaded: &Loaded<Written>) -> Result<String, ConfigError> {
    let label = loaded.optional("prometheus.cluster_label", loaded.written.prometheus.cluster_label.as_ref(), |text| {
        let is_label = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !text.starts_with("__");
        if !is_label {
            return Err("is not a label name; allowed are letters, digits and underscores, such as kubernetes_cluster".to_owned());
        }
        if OTHER_LABELS.contains(&text) {
            return Err(format!("is the name of another label; allowed is any name except {}", OTHER_LABELS.join(", ")));
        }
        Ok(text.to_owned())
    })?;
    Ok(label.unwrap_or_else(|| DEFAULT_CLUSTER_LABEL.to_owned()))
}
