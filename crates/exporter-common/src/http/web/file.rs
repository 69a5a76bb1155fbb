//! Parses the web configuration file of the Prometheus exporter toolkit into a validated [`WebConfig`], without IO.
//!
//! Error messages use the toolkit's texts where it has them. Settings that the toolkit accepts and this server does not
//! support are rejected or listed in [`TlsServer::left_out`], never ignored silently.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use rustls::crypto::{SupportedKxGroup, ring};
use rustls::{CipherSuite, NamedGroup, SupportedCipherSuite, SupportedProtocolVersion};
use zeroize::Zeroizing;

use crate::config::{parse_bool, parse_duration};
use crate::secret::Secret;
use crate::yaml::{self, Entry, Map, Node, Value};

/// Why a web configuration is invalid, in one line without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WebConfigError(String);

impl WebConfigError {
    /// Creates an error. Control characters are replaced, because the message can quote the file and must be one line.
    pub(super) fn new(message: &str) -> Self {
        Self(message.replace(char::is_control, " "))
    }

    fn at(line: usize, problem: impl std::fmt::Display) -> Self {
        Self::new(&format!("line {line}: {problem}"))
    }
}

type Result<T> = std::result::Result<T, WebConfigError>;

/// A valid web configuration. The files that it names have not been read.
#[derive(Debug, Clone)]
pub struct WebConfig {
    /// `tls_server_config`; `None` for plain HTTP.
    pub tls: Option<TlsServer>,
    /// `http_server_config.http2`: whether HTTP/2 is offered over TLS.
    pub http2: bool,
    /// `http_server_config.headers`: headers of every response.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `basic_auth_users`: the bcrypt hash of each user's password. Empty for no authentication.
    pub users: BTreeMap<String, Secret>,
    /// `rate_limit`; `None` for no limit.
    pub rate_limit: Option<RateLimit>,
}

/// The section `tls_server_config`.
#[derive(Debug, Clone)]
pub struct TlsServer {
    /// The certificate chain.
    pub certificate: Pem,
    /// Its private key.
    pub key: Pem,
    /// The policy for client certificates.
    pub client_auth: ClientAuth,
    /// The certificate authorities for client certificates.
    pub client_ca: Option<Pem>,
    /// Names of which a client certificate must have at least one.
    pub client_allowed_sans: Option<Vec<String>>,
    /// The versions of TLS, oldest first.
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// The cipher suites in the server's order.
    pub cipher_suites: Vec<SupportedCipherSuite>,
    /// The groups of the key exchange in the server's order.
    pub curves: Vec<&'static dyn SupportedKxGroup>,
    /// Whether the server's order of cipher suites wins over the client's.
    pub prefer_server_cipher_suites: bool,
    /// Configured values that are left out because this server does not support them: weak suites, old versions.
    pub left_out: Vec<String>,
}

/// The location of a PEM text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pem {
    /// In the web configuration.
    Inline(Secret),
    /// In a separate file. A relative path is relative to the folder of the web configuration.
    File(PathBuf),
}

/// The policy for client certificates, with the names of Go's `tls.ClientAuthType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// No certificate is requested.
    NoClientCert,
    /// A certificate is requested. It is optional and not verified.
    RequestClientCert,
    /// A certificate is required. It is not verified.
    RequireAnyClientCert,
    /// A certificate is requested. It is optional, but must be signed by the client CA.
    VerifyClientCertIfGiven,
    /// A certificate is required and must be signed by the client CA.
    RequireAndVerifyClientCert,
}

impl ClientAuth {
    /// Whether a certificate must be signed by the client CA.
    pub fn verifies(self) -> bool {
        matches!(self, Self::VerifyClientCertIfGiven | Self::RequireAndVerifyClientCert)
    }

    /// Whether a connection requires a certificate.
    pub fn requires(self) -> bool {
        matches!(self, Self::RequireAnyClientCert | Self::RequireAndVerifyClientCert)
    }
}

