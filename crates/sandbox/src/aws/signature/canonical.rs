//! The canonical request.

use hyper::HeaderMap;

use super::{SignedRequest, sign::sha256_hex};
use crate::query::percent_decoded;

/// Returns the canonical request, of which the signature is made.
pub(super) fn canonical_request(request: &SignedRequest<'_>, signed_headers: &[String]) -> String {
    let mut text = String::new();
    text.push_str(request.method.as_str());
    text.push('\n');
    text.push_str(&canonical_path(request.uri.path()));
    text.push('\n');
    text.push_str(&canonical_query(request.uri.query().unwrap_or_default()));
    text.push('\n');
    for name in signed_headers {
        text.push_str(name);
        text.push(':');
        text.push_str(&canonical_value(request, name));
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&signed_headers.join(";"));
    text.push('\n');
    text.push_str(&sha256_hex(request.body));
    text
}

/// Resolves `.`, `..` and empty segments, and encodes each segment once more.
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<String> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(encoded(segment.as_bytes())),
        }
    }
    let mut canonical = format!("/{}", segments.join("/"));
    let is_directory = matches!(path.rsplit('/').next(), Some("" | "." | ".."));
    if canonical != "/" && is_directory {
        canonical.push('/');
    }
    canonical
}

/// Sorts the parameters and encodes them uniformly.
fn canonical_query(query: &str) -> String {
    let mut parameters: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let encode = |text: &str| encoded(percent_decoded(text).as_bytes());
            (encode(key), encode(value))
        })
        .collect();
    parameters.sort();
    let pairs: Vec<String> = parameters.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join("&")
}

/// Joins the values of a header by commas, without superfluous spaces.
fn canonical_value(request: &SignedRequest<'_>, name: &str) -> String {
    let values = values(request.headers, name);
    if name == "host" && values.is_empty() {
        // HTTP/2 has no such header.
        return request.uri.authority().map(ToString::to_string).unwrap_or_default();
    }
    values.join(",")
}

fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter();
    values
        .map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        })
        .collect()
}

fn encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(*byte));
            }
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalizes_paths_and_queries() {
        for (path, expected) in [
            ("/", "/"),
            ("//", "/"),
            ("/./", "/"),
            ("/a/../b/", "/b/"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/123456789012/a%20b", "/123456789012/a%2520b"),
            ("/ሴ", "/%E1%88%B4"),
        ] {
            assert_eq!(canonical_path(path), expected);
        }
        for (query, expected) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1", "a=1&a=2"),
            ("flag", "flag="),
            ("a=x%20y&A=%7e", "A=~&a=x%20y"),
        ] {
            assert_eq!(canonical_query(query), expected);
        }
    }
}
