//! Signatures of deliveries.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

/// Returns the value of `X-Signature-256`: `sha256=` and the HMAC of the body in hexadecimal.
#[must_use]
pub fn signature(secret: &str, body: &[u8]) -> String {
    labelled::<Hmac<Sha256>>("sha256", secret, body)
}

/// Returns the value of `X-Signature`: `sha1=` and the HMAC of the body in hexadecimal.
#[must_use]
pub fn sha1_signature(secret: &str, body: &[u8]) -> String {
    labelled::<Hmac<Sha1>>("sha1", secret, body)
}

fn labelled<M: Mac + KeyInit>(algorithm: &str, secret: &str, body: &[u8]) -> String {
    let mut text = format!("{algorithm}=");
    // HMAC accepts keys of any length.
    if let Ok(mac) = <M as KeyInit>::new_from_slice(secret.as_bytes()) {
        for byte in mac.chain_update(body).finalize().into_bytes() {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_rfc_test_cases() {
        // RFC 4231 and RFC 2202, second test case of each.
        let (key, data) = ("Jefe", b"what do ya want for nothing?");
        assert_eq!(
            signature(key, data),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(sha1_signature(key, data), "sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    }
}
