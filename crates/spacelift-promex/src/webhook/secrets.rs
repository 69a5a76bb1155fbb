//! The secrets that deliveries are signed with. A file may have several, one a line, so that they can be rotated.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use exporter_common::failure_log::{FailureLog, LogLine};
use exporter_common::files::{self, Reader};
use exporter_common::readiness::Condition;
use exporter_common::secret::{Secret, SecretError, trim};
use ring::hmac;
use tokio::time::Instant;

/// Where the secrets are.
#[derive(Debug, Clone)]
pub enum WebhookSecret {
    /// In the configuration.
    Value(Secret),
    /// In a file that is read again while deliveries come.
    File(PathBuf),
}

/// The size of the file in bytes, and the time to read it.
const MAX_FILE: u64 = 64 * 1024;
const READ_BOUND: Duration = Duration::from_secs(2);

/// Secrets in a file. Two are enough to rotate them.
const MAX_SECRETS: usize = 16;

/// For how long what was read from the file is taken for its content.
const FRESH: Duration = Duration::from_millis(100);

/// The secrets as they were read last.
#[derive(Debug)]
pub(super) struct Secrets {
    source: WebhookSecret,
    reader: Reader,
    current: Mutex<Current>,
    condition: Condition,
}

#[derive(Debug, Default)]
struct Current {
    keys: Arc<[hmac::Key]>,
    read: Option<Instant>,
    failures: FailureLog,
}

/// Whether the secret can be used, at start. A file on a volume that hangs is tried again later.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    match files::read(path, MAX_FILE, READ_BOUND) {
        Ok(content) => parse(&content).map(drop).map_err(|error| format!("{} {error}", path.display())),
        Err(error) if error.kind() == ErrorKind::TimedOut => Ok(()),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// The secrets of a file.
fn parse(content: &[u8]) -> Result<Vec<Secret>, SecretError> {
    let text = std::str::from_utf8(content).map_err(|_| SecretError::Encoding)?;
    let lines = text.lines().map(trim).filter(|line| !line.is_empty());
    let secrets: Vec<Secret> = lines.map(Secret::parse).collect::<Result<_, _>>()?;
    match secrets.len() {
        0 => Err(SecretError::Empty),
        1..=MAX_SECRETS => Ok(secrets),
        // Every one of them may have to be tried for a delivery.
        _ => Err(SecretError::Lines),
    }
}

fn keys<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Arc<[hmac::Key]> {
    let key = |secret: &Secret| hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    secrets.into_iter().map(key).collect()
}

impl Secrets {
    pub(super) fn new(source: WebhookSecret, condition: Condition) -> Self {
        let mut current = Current::default();
        if let WebhookSecret::Value(secret) = &source {
            current.keys = keys([secret]);
        }
        Self { source, reader: Reader::default(), current: Mutex::new(current), condition }
    }

    /// The keys of the secrets as they are now. If the file cannot be read, the last ones stay; there are none if it was
    /// never read.
    pub(super) async fn keys(&self) -> Arc<[hmac::Key]> {
        let WebhookSecret::File(path) = &self.source else { return self.current().keys.clone() };
        {
            let mut current = self.current();
            if current.read.is_some_and(|read| read.elapsed() < FRESH) {
                return current.keys.clone();
            }
            if !current.keys.is_empty() {
                // Concurrent deliveries use the last keys instead of waiting for the file.
                current.read = Some(Instant::now());
            }
        }
        let content = self.reader.read(path.clone(), MAX_FILE, READ_BOUND).await;
        let secrets = match content {
            Ok(content) => parse(&content).map_err(|error| format!("{} {error}", path.display())),
            Err(error) => Err(format!("{}: {error}", path.display())),
        };
        let mut current = self.current();
        let now = Instant::now();
        current.read = Some(now);
        match secrets {
            Ok(secrets) => {
                current.keys = keys(&secrets);
                self.condition.ready();
                if let Some(LogLine::Recovered { .. }) = current.failures.succeeded(now) {
                    tracing::info!("the webhook's secret can be read again");
                }
            }
            Err(error) => {
                self.condition.missing(format!("the webhook's secret: {error}"));
                if current.failures.failed(&error, now).is_some() {
                    tracing::warn!(error, "the webhook's secret cannot be read; the last one stays");
                }
            }
        }
        current.keys.clone()
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Current> {
        // A critical section is a few assignments.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposed(content: &[u8]) -> Result<Vec<String>, SecretError> {
        parse(content).map(|secrets| secrets.iter().map(|secret| secret.expose().to_owned()).collect())
    }

    #[test]
    fn every_line_is_a_secret() {
        for content in ["new\nold\n", "\u{feff} new \r\n\r\n\told\n\n", "new\nold"] {
            assert_eq!(exposed(content.as_bytes()).unwrap(), ["new", "old"], "{content:?}");
        }
        assert_eq!(exposed(b"one").unwrap(), ["one"]);
        for (content, error) in [
            (&b""[..], SecretError::Empty),
            (b"\n \n", SecretError::Empty),
            (b"new\n\"old\"", SecretError::Quotes),
            (b"n\0e\0w\0", SecretError::Nul),
            (b"\xff\xfen\0", SecretError::Encoding),
            (b"1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n17", SecretError::Lines),
        ] {
            assert_eq!(exposed(content), Err(error), "{content:?}");
        }
    }
}
