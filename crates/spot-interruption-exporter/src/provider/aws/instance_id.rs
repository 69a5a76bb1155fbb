//! Ids of EC2 instances.

use crate::instance::InstanceId;

/// Number of digits that fit into the core's id. Longer ids begin with a zero, so the rest identifies an instance.
const DIGITS: usize = 16;

/// Parses an id: `i-` and 17 hexadecimal digits, or 8 in the format of before 2016. Returns `None` for any other text.
pub(super) fn parse(text: &str) -> Option<InstanceId> {
    let digits = text.strip_prefix("i-")?;
    let is_id = [8, 17].contains(&digits.len())
        && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if !is_id {
        return None;
    }
    let last = &digits[digits.len().saturating_sub(DIGITS)..];
    u64::from_str_radix(last, 16).ok().and_then(InstanceId::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_lengths() {
        for (text, id) in [
            ("i-0b662ef9931388ba0", 0xb662_ef99_3138_8ba0),
            ("i-1234abcd", 0x1234_abcd),
            ("i-f0000000000000001", 1),
        ] {
            assert_eq!(parse(text).map(InstanceId::get), Some(id), "{text}");
        }
    }

    #[test]
    fn rejects_other_texts() {
        for text in [
            "",
            "i-",
            "0b662ef9931388ba0",
            "i-0b662ef9931388ba",
            "i-0b662ef9931388ba00",
            "i-0B662EF9931388BA0",
            "i-0b662ef9931388bg0",
            "i-00000000000000000",
            "i-+1234567",
            "i-ä234567",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
