//! Durations in Go's syntax: `500ms`, `5s`, `1m30s`, `1.5h`.

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text is empty.
    #[error("is empty")]
    Empty,
    /// The duration is negative, which no option allows.
    #[error("is negative")]
    Negative,
    /// The text is not a sequence of numbers with units.
    #[error("is not a duration")]
    Malformed,
    /// A number without a unit, such as `5`.
    #[error("has no unit")]
    NoUnit,
    /// The duration exceeds Go's limit of about 292 years.
    #[error("is too long")]
    TooLong,
}

/// The maximum of Go's `time.Duration`, in nanoseconds.
const MAX_NANOS: u128 = i64::MAX as u128;

/// Parses the syntax of Go's `time.ParseDuration`: decimal numbers, each with an optional fraction and a unit
/// (`ns`, `us` or `µs`, `ms`, `s`, `m`, `h`), and a bare `0`.
///
/// # Errors
/// The text has another syntax, or the duration is negative or too long.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    let unsigned = match text.strip_prefix('-') {
        Some(_) => return Err(DurationError::Negative),
        None => text.strip_prefix('+').unwrap_or(text),
    };
    match unsigned {
        "" => return Err(DurationError::Empty),
        "0" => return Ok(Duration::ZERO),
        _ => {}
    }

    let mut rest = unsigned;
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let (amount, after_amount) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after_unit) = split_while(after_amount, |c| !c.is_ascii_digit() && c != '.');
        rest = after_unit;
        let unit: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60 * 1_000_000_000,
            "h" => 3_600 * 1_000_000_000,
            "" => return Err(DurationError::NoUnit),
            _ => return Err(DurationError::Malformed),
        };
        nanos = nanos.saturating_add(amount_in_nanos(amount, unit)?);
        if nanos > MAX_NANOS {
            return Err(DurationError::TooLong);
        }
    }
    let nanos = u64::try_from(nanos).map_err(|_| DurationError::TooLong)?;
    Ok(Duration::from_nanos(nanos))
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !keep(c)).unwrap_or(text.len()))
}

fn amount_in_nanos(amount: &str, unit: u128) -> Result<u128, DurationError> {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(DurationError::Malformed);
    }
    let whole: u128 = match whole {
        "" => 0,
        digits if digits.len() > 20 => return Err(DurationError::TooLong),
        digits => digits.parse().map_err(|_| DurationError::Malformed)?,
    };
    // After eighteen digits of a fraction, the rest is less than a nanosecond in every unit.
    let fraction = &fraction[..fraction.len().min(18)];
    let numerator: u128 =
        if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| DurationError::Malformed)? };
    let denominator = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| DurationError::Malformed)?);
    Ok(whole.saturating_mul(unit).saturating_add(numerator * unit / denominator))
}

/// Formats a duration in the syntax of [`parse_duration`]: `1h30m`, `1m30s`, `500ms`, `0s`.
pub fn format_duration(duration: Duration) -> String {
    let mut nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, length) in [
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
    ] {
        if nanos >= length {
            text.push_str(&format!("{}{unit}", nanos / length));
            nanos %= length;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parses_durations_of_go() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("500ms", 500),
            ("5s", 5_000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("1.s", 1_000),
            ("+5s", 5_000),
            ("2h45m", 9_900_000),
            ("1000us", 1),
            ("1000µs", 1),
            ("720h", 2_592_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn rejects_other_texts_with_the_reason() {
        for (text, error) in [
            ("", DurationError::Empty),
            ("  ", DurationError::Empty),
            ("-1s", DurationError::Negative),
            ("5", DurationError::NoUnit),
            ("1m30", DurationError::NoUnit),
            ("five", DurationError::Malformed),
            ("5 s", DurationError::Malformed),
            ("5d", DurationError::Malformed),
            (".s", DurationError::Malformed),
            ("1.2.3s", DurationError::Malformed),
            ("300000000h", DurationError::TooLong),
            ("999999999999999999999999999999h", DurationError::TooLong),
        ] {
            assert_eq!(parse_duration(text), Err(error), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in ".*") {
            let _ = parse_duration(&text);
        }

        #[test]
        fn never_panics_on_near_misses(text in "[-+]?[0-9.]{0,40}(ns|us|µs|ms|s|m|h|d)?[0-9.]{0,40}(s|m|h)?") {
            let _ = parse_duration(&text);
        }

        #[test]
        fn parsing_a_formatted_duration_returns_the_same(nanos in 0..=i64::MAX as u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
    }
}
