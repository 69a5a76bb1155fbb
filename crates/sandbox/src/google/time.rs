//! Times as Google writes them.

use std::time::{Duration, SystemTime};

/// How far Google's head office is behind Greenwich; Compute Engine tells the time that it is there.
const PACIFIC: Duration = Duration::from_secs(7 * 60 * 60);

/// `2026-11-02T08:15:04.101112Z`, as in a log entry.
pub(super) fn utc(time: SystemTime) -> String {
    humantime::format_rfc3339_micros(time).to_string()
}

/// `2026-11-02T01:15:04.101-07:00`, as of an instance.
pub(super) fn pacific(time: SystemTime) -> String {
    let there = time.checked_sub(PACIFIC).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut text = humantime::format_rfc3339_millis(there.max(SystemTime::UNIX_EPOCH)).to_string();
    // What is written is local time, not Greenwich's.
    text.pop();
    text.push_str("-07:00");
    text
}

/// A time in RFC 3339, with any offset from UTC; none for anything else.
pub(super) fn rfc3339(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    if text.ends_with(['Z', 'z']) {
        return humantime::parse_rfc3339(&text.to_uppercase()).ok();
    }
    let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let offset_seconds = hours.parse::<u64>().ok()? * 3_600 + minutes.parse::<u64>().ok()? * 60;
    let local = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    match offset.get(..1)? {
        "-" => local.checked_add(Duration::from_secs(offset_seconds)),
        "+" => local.checked_sub(Duration::from_secs(offset_seconds)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_times() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_694_853_751_325);
        assert_eq!(utc(time), "2023-09-16T08:42:31.325000Z");
        assert_eq!(pacific(time), "2023-09-16T01:42:31.325-07:00");
        assert_eq!(pacific(SystemTime::UNIX_EPOCH), "1970-01-01T00:00:00.000-07:00");
    }

    #[test]
    fn reads_times() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_694_853_751_325);
        for text in
            ["2023-09-16T08:42:31.325Z", "2023-09-16T01:42:31.325-07:00", "2023-09-16T14:12:31.325+05:30"]
        {
            assert_eq!(rfc3339(text), Some(time), "{text}");
        }
        for text in [
            "",
            "Z",
            "yesterday",
            "2023-09-16",
            "2023-09-16T08:42:31",
            "2023-09-16T08:42:31*07:00",
            "é-07:00",
        ] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
    }
}
