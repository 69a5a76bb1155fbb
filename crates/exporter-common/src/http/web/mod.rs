//! Who may use the server, and how: TLS, basic authentication, extra headers and a rate limit, by the web
//! configuration file of the Prometheus exporter toolkit.
//!
//! The file and those that it names are looked at for every connection and every request, and read again when they
//! changed. A reload that fails leaves everything as it was. So does one that would open a door: a file may be caught
//! half-written, and half of it may be a valid one without the users.

mod file;
mod rate;
mod source;
mod tls;
mod users;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use serde::Deserialize;
use zeroize::Zeroizing;

pub use file::{ClientAuth, Pem, RateLimit, TlsServer, WebConfig, WebConfigError, parse};
pub(super) use tls::HTTP2;

use self::rate::Bucket;
use self::source::Reading;
use self::users::{Checks, Users, Verdict};
use super::rejection::Rejection;
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
    file: Option<Arc<File>>,
    checks: Checks,
    reloads: Family<Reload, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reload {
    outcome: &'static str,
}

const SUCCESS: &str = "success";
const FAILURE: &str = "failure";

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
            option("web.open_probes", "Answer /health and /ready without credentials, outside the rate limit")
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
        let file = loaded.optional("web.config_file", written.config_file.as_ref(), |path| {
            File::load(PathBuf::from(path)).map_err(|problem| {
                format!("cannot be used: {problem}; allowed is a web configuration of the Prometheus exporter toolkit")
            })
        })?;
        let open_probes = loaded.switch("web.open_probes", written.open_probes.as_ref(), false)?;
        Ok(Self { open_probes, file: file.map(Arc::new), ..Self::default() })
    }

    /// Reads a web configuration file.
    ///
    /// # Errors
    /// It or a file that it names cannot be read or used.
    pub fn load(path: &Path, open_probes: bool) -> Result<Self, WebConfigError> {
        let file = File::load(path.to_owned()).map_err(|problem| WebConfigError::new(&problem))?;
        Ok(Self { open_probes, file: Some(Arc::new(file)), ..Self::default() })
    }

    /// Says in the log what the web configuration file amounts to, and what of it is left out.
    pub fn announce(&self) {
        if let Some(rules) = self.rules() {
            tracing::info!(%rules, "serving by the web configuration");
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        for outcome in [SUCCESS, FAILURE] {
            drop(self.reloads.get_or_create(&Reload { outcome }));
        }
        registry.register(
            "exporter_web_config_reloads",
            "Changes of the web configuration and of the files that it names, by whether they could be used",
            self.reloads.clone(),
        );
        registry.register(
            "exporter_web_password_checks",
            "Passwords that were compared with a bcrypt hash; those whose outcome is remembered are not",
            self.checks.count.clone(),
        );
    }

    /// The rules at this moment; `None` where there are none.
    pub(super) fn rules(&self) -> Option<Arc<Rules>> {
        let file = self.file.as_ref()?;
        let (rules, news) = file.rules();
        match news {
            None => {}
            Some(Ok(())) => {
                tracing::info!(file = %file.path.display(), %rules, "reloaded the web configuration");
                self.reloads.get_or_create(&Reload { outcome: SUCCESS }).inc();
            }
            Some(Err(error)) => {
                let file = file.path.display();
                tracing::error!(%file, %error, "the web configuration changed and cannot be used; the last one stays");
                self.reloads.get_or_create(&Reload { outcome: FAILURE }).inc();
            }
        }
        Some(rules)
    }

    /// Whether a request may be answered, by its path, headers and origin.
    pub(super) async fn admit(
        &self,
        rules: &Rules,
        path: &str,
        headers: &HeaderMap,
        client: IpAddr,
    ) -> Result<(), Rejection> {
        if self.open_probes && matches!(path, "/health" | "/ready") {
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

/// What a web configuration amounts to.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    http2: bool,
    client_auth: ClientAuth,
    /// What is asked for and not spoken.
    left_out: Vec<String>,
    users: Option<Arc<Users>>,
    bucket: Option<Arc<Bucket>>,
}

impl Rules {
    /// Reads the files that `config` names. Users and rate limit that stay the same keep what they remember.
    fn new(config: WebConfig, reading: &mut Reading, before: Option<&Self>) -> Result<Self, String> {
        let mut read = |name: &str, pem: &Pem| match pem {
            Pem::Inline(text) => Ok(Zeroizing::new(text.expose().as_bytes().to_vec())),
            Pem::File(path) => {
                let shown = path.display();
                reading.named(path).map_err(|error| format!("failed to read {name} ({shown}): {error}"))
            }
        };
        let tls =
            config.tls.as_ref().map(|tls| tls::server_config(tls, config.http2, &mut read)).transpose()?;
        let rules = Self {
            tls: tls.map(Arc::new),
            headers: config.headers,
            http2: config.http2,
            client_auth: config.tls.as_ref().map_or(ClientAuth::NoClientCert, |tls| tls.client_auth),
            left_out: config.tls.map(|tls| tls.left_out).unwrap_or_default(),
            users: match before
                .and_then(|before| before.users.clone())
                .filter(|users| users.are(&config.users))
            {
                None if config.users.is_empty() => None,
                None => Some(Users::new(config.users).map_err(|_| "the system has no randomness")?.into()),
                users => users,
            },
            bucket: config.rate_limit.map(|limit| {
                let bucket = before.and_then(|before| before.bucket.clone());
                bucket
                    .filter(|bucket| bucket.limit == limit)
                    .unwrap_or_else(|| Bucket::new(limit, Instant::now()).into())
            }),
        };
        match before.and_then(|before| rules.opens(before)) {
            Some(door) => Err(format!("{door} would be turned off, which takes a restart")),
            None => Ok(rules),
        }
    }

    /// What protected the server before and would no longer.
    fn opens(&self, before: &Self) -> Option<&'static str> {
        if before.tls.is_some() && self.tls.is_none() {
            Some("TLS")
        } else if before.users.is_some() && self.users.is_none() {
            Some("basic authentication")
        } else if before.client_auth.requires() && !self.client_auth.requires() {
            Some("the client certificate")
        } else {
            None
        }
    }
}

/// What is in force, for the log.
impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (http2, client_auth) = (self.http2, self.client_auth);
        match &self.tls {
            None => write!(f, "TLS is disabled")?,
            Some(_) => write!(f, "TLS is enabled, http2: {http2}, client_auth_type: {client_auth:?}")?,
        }
        let users = if self.users.is_some() { "required" } else { "not required" };
        write!(f, ", basic authentication is {users}")?;
        match &*self.left_out {
            [] => Ok(()),
            left_out => write!(f, ", not supported and left out: {}", left_out.join(", ")),
        }
    }
}

