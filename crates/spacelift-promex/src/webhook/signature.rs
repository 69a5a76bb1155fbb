//! The header `X-Signature-256: sha256=<hex>`: the HMAC-SHA256 of the body.

use http::HeaderMap;
use ring::hmac;

const HEADER: &str = "x-signature-256";
const PREFIX: &str = "sha256=";

/// The signature of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature([u8; 32]);

impl Signature {
    /// Returns the signature of a request, or `None` if it is missing, repeated or malformed.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(HEADER).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let digits = value.as_bytes().strip_prefix(PREFIX.as_bytes())?;
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = hex(pair[0])? << 4 | hex(pair[1])?;
        }
        Some(Self(bytes))
    }

    /// Returns whether this is the signature of `body` with `key`. Compares in constant time.
    pub(super) fn is_by(&self, key: &hmac::Key, body: &[u8]) -> bool {
        hmac::verify(key, body, &self.0).is_ok()
    }
}

/// Returns the value of a hexadecimal digit.
fn hex(digit: u8) -> Option<u8> {
    // The value is below 16, so it fits into a byte.
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    const BODY: &[u8] = br#"{"state": "FINISHED"}"#;

    fn key(secret: &str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
    }

    fn signature(values: &[&str]) -> Option<Signature> {
        let name = HeaderName::from_static(HEADER);
        let values = values.iter().map(|value| (name.clone(), HeaderValue::from_str(value).unwrap()));
        Signature::of(&values.collect())
    }

    #[test]
    fn verifies_key_and_body() {
        // openssl dgst -sha256 -hmac hush
        let hex = "7a5a24ecc411235d202203563755c7a6d3ba2884af92307f63477a81a8e2a023";
        let found = signature(&[&format!("sha256={hex}")]).unwrap();
        assert!(found.is_by(&key("hush"), BODY));
        assert!(!found.is_by(&key("Hush"), BODY));
        assert!(!found.is_by(&key("hush"), br#"{"state": "FINISHEd"}"#));
        assert_eq!(signature(&[&format!("sha256={}", hex.to_uppercase())]), Some(found));
    }

    #[test]
    fn rejects_malformed_signatures() {
        let hex = "00".repeat(32);
        for values in [
            &[][..],
            &[""],
            &[&hex],
            &["sha256="],
            &[&format!("sha256={}", &hex[2..])],
            &[&format!("sha256={hex}00")],
            &[&format!("sha256={}zz", &hex[2..])],
            &[&format!("sha1={hex}")],
            &[&format!("sha512={hex}")],
            &[&format!("sha256={hex}"), &format!("sha256={hex}")],
        ] {
            assert_eq!(signature(values), None, "{values:?}");
        }
        assert!(signature(&[&format!("sha256={hex}")]).is_some());
    }
}
