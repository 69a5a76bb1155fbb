//! The exporter's options, as written and as validated.

use std::path::PathBuf;
use std::time::Duration;

use exporter_common::config::{
    Arguments, Command, ConfigError, Environment, Loaded, Setting, TextList, format_duration, load,
    parse_metrics_path, parse_url,
};
use exporter_common::http::web::WebWritten;
use exporter_common::http::{ListenAddress, Listener, Web};
use exporter_common::program::Program;
use exporter_common::telemetry::Logging;
use exporter_common::upstream::is_on_this_host;
use http::Uri;
use serde::Deserialize;

use crate::attribution::Settings;
use crate::provider::google::audit_log::InterruptionMethods;
use crate::{ABOUT, NAME, RunError};

const VARIABLE_PREFIX: &str = "SIE_";

const DEFAULT_PORT: u16 = 8090;
const DEFAULT_PATH: &str = "/metrics";
const DEFAULT_CLUSTER_LABEL: &str = "kubernetes_cluster";
const DEFAULT_RESYNC_INTERVAL: Duration = Duration::from_secs(600);
const DEFAULT_ATTRIBUTION_GRACE: Duration = Duration::from_secs(60);
const DEFAULT_DEDUP_WINDOW: Duration = Duration::from_secs(600);
const DEFAULT_TOMBSTONE_TTL: Duration = Duration::from_secs(600);
const DEFAULT_METHOD: &str = "compute.instances.preempted";

/// Where the Pub/Sub emulator listens, as every Pub/Sub client reads it.
const EMULATOR_HOST: &str = "PUBSUB_EMULATOR_HOST";

/// Labels that the exporter gives by itself, which the cluster's label cannot be called.
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

