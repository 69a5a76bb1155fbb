//! Messages of a queue.

use std::{fmt::Write as _, sync::Arc, time::SystemTime};

use md5::{Digest as _, Md5};
use rand::{RngExt as _, rngs::StdRng};
use tokio::time::Instant;

/// A message that is not deleted.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) body: Arc<str>,
    pub(super) md5: Arc<str>,
    pub(super) sent: SystemTime,
    pub(super) first_received: Option<SystemTime>,
    /// The number of receives so far.
    pub(super) receives: u32,
    /// The latest receive. It bounds the total visibility timeout.
    pub(super) received_at: Option<Instant>,
    /// The end of the visibility timeout of a message in flight; `None` for a visible message.
    pub(super) hidden_until: Option<Instant>,
}

impl Message {
    pub(super) fn new(body: Arc<str>, md5: Arc<str>, sent: SystemTime, rng: &mut StdRng) -> Self {
        Self {
            id: uuid(rng),
            body,
            md5,
            sent,
            first_received: None,
            receives: 0,
            received_at: None,
            hidden_until: None,
        }
    }
}

/// A received message.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) message: Message,
    pub(super) handle: String,
}

/// Returns the MD5 of a body in hexadecimal digits.
pub(super) fn md5(body: &str) -> Arc<str> {
    let mut digits = String::with_capacity(32);
    for byte in Md5::digest(body) {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits.into()
}

/// Returns a random UUID.
pub(in crate::aws) fn uuid(rng: &mut StdRng) -> String {
    let bits: u128 = rng.random();
    // Version 4, variant 1.
    let bits = bits & !(0xf << 76) & !(0b11 << 62) | 0x4 << 76 | 0b10 << 62;
    let digits = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn identifies_messages() {
        assert_eq!(&*md5("hello"), "5d41402abc4b2a76b9719d911017c592");
        let id = uuid(&mut StdRng::seed_from_u64(1));
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'4', "{id}");
        assert!(b"89ab".contains(&id.as_bytes()[19]), "{id}");
    }
}
