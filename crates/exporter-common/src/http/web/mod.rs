//! Who may use the server, and how: TLS, basic authentication, extra headers and a rate limit, by the web
//! configuration file of the Prometheus exporter toolkit.
//!
//! The file and those that it names are looked at for every connection and every request, and read again when they
//! changed. A reload that fails leaves everything as it was. So does one that would open a door: a file may be caught
//! half-written, and half of it may be a valid one without the users.

mod current;
mod file;
mod rate;
mod rules;
mod source;
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

use self::current::{Current, Reloads};
use self::rules::Rules;
use self::users::{Checks, Verdict};
use super::rejection::Rejection;
use super::routes::Access;
use crate::config::{ConfigError, Kind, Loaded, Setting};

/// The settings of this module as written in the configuration: the section `web`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebWritten {
    /// The path of the web configuration file.
    pub config_file: Option<String>,
    /// Whether probes need no credentials.
    pub open_probes: Option<String>,
}

/// How the server may be used. Without a web configuration file: by everyone, over plain HTTP.
#[derive(Debug, Clone, Default)]
pub struct Web {
    open_probes: bool,
    file: Option<Arc<Current>>,
    checks: Checks,
    reloads: Reloads,
}

impl Web {
    /// The two options; `variable` names the environment variable of a key.
    pub fn settings(variable: impl Fn(&str) -> String) -> [Setting; 2] {
        let option = |key: &'static str, help: &'static str| Setting::new(key, variable(key), help);
        [
            option(
                "web.config_file",
                "Web configuration file of the Prometheus exporter toolkit: TLS, basic authentication, headers, rate limit",
            )
            .flag("web.config.file")
            .value_name("PATH"),
            option("web.open_probes", "Answer /health and /ready (and /-/healthy, /-/ready) without credentials, outside the rate limit")
                .flag("web.open-probes")
                .kind(Kind::Switch)
                .default("false"),
        ]
    }

    /// Validates the options and reads the web configuration.
    ///
    /// # Errors
    /// One line that names the option, its source and what is wrong with the file.
    pub fn validate<W>(loaded: &Loaded<W>, written: &WebWritten) -> Result<Self, ConfigError> {
        let reloads = Reloads::default();
        let file = loaded.optional("web.config_file", written.config_file.as_ref(), |path| {
            Current::load(PathBuf::from(path), reloads.clone()).map_err(|problem| {
                format!("cannot be used: {problem}; allowed is a web configuration of the Prometheus exporter toolkit")
            })
        })?;
        let open_probes = loaded.switch("web.open_probes", written.open_probes.as_ref(), false)?;
        Ok(Self { open_probes, file: file.map(Arc::new), reloads, ..Self::default() })
    }

    /// Reads a web configuration file.
    ///
    /// # Errors
    /// It or a file that it names cannot be read or used.
    pub fn load(path: &Path, open_probes: bool) -> Result<Self, WebConfigError> {
        let reloads = Reloads::default();
        let file = Current::load(path.to_owned(), reloads.clone())
            .map_err(|problem| WebConfigError::new(&problem))?;
        Ok(Self { open_probes, file: Some(Arc::new(file)), reloads, ..Self::default() })
    }

    /// Says in the log what the web configuration file amounts to, and what of it is left out.
    pub fn announce(&self) {
        if let Some(file) = &self.file {
            tracing::info!(rules = %file.rules(), "serving by the web configuration");
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        self.reloads.register(registry);
        registry.register(
            "exporter_web_password_checks",
            "Passwords that were compared with a bcrypt hash; those whose outcome is remembered are not",
            self.checks.count.clone(),
        );
    }

    /// Reads the web configuration again and says in the log what came of it.
    pub(super) fn reload(&self) {
        match &self.file {
            Some(file) => file.reload(),
            None => tracing::info!("there is no web configuration to read again"),
        }
    }

    /// The rules at this moment; `None` where there are none.
    pub(super) async fn rules(&self) -> Option<Arc<Rules>> {
        match &self.file {
            Some(file) => Some(file.looked_up().await),
            None => None,
        }
    }

    /// Whether a request may be answered, by its page, headers and origin.
    pub(super) async fn admit(
        &self,
        rules: &Rules,
        access: Access,
        headers: &HeaderMap,
        client: IpAddr,
    ) -> Result<(), Rejection> {
        if access == Access::Everybody || (self.open_probes && access == Access::Probe) {
            return Ok(());
        }
        if rules.bucket.as_ref().is_some_and(|bucket| !bucket.take(Instant::now())) {
            return Err(Rejection::RateLimit);
        }
        let Some(users) = &rules.users else { return Ok(()) };
        let authorization = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        match users.check(authorization, client, &self.checks).await {
            Verdict::Accepted => Ok(()),
            Verdict::Refused => Err(Rejection::Credentials),
            Verdict::Busy => Err(Rejection::PasswordChecks),
        }
    }
}
