//! Secrets: strings that never appear in logs or messages.

use std::fmt;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A string that is redacted in `Debug` and zeroized on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

/// Why a text is not a valid secret. The messages do not contain it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The text is empty or only white space.
    #[error("is empty; allowed is the secret itself")]
    Empty,
    /// The text contains a NUL character.
    #[error("holds a NUL character, as text in UTF-16 does; allowed is the secret in UTF-8")]
    Nul,
    /// The text contains a line break.
    #[error("has several lines; allowed is the secret alone")]
    Lines,
    /// The text is in quotes.
    #[error("has quotes around it, which would be sent with it; allowed is the secret without quotes")]
    Quotes,
    /// The bytes are not UTF-8.
    #[error("is not UTF-8 text, it may be UTF-16; allowed is the secret in UTF-8")]
    Encoding,
}

/// Removes white space, line ends and byte order marks around `text`.
pub fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

impl Secret {
    /// Wraps a string without validation.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Parses a secret as a person or a tool has written it. White space, line ends and a byte order mark around it are
    /// removed.
    ///
    /// # Errors
    /// The text cannot be the intended secret, see [`SecretError`].
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

    /// Parses a secret from the content of a file.
    ///
    /// # Errors
    /// The content is not UTF-8, or cannot be the intended secret, see [`SecretError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SecretError> {
        Self::parse(std::str::from_utf8(bytes).map_err(|_| SecretError::Encoding)?)
    }

    /// Returns the text.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Replaces this secret in `text` with `[redacted]`, for messages of other services.
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
    fn removes_white_space_and_byte_order_marks_around_a_secret() {
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
    fn rejects_texts_that_cannot_be_secrets_without_showing_them() {
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
