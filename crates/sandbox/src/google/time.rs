//! Google's time formats.

use std::time::{Duration, SystemTime};

/// The UTC offset of Compute Engine's timestamps, which are in Pacific time.
const PACIFIC: Duration = Duration::from_secs(7 * 60 * 60);

/// Formats a time as in log entries: `2026-11-02T08:15:04.101112Z`.
pub(super) fn utc(time: SystemTime) -> String {
    humantime::format_rfc3339_micros(time).to_string()
}

/// Formats a time as in Compute Engine: `2026-11-02T01:15:04.101-07:00`.
pub(super) fn pacific(time: SystemTime) -> String {
    let there = time.checked_sub(PACIFIC).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut text = humantime::format_rfc3339_millis(there.max(SystemTime::UNIX_EPOCH)).to_string();
    // The formatted time is local, not UTC.
    text.pop();
    text.push_str("-07:00");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_times() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_694_853_751_325);
        assert_eq!(utc(time), "2023-09-16T08:42:31.325000Z");
        assert_eq!(pacific(time), "2023-09-16T01:42:31.325-07:00");
        assert_eq!(pacific(SystemTime::UNIX_EPOCH), "1970-01-01T00:00:00.000-07:00");
    }
}
