//! Parses the query of a URL.

use std::collections::HashMap;

use hyper::Uri;

/// Returns the parameters. The last value of a repeated parameter wins.
pub(crate) fn query(uri: &Uri) -> HashMap<String, String> {
    pairs(uri).into_iter().collect()
}

/// Returns the parameters in order, including repeated ones.
pub(crate) fn pairs(uri: &Uri) -> Vec<(String, String)> {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decoded(&key.replace('+', " ")), percent_decoded(&value.replace('+', " ")))
        })
        .collect()
}

/// Decodes percent-encoding. Invalid sequences are kept.
pub(crate) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        bytes.extend(&rest.as_bytes()[..at]);
        match rest.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[at + 3..];
            }
            None => {
                bytes.push(b'%');
                rest = &rest[at + 1..];
            }
        }
    }
    bytes.extend(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_queries() {
        let uri: Uri = "/x?filter=labels.goog-k8s-cluster-name%3A*&a=b+c%25%zz&flag".parse().unwrap();
        let query = query(&uri);
        assert_eq!(query["filter"], "labels.goog-k8s-cluster-name:*");
        assert_eq!(query["a"], "b c%%zz");
        assert_eq!(query["flag"], "");
    }
}
