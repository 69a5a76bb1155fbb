//! The exporter's options, as written and as validated.

mod roots;
mod runs;
mod secret;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use exporter_common::config::{
    Arguments, ConfigError, Environment, Loaded, Setting, SettingKind, TextList, format_duration, load,
    parse_metrics_path,
};
use exporter_common::http::web::WebWritten;
use exporter_common::http::{ListenAddress, Web};
use exporter_common::secret::Secret;
use exporter_common::telemetry::{LogFormat, Logging};
use http::Uri;
use rustls_pki_types::CertificateDer;
use serde::Deserialize;
use tracing::level_filters::LevelFilter;

use self::roots::read_roots;
pub use self::runs::RunsConfig;
use self::runs::{RunsWritten, StateWritten, WebhookWritten};
pub use self::secret::SecretSource;
use crate::collectors::{ALL, Collector};
use crate::proxy::Proxy;
use crate::runs::{ABOUT as RUNS_ABOUT, NAME as RUNS};

pub(crate) const VARIABLE_PREFIX: &str = "SPACELIFT_PROMEX_";

const DEFAULT_PORT: u16 = 9953;
const DEFAULT_PATH: &str = "/metrics";
const DEFAULT_SCRAPE_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_SCRAPE_TIMEOUT_OFFSET: Duration = Duration::from_millis(500);
const DEFAULT_DORA_WINDOW: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Logging with `is_development`.
const DEVELOPMENT: Logging =
    Logging { format: LogFormat::Text, level: LevelFilter::DEBUG, level_wins: false };

/// The configuration as written: text that is not validated yet.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    api_endpoint: Option<String>,
    api_key_id: Option<String>,
    api_key_secret: Option<Secret>,
    api_key_secret_file: Option<String>,
    ca_cert_path: Option<String>,
    listen_address: Option<TextList>,
    log_level: Option<String>,
    log_format: Option<String>,
    scrape_timeout: Option<String>,
    scrape_timeout_offset: Option<String>,
    is_development: Option<String>,
    partial_scrapes: Option<String>,
    cache_ttl: Option<String>,
    dora_window: Option<String>,
    #[serde(default)]
    web: WebSection,
    #[serde(default)]
    webhook: WebhookWritten,
    #[serde(default)]
    runs: RunsWritten,
    #[serde(default)]
    state: StateWritten,
    #[serde(default)]
    collectors: BTreeMap<String, String>,
}

/// The section `web`: the options of the common crate, and the path of the metrics.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WebSection {
    config_file: Option<String>,
    open_probes: Option<String>,
    telemetry_path: Option<String>,
}

/// A validated configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// URL of the account without `/graphql`, such as `https://acme.app.spacelift.io`.
    pub api_endpoint: Uri,
    /// The proxy for requests to the API.
    pub proxy: Option<Proxy>,
    /// The id of the API key.
    pub api_key_id: String,
    /// The source of the API key's secret.
    pub api_key_secret: SecretSource,
    /// Trusted root certificates in addition to the system's.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Addresses to listen on.
    pub listen_addresses: Vec<ListenAddress>,
    /// The path of the metrics.
    pub metrics_path: String,
    /// The deadline of all requests of a scrape.
    pub scrape_timeout: Duration,
    /// How long before its client's timeout a scrape is answered.
    pub scrape_timeout_offset: Duration,
    /// Whether a scrape succeeds without the families of failed collectors.
    pub partial_scrapes: bool,
    /// How long the result of a successful round is cached; zero disables the cache.
    pub cache_ttl: Duration,
    /// The time range of the DORA metrics.
    pub dora_window: Duration,
    /// The enabled collectors.
    pub collectors: Vec<&'static Collector>,
    /// The collector `runs`, if enabled. It receives webhooks instead of querying the API.
    pub runs: Option<RunsConfig>,
    /// Keys that are set but have no effect with the other options.
    pub without_effect: Vec<&'static str>,
    /// The web configuration: TLS and authentication of the server.
    pub web: Web,
    /// Log format and level.
    pub logging: Logging,
}

