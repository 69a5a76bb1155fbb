//! The web configuration file of the Prometheus exporter toolkit: bytes to a checked [`WebConfig`], without IO.
//!
//! Its messages are those that users of the toolkit know. What the toolkit takes and this server cannot do is
//! refused here, never left out silently.

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

/// What is wrong with a web configuration, in one line and without a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WebConfigError(String);

impl WebConfigError {
    /// What was written may be part of the message and hold anything; the message is one line all the same.
    pub(super) fn new(message: &str) -> Self {
        Self(message.replace(char::is_control, " "))
    }

    fn at(line: usize, problem: impl std::fmt::Display) -> Self {
        Self::new(&format!("line {line}: {problem}"))
    }
}

type Result<T> = std::result::Result<T, WebConfigError>;

/// A web configuration that makes sense by itself. Files that it names have not been read.
#[derive(Debug, Clone)]
pub struct WebConfig {
    /// `tls_server_config`; without it the server speaks plain HTTP.
    pub tls: Option<TlsServer>,
    /// `http_server_config.http2`: whether HTTP/2 is offered over TLS.
    pub http2: bool,
    /// `http_server_config.headers`: what every answer carries.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `basic_auth_users`: the bcrypt hash of each user's password. Without users there is no authentication.
    pub users: BTreeMap<String, Secret>,
    /// `rate_limit`, where it limits anything.
    pub rate_limit: Option<RateLimit>,
}

/// The section `tls_server_config`.
#[derive(Debug, Clone)]
pub struct TlsServer {
    /// The certificate chain.
    pub certificate: Pem,
    /// Its private key.
    pub key: Pem,
    /// What is asked of clients.
    pub client_auth: ClientAuth,
    /// Who signs certificates of clients.
    pub client_ca: Option<Pem>,
    /// The names of which a client's certificate has to have one.
    pub client_allowed_sans: Option<Vec<String>>,
    /// The versions of TLS, oldest first.
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// The cipher suites in the server's order.
    pub cipher_suites: Vec<SupportedCipherSuite>,
    /// The groups of the key exchange in the server's order.
    pub curves: Vec<&'static dyn SupportedKxGroup>,
    /// Whether the server's order of cipher suites decides, rather than the client's.
    pub prefer_server_cipher_suites: bool,
    /// What is asked for and left out, since this server does not speak it: weak suites, old versions.
    pub left_out: Vec<String>,
}

/// Where PEM text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pem {
    /// In the web configuration.
    Inline(Secret),
    /// In a file of its own; relative to the web configuration's folder.
    File(PathBuf),
}

/// What is asked of clients, under the names of Go's `tls.ClientAuthType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// Nothing.
    NoClientCert,
    /// A certificate, which may be missing and is not verified.
    RequestClientCert,
    /// A certificate, which is not verified.
    RequireAnyClientCert,
    /// A certificate, which may be missing.
    VerifyClientCertIfGiven,
    /// A certificate of the client CA.
    RequireAndVerifyClientCert,
}

impl ClientAuth {
    /// Whether a certificate that is given has to be the client CA's.
    pub fn verifies(self) -> bool {
        matches!(self, Self::VerifyClientCertIfGiven | Self::RequireAndVerifyClientCert)
    }

    /// Whether there is no connection without a certificate.
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

/// A token bucket: `burst` requests at once, and one more for each `interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// The time in which one request becomes possible again.
    pub interval: Duration,
    /// Requests that are possible at once.
    pub burst: u32,
}

/// The headers that may be configured, and their values where only these make sense.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// The versions under Go's names; `None` is one that this server does not speak.
const VERSIONS: [(&str, Option<&SupportedProtocolVersion>); 4] = [
    ("TLS10", None),
    ("TLS11", None),
    ("TLS12", Some(&rustls::version::TLS12)),
    ("TLS13", Some(&rustls::version::TLS13)),
];

/// The groups of a key exchange under Go's names, likewise.
const CURVES: [(&str, Option<NamedGroup>); 4] = [
    ("X25519", Some(NamedGroup::X25519)),
    ("CurveP256", Some(NamedGroup::secp256r1)),
    ("CurveP384", Some(NamedGroup::secp384r1)),
    ("CurveP521", None),
];

