//! Identities as Spacelift gives them.

use async_graphql::ID;
use rand::{RngExt as _, rngs::StdRng};

/// An identity in the form that Spacelift gives them: 26 characters of Crockford's base 32.
pub(super) fn ulid(rng: &mut StdRng) -> ID {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    // The leading part of a ULID is a time; this one lies in 2025, the rest is chance.
    let random = (0..22).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
    ID("01K5".chars().chain(random).collect())
}
