//! Which failed exchanges of the API key are a refusal of it, and when they are final.
//!
//! The API has no code for a refusal, and words such as `api key` or `secret` also stand in messages about trouble
//! that passes. A refusal ends the process at start, so only a clear and repeated one counts.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::failure::Failure;

/// A refusal is final once it was the answer this often and for this long.
const REPETITIONS: u32 = 3;
const AT_LEAST: Duration = Duration::from_secs(10);

/// Words that refuse by themselves.
const REFUSING: [&str; 6] = ["unauthorized", "unauthenticated", "forbidden", "denied", "401", "403"];

/// Words that refuse if they are said of credentials.
const NEGATIVE: [&str; 15] = [
    "bad",
    "deleted",
    "disabled",
    "expired",
    "failed",
    "incorrect",
    "invalid",
    "mismatch",
    "no",
    "not",
    "rejected",
    "revoked",
    "unknown",
    "unrecognized",
    "wrong",
];

const CREDENTIALS: [&str; 12] = [
    "access",
    "apikeyuser",
    "authenticate",
    "authenticated",
    "authentication",
    "authorization",
    "authorized",
    "credentials",
    "key",
    "keys",
    "permission",
    "secret",
];

/// Words that may stand beside them without naming another cause.
const NEUTRAL: [&str; 28] = [
    "a", "an", "and", "api", "are", "be", "been", "could", "does", "error", "exist", "find", "for", "found",
    "has", "http", "id", "input", "is", "knows", "match", "mutation", "or", "such", "the", "valid", "was",
    "your",
];

/// The words of a refusal, if the failure is clearly one: HTTP 401 or 403, or a message that consists of nothing but
/// a refusal, such as `unauthorized` or `could not find API key`. A message with any further cause is none.
pub(crate) fn clear_refusal(failure: &Failure) -> Option<&str> {
    match failure {
        Failure::Unauthorized(words) | Failure::GraphQl(words) => is_clear(words).then_some(words),
        Failure::Http { status: StatusCode::FORBIDDEN, .. } => Some("HTTP 403 Forbidden"),
        _ => None,
    }
}

/// The failure of an exchange, which is a refusal whatever the API calls it if it is clearly one.
pub(crate) fn as_refusal(failure: Failure) -> Failure {
    match failure {
        Failure::GraphQl(words) if is_clear(&words) => Failure::Unauthorized(words),
        other => other,
    }
}

fn is_clear(message: &str) -> bool {
    let message = message.to_lowercase();
    let words = || message.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let any = |list: &[&str]| words().any(|word| list.contains(&word));
    let lists: [&[&str]; 4] = [&REFUSING, &NEGATIVE, &CREDENTIALS, &NEUTRAL];
    (any(&REFUSING) || any(&NEGATIVE) && any(&CREDENTIALS))
        && words().all(|word| lists.iter().any(|list| list.contains(&word)))
}

/// The refusals since the last exchange that had another result.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Option<Refused>);

#[derive(Debug)]
struct Refused {
    reason: String,
    first: Instant,
    count: u32,
}

impl Refusals {
    /// An exchange was refused at `now`, or `refusal` is `None`.
    pub(crate) fn note(&mut self, refusal: Option<&str>, now: Instant) {
        match (&mut self.0, refusal) {
            (_, None) => self.0 = None,
            (Some(refused), Some(reason)) if refused.reason == reason => refused.count += 1,
            (_, Some(reason)) => self.0 = Some(Refused { reason: reason.to_owned(), first: now, count: 1 }),
        }
    }

    /// Whether the last exchange was refused.
    pub(crate) fn is_refused(&self) -> bool {
        self.0.is_some()
    }

    /// The reason of a refusal that was the same answer often and long enough.
    pub(crate) fn last_word(&self, now: Instant) -> Option<&str> {
        let refused = self.0.as_ref()?;
        (refused.count >= REPETITIONS && now - refused.first >= AT_LEAST).then_some(&refused.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_message_without_another_cause_is_a_refusal() {
        for words in [
            "unauthorized",
            "Unauthorized.",
            "unauthorized: invalid API key",
            "input: apiKeyUser unauthorized",
            "HTTP 401 Unauthorized",
            "could not find API key",
            "API key not found",
            "invalid credentials",
            "invalid API key ID or secret",
            "access denied",
            "forbidden",
            "the API key is disabled",
            "the API knows no such key",
        ] {
            assert!(is_clear(words), "{words}");
        }
        for words in [
            "could not find API key: context deadline exceeded",
            "unauthorized: context deadline exceeded",
            "unauthorized: could not verify token: connection refused",
            "invalid upstream",
            "secret store is not available",
            "api key service unavailable",
            "could not find API key in shard 7",
            "internal server error",
            "bad request",
            "invalid input",
            "not found",
            "not leader",
            "not ready",
            "no healthy upstream",
            "access denied by policy engine timeout",
            "api key",
            "secret",
            "",
            "???",
        ] {
            assert!(!is_clear(words), "{words}");
        }
    }

    #[test]
    fn a_refusal_is_final_if_it_is_repeated_for_long_enough() {
        let now = Instant::now();
        let at = |seconds: u64| now + Duration::from_secs(seconds);
        let mut refusals = Refusals::default();
        for second in 0..5 {
            refusals.note(Some("unauthorized"), at(second));
        }
        assert_eq!(refusals.last_word(at(5)), None, "too early");
        assert_eq!(refusals.last_word(at(10)), Some("unauthorized"));
        refusals.note(Some("forbidden"), at(11));
        assert_eq!(refusals.last_word(at(30)), None, "another answer");
        refusals.note(Some("forbidden"), at(31));
        assert_eq!(refusals.last_word(at(60)), None, "only twice");
        refusals.note(None, at(61));
        assert!(!refusals.is_refused());
        refusals.note(Some("forbidden"), at(62));
        assert_eq!(refusals.last_word(at(63)), None, "something else in between");
    }
}
