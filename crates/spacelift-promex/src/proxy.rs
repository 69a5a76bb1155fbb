//! The proxy from the environment, by the rules of Go's HTTP client: `HTTPS_PROXY` or `HTTP_PROXY`, depending on the
//! endpoint's scheme, and `NO_PROXY`, each also in lower case. `ALL_PROXY` is not read.
//!
//! Unlike in Go's client, an invalid value is an error, and an `https` endpoint on this host is reached through the proxy
//! too.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use exporter_common::config::{ConfigError, Environment};
use exporter_common::upstream::is_on_this_host;
use http::uri::Scheme;
use http::{HeaderValue, Uri};
use ipnet::IpNet;
use percent_encoding::percent_decode_str;

/// An HTTP proxy.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// `http://HOST:PORT`.
    uri: Uri,
    /// `Basic …`, marked sensitive.
    authorization: Option<HeaderValue>,
    /// The variable that names the proxy.
    variable: &'static str,
}

impl Proxy {
    /// Returns the proxy for `endpoint`. Returns `None` for a plain `http` endpoint on this host: it is a sidecar, which a
    /// proxy could not reach.
    ///
    /// # Errors
    /// Returns an error if the variable for this endpoint is invalid. The message contains the variable's name but not its
    /// value, which may contain a password.
    pub(crate) fn of(endpoint: &Uri, environment: &Environment) -> Result<Option<Self>, ConfigError> {
        let is_plain = endpoint.scheme() == Some(&Scheme::HTTP);
        let names = if is_plain { ["HTTP_PROXY", "http_proxy"] } else { ["HTTPS_PROXY", "https_proxy"] };
        let Some((variable, value)) = first_set(environment, names)? else { return Ok(None) };
        let no_proxy = first_set(environment, ["NO_PROXY", "no_proxy"])?;
        if (is_plain && is_on_this_host(endpoint))
            || no_proxy.is_some_and(|(_, list)| is_exempt(endpoint, &list))
        {
            return Ok(None);
        }
        Self::parse(variable, &value).map(Some).map_err(|problem| {
            ConfigError::new(format!(
                "the proxy for api_endpoint from variable {variable} {problem}; allowed is http://[USER:PASSWORD@]HOST[:PORT]"
            ))
        })
    }

    fn parse(variable: &'static str, value: &str) -> Result<Self, String> {
        if value.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("contains white space or control characters".to_owned());
        }
        // As in Go, the scheme may be left out.
        let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(format!("is not an http:// proxy{}", format_scheme(scheme)));
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, after) = rest.split_at(end);
        if let (Some(raw), true) = (after.chars().next(), after.contains('@')) {
            return Err(must_be_encoded(raw));
        }
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, _)) if user.contains('@') => return Err(must_be_encoded('@')),
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let uri: Uri =
            format!("http://{host}/").parse().map_err(|_| "has no valid host and port".to_owned())?;
        let port = host.rsplit(']').next().unwrap_or_default().split_once(':');
        if uri.host().is_none_or(str::is_empty) || port.is_some_and(|(_, port)| port.parse::<u16>().is_err())
        {
            return Err("has no valid host and port".to_owned());
        }
        Ok(Self { uri, authorization: user.map(basic).transpose()?, variable })
    }

    /// Returns the proxy's address, `http://HOST:PORT`.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Returns the value of `Proxy-Authorization`.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Returns the variable that names the proxy.
    pub(crate) fn variable(&self) -> &'static str {
        self.variable
    }
}

/// Returns the first of the variables that is not blank, with its trimmed value.
fn first_set(
    environment: &Environment,
    names: [&'static str; 2],
) -> Result<Option<(&'static str, String)>, ConfigError> {
    for name in names {
        let value = environment.get(name)?.unwrap_or_default();
        if !value.trim().is_empty() {
            return Ok(Some((name, value.trim().to_owned())));
        }
    }
    Ok(None)
}

/// Formats the scheme for a message. Returns an empty string if it may be part of a secret.
fn format_scheme(scheme: &str) -> String {
    let is_scheme =
        scheme.len() <= 16 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    if is_scheme { format!(" but {scheme}://") } else { String::new() }
}

/// The message for a reserved character that must be percent-encoded in the user or password.
fn must_be_encoded(raw: char) -> String {
    format!(
        "cannot be parsed because there is a {raw} in its user or password; {raw} is written %{:02X} there",
        u32::from(raw)
    )
}

/// Returns the `Authorization` value for the user and password of a URL.
fn basic(user: &str) -> Result<HeaderValue, String> {
    let escaped = |part: &str| {
        part.split('%')
            .skip(1)
            .all(|rest| rest.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)))
    };
    if !escaped(user) {
        return Err(must_be_encoded('%'));
    }
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let mut credentials: Vec<u8> = percent_decode_str(name).collect();
    credentials.push(b':');
    credentials.extend(percent_decode_str(password));
    let mut header = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(credentials)))
        .map_err(|_| "has credentials that cannot be sent".to_owned())?;
    header.set_sensitive(true);
    Ok(header)
}

