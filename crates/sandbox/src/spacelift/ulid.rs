//! Spacelift's ids.

use async_graphql::ID;
use rand::{RngExt as _, rngs::StdRng};

/// Returns a random id in Spacelift's format (ULID): 26 characters of Crockford's base32.
pub(super) fn ulid(rng: &mut StdRng) -> ID {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    // A ULID starts with a timestamp, here in 2025. The rest is random.
    let random = (0..22).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
    ID("01K5".chars().chain(random).collect())
}
