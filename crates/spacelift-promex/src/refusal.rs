//! Recognizes token exchanges that failed because the API refuses the credentials.
//!
//! The API has no error code for refused credentials, and words such as `api key` or `secret` also occur in messages
//! about temporary failures. A refusal at start ends the process, so only a clear and repeated one counts.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::failure::Failure;

/// A refusal is final after this number of equal refusals, over at least this time.
const MIN_REPETITIONS: u32 = 3;
const MIN_DURATION: Duration = Duration::from_secs(10);

/// Words that express a refusal by themselves.
const REFUSING: [&str; 6] = ["unauthorized", "unauthenticated", "forbidden", "denied", "401", "403"];

/// Words that express a refusal together with one of [`CREDENTIALS`].
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

/// Words for credentials.
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

/// Words that do not indicate another cause.
const NEUTRAL: [&str; 28] = [
    "a", "an", "and", "api", "are", "be", "been", "could", "does", "error", "exist", "find", "for", "found",
    "has", "http", "id", "input", "is", "knows", "match", "mutation", "or", "such", "the", "valid", "was",
    "your",
];

/// Returns the text of a clear refusal: HTTP 401 or 403, or a message that consists only of words of the lists above, such
/// as `unauthorized` or `could not find API key`. Returns `None` for a message with any other word.
pub(crate) fn clear_refusal(failure: &Failure) -> Option<&str> {
    match failure {
        Failure::Unauthorized(words) | Failure::GraphQl(words) => is_clear(words).then_some(words),
        Failure::Http { status: StatusCode::FORBIDDEN, .. } => Some("HTTP 403 Forbidden"),
        _ => None,
    }
}

/// Converts a clear refusal that the API reports as another GraphQL error to [`Failure::Unauthorized`].
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

/// The refusals since the last exchange with another result.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Option<Refused>);

#[derive(Debug)]
struct Refused {
    reason: String,
    first: Instant,
    count: u32,
}

impl Refusals {
    /// Notes an exchange: the text of its refusal, or `None` if it was not refused.
    pub(crate) fn note(&mut self, refusal: Option<&str>, now: Instant) {
        match (&mut self.0, refusal) {
            (_, None) => self.0 = None,
            (Some(refused), Some(reason)) if refused.reason == reason => refused.count += 1,
            (_, Some(reason)) => self.0 = Some(Refused { reason: reason.to_owned(), first: now, count: 1 }),
        }
    }

    /// Returns whether the last exchange was refused.
    pub(crate) fn is_refused(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the text of a refusal that was repeated often and long enough.
    pub(crate) fn final_refusal(&self, now: Instant) -> Option<&str> {
        let refused = self.0.as_ref()?;
        (refused.count >= MIN_REPETITIONS && now - refused.first >= MIN_DURATION).then_some(&refused.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_with_another_cause_is_not_a_refusal() {
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
            "unknown API key",
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
    fn a_refusal_is_final_after_three_repetitions_over_ten_seconds() {
        let now = Instant::now();
        let at = |seconds: u64| now + Duration::from_secs(seconds);
        let mut refusals = Refusals::default();
        for second in 0..5 {
            refusals.note(Some("unauthorized"), at(second));
        }
        assert_eq!(refusals.final_refusal(at(5)), None, "too early");
        assert_eq!(refusals.final_refusal(at(10)), Some("unauthorized"));
        refusals.note(Some("forbidden"), at(11));
        assert_eq!(refusals.final_refusal(at(30)), None, "the text changed");
        refusals.note(Some("forbidden"), at(31));
        assert_eq!(refusals.final_refusal(at(60)), None, "only twice");
        refusals.note(None, at(61));
        assert!(!refusals.is_refused());
        refusals.note(Some("forbidden"), at(62));
        assert_eq!(refusals.final_refusal(at(63)), None, "an exchange in between had another result");
    }
}
