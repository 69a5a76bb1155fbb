//! The options of webhooks and of the collector `runs`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use exporter_common::config::{
    ConfigError, Loaded, Setting, SettingKind, TextList, format_duration, parse_page_path, parse_size,
};
use exporter_common::http::ListenAddress;
use exporter_common::secret::Secret;
use serde::Deserialize;

use super::{VARIABLE_PREFIX, Written};
use crate::runs::{NAME, RunLimits};
use crate::webhook::{self, WebhookConfig, WebhookSecret};

const DEFAULT_PATH: &str = "/webhook";
const DEFAULT_MAX_BODY: usize = 8 * 1024 * 1024;
/// Upper limit of `webhook.max_body`: the memory that the bodies of all deliveries share.
const MAX_MAX_BODY: usize = 64 * 1024 * 1024;
const DEFAULT_MAX_STACKS: usize = 2_000;
const DEFAULT_STACK_TTL: Duration = Duration::from_secs(30 * 24 * 3_600);
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3_600);

/// The section `webhook` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookWritten {
    secret: Option<Secret>,
    secret_file: Option<String>,
    path: Option<String>,
    listen_address: Option<TextList>,
    max_body: Option<String>,
    account: Option<String>,
}

/// The section `runs` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunsWritten {
    max_stacks: Option<String>,
    stack_ttl: Option<String>,
    max_age: Option<String>,
}

/// The section `state` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StateWritten {
    path: Option<String>,
}

/// The configuration of the collector `runs`.
#[derive(Debug, Clone)]
pub struct RunsConfig {
    /// The receiver of webhooks.
    pub webhook: WebhookConfig,
    /// Limits of stacks and runs.
    pub limits: RunLimits,
    /// The directory of the durable state; `None` disables it.
    pub state_path: Option<PathBuf>,
}

/// Returns the options.
pub(super) fn settings() -> Vec<Setting> {
    let option = |key: &'static str, help: &'static str| {
        let variable = format!("{VARIABLE_PREFIX}{}", key.replace('.', "_").to_uppercase());
        Setting::new(key, variable, help).flag(key.replace('_', "-"))
    };
    vec![
        option("webhook.secret", "Secret of Spacelift's webhooks; this or the file enables the receiver")
            .kind(SettingKind::Secret)
            .value_name("SECRET"),
        option(
            "webhook.secret_file",
            "File with the secrets, one per line; it is read again when it changes",
        )
        .value_name("PATH"),
        option("webhook.path", "Path at which deliveries are received")
            .value_name("PATH")
            .default(DEFAULT_PATH),
        option(
            "webhook.listen_address",
            "Address that serves only the path of the deliveries, to be exposed to the internet",
        )
        .value_name("ADDRESS"),
        option("webhook.max_body", "Maximum size of a delivery, in bytes or with a unit such as 8MiB")
            .value_name("SIZE")
            .default("8MiB"),
        option(
            "webhook.account",
            "Name of the account whose deliveries are counted; those of other accounts are ignored",
        )
        .value_name("NAME"),
        option(
            "runs.max_stacks",
            "Maximum number of stacks with their own series; further stacks are counted as _other",
        )
        .value_name("NUMBER")
        .default(DEFAULT_MAX_STACKS.to_string()),
        option("runs.stack_ttl", "How long the series of a stack without deliveries are kept")
            .value_name("DURATION")
            .default(format_duration(DEFAULT_STACK_TTL)),
        option("runs.max_age", "How long a run without deliveries is active; then it is counted as lost")
            .value_name("DURATION")
            .default(format_duration(DEFAULT_MAX_AGE)),
        option(
            "state.path",
            "Directory of the durable state, in which counts and runs survive a restart; none by default",
        )
        .value_name("PATH"),
    ]
}