impl FromStr for ClientAuth {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        Ok(match name {
            "" | "NoClientCert" => Self::NoClientCert,
            "RequestClientCert" => Self::RequestClientCert,
            // The second is the toolkit's older name.
            "RequireAnyClientCert" | "RequireClientCert" => Self::RequireAnyClientCert,
            "VerifyClientCertIfGiven" => Self::VerifyClientCertIfGiven,
            "RequireAndVerifyClientCert" => Self::RequireAndVerifyClientCert,
            other => return Err(format!("invalid ClientAuth: {other}")),
        })
    }
}

/// A token bucket: `burst` requests immediately, and one more for each `interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// The time until another request is allowed.
    pub interval: Duration,
    /// Requests that are allowed immediately.
    pub burst: u32,
}

/// The headers that can be configured and their valid values; an empty list allows any value.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// The TLS versions with Go's names; `None` if this server does not support the version.
const VERSIONS: [(&str, Option<&SupportedProtocolVersion>); 4] = [
    ("TLS10", None),
    ("TLS11", None),
    ("TLS12", Some(&rustls::version::TLS12)),
    ("TLS13", Some(&rustls::version::TLS13)),
];

/// The key exchange groups with Go's names; `None` if this server does not support the group.
const CURVES: [(&str, Option<NamedGroup>); 4] = [
    ("X25519", Some(NamedGroup::X25519)),
    ("CurveP256", Some(NamedGroup::secp256r1)),
    ("CurveP384", Some(NamedGroup::secp384r1)),
    ("CurveP521", None),
];

/// Cipher suites that Go supports and this server does not: suites with CBC or without forward secrecy.
const UNSUPPORTED_SUITES: [&str; 10] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
];

/// HTTP/2 requires one of these from a server that supports TLS 1.2.
const HTTP2_SUITES: [CipherSuite; 2] = [
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
];

/// Parses a web configuration.
///
/// # Errors
/// The text is not a valid web configuration. The error is one line with the position and the problem.
pub fn parse(text: &str) -> Result<WebConfig> {
    let mut top = Section::new("", yaml::parse(text).map_err(|problem| WebConfigError::new(&problem))?);
    let tls = top.section("tls_server_config")?;
    let http = top.section("http_server_config")?;
    let rate_limit = top.section("rate_limit")?;
    let users = top.section("basic_auth_users")?;
    top.close()?;
    let (http2, headers) = http_server(http)?;
    Ok(WebConfig {
        tls: tls_server(tls, http2)?,
        http2,
        headers,
        users: basic_auth_users(users)?,
        rate_limit: rate_limit_of(rate_limit)?,
    })
}

fn tls_server(mut section: Section, http2: bool) -> Result<Option<TlsServer>> {
    let is_configured = !section.is_blank();
    let certificate = section.pem("cert", "cert_file")?;
    let key = section.pem("key", "key_file")?;
    let client_ca = section.pem("client_ca", "client_ca_file")?;
    let client_auth = section.parsed("client_auth_type", str::parse)?.unwrap_or(ClientAuth::NoClientCert);
    let client_allowed_sans = section.list("client_allowed_sans", |name| Ok(name.to_owned()))?;
    let mut left_out = Vec::new();
    let min = section.parsed("min_version", |name| named("TLS version", name, &VERSIONS))?;
    let min = min.and_then(|min| supported("TLS version", min, &mut left_out));
    let max = section.parsed("max_version", |name| match named("TLS version", name, &VERSIONS)?.1 {
        Some(max) => Ok(max),
        None => Err(format!("TLS version {name} is not supported; allowed are TLS12, TLS13")),
    })?;
    let suites = section.list("cipher_suites", cipher_suite)?.unwrap_or_default();
    let lists_suites = !suites.is_empty();
    let suites: Vec<_> =
        suites.into_iter().filter_map(|suite| supported("cipher", suite, &mut left_out)).collect();
    let curves = section.list("curve_preferences", curve)?.unwrap_or_default();
    let curves: Vec<_> =
        curves.into_iter().filter_map(|curve| supported("curve", curve, &mut left_out)).collect();
    let prefer_server_cipher_suites = section.switch("prefer_server_cipher_suites", true)?;
    section.close()?;
    if !is_configured {
        return Ok(None);
    }

    let missing = |what: &str| WebConfigError::new(&format!("missing one of {what} or {what}_file"));
    let certificate = certificate.ok_or_else(|| missing("cert"))?;
    let key = key.ok_or_else(|| missing("key"))?;
    if client_ca.is_some() && client_auth == ClientAuth::NoClientCert {
        return reject("client CA's have been configured without a Client Auth Policy");
    }
    if client_ca.is_none() && client_auth == ClientAuth::RequireAndVerifyClientCert {
        return reject(
            "client_auth_type RequireAndVerifyClientCert needs one of client_ca or client_ca_file",
        );
    }
    if client_allowed_sans.is_some() && !client_auth.requires() {
        return reject(
            "client_allowed_sans requires client_auth_type to be one of RequireAnyClientCert or RequireAndVerifyClientCert",
        );
    }
    let (versions, cipher_suites) = versions_and_suites(min, max, lists_suites.then_some(suites))?;
    if http2 && !supports_http2(&versions, &cipher_suites) {
        return reject(
            "cipher_suites is missing an HTTP/2-required AES_128_GCM_SHA256 cipher (need at least one of TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 or TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256), or set http2: false",
        );
    }
    Ok(Some(TlsServer {
        certificate,
        key,
        client_auth,
        client_ca,
        client_allowed_sans,
        versions,
        cipher_suites,
        curves: if curves.is_empty() { ring::ALL_KX_GROUPS.to_vec() } else { curves },
        prefer_server_cipher_suites,
        left_out,
    }))
}

