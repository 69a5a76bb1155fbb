//! Timestamps of deliveries: seconds, milliseconds, microseconds or nanoseconds since 1970. The unit follows from the
//! magnitude.

use crate::runs::Timestamp;

/// Smaller numbers are seconds. The limit is the year 5138 in seconds, and 1973 in milliseconds.
const SECONDS_LIMIT: f64 = 1e11;
/// Smaller numbers are milliseconds.
const MILLISECONDS_LIMIT: f64 = 1e14;

/// Smaller numbers are microseconds, others nanoseconds.
const MICROSECONDS_LIMIT: f64 = 1e17;

/// Later times are ignored as invalid: the year 2200, in microseconds.
const MAX_TIME: f64 = 7_258_118_400e6;

/// Converts a timestamp. Returns `None` for 0, which means that the time is not set, and for invalid values.
pub(super) fn timestamp(number: f64) -> Option<Timestamp> {
    let microseconds = match number {
        number if number <= 0.0 => return None,
        number if number < SECONDS_LIMIT => number * 1e6,
        number if number < MILLISECONDS_LIMIT => number * 1e3,
        number if number < MICROSECONDS_LIMIT => number,
        number => number / 1e3,
    };
    (microseconds < MAX_TIME).then_some(Timestamp(microseconds as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derives_the_unit_from_the_magnitude() {
        for number in [1_596_979_684.0, 1_596_979_684_000.0, 1_596_979_684_000_000.0, 1_596_979_684e9] {
            assert_eq!(timestamp(number), Some(Timestamp(1_596_979_684_000_000)), "{number}");
        }
        assert_eq!(timestamp(1_596_979_684_123.0), Some(Timestamp(1_596_979_684_123_000)));
        assert_eq!(timestamp(1_596_979_684.5), Some(Timestamp(1_596_979_684_500_000)));
        assert_eq!((timestamp(0.0), timestamp(-1.0)), (None, None));
        assert_eq!((timestamp(f64::MAX), timestamp(7_258_118_400e3)), (None, None));
    }
}
