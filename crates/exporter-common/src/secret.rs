//! Strings that must not be shown.

use std::fmt;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A secret: redacted in `Debug`, zeroized on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

/// Why a text is no secret. The messages do not repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// There is nothing but white space.
    #[error("is empty; allowed is the secret itself")]
    Empty,
    /// There is a NUL in it.
    #[error("holds a NUL character, as text in UTF-16 does; allowed is the secret in UTF-8")]
    Nul,
    /// There is a line break within it.
    #[error("has several lines; allowed is the secret alone")]
    Lines,
    /// There are quotes around it.
    #[error("has quotes around it, which would be sent with it; allowed is the secret without quotes")]
    Quotes,
    /// The bytes are no text.
    #[error("is not UTF-8 text, it may be UTF-16; allowed is the secret in UTF-8")]
    Encoding,
}

/// `text` without white space, line ends and byte order marks around it.
pub fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

impl Secret {
    /// Wraps a string as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Reads a secret as a person or a tool has written it: white space, line ends and a byte order mark around it are
    /// no part of it.
    ///
    /// # Errors
    /// It cannot be what was meant.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let text = trim(text);
        let is_quoted = |quote: char| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
        if text.is_empty() {
            Err(SecretError::Empty)
        } else if text.contains('\0') {
            Err(SecretError::Nul)
        } else if text.contains(['\n', '\r']) {
            Err(SecretError::Lines)
        } else if ['"', '\'', '`'].into_iter().any(is_quoted)
            || (text.starts_with('“') && text.ends_with('”'))
        {
            Err(SecretError::Quotes)
        } else {
            Ok(Self::new(text))
        }
    }

    /// Likewise, from the content of a file.
    ///
    /// # Errors
    /// It cannot be what was meant, or is not UTF-8.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SecretError> {
        Self::parse(std::str::from_utf8(bytes).map_err(|_| SecretError::Encoding)?)
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `text` without this secret, for messages that come from elsewhere.
    pub fn redact(&self, text: &str) -> String {
        if self.0.is_empty() { text.to_owned() } else { text.replace(self.0.as_str(), "[redacted]") }
    }
}

impl From<Zeroizing<String>> for Secret {
    fn from(text: Zeroizing<String>) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_surrounds_a_secret_is_no_part_of_it() {
        for text in
            ["hush", " hush\n", "hush\r\n", "\u{feff}hush", "\u{feff} hush \u{feff}\n", "\thush\u{a0}"]
        {
            assert_eq!(Secret::parse(text).unwrap().expose(), "hush", "{text:?}");
            assert_eq!(Secret::from_bytes(text.as_bytes()).unwrap().expose(), "hush", "{text:?}");
        }
        for text in ["007", "with space", "\"", "a\"b", "\"a", "ünïcode"] {
            assert_eq!(Secret::parse(text).unwrap().expose(), text);
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_a_hint() {
        for (text, error) in [
            ("", SecretError::Empty),
            (" \r\n\u{feff}", SecretError::Empty),
            ("hu\0sh", SecretError::Nul),
            ("h\0u\0s\0h\0", SecretError::Nul),
            ("hush\nhush", SecretError::Lines),
            ("hush\rhush", SecretError::Lines),
            ("\"hush\"", SecretError::Quotes),
            (" 'hush'\n", SecretError::Quotes),
            ("“hush”", SecretError::Quotes),
        ] {
            let found = Secret::parse(text).unwrap_err();
            assert_eq!(found, error, "{text:?}");
            assert!(!found.to_string().contains("hush"));
        }
        assert_eq!(Secret::from_bytes(b"\xff\xfeh\0u\0"), Err(SecretError::Encoding));
    }
}
