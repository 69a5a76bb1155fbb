//! The one line that an operator reads when the configuration is wrong.

use std::fmt;

/// What is wrong with the configuration. Its text is one line that names the key, where the value came from
/// and what is allowed; it never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    /// An error that belongs to no single key. Line breaks are folded, because the message is one line.
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
