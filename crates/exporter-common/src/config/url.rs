//! URLs of services, as they are configured.

use http::Uri;
use http::uri::Authority;

/// Why a text is no URL of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It cannot be read as a URL at all.
    #[error("is no URL")]
    Form,
    /// The scheme is another, or there is none.
    #[error("is no http or https URL")]
    Scheme,
    /// There is no host.
    #[error("has no host")]
    Host,
    /// The port is no number from 1 to 65535.
    #[error("has no port from 0 to 65535")]
    Port,
    /// There is a user name or a password in it.
    #[error("holds credentials")]
    Credentials,
    /// There is a query.
    #[error("has a query")]
    Query,
    /// There is a fragment.
    #[error("has a fragment")]
    Fragment,
}

/// Reads the URL of a service: `http` or `https`, a host, perhaps a port and a path, and nothing else.
///
/// # Errors
/// Says what else it holds, or what it lacks.
pub fn parse_url(text: &str) -> Result<Uri, UrlError> {
    let text = crate::secret::trim(text);
    let before_query = text.split(['?', '#']).next().unwrap_or(text);
    // A password may hold what would end the host, so that no part after an `@` is looked at.
    if before_query.contains('@') {
        return Err(UrlError::Credentials);
    }
    if text.contains('#') {
        return Err(UrlError::Fragment);
    }
    let uri: Uri = text.parse().map_err(|_| UrlError::Form)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(UrlError::Scheme);
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err(UrlError::Host);
    }
    if uri.query().is_some() {
        return Err(UrlError::Query);
    }
    // `Uri` reports a port above 65535 as no port at all.
    let authority = uri.authority().map(Authority::as_str).unwrap_or_default();
    let after_host = authority.rsplit(']').next().unwrap_or_default();
    if after_host.contains(':') && uri.port_u16().is_none() {
        return Err(UrlError::Port);
    }
    Ok(uri)
}

/// Whether the text of a URL may be shown: only if it has no place for a secret.
pub(super) fn is_harmless(text: &str) -> bool {
    !text.contains(['@', '?', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_a_scheme_and_a_host() {
        for text in [
            "https://acme.app.spacelift.io",
            " http://127.0.0.1:8086/base/ \n",
            "HTTP://Emulator:80",
            "http://[::1]:80",
            "http://[::1]",
        ] {
            assert!(parse_url(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn anything_else_is_named() {
        for (text, error) in [
            ("", UrlError::Form),
            ("a b", UrlError::Form),
            ("acme.app.spacelift.io", UrlError::Scheme),
            ("ftp://host", UrlError::Scheme),
            ("https://", UrlError::Form),
            ("http://:80", UrlError::Host),
            ("https://acme:99999", UrlError::Port),
            ("https://acme:", UrlError::Port),
            ("https://acme:https", UrlError::Port),
            ("https://user:hush@acme", UrlError::Credentials),
            ("https://user:hu/sh@acme", UrlError::Credentials),
            ("user:hush@acme", UrlError::Credentials),
            ("https://acme?x=y", UrlError::Query),
            ("https://acme?x=y@z", UrlError::Query),
            ("https://acme#x", UrlError::Fragment),
        ] {
            assert_eq!(parse_url(text).unwrap_err(), error, "{text}");
        }
    }
}
