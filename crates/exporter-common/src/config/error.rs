//! The error of an invalid configuration.

use std::fmt;

/// Why the configuration is invalid. The text is one line that names the key, the source of the value and what is
/// allowed. It never contains a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    /// Creates an error from a message. Line breaks become spaces, because the text is one line.
    pub fn new(message: impl AsRef<str>) -> Self {
        let mut line = String::with_capacity(message.as_ref().len());
        for part in message.as_ref().lines().map(str::trim).filter(|part| !part.is_empty()) {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(part);
        }
        Self(line)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}