/// A web configuration file and what it amounts to.
#[derive(Debug)]
struct File {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rules: Arc<Rules>,
    /// The last reading, also one that could not be used.
    reading: Reading,
}

impl File {
    fn load(path: PathBuf) -> Result<Self, String> {
        let (reading, rules) = read(&path, None);
        let state = State { rules: Arc::new(rules?), reading };
        Ok(Self { path, state: Mutex::new(state) })
    }

    /// The rules, and whether this moment brought others, or why it did not.
    fn rules(&self) -> (Arc<Rules>, Option<Result<(), String>>) {
        // The state changes by whole assignments.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.reading.is_current() {
            return (state.rules.clone(), None);
        }
        let (reading, rules) = read(&self.path, Some(&state.rules));
        let is_news = !reading.found(&state.reading);
        state.reading = reading;
        if !is_news {
            return (state.rules.clone(), None);
        }
        let news = rules.map(|rules| state.rules = Arc::new(rules));
        (state.rules.clone(), Some(news))
    }
}

/// Reads the file and those that it names. Which files it took is known even where they cannot be used.
fn read(path: &Path, before: Option<&Rules>) -> (Reading, Result<Rules, String>) {
    let mut reading = Reading::relative_to(path);
    let text = match reading.read(path.to_owned()) {
        Ok(bytes) => bytes,
        Err(error) => return (reading, Err(error.to_string())),
    };
    let rules = match std::str::from_utf8(&text) {
        Err(_) => Err("is not UTF-8 text".to_owned()),
        Ok(text) => match parse(text) {
            Err(error) => Err(error.to_string()),
            Ok(config) => Rules::new(config, &mut reading, before),
        },
    };
    (reading, rules)
}
