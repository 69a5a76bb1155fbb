//! Access to the server: TLS, basic authentication, extra headers and a rate limit, as set in the web configuration
//! file of the Prometheus exporter toolkit.
//!
//! The configuration and the files that it names are checked for every connection and every request, and read again
//! after a change. A reload that fails changes nothing. A reload that would weaken the protection fails too, because a
//! file may be half-written, and half of it can be a valid configuration without users.

mod file;
mod rate;
mod reload;
mod rules;
mod snapshot;
mod tls;
mod users;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use prometheus_client::registry::Registry;
use serde::Deserialize;

pub use file::{ClientAuth, Pem, RateLimit, TlsServer, WebConfig, WebConfigError, parse};
pub(super) use tls::HTTP2;

use self::reload::{ReloadMetrics, ReloadingConfig};
use self::rules::Rules;
use self::users::{AuthResult, PasswordChecks};
use super::rejection::Rejection;
use super::routes::Access;
use crate::config::{ConfigError, Loaded, Setting, SettingKind};

/// The section `web` of the configuration, as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebWritten {
    /// The path of the web configuration file.
    pub config_file: Option<String>,
    /// Whether probes need no credentials.
    pub open_probes: Option<String>,
}

/// Access control of the server. Without a web configuration file, all clients have access over plain HTTP.
#[derive(Debug, Clone, Default)]
pub struct Web {
    open_probes: bool,
    config: Option<Arc<ReloadingConfig>>,
    checks: PasswordChecks,
    reloads: ReloadMetrics,
}

impl Web {
    /// Returns the two options. `variable` returns the environment variable of a key.
    pub fn settings(variable: impl Fn(&str) -> String) -> [Setting; 2] {
        let option = |key: &'static str, help: &'static str| Setting::new(key, variable(key), help);
        [
            option(
                "web.config_file",
                "Web configuration file of the Prometheus exporter toolkit: TLS, basic authentication, headers, rate limit",
            )
            .flag("web.config.file")
            .value_name("PATH"),
            option("web.open_probes", "Serve /health, /ready, /-/healthy and /-/ready without credentials and without the rate limit")
                .flag("web.open-probes")
                .kind(SettingKind::Switch)
                .default("false"),
        ]
    }

    /// Validates the options and reads the web configuration.
    ///
    /// # Errors
    /// An option or the file is invalid. The error is one line that names the option, its source and the problem.
    pub fn validate<W>(loaded: &Loaded<W>, written: &WebWritten) -> Result<Self, ConfigError> {
        let reloads = ReloadMetrics::default();
        let config = loaded.optional("web.config_file", written.config_file.as_ref(), |path| {
            ReloadingConfig::load(PathBuf::from(path), reloads.clone()).map_err(|problem| {
                format!("cannot be used: {problem}; allowed is a web configuration of the Prometheus exporter toolkit")
            })
        })?;
        let open_probes = loaded.switch("web.open_probes", written.open_probes.as_ref(), false)?;
        Ok(Self { open_probes, config: config.map(Arc::new), reloads, ..Self::default() })
    }

    /// Reads a web configuration file.
    ///
    /// # Errors
    /// The configuration, or a file that it names, cannot be read or is invalid.
    pub fn load(path: &Path, open_probes: bool) -> Result<Self, WebConfigError> {
        let reloads = ReloadMetrics::default();
        let config = ReloadingConfig::load(path.to_owned(), reloads.clone())
            .map_err(|problem| WebConfigError::new(&problem))?;
        Ok(Self { open_probes, config: Some(Arc::new(config)), reloads, ..Self::default() })
    }

    /// Logs the rules of the web configuration, and which of its settings are not supported and left out.
    pub fn announce(&self) {
        if let Some(config) = &self.config {
            tracing::info!(rules = %config.rules(), "serving with the web configuration");
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        self.reloads.register(registry);
        registry.register(
            "exporter_web_password_checks",
            "Passwords that were compared with a bcrypt hash; passwords with a cached result are not counted",
            self.checks.count.clone(),
        );
    }

    /// Reads the web configuration again and logs the result.
    pub(super) fn reload(&self) {
        match &self.config {
            Some(config) => config.reload(),
            None => tracing::info!("there is no web configuration to read again"),
        }
    }

    /// Returns the present rules; `None` without a web configuration.
    pub(super) async fn rules(&self) -> Option<Arc<Rules>> {
        match &self.config {
            Some(config) => Some(config.checked_rules().await),
            None => None,
        }
    }

    /// Checks whether a request has access to a page.
    ///
    /// # Errors
    /// The request is rejected, with the reason.
    pub(super) async fn admit(
        &self,
        rules: &Rules,
        access: Access,
        headers: &HeaderMap,
        client: IpAddr,
    ) -> Result<(), Rejection> {
        if access == Access::All || (self.open_probes && access == Access::Probe) {
            return Ok(());
        }
        if rules.bucket.as_ref().is_some_and(|bucket| !bucket.take(Instant::now())) {
            return Err(Rejection::RateLimit);
        }
        let Some(users) = &rules.users else { return Ok(()) };
        let authorization = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        match users.check(authorization, client, &self.checks).await {
            AuthResult::Accepted => Ok(()),
            AuthResult::Rejected => Err(Rejection::Credentials),
            AuthResult::Busy => Err(Rejection::PasswordChecks),
        }
    }
}
