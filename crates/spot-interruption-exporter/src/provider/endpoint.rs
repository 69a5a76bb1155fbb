//! URLs of stand-ins for a provider's services.

use exporter_common::upstream::is_on_this_host;
use http::Uri;

/// URL of a service in place of the provider's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(String);

impl Endpoint {
    /// The URL without a trailing slash, its scheme in lower case.
    pub fn url(&self) -> &str {
        &self.0
    }

    /// Whether requests are sent without credentials, because anyone could read a token on an unencrypted connection.
    pub fn is_plain(&self) -> bool {
        self.0.starts_with("http://")
    }

    /// Whether it is an unencrypted endpoint on this host, such as an emulator.
    pub fn is_local(&self) -> bool {
        self.is_plain() && self.0.parse().is_ok_and(|uri| is_on_this_host(&uri))
    }

    pub(crate) fn new(uri: &Uri) -> Self {
        // The scheme decides about credentials, so its case must not matter.
        Self(uri.to_string().trim_end_matches('/').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use exporter_common::config::parse_url;

    use super::*;

    #[test]
    fn endpoint_is_plain_however_it_is_written() {
        for (text, url, plain, local) in [
            ("http://127.0.0.1:8086/", "http://127.0.0.1:8086", true, true),
            (" HTTP://Emulator:80 ", "http://Emulator:80", true, false),
            ("https://compute.example/base/", "https://compute.example/base", false, false),
            ("https://localhost:8086", "https://localhost:8086", false, false),
        ] {
            let endpoint = Endpoint::new(&parse_url(text).unwrap());
            assert_eq!(
                (endpoint.url(), endpoint.is_plain(), endpoint.is_local()),
                (url, plain, local),
                "{text}"
            );
        }
    }
}