/// Returns whether a `NO_PROXY` list contains the endpoint. Entries are `*`, addresses, networks (CIDR) and domains. A
/// domain includes its subdomains; with a leading `.` or `*.` it is only the subdomains. An entry with a port applies to
/// that port only.
fn is_exempt(endpoint: &Uri, list: &str) -> bool {
    let host = endpoint.host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
    let default = if endpoint.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 };
    let port = endpoint.port_u16().unwrap_or(default);
    let address: Option<IpAddr> = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    list.split(',').map(|entry| entry.trim().to_ascii_lowercase()).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let Ok(network) = entry.parse::<IpNet>() {
            return address.is_some_and(|address| network.contains(&address));
        }
        let (name, only_port) = host_and_port(&entry);
        if name.is_empty() || only_port.is_some_and(|only| only.parse() != Ok(port)) {
            return false;
        }
        match (name.parse::<IpAddr>(), address) {
            (Ok(exempt), Some(address)) => exempt.to_canonical() == address,
            (Ok(_), None) | (Err(_), Some(_)) => false,
            (Err(_), None) => is_domain_of(name, &host),
        }
    })
}

/// Splits an entry into host and port. An IPv6 address without brackets has no port.
fn host_and_port(entry: &str) -> (&str, Option<&str>) {
    if let Some((address, port)) = entry.strip_prefix('[').and_then(|entry| entry.split_once(']')) {
        return (address, port.strip_prefix(':'));
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (entry, None),
    }
}