/// A value with Go's name; `None` if this server does not support it.
type Named<T> = (String, Option<T>);

/// Returns the value, or adds the name to `left_out` if it is not supported.
fn supported<T>(what: &str, (name, value): Named<T>, left_out: &mut Vec<String>) -> Option<T> {
    if value.is_none() {
        left_out.push(format!("{what} {name}"));
    }
    value
}

/// Returns the versions from `min` to `max` and their cipher suites. As in Go, the configured list is about TLS 1.2: the
/// suites of TLS 1.3 are always enabled, and without a suite for TLS 1.2 that version is disabled.
fn versions_and_suites(
    min: Option<&'static SupportedProtocolVersion>,
    max: Option<&'static SupportedProtocolVersion>,
    listed: Option<Vec<SupportedCipherSuite>>,
) -> Result<(Vec<&'static SupportedProtocolVersion>, Vec<SupportedCipherSuite>)> {
    let mut suites = ring::ALL_CIPHER_SUITES.to_vec();
    if let Some(listed) = listed {
        suites.retain(|suite| suite.tls13().is_some());
        suites.extend(listed.into_iter().filter(|suite| suite.tls13().is_none()));
    }
    let number = |version: &SupportedProtocolVersion| u16::from(version.version);
    let versions: Vec<&'static SupportedProtocolVersion> = [&rustls::version::TLS12, &rustls::version::TLS13]
        .into_iter()
        .filter(|version| min.is_none_or(|min| number(version) >= number(min)))
        .filter(|version| max.is_none_or(|max| number(version) <= number(max)))
        .filter(|version| suites.iter().any(|suite| suite.version() == *version))
        .collect();
    if versions.is_empty() {
        return reject(
            "no TLS version is left between min_version and max_version with one of cipher_suites",
        );
    }
    Ok((versions, suites))
}

fn supports_http2(versions: &[&SupportedProtocolVersion], suites: &[SupportedCipherSuite]) -> bool {
    !versions.contains(&&rustls::version::TLS12)
        || suites.iter().any(|suite| HTTP2_SUITES.contains(&suite.suite()))
}

fn cipher_suite(name: &str) -> std::result::Result<Named<SupportedCipherSuite>, String> {
    // Go uses the IANA's names; rustls has a different prefix for those of TLS 1.3.
    let has_name = |suite: &&SupportedCipherSuite| {
        suite.suite().as_str().is_some_and(|own| own.replacen("TLS13_", "TLS_", 1) == name)
    };
    match ring::ALL_CIPHER_SUITES.iter().find(has_name) {
        None if !UNSUPPORTED_SUITES.contains(&name) => Err(format!("unknown cipher: {name}")),
        suite => Ok((name.to_owned(), suite.copied())),
    }
}

