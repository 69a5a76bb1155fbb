//! Parsers for booleans, sizes, paths and lists.

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use std::fmt;

/// Parses a boolean in the syntax of Go's `strconv.ParseBool` or of YAML; `None` for any other text.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "yes" | "on" => Some(true),
        "0" | "f" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Parses a number of bytes, with or without a unit: `8388608`, `8192KiB`, `8MiB`; `None` for any other text.
pub fn parse_size(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];
    let text = text.trim();
    let unit = UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (number, bytes) = unit.unwrap_or((text, 1));
    number.trim_end().parse::<u64>().ok()?.checked_mul(bytes)
}

/// Paths of the other pages.
const OTHER_PATHS: [&str; 5] = ["/", "/health", "/ready", "/-/healthy", "/-/ready"];

/// Parses the path of the metrics.
///
/// # Errors
/// The path is invalid, or another page has it. The error names what is allowed.
pub fn parse_metrics_path(text: &str) -> Result<String, String> {
    parse_page_path(text, "the metrics", "/metrics")
}

/// Parses the path of `page`, such as `example`.
///
/// # Errors
/// The path is invalid, or another page has it. The error names what is allowed.
pub fn parse_page_path(text: &str, page: &str, example: &str) -> Result<String, String> {
    let path = text.trim();
    let is_path = path.starts_with('/')
        && !path.starts_with("//")
        && !path.split('/').any(|part| matches!(part, "." | ".."))
        && path.parse::<http::Uri>().is_ok_and(|uri| uri.path() == path && uri.query().is_none());
    if !is_path {
        return Err(format!("cannot be the path of {page}; allowed is one such as {example}"));
    }
    if OTHER_PATHS.contains(&path) {
        let others = OTHER_PATHS.join(", ");
        return Err(format!(
            "is the path of another page; allowed is one such as {example}, other than {others}"
        ));
    }
    Ok(path.to_owned())
}

/// A list: a sequence in a file, comma-separated in a variable or flag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextList(pub Vec<String>);

impl<'de> Deserialize<'de> for TextList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor;

        impl<'de> Visitor<'de> for ListVisitor {
            type Value = TextList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<TextList, E> {
                // Brackets and quotes are allowed, as in the file.
                let text = text.trim();
                let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
                let items = text.split(',').map(|item| item.trim().trim_matches(['"', '\'']));
                Ok(TextList(items.filter(|item| !item.is_empty()).map(str::to_owned).collect()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<TextList, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element::<String>()? {
                    list.push(item);
                }
                Ok(TextList(list))
            }
        }

        deserializer.deserialize_any(ListVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_sizes_with_binary_units() {
        for (text, size) in
            [("8388608", 8_388_608), (" 8MiB ", 8_388_608), ("16 KiB", 16_384), ("1GiB", 1 << 30), ("7B", 7)]
        {
            assert_eq!(parse_size(text), Some(size), "{text}");
        }
        for text in ["", "MiB", "-1", "8MB", "8Mi", "1.5MiB", "99999999999GiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