impl Config {
    /// Returns all options, for parsing, `--help` and the README.
    pub(crate) fn table() -> Vec<Setting> {
        let option = |key: &'static str, help: &'static str| {
            Setting::new(key, format!("{VARIABLE_PREFIX}{}", key.to_uppercase()), help)
                .flag(key.replace('_', "-"))
        };
        let mut settings = vec![
            option(
                "api_endpoint",
                "URL of the Spacelift account, such as https://acme.app.spacelift.io (required)",
            )
            .short('e')
            .value_name("URL"),
            option("api_key_id", "Id of the Spacelift API key (required)").short('k').value_name("ID"),
            option("api_key_secret", "Secret of the API key; required unless --api-key-secret-file is set")
                .short('s')
                .kind(SettingKind::Secret)
                .value_name("SECRET"),
            option(
                "api_key_secret_file",
                "File with the secret of the API key; it is read again at each token exchange",
            )
            .value_name("PATH"),
            option("ca_cert_path", "PEM file of trusted root certificates in addition to the system's")
                .value_name("PATH"),
            option("listen_address", "Address to serve metrics on")
                .short('l')
                .list_flag("web.listen-address")
                .value_name("ADDRESS")
                .default(format!(":{DEFAULT_PORT}")),
            option("scrape_timeout", "Deadline for all API requests of a scrape")
                .short('t')
                .value_name("DURATION")
                .default(format_duration(DEFAULT_SCRAPE_TIMEOUT)),
            option(
                "scrape_timeout_offset",
                "How long before the scrape timeout of Prometheus the exporter responds",
            )
            .value_name("DURATION")
            .default(format_duration(DEFAULT_SCRAPE_TIMEOUT_OFFSET)),
            option("is_development", "Log as text and at level debug")
                .short('d')
                .kind(SettingKind::Switch)
                .default("false"),
            option(
                "partial_scrapes",
                "Return the data of the other collectors if one fails, instead of HTTP 500",
            )
            .kind(SettingKind::Switch)
            .default("true"),
            option(
                "cache_ttl",
                "How long the result of a successful scrape is cached; 0s disables the cache",
            )
            .value_name("DURATION")
            .default("0s"),
            option("dora_window", "Time range of the metrics of the dora collector")
                .value_name("DURATION")
                .default(format_duration(DEFAULT_DORA_WINDOW)),
        ];
        let variable = |key: &str| format!("{VARIABLE_PREFIX}{}", key.replace('.', "_").to_uppercase());
        settings.push(
            Setting::new("web.telemetry_path", variable("web.telemetry_path"), "Path of the metrics")
                .flag("web.telemetry-path")
                .value_name("PATH")
                .default(DEFAULT_PATH),
        );
        settings.extend(Web::settings(variable));
        settings.extend(Logging::settings(variable, "info", "json"));
        settings.extend(runs::settings());
        let collector = |name: &str, about: &'static str, default: String| {
            let variable = format!("{VARIABLE_PREFIX}COLLECTOR_{}", name.to_uppercase());
            Setting::new(format!("collectors.{name}"), variable, about)
                .flag(format!("collector.{name}"))
                .kind(SettingKind::Switch)
                .default(default)
        };
        settings
            .extend(ALL.iter().map(|each| collector(each.name, each.about, each.on_by_default.to_string())));
        settings.push(collector(RUNS, RUNS_ABOUT, "true with a webhook secret".to_owned()));
        settings
    }

    /// Reads and validates the configuration.
    ///
    /// # Errors
    /// Returns an error if a value is missing or invalid.
    pub(crate) fn read(arguments: &Arguments, environment: &Environment) -> Result<Self, ConfigError> {
        validate(&load::<Written>(Self::table(), arguments, environment)?, environment)
    }

    /// Returns the URL of GraphQL requests.
    pub(crate) fn graphql_endpoint(&self) -> Uri {
        with_path(&self.api_endpoint, &format!("{}/graphql", self.api_endpoint.path().trim_end_matches('/')))
    }
}

/// Removes `/graphql` from the end of the URL.
fn without_graphql(endpoint: Uri) -> Uri {
    let path = endpoint.path().trim_end_matches('/');
    match path.strip_suffix("/graphql") {
        Some(path) => with_path(&endpoint, if path.is_empty() { "/" } else { path }),
        None => endpoint,
    }
}

