//! Texts that mean something else: truth values and lists.

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use std::fmt;

/// Reads a truth value as Go's `strconv.ParseBool` and YAML do; `None` for any other text.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "yes" | "on" => Some(true),
        "0" | "f" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// A list that is a sequence in a file and comma-separated in a variable or flag.
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
                // As in the file, brackets and quotes may stand around it.
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