/// What Go speaks and this server does not: suites with CBC or without forward secrecy.
const OTHER_SUITES: [&str; 10] = [
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

/// One of these HTTP/2 demands of a server that speaks TLS 1.2.
const HTTP2_SUITES: [CipherSuite; 2] = [
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
];

/// Parses a web configuration.
///
/// # Errors
/// One line that says where and what is wrong, in the toolkit's words where it has words for it.
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
    let is_wanted = !section.is_blank();
    let certificate = section.pem("cert", "cert_file")?;
    let key = section.pem("key", "key_file")?;
    let client_ca = section.pem("client_ca", "client_ca_file")?;
    let client_auth = section.parsed("client_auth_type", str::parse)?.unwrap_or(ClientAuth::NoClientCert);
    let client_allowed_sans = section.list("client_allowed_sans", |name| Ok(name.to_owned()))?;
    let mut left_out = Vec::new();
    let least = section.parsed("min_version", |name| named("TLS version", name, &VERSIONS))?;
    let least = least.and_then(|least| supported("TLS version", least, &mut left_out));
    let most = section.parsed("max_version", |name| match named("TLS version", name, &VERSIONS)?.1 {
        Some(most) => Ok(most),
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
    if !is_wanted {
        return Ok(None);
    }

    let missing = |what: &str| WebConfigError::new(&format!("missing one of {what} or {what}_file"));
    let certificate = certificate.ok_or_else(|| missing("cert"))?;
    let key = key.ok_or_else(|| missing("key"))?;
    if client_ca.is_some() && client_auth == ClientAuth::NoClientCert {
        return refuse("client CA's have been configured without a Client Auth Policy");
    }
    if client_ca.is_none() && client_auth == ClientAuth::RequireAndVerifyClientCert {
        return refuse(
            "client_auth_type RequireAndVerifyClientCert needs one of client_ca or client_ca_file",
        );
    }
    if client_allowed_sans.is_some() && !client_auth.requires() {
        return refuse(
            "client_allowed_sans requires client_auth_type to be one of RequireAnyClientCert or RequireAndVerifyClientCert",
        );
    }
    let (versions, cipher_suites) = versions_and_suites(least, most, lists_suites.then_some(suites))?;
    if http2 && !speaks_http2(&versions, &cipher_suites) {
        return refuse(
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

/// Something under Go's name for it; `None` is what this server does not speak.
type Named<T> = (String, Option<T>);

fn supported<T>(what: &str, (name, value): Named<T>, left_out: &mut Vec<String>) -> Option<T> {
    if value.is_none() {
        left_out.push(format!("{what} {name}"));
    }
    value
}

/// The versions between the least and the most, and the suites for them. As in Go, the list of suites is about TLS
/// 1.2: those of 1.3 are all there, and without one for 1.2 there is no 1.2.
fn versions_and_suites(
    least: Option<&'static SupportedProtocolVersion>,
    most: Option<&'static SupportedProtocolVersion>,
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
        .filter(|version| least.is_none_or(|least| number(version) >= number(least)))
        .filter(|version| most.is_none_or(|most| number(version) <= number(most)))
        .filter(|version| suites.iter().any(|suite| suite.version() == *version))
        .collect();
    if versions.is_empty() {
        return refuse(
            "no TLS version is left between min_version and max_version with one of cipher_suites",
        );
    }
    Ok((versions, suites))
}

fn speaks_http2(versions: &[&SupportedProtocolVersion], suites: &[SupportedCipherSuite]) -> bool {
    !versions.contains(&&rustls::version::TLS12)
        || suites.iter().any(|suite| HTTP2_SUITES.contains(&suite.suite()))
}

fn cipher_suite(name: &str) -> std::result::Result<Named<SupportedCipherSuite>, String> {
    // Go's names are the IANA's, rustls marks those of TLS 1.3.
    let is_it = |suite: &&SupportedCipherSuite| {
        suite.suite().as_str().is_some_and(|own| own.replacen("TLS13_", "TLS_", 1) == name)
    };
    match ring::ALL_CIPHER_SUITES.iter().find(is_it) {
        None if !OTHER_SUITES.contains(&name) => Err(format!("unknown cipher: {name}")),
        suite => Ok((name.to_owned(), suite.copied())),
    }
}

fn curve(name: &str) -> std::result::Result<Named<&'static dyn SupportedKxGroup>, String> {
    let (name, group) = named("curve", name, &CURVES)?;
    let found = ring::ALL_KX_GROUPS.iter().find(|candidate| Some(candidate.name()) == group);
    Ok((name, found.copied()))
}

/// Looks a name of Go's up.
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
                format_args!("invalid value for {key}: no header can hold it"),
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
        let refused =
            |reason: &str| WebConfigError::at(line, format_args!("user {key:?}: crypto/bcrypt: {reason}"));
        if hash.len() < BCRYPT_HASH_LENGTH {
            return Err(refused("hashedSecret too short to be a bcrypted password"));
        }
        let parts = bcrypt::HashParts::from_str(&hash).map_err(|error| refused(&error.to_string()))?;
        if !BCRYPT_COSTS.contains(&parts.get_cost()) {
            let reason = format!("cost {} is outside allowed inclusive range 4..31", parts.get_cost());
            return Err(refused(&reason));
        }
        users.insert(key, Secret::from(hash));
    }
    Ok(users)
}

/// Characters of a bcrypt hash with its prefix.
const BCRYPT_HASH_LENGTH: usize = 60;

/// The binary logarithms of rounds that bcrypt knows.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=31;

fn rate_limit_of(mut section: Section) -> Result<Option<RateLimit>> {
    let interval = section.parsed("interval", |text| {
        parse_duration(text)
            .map_err(|error| format!("interval {text:?} {error}; allowed is a duration such as 500ms or 1s"))
    })?;
    let burst = section.parsed("burst", |text| {
        text.parse::<u32>().map_err(|_| format!("burst {text:?} is no number of requests"))
    })?;
    section.close()?;
    match (interval, burst) {
        (None | Some(Duration::ZERO), _) => Ok(None),
        (Some(_), None | Some(0)) => {
            refuse("rate_limit without a burst of at least 1 would refuse every request")
        }
        (Some(interval), Some(burst)) => Ok(Some(RateLimit { interval, burst })),
    }
}

fn refuse<T>(problem: &str) -> Result<T> {
    Err(WebConfigError::new(problem))
}

/// A text with its line; nothing where nothing is written.
fn text_of(key: &str, node: Node) -> Result<Option<(usize, Zeroizing<String>)>> {
    match node.value {
        Value::Null => Ok(None),
        Value::Text(text) => Ok(Some((node.line, text))),
        Value::List(_) | Value::Map(_) => {
            Err(WebConfigError::at(node.line, format_args!("{key} is no text")))
        }
    }
}

/// A mapping that is taken apart key by key. What it was asked for is what is allowed in it.
struct Section {
    name: &'static str,
    entries: Map,
    known: Vec<&'static str>,
}

impl Section {
    fn new(name: &'static str, entries: Map) -> Self {
        Self { name, entries, known: Vec::new() }
    }

    /// Whether there is nothing in it but empty values.
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

    /// A section of this one; empty where it is not there.
    fn section(&mut self, key: &'static str) -> Result<Section> {
        match self.take(key) {
            None | Some(Node { value: Value::Null, .. }) => Ok(Section::new(key, Map::new())),
            Some(Node { value: Value::Map(entries), .. }) => Ok(Section::new(key, entries)),
            Some(Node { line, .. }) => {
                Err(WebConfigError::at(line, format_args!("{key} is no mapping of keys to values")))
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
                return Err(WebConfigError::at(line, format_args!("{key} is no list")));
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

    /// PEM text that is written here, or in a file that is named here; never both.
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

    /// What is left was not asked for.
    fn close(self) -> Result<()> {
        let Some(Entry { key, line, .. }) = self.entries.first() else { return Ok(()) };
        let place = if self.name.is_empty() { String::new() } else { format!(" in {}", self.name) };
        let problem = format!("unknown key {key}{place}; allowed here: {}", self.known.join(", "));
        Err(WebConfigError::at(*line, problem))
    }
}
