//! Times of deliveries: seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by magnitude.

use crate::runs::Timestamp;

/// From here on a number is no longer seconds: the year 5138. Milliseconds reach it in 1973.
const SECONDS: f64 = 1e11;
/// Likewise for milliseconds and microseconds.
const MILLISECONDS: f64 = 1e14;
const MICROSECONDS: f64 = 1e17;

/// The end of what is believed, in microseconds: the year 2200.
const END: f64 = 7_258_118_400e6;

/// A moment; `None` for 0, with which Go writes that there is none, and for what no clock shows.
pub(super) fn timestamp(number: f64) -> Option<Timestamp> {
    let microseconds = match number {
        number if number <= 0.0 => return None,
        number if number < SECONDS => number * 1e6,
        number if number < MILLISECONDS => number * 1e3,
        number if number < MICROSECONDS => number,
        number => number / 1e3,
    };
    (microseconds < END).then_some(Timestamp(microseconds as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_told_apart_by_magnitude() {
        for number in [1_596_979_684.0, 1_596_979_684_000.0, 1_596_979_684_000_000.0, 1_596_979_684e9] {
            assert_eq!(timestamp(number), Some(Timestamp(1_596_979_684_000_000)), "{number}");
        }
        assert_eq!(timestamp(1_596_979_684_123.0), Some(Timestamp(1_596_979_684_123_000)));
        assert_eq!(timestamp(1_596_979_684.5), Some(Timestamp(1_596_979_684_500_000)));
        assert_eq!((timestamp(0.0), timestamp(-1.0)), (None, None));
        assert_eq!((timestamp(f64::MAX), timestamp(7_258_118_400e3)), (None, None));
    }
}
