//! The clock of the simulated services and AWS's time formats.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime},
};

/// The clock of the services: the clock of the machine plus an offset.
#[derive(Debug, Default)]
pub(super) struct ServiceClock {
    offset_millis: AtomicI64,
}

impl ServiceClock {
    pub(super) fn now(&self) -> SystemTime {
        let now = SystemTime::now();
        let offset = self.offset_millis.load(Ordering::Relaxed);
        let distance = Duration::from_millis(offset.unsigned_abs());
        if offset < 0 { now.checked_sub(distance) } else { now.checked_add(distance) }.unwrap_or(now)
    }

    /// Sets the difference to the clock of the machine, in seconds.
    pub(super) fn set_offset(&self, seconds: f64) {
        self.offset_millis.store((seconds * 1000.0) as i64, Ordering::Relaxed);
    }

    /// Returns the difference to the clock of the machine, in seconds.
    pub(super) fn offset(&self) -> f64 {
        self.offset_millis.load(Ordering::Relaxed) as f64 / 1000.0
    }
}

/// Formats a time as in EventBridge's events: `2026-03-01T10:42:31Z`.
pub(super) fn seconds(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// Formats a time as in EC2's XML: `2026-03-01T09:00:05.000Z`. EC2's times have whole seconds.
pub(super) fn whole_millis(time: SystemTime) -> String {
    let mut text = seconds(time);
    text.pop();
    text.push_str(".000Z");
    text
}

/// Formats a time with milliseconds: `2026-11-25T09:38:07.354Z`.
pub(super) fn millis(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// Formats a time as in EC2's transition reasons, without the time zone: `2026-03-01 10:44:31`.
pub(super) fn spaced(time: SystemTime) -> String {
    let mut text = seconds(time).replace('T', " ");
    text.pop();
    text
}

/// Formats a time as in signatures: `20150830T123600Z`.
pub(super) fn basic(time: SystemTime) -> String {
    seconds(time).replace(['-', ':'], "")
}

/// Parses a time of a signature.
pub(super) fn parse_basic(text: &str) -> Option<SystemTime> {
    if text.len() != 16 || !text.is_ascii() {
        return None;
    }
    let (date, time) = text.split_once('T')?;
    let extended = format!(
        "{}-{}-{}T{}:{}:{}",
        date.get(..4)?,
        date.get(4..6)?,
        date.get(6..)?,
        time.get(..2)?,
        time.get(2..4)?,
        time.get(4..)?
    );
    humantime::parse_rfc3339(&extended).ok()
}

/// Returns the milliseconds since 1970.
pub(super) fn epoch_millis(time: SystemTime) -> u128 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_parses_times() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_440_938_160_354);
        assert_eq!(seconds(time), "2015-08-30T12:36:00Z");
        assert_eq!(whole_millis(time), "2015-08-30T12:36:00.000Z");
        assert_eq!(millis(time), "2015-08-30T12:36:00.354Z");
        assert_eq!(spaced(time), "2015-08-30 12:36:00");
        assert_eq!(basic(time), "20150830T123600Z");
        assert_eq!(parse_basic("20150830T123600Z"), Some(time - Duration::from_millis(354)));
        for text in ["", "20150830T123600", "20151330T123600Z", "2015-08-30T12:36Z", "20150830123600ZZ"] {
            assert_eq!(parse_basic(text), None, "{text}");
        }
        assert_eq!(epoch_millis(time), 1_440_938_160_354);
    }

    #[test]
    fn clock_has_an_offset() {
        let clock = ServiceClock::default();
        clock.set_offset(-21_600.5);
        assert_eq!(clock.offset(), -21_600.5);
        let difference = SystemTime::now().duration_since(clock.now()).unwrap();
        assert!((21_600..21_660).contains(&difference.as_secs()), "{difference:?}");
    }
}