/// Validates the configuration of the collector `runs`. Returns `None` if it is disabled. `metrics_path` is already in use.
pub(super) fn validate(
    loaded: &Loaded<Written>,
    metrics_path: &str,
) -> Result<Option<RunsConfig>, ConfigError> {
    let written = &loaded.written;
    let WebhookWritten { path, listen_address, max_body, account, .. } = &written.webhook;
    let listen_addresses =
        ListenAddress::validate(loaded, "webhook.listen_address", listen_address.as_ref())?
            .unwrap_or_default();
    let path = loaded
        .optional("webhook.path", path.as_ref(), |path| {
            parse_page_path(path, "the deliveries", DEFAULT_PATH)
        })?
        .unwrap_or_else(|| DEFAULT_PATH.to_owned());
    if path == metrics_path && listen_addresses.is_empty() {
        return Err(loaded.invalid(
            "webhook.path",
            &path,
            "is the path of the metrics; allowed is another one",
        ));
    }
    let max_body = loaded.optional("webhook.max_body", max_body.as_ref(), |size| {
        match parse_size(size).and_then(|size| usize::try_from(size).ok()) {
            Some(size @ 1..=MAX_MAX_BODY) => Ok(size),
            _ => Err("is not a size between 1 and 64MiB; allowed is a number of bytes, or a number with the unit KiB or MiB"
                .to_owned()),
        }
    })?;
    let account = loaded.optional("webhook.account", account.as_ref(), |name| Ok(name.trim().to_owned()))?;
    let limits = RunLimits {
        max_stacks: loaded
            .optional("runs.max_stacks", written.runs.max_stacks.as_ref(), |number| {
                let number = number.trim().parse().ok().filter(|number| (1..=100_000).contains(number));
                number.ok_or_else(|| "is not a number between 1 and 100000".to_owned())
            })?
            .unwrap_or(DEFAULT_MAX_STACKS),
        stack_ttl: loaded.duration(
            "runs.stack_ttl",
            written.runs.stack_ttl.as_ref(),
            DEFAULT_STACK_TTL,
            Duration::from_secs(1),
        )?,
        max_age: loaded.duration(
            "runs.max_age",
            written.runs.max_age.as_ref(),
            DEFAULT_MAX_AGE,
            Duration::from_secs(1),
        )?,
    };
    let state_path =
        loaded.optional("state.path", written.state.path.as_ref(), |path| Ok(PathBuf::from(path)))?;
    let secret = secret(loaded)?;
    let key = format!("collectors.{NAME}");
    let is_on = loaded.switch(&key, written.collectors.get(NAME), secret.is_some())?;
    match secret {
        None if is_on => Err(ConfigError::new(format!(
            "{key} (from {}) needs the secret of webhooks; allowed is one of webhook.secret and webhook.secret_file",
            loaded.source(&key)
        ))),
        Some(secret) if is_on => {
            let max_body = max_body.unwrap_or(DEFAULT_MAX_BODY);
            let webhook = WebhookConfig { secret, path, listen_addresses, max_body, account };
            Ok(Some(RunsConfig { webhook, limits, state_path }))
        }
        _ => Ok(None),
    }
}

/// Returns the keys that are set but have no effect while the collector is disabled.
pub(super) fn without_effect(written: &Written) -> Vec<&'static str> {
    let WebhookWritten { path, listen_address, max_body, account, .. } = &written.webhook;
    let RunsWritten { max_stacks, stack_ttl, max_age } = &written.runs;
    let texts = [
        ("webhook.path", path),
        ("webhook.max_body", max_body),
        ("webhook.account", account),
        ("runs.max_stacks", max_stacks),
        ("runs.stack_ttl", stack_ttl),
        ("runs.max_age", max_age),
        ("state.path", &written.state.path),
    ];
    let is_set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let mut keys: Vec<_> = texts.into_iter().filter(|(_, text)| is_set(text)).map(|(key, _)| key).collect();
    if listen_address.as_ref().is_some_and(|list| !list.0.is_empty()) {
        keys.push("webhook.listen_address");
    }
    keys
}

fn secret(loaded: &Loaded<Written>) -> Result<Option<WebhookSecret>, ConfigError> {
    const VALUE: &str = "webhook.secret";
    const FILE: &str = "webhook.secret_file";
    let WebhookWritten { secret, secret_file, .. } = &loaded.written.webhook;
    let value = loaded.secret(VALUE, secret.as_ref())?;
    let file = loaded.optional(FILE, secret_file.as_ref(), |path| {
        webhook::check(Path::new(path)).map_err(|problem| {
            format!("cannot be used: {problem}; allowed is a readable file with a secret in each line")
        })?;
        Ok(PathBuf::from(path))
    })?;
    match (value, file) {
        (Some(_), Some(_)) => Err(ConfigError::new(format!(
            "{VALUE} (from {}) and {FILE} (from {}) are both set; allowed is one of them",
            loaded.source(VALUE),
            loaded.source(FILE)
        ))),
        (Some(value), None) => Ok(Some(WebhookSecret::Value(value))),
        (None, file) => Ok(file.map(WebhookSecret::File)),
    }
}