/// Returns whether `host` is `domain` or one of its subdomains.
fn is_domain_of(domain: &str, host: &str) -> bool {
    let (name, itself) = match domain.strip_prefix('*').unwrap_or(domain).strip_prefix('.') {
        Some(name) => (name, false),
        None => (domain, true),
    };
    match host.strip_suffix(name) {
        Some("") => itself,
        Some(subdomain) => subdomain.ends_with('.'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(endpoint: &str, variables: &[(&str, &str)]) -> Result<Option<Proxy>, ConfigError> {
        Proxy::of(&endpoint.parse().unwrap(), &variables.iter().copied().collect())
    }

    #[test]
    fn reads_the_variable_of_the_scheme() {
        let all = [
            ("HTTPS_PROXY", " http://secure:1\n"),
            ("https_proxy", "http://lower:2"),
            ("HTTP_PROXY", "   "),
            ("http_proxy", "plain:3"),
            ("ALL_PROXY", "socks5://all:4"),
            ("all_proxy", "socks5://all:4"),
        ];
        for (endpoint, host, variable) in [
            ("https://acme.test", "secure:1", "HTTPS_PROXY"),
            ("https://localhost:8443", "secure:1", "HTTPS_PROXY"),
            ("http://acme.test", "plain:3", "http_proxy"),
        ] {
            let proxy = proxy(endpoint, &all).unwrap().unwrap();
            assert_eq!(proxy.uri().to_string(), format!("http://{host}/"));
            assert_eq!(proxy.variable(), variable);
        }
        assert!(proxy("http://127.0.0.1:8080", &all).unwrap().is_none());
        assert!(proxy("https://acme.test", &all[2..]).unwrap().is_none());
    }

    #[test]
    fn decodes_credentials() {
        for (value, credentials) in [
            ("http://user:p%40ss%23%2F@proxy:1", Some("user:p@ss#/")),
            ("HTTP://user@proxy", Some("user:")),
            ("user:pass:word@proxy:1/", Some("user:pass:word")),
            ("http://proxy:1/", None),
            ("http://[::1]:3128", None),
        ] {
            let proxy = proxy("https://acme.test", &[("HTTPS_PROXY", value)]).unwrap().unwrap();
            let expected = credentials.map(|text| format!("Basic {}", STANDARD.encode(text)));
            let got = proxy.authorization().map(|header| header.to_str().unwrap().to_owned());
            assert_eq!(got, expected, "{value}");
            assert!(!format!("{proxy:?}").contains(&STANDARD.encode("user:pass")), "{proxy:?}");
        }
    }

    #[test]
    fn errors_do_not_contain_the_password() {
        for (value, problem) in [
            ("ftp://hush:hush@proxy:1", "is not an http:// proxy but ftp://"),
            ("socks5://proxy:1080", "is not an http:// proxy but socks5://"),
            ("https://proxy:1", "is not an http:// proxy but https://"),
            ("http://u:hu@sh@proxy:1", "there is a @ in its user or password; @ is written %40"),
            ("http://u:hu#sh@proxy:1", "there is a # in its user or password; # is written %23"),
            ("http://u:hu/sh@proxy:1", "there is a / in its user or password; / is written %2F"),
            ("http://u:hu?sh@proxy:1", "there is a ? in its user or password; ? is written %3F"),
            ("http://u:hu%sh@proxy:1", "there is a % in its user or password; % is written %25"),
            ("http://u:hu sh@proxy:1", "contains white space"),
            ("http://u:hush@", "has no valid host"),
            ("http://:3128", "has no valid host"),
            ("http://proxy:port", "has no valid host"),
            ("http://proxy:99999", "has no valid host"),
            ("http://", "has no valid host"),
        ] {
            for variable in ["HTTPS_PROXY", "https_proxy"] {
                let error = proxy("https://acme.test", &[(variable, value)]).unwrap_err().to_string();
                assert!(
                    error.contains(problem) && error.contains(&format!("variable {variable} ")),
                    "{error}"
                );
                assert!(!error.contains("hu"), "{error}");
            }
            // An invalid value is ignored if the endpoint does not use the proxy.
            let exempt = [("HTTPS_PROXY", value), ("NO_PROXY", "acme.test")];
            assert!(proxy("https://acme.test", &exempt).unwrap().is_none());
            assert!(proxy("http://acme.test", &exempt).unwrap().is_none());
        }
    }

    #[test]
    fn no_proxy_follows_the_rules_of_go() {
        for (list, endpoint, expected) in [
            ("*", "https://acme.test", true),
            ("example.org, *", "https://acme.test", true),
            ("acme.test", "https://acme.test", true),
            ("ACME.test", "https://acme.TEST", true),
            ("acme.test", "https://eu.acme.test", true),
            ("acme.test", "https://xacme.test", false),
            (".acme.test", "https://eu.acme.test", true),
            (".acme.test", "https://acme.test", false),
            ("*.acme.test", "https://eu.acme.test", true),
            ("*.acme.test", "https://a.eu.acme.test", true),
            ("*.acme.test", "https://acme.test", false),
            ("*acme.test", "https://eu.acme.test", false),
            ("acme.test:443", "https://acme.test", true),
            ("acme.test:8443", "https://acme.test", false),
            ("acme.test:8443", "https://eu.acme.test:8443", true),
            ("acme.test:80", "http://acme.test", true),
            ("*.acme.test:443", "https://eu.acme.test", true),
            ("10.0.0.0/8", "https://10.1.2.3", true),
            ("10.0.0.0/8", "https://11.1.2.3", false),
            ("10.1.2.3", "https://10.1.2.3", true),
            ("10.1.2.3:443", "https://10.1.2.3", true),
            ("10.1.2.3:80", "https://10.1.2.3", false),
            ("fd00::/8", "https://[fd00::1]", true),
            ("fd00::1", "https://[fd00::1]:8443", true),
            ("[fd00::1]", "https://[fd00::1]", true),
            ("[fd00::1]:443", "https://[fd00::1]", true),
            ("[fd00::1]:80", "https://[fd00::1]", false),
            ("0.3", "https://10.1.0.3", false),
            (":443", "https://acme.test", false),
            ("", "https://acme.test", false),
            (" , ,", "https://acme.test", false),
        ] {
            assert_eq!(is_exempt(&endpoint.parse().unwrap(), list), expected, "{list} {endpoint}");
        }
    }
}