/// The configuration as written: all of it text, none of it checked.
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
    state: StateWritten,
    #[serde(default)]
    web: WebWritten,
    attribution_grace: Option<String>,
    dedup_window: Option<String>,
    tombstone_ttl: Option<String>,
    interruption_methods: Option<TextList>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PubsubWritten {
    instance_creation_subscription_name: Option<String>,
    instance_interruption_subscription_name: Option<String>,
    endpoint: Option<String>,
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
struct ComputeWritten {
    endpoint: Option<String>,
    resync_interval: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateWritten {
    path: Option<String>,
}

/// A configuration that can be run.
#[derive(Debug, Clone)]
pub struct Config {
    /// How to log.
    pub logging: Logging,
    /// The project whose instances are listed.
    pub project: String,
    /// The subscription of creation events.
    pub creations: SubscriptionName,
    /// The subscription of interruption events.
    pub interruptions: SubscriptionName,
    /// Pub/Sub, where it is not Google's own.
    pub pubsub_endpoint: Option<Endpoint>,
    /// The Compute API, where it is not Google's own.
    pub compute_endpoint: Option<Endpoint>,
    /// The time between two listings of all instances.
    pub resync_interval: Duration,
    /// Where to listen.
    pub listen_addresses: Vec<ListenAddress>,
    /// The path of the metrics.
    pub metrics_path: String,
    /// What the label that names a cluster is called.
    pub cluster_label: String,
    /// The directory of the durable state, if there is to be one.
    pub state_path: Option<PathBuf>,
    /// How long things are waited for and remembered.
    pub attribution: Settings,
    /// What counts as an interruption.
    pub methods: InterruptionMethods,
    /// Who may use the server, and how.
    pub web: Web,
}

/// The full name of a subscription, `projects/P/subscriptions/S`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionName(String);

impl SubscriptionName {
    /// As Pub/Sub wants it.
    pub fn full(&self) -> &str {
        &self.0
    }

    /// Its last part, for labels and messages.
    pub fn short(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    fn parse(text: &str, project: &str) -> Result<Self, String> {
        const ALLOWED: &str =
            "allowed is a name such as sie-interruption-subscription, or projects/P/subscriptions/S";
        let is_name = |name: &str| {
            name.starts_with(|first: char| first.is_ascii_alphabetic())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.~+%".contains(c))
        };
        let text = text.trim();
        match text.split('/').collect::<Vec<_>>()[..] {
            [name] if is_name(name) => Ok(Self(format!("projects/{project}/subscriptions/{name}"))),
            ["projects", project, "subscriptions", name] if is_project(project) && is_name(name) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(format!("is no subscription; {ALLOWED}")),
        }
    }
}

/// The address of a service in place of Google's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(String);

impl Endpoint {
    /// As a URL without a slash at its end; its scheme is in small letters.
    pub fn url(&self) -> &str {
        &self.0
    }

    /// Whether requests go without credentials: a token on a plain connection could be read by anyone.
    pub fn is_plain(&self) -> bool {
        self.0.starts_with("http://")
    }

    /// Whether it is a plain one on this very host, such as an emulator.
    pub fn is_local(&self) -> bool {
        self.is_plain() && self.0.parse().is_ok_and(|uri| is_on_this_host(&uri))
    }

    fn new(uri: &Uri) -> Self {
        // What decides about credentials is not how somebody writes it.
        Self(uri.to_string().trim_end_matches('/').to_owned())
    }
}

impl Config {
    fn table() -> Vec<Setting> {
        let variable = |key: &str| format!("{VARIABLE_PREFIX}{}", key.replace('.', "__").to_uppercase());
        let option = |key: &'static str, help: &'static str| Setting::new(key, variable(key), help);
        let mut settings = vec![
            option("project_name", "Id of the project whose instances are watched (required)"),
            option(
                "pubsub.instance_creation_subscription_name",
                "Subscription of creation events, a name or projects/P/subscriptions/S (required)",
            ),
            option(
                "pubsub.instance_interruption_subscription_name",
                "Subscription of interruption events, a name or projects/P/subscriptions/S (required)",
            ),
            option(
                "pubsub.endpoint",
                "URL of Pub/Sub in place of Google's; http:// goes without credentials",
            ),
            option(
                "compute.endpoint",
                "URL of the Compute API in place of Google's; http:// goes without credentials",
            ),
            option("compute.resync_interval", "Time between two listings of all instances")
                .default(format_duration(DEFAULT_RESYNC_INTERVAL)),
            option("prometheus.port", "Port to serve metrics on, on every interface")
                .default(DEFAULT_PORT.to_string()),
            option("prometheus.address", "Address to serve metrics on; wins over the port")
                .list_flag("web.listen-address")
                .value_name("ADDRESS"),
            option("prometheus.path", "Path of the metrics")
                .flag("web.telemetry-path")
                .value_name("PATH")
                .default(DEFAULT_PATH),
            option("prometheus.cluster_label", "Name of the label that names the cluster")
                .default(DEFAULT_CLUSTER_LABEL),
            option(
                "state.path",
                "Directory in which counts, instances and recent events outlive the process; without one they do not",
            ),
            option(
                "attribution_grace",
                "How long an interruption of an unknown instance waits to be attributed",
            )
            .default(format_duration(DEFAULT_ATTRIBUTION_GRACE)),
            option("dedup_window", "How long an event is recognised when it comes again")
                .default(format_duration(DEFAULT_DEDUP_WINDOW)),
            option("tombstone_ttl", "How long an interrupted instance stays known")
                .default(format_duration(DEFAULT_TOMBSTONE_TTL)),
            option(
                "interruption_methods",
                "Audit log methods that count as interruptions; a list, separated by commas in the variable",
            )
            .default(DEFAULT_METHOD),
        ];
        settings.extend(Logging::settings(variable, "info", "json"));
        settings.extend(Web::settings(variable));
        settings
    }

    /// What tells the subscriptions apart in metrics, creations first: their names, in full where the short ones are
    /// the same.
    pub(crate) fn subscription_labels(&self) -> [&str; 2] {
        let both = [&self.creations, &self.interruptions];
        let alike = self.creations.short() == self.interruptions.short();
        both.map(|name| if alike { name.full() } else { name.short() })
    }
}

impl Program for Config {
    const COMMAND: Command = Command { name: NAME, about: ABOUT, subcommand: None };
    const VARIABLE_PREFIX: &'static str = VARIABLE_PREFIX;
    const LOG_TARGETS: &'static [&'static str] = &["spot_interruption_exporter", "google_cloud"];

    type Error = RunError;

    /// The table of all options. `--config` is the original's only flag, so only those that other exporters have as
    /// flags have one.
    fn settings() -> Vec<Setting> {
        Self::table()
    }

    fn load(arguments: &Arguments, environment: &Environment) -> Result<Self, ConfigError> {
        let loaded = load::<Written>(Self::settings(), arguments, environment)?;
        let emulator = environment.get(EMULATOR_HOST)?.map(|host| emulator(&host)).transpose()?;
        validate(&loaded, emulator)
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

fn validate(loaded: &Loaded<Written>, emulator: Option<Endpoint>) -> Result<Config, ConfigError> {
    let Written { pubsub, prometheus, compute, .. } = &loaded.written;
    let written = &loaded.written;
    let (level, format) = (written.log_level.as_ref(), written.log_format.as_ref());
    let logging = Logging::validate(loaded, level, format, Logging::default())?;
    let project = loaded.required("project_name", written.project_name.as_ref(), |text| {
        let text = text.trim();
        if is_project(text) {
            Ok(text.to_owned())
        } else {
            Err("is no project id; allowed is one such as my-project-123".to_owned())
        }
    })?;
    let subscription = |key: &str, name: Option<&String>| {
        loaded.required(key, name, |text| SubscriptionName::parse(text, &project))
    };
    let creations = subscription(
        "pubsub.instance_creation_subscription_name",
        pubsub.instance_creation_subscription_name.as_ref(),
    )?;
    let interruptions = subscription(
        "pubsub.instance_interruption_subscription_name",
        pubsub.instance_interruption_subscription_name.as_ref(),
    )?;
    if creations == interruptions {
        return Err(loaded.invalid(
            "pubsub.instance_creation_subscription_name",
            creations.full(),
            "is the subscription of interruptions as well; allowed are two different ones",
        ));
    }
    let port = loaded.optional("prometheus.port", prometheus.port.as_ref(), |text| {
        text.trim().parse::<u16>().map_err(|_| "is no port; allowed is a number from 0 to 65535".to_owned())
    })?;
    let addresses = ListenAddress::validate(loaded, "prometheus.address", prometheus.address.as_ref())?;
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
        project: project.clone(),
    };
    let endpoint = |key: &str, text: Option<&String>| {
        const EXAMPLE: &str = "https://SERVICE.googleapis.com";
        let url = loaded.url(key, text, EXAMPLE, "Application Default Credentials")?;
        Ok(url.as_ref().map(Endpoint::new))
    };
    let pubsub_endpoint = endpoint("pubsub.endpoint", pubsub.endpoint.as_ref())?;
    Ok(Config {
        logging,
        creations,
        interruptions,
        pubsub_endpoint: pubsub_endpoint.or(emulator),
        compute_endpoint: endpoint("compute.endpoint", compute.endpoint.as_ref())?,
        resync_interval: duration(
            "compute.resync_interval",
            compute.resync_interval.as_ref(),
            DEFAULT_RESYNC_INTERVAL,
            Duration::from_millis(100),
        )?,
        listen_addresses: addresses.unwrap_or_else(|| vec![ListenAddress::any(port.unwrap_or(DEFAULT_PORT))]),
        metrics_path: loaded
            .optional("prometheus.path", prometheus.path.as_ref(), parse_metrics_path)?
            .unwrap_or_else(|| DEFAULT_PATH.to_owned()),
        state_path: loaded.optional("state.path", loaded.written.state.path.as_ref(), |text| {
            match text.trim() {
                "" => Err("is no path; allowed is that of a directory".to_owned()),
                path => Ok(PathBuf::from(path)),
            }
        })?,
        cluster_label: cluster_label(loaded)?,
        attribution,
        methods: methods(loaded)?,
        web: Web::validate(loaded, &written.web)?,
        project,
    })
}

fn cluster_label(loaded: &Loaded<Written>) -> Result<String, ConfigError> {
    let label = loaded.optional("prometheus.cluster_label", loaded.written.prometheus.cluster_label.as_ref(), |text| {
        let is_label = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !text.starts_with("__");
        if !is_label {
            return Err("is no label name; allowed are letters, digits and underscores, such as kubernetes_cluster".to_owned());
        }
        if OTHER_LABELS.contains(&text) {
            return Err(format!("is another label's name; allowed is any but {}", OTHER_LABELS.join(", ")));
        }
        Ok(text.to_owned())
    })?;
    Ok(label.unwrap_or_else(|| DEFAULT_CLUSTER_LABEL.to_owned()))
}

fn methods(loaded: &Loaded<Written>) -> Result<InterruptionMethods, ConfigError> {
    let Some(TextList(names)) = &loaded.written.interruption_methods else {
        return Ok(InterruptionMethods::default());
    };
    InterruptionMethods::new(names).map_err(|error| {
        loaded.invalid(
            "interruption_methods",
            &names.join(", "),
            &format!("cannot be used; allowed is a list: {error}"),
        )
    })
}

fn emulator(host: &str) -> Result<Endpoint, ConfigError> {
    const ALLOWED: &str = "allowed is HOST:PORT such as localhost:8085";
    let host = host.trim();
    let url = if host.contains("://") { host.to_owned() } else { format!("http://{host}") };
    // It is not repeated, since a URL may hold a password.
    let url = parse_url(&url)
        .map_err(|problem| ConfigError::new(format!("variable {EMULATOR_HOST} {problem}; {ALLOWED}")))?;
    Ok(Endpoint::new(&url))
}

/// Project ids are lower case; an older kind has a domain before a colon.
fn is_project(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-:._".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_plain_however_it_is_written() {
        for (text, url, plain, local) in [
            ("http://127.0.0.1:8086/", "http://127.0.0.1:8086", true, true),
            (" HTTP://Emulator:80 ", "http://Emulator:80", true, false),
            ("https://compute.example/base/", "https://compute.example/base", false, false),
            ("https://localhost:8086", "https://localhost:8086", false, false),
        ] {
            let endpoint = Endpoint::new(&parse_url(text).unwrap());
            assert_eq!(
                (endpoint.url(), endpoint.is_plain(), endpoint.is_local()),
                (url, plain, local),
                "{text}"
            );
        }
    }
}