fn curve(name: &str) -> std::result::Result<Named<&'static dyn SupportedKxGroup>, String> {
    let (name, group) = named("curve", name, &CURVES)?;
    let found = ring::ALL_KX_GROUPS.iter().find(|candidate| Some(candidate.name()) == group);
    Ok((name, found.copied()))
}

/// Looks up one of Go's names in a table.
fn named<T: Copy>(
    what: &str,
    name: &str,
    table: &[(&str, Option<T>)],
) -> std::result::Result<Named<T>, String> {
    match table.iter().find(|(known, _)| *known == name) {
        Some((_, value)) => Ok((name.to_owned(), *value)),
        None => Err(format!("unknown {what}: {name}")),
    }
}

fn http_server(mut section: Section) -> Result<(bool, Vec<(HeaderName, HeaderValue)>)> {
    let http2 = section.switch("http2", true)?;
    let written = section.section("headers")?;
    section.close()?;
    let mut headers = Vec::new();
    for Entry { key, line, node } in written.entries {
        let Some((_, allowed)) = HEADERS.iter().find(|(name, _)| *name == key) else {
            return Err(WebConfigError::at(line, format_args!("HTTP header {key:?} can not be configured")));
        };
        let value = text_of(&key, node)?.map(|(_, text)| text).unwrap_or_default();
        if !allowed.is_empty() && !allowed.contains(&value.as_str()) {
            let problem =
                format!("invalid value for {key}. Expected one of: {allowed:?}, but got: {:?}", *value);
            return Err(WebConfigError::at(line, problem));
        }
        if value.is_empty() {
            continue;
        }
        let (Ok(name), Ok(value)) = (HeaderName::from_str(&key), HeaderValue::from_str(&value)) else {
            return Err(WebConfigError::at(
                line,
                format_args!("invalid value for {key}: it is not valid in a header"),
            ));
        };
        headers.push((name, value));
    }
    Ok((http2, headers))
}

fn basic_auth_users(section: Section) -> Result<BTreeMap<String, Secret>> {
    let mut users = BTreeMap::new();
    for Entry { key, line, node } in section.entries {
        if key.contains(':') {
            let problem =
                format!("user {key:?} has a colon in the name, which basic authentication cannot send");
            return Err(WebConfigError::at(line, problem));
        }
        let hash = text_of(&key, node)?.map(|(_, text)| text).unwrap_or_default();
        let invalid =
            |reason: &str| WebConfigError::at(line, format_args!("user {key:?}: crypto/bcrypt: {reason}"));
        if hash.len() < BCRYPT_HASH_LENGTH {
            return Err(invalid("hashedSecret too short to be a bcrypted password"));
        }
        let parts = bcrypt::HashParts::from_str(&hash).map_err(|error| invalid(&error.to_string()))?;
        if !BCRYPT_COSTS.contains(&parts.get_cost()) {
            let reason = format!("cost {} is outside allowed inclusive range 4..31", parts.get_cost());
            return Err(invalid(&reason));
        }
        users.insert(key, Secret::from(hash));
    }
    Ok(users)
}

/// Characters of a bcrypt hash with its prefix.
const BCRYPT_HASH_LENGTH: usize = 60;

/// The costs that bcrypt allows, as binary logarithms of the number of rounds.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=31;

fn rate_limit_of(mut section: Section) -> Result<Option<RateLimit>> {
    let interval = section.parsed("interval", |text| {
        parse_duration(text)
            .map_err(|error| format!("interval {text:?} {error}; allowed is a duration such as 500ms or 1s"))
    })?;
    let burst = section.parsed("burst", |text| {
        text.parse::<u32>().map_err(|_| format!("burst {text:?} is not a number of requests"))
    })?;
    section.close()?;
    match (interval, burst) {
        (None | Some(Duration::ZERO), _) => Ok(None),
        (Some(_), None | Some(0)) => {
            reject("rate_limit without a burst of at least 1 would reject every request")
        }
        (Some(interval), Some(burst)) => Ok(Some(RateLimit { interval, burst })),
    }
}

fn reject<T>(problem: &str) -> Result<T> {
    Err(WebConfigError::new(problem))
}

