//! The signature of a canonical request.

use std::fmt::Write as _;

use ring::{digest, hmac};

use super::authorization::Scope;

/// Returns the signature in hexadecimal digits.
pub(super) fn signature(canonical_request: &str, time: &str, scope: &Scope, secret: &str) -> String {
    let text =
        format!("AWS4-HMAC-SHA256\n{time}\n{}\n{}", scope.text(), sha256_hex(canonical_request.as_bytes()));
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [&scope.date, &scope.region, &scope.service, "aws4_request"] {
        key = hmac_sha256(&key, part);
    }
    hex(&hmac_sha256(&key, &text))
}

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hmac_sha256(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}