fn with_path(uri: &Uri, path: &str) -> Uri {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = path.parse().ok();
    // Both parts were parsed before, so the combination is valid too.
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

fn validate(loaded: &Loaded<Written>, environment: &Environment) -> Result<Config, ConfigError> {
    let written = &loaded.written;
    let is_development = loaded.switch("is_development", written.is_development.as_ref(), false)?;
    let extra_roots =
        loaded.optional("ca_cert_path", written.ca_cert_path.as_ref(), |path| read_roots(Path::new(path)))?;
    let api_endpoint = without_graphql(api_endpoint(loaded)?);
    let metrics_path = loaded
        .optional("web.telemetry_path", written.web.telemetry_path.as_ref(), parse_metrics_path)?
        .unwrap_or_else(|| DEFAULT_PATH.to_owned());
    let runs = runs::validate(loaded, &metrics_path)?;
    Ok(Config {
        without_effect: if runs.is_some() { Vec::new() } else { runs::without_effect(written) },
        runs,
        proxy: Proxy::of(&api_endpoint, environment)?,
        api_endpoint,
        api_key_id: loaded.required("api_key_id", written.api_key_id.as_ref(), |id| {
            Secret::parse(id)
                .map(|id| id.expose().to_owned())
                .map_err(|error| error.to_string().replace("secret", "id"))
        })?,
        api_key_secret: secret(loaded)?,
        extra_roots: extra_roots.unwrap_or_default(),
        listen_addresses: ListenAddress::validate(loaded, "listen_address", written.listen_address.as_ref())?
            .unwrap_or_else(|| vec![ListenAddress::any(DEFAULT_PORT)]),
        metrics_path,
        scrape_timeout: loaded.duration(
            "scrape_timeout",
            written.scrape_timeout.as_ref(),
            DEFAULT_SCRAPE_TIMEOUT,
            Duration::from_nanos(1),
        )?,
        scrape_timeout_offset: loaded.duration(
            "scrape_timeout_offset",
            written.scrape_timeout_offset.as_ref(),
            DEFAULT_SCRAPE_TIMEOUT_OFFSET,
            Duration::ZERO,
        )?,
        partial_scrapes: loaded.switch("partial_scrapes", written.partial_scrapes.as_ref(), true)?,
        cache_ttl: loaded.duration(
            "cache_ttl",
            written.cache_ttl.as_ref(),
            Duration::ZERO,
            Duration::ZERO,
        )?,
        dora_window: loaded.duration(
            "dora_window",
            written.dora_window.as_ref(),
            DEFAULT_DORA_WINDOW,
            Duration::from_secs(1),
        )?,
        collectors: collectors(loaded)?,
        web: Web::validate(
            loaded,
            &WebWritten {
                config_file: written.web.config_file.clone(),
                open_probes: written.web.open_probes.clone(),
            },
        )?,
        logging: Logging::validate(
            loaded,
            written.log_level.as_ref(),
            written.log_format.as_ref(),
            if is_development { DEVELOPMENT } else { Logging::default() },
        )?,
    })
}

fn api_endpoint(loaded: &Loaded<Written>) -> Result<Uri, ConfigError> {
    const EXAMPLE: &str = "https://acme.app.spacelift.io";
    let written = loaded.written.api_endpoint.as_ref();
    let url = loaded.url("api_endpoint", written, EXAMPLE, "api_key_id and api_key_secret")?;
    url.ok_or_else(|| loaded.missing("api_endpoint"))
}

fn secret(loaded: &Loaded<Written>) -> Result<SecretSource, ConfigError> {
    const VALUE: &str = "api_key_secret";
    const FILE: &str = "api_key_secret_file";
    let value = loaded.written.api_key_secret.as_ref().filter(|secret| !secret.expose().is_empty());
    let file = loaded.written.api_key_secret_file.as_ref().filter(|path| !path.is_empty());
    match (value, file) {
        (Some(_), Some(_)) => Err(ConfigError::new(format!(
            "{VALUE} (from {}) and {FILE} (from {}) are both set; allowed is exactly one of them",
            loaded.source(VALUE),
            loaded.source(FILE)
        ))),
        (None, Some(path)) => {
            let source = SecretSource::File(PathBuf::from(path));
            source.check().map_err(|problem| {
                let problem = format!("cannot be used: {problem}; allowed is a readable file that holds the secret");
                loaded.invalid(FILE, path, &problem)
            })?;
            Ok(source)
        }
        (value, None) => loaded.secret(VALUE, value)?.map(SecretSource::Value).ok_or_else(|| {
            ConfigError::new(
                "api_key_secret is required but not set; allowed is exactly one of flag --api-key-secret, variable SPACELIFT_PROMEX_API_KEY_SECRET, flag --api-key-secret-file and variable SPACELIFT_PROMEX_API_KEY_SECRET_FILE",
            )
        }),
    }
}

fn collectors(loaded: &Loaded<Written>) -> Result<Vec<&'static Collector>, ConfigError> {
    let written = &loaded.written.collectors;
    let names: Vec<&str> = ALL.iter().map(|collector| collector.name).chain([RUNS]).collect();
    if let Some(unknown) = written.keys().find(|name| !names.contains(&name.as_str())) {
        let key = format!("collectors.{unknown}");
        let source = loaded.source(&key);
        return Err(ConfigError::new(format!(
            "unknown key {key} in {source}; allowed here: {}",
            names.join(", ")
        )));
    }
    let mut enabled = Vec::new();
    for collector in &ALL {
        let key = format!("collectors.{}", collector.name);
        if loaded.switch(&key, written.get(collector.name), collector.on_by_default)? {
            enabled.push(collector);
        }
    }
    Ok(enabled)
}