/// Returns a text with its line; `None` for an empty value.
fn text_of(key: &str, node: Node) -> Result<Option<(usize, Zeroizing<String>)>> {
    match node.value {
        Value::Null => Ok(None),
        Value::Text(text) => Ok(Some((node.line, text))),
        Value::List(_) | Value::Map(_) => {
            Err(WebConfigError::at(node.line, format_args!("{key} is not a text")))
        }
    }
}

/// A mapping whose keys are taken out one by one.
struct Section {
    name: &'static str,
    entries: Map,
    /// The keys that were looked up, which are the allowed ones.
    known: Vec<&'static str>,
}

impl Section {
    fn new(name: &'static str, entries: Map) -> Self {
        Self { name, entries, known: Vec::new() }
    }

    /// Whether all values are empty.
    fn is_blank(&self) -> bool {
        self.entries.iter().all(|entry| match &entry.node.value {
            Value::Null => true,
            Value::Text(text) => text.is_empty(),
            Value::List(_) | Value::Map(_) => false,
        })
    }

    fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(index).node)
    }

    /// Returns a subsection; an empty one if the key is missing.
    fn section(&mut self, key: &'static str) -> Result<Section> {
        match self.take(key) {
            None | Some(Node { value: Value::Null, .. }) => Ok(Section::new(key, Map::new())),
            Some(Node { value: Value::Map(entries), .. }) => Ok(Section::new(key, entries)),
            Some(Node { line, .. }) => {
                Err(WebConfigError::at(line, format_args!("{key} is not a mapping of keys to values")))
            }
        }
    }

    fn text(&mut self, key: &'static str) -> Result<Option<(usize, Zeroizing<String>)>> {
        match self.take(key) {
            None => Ok(None),
            Some(node) => text_of(key, node),
        }
    }

    fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> std::result::Result<T, String>,
    ) -> Result<Option<T>> {
        let Some((line, text)) = self.text(key)? else { return Ok(None) };
        parse(&text).map(Some).map_err(|problem| WebConfigError::at(line, problem))
    }

    fn switch(&mut self, key: &'static str, default: bool) -> Result<bool> {
        let value = self.parsed(key, |text| {
            parse_bool(text).ok_or_else(|| format!("{key} is {text:?}; allowed is true or false"))
        })?;
        Ok(value.unwrap_or(default))
    }

    fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> std::result::Result<T, String>,
    ) -> Result<Option<Vec<T>>> {
        let items = match self.take(key) {
            None | Some(Node { value: Value::Null, .. }) => return Ok(None),
            Some(Node { value: Value::List(items), .. }) => items,
            Some(Node { line, .. }) => {
                return Err(WebConfigError::at(line, format_args!("{key} is not a list")));
            }
        };
        let item = |node: Node| {
            let line = node.line;
            let (_, text) = text_of(key, node)?
                .ok_or_else(|| WebConfigError::at(line, format_args!("{key} has an empty item")))?;
            parse(&text).map_err(|problem| WebConfigError::at(line, problem))
        };
        items.into_iter().map(item).collect::<Result<_>>().map(Some)
    }

    /// Returns a PEM text, either inline or as a file. Setting both is an error.
    fn pem(&mut self, inline: &'static str, file: &'static str) -> Result<Option<Pem>> {
        let inline_text = self.text(inline)?.filter(|(_, text)| !text.is_empty());
        let path = self.text(file)?.filter(|(_, path)| !path.is_empty());
        match (inline_text, path) {
            (None, None) => Ok(None),
            (Some((_, text)), None) => Ok(Some(Pem::Inline(Secret::from(text)))),
            (None, Some((_, path))) => Ok(Some(Pem::File(PathBuf::from(path.as_str())))),
            (Some(_), Some((line, _))) => {
                Err(WebConfigError::at(line, format_args!("at most one of {inline} and {file} may be set")))
            }
        }
    }

    /// Returns an error if there are unknown keys left.
    fn close(self) -> Result<()> {
        let Some(Entry { key, line, .. }) = self.entries.first() else { return Ok(()) };
        let section = if self.name.is_empty() { String::new() } else { format!(" in {}", self.name) };
        let problem = format!("unknown key {key}{section}; allowed here: {}", self.known.join(", "));
        Err(WebConfigError::at(*line, problem))
    }
}
