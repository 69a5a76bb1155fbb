//! URLs of services in the configuration.

use http::Uri;
use http::uri::Authority;

/// Why a text is not the URL of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The text cannot be parsed as a URL.
    #[error("is not a URL")]
    Form,
    /// The scheme is missing or not `http` or `https`.
    #[error("is not an http or https URL")]
    Scheme,
    /// The host is missing.
    #[error("has no host")]
    Host,
    /// The port is not a number from 0 to 65535.
    #[error("has no port from 0 to 65535")]
    Port,
    /// The URL contains a user name or a password.
    #[error("holds credentials")]
    Credentials,
    /// The URL has a query.
    #[error("has a query")]
    Query,
    /// The URL has a fragment.
    #[error("has a fragment")]
    Fragment,
}

/// Parses the URL of a service: `http` or `https`, a host, an optional port and an optional path.
///
/// # Errors
/// A part is missing, invalid or not allowed.
pub fn parse_url(text: &str) -> Result<Uri, UrlError> {
    let text = crate::secret::trim(text);
    let before_query = text.split(['?', '#']).next().unwrap_or(text);
    // Rejected before parsing, because a password can contain characters that end the host.
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

/// Whether the text of a URL can be shown because it has no part that can be a secret.
pub(super) fn is_harmless(text: &str) -> bool {
    !text.contains(['@', '?', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_urls_with_scheme_and_host() {
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
    fn rejects_other_texts_with_the_reason() {
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
