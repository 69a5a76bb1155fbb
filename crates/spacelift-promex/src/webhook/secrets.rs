//! The secrets that deliveries are signed with. A file may contain several, one per line, for rotation.

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

/// The source of the secrets.
#[derive(Debug, Clone)]
pub enum WebhookSecret {
    /// In the configuration.
    Value(Secret),
    /// In a file, which is read again when deliveries arrive.
    File(PathBuf),
}

/// Maximum size of the file in bytes.
const MAX_SIZE: u64 = 64 * 1024;

/// Maximum time to read it.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum number of secrets in a file. Two are enough for rotation.
const MAX_SECRETS: usize = 16;

/// How long the content of the file is cached.
const CACHE_TTL: Duration = Duration::from_millis(100);

/// The current secrets.
#[derive(Debug)]
pub(super) struct Secrets {
    source: WebhookSecret,
    reader: Reader,
    cache: Mutex<CachedKeys>,
    condition: Condition,
}

#[derive(Debug, Default)]
struct CachedKeys {
    keys: Arc<[hmac::Key]>,
    /// When the file was last read.
    read: Option<Instant>,
    failures: FailureLog,
}

/// Reads the file once, at start, and returns an error if it is unusable. A read that blocks (hung NFS mount) is not an
/// error: it is retried when deliveries arrive.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    match files::read(path, MAX_SIZE, READ_TIMEOUT) {
        Ok(content) => parse(&content).map(drop).map_err(|error| format!("{} {error}", path.display())),
        Err(error) if error.kind() == ErrorKind::TimedOut => Ok(()),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Parses the content of the file.
fn parse(content: &[u8]) -> Result<Vec<Secret>, SecretError> {
    let text = std::str::from_utf8(content).map_err(|_| SecretError::Encoding)?;
    let lines = text.lines().map(trim).filter(|line| !line.is_empty());
    let secrets: Vec<Secret> = lines.map(Secret::parse).collect::<Result<_, _>>()?;
    match secrets.len() {
        0 => Err(SecretError::Empty),
        1..=MAX_SECRETS => Ok(secrets),
        // Every secret may have to be tried for a delivery.
        _ => Err(SecretError::Lines),
    }
}

/// Returns the HMAC keys of secrets.
fn keys<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Arc<[hmac::Key]> {
    let key = |secret: &Secret| hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    secrets.into_iter().map(key).collect()
}

impl Secrets {
    /// Creates the secrets. A file is read with the first delivery.
    pub(super) fn new(source: WebhookSecret, condition: Condition) -> Self {
        let mut cache = CachedKeys::default();
        if let WebhookSecret::Value(secret) = &source {
            cache.keys = keys([secret]);
        }
        Self { source, reader: Reader::default(), cache: Mutex::new(cache), condition }
    }

    /// Returns the keys of the current secrets. If the file cannot be read, the previous keys stay valid; the result is empty
    /// if the file was never read.
    pub(super) async fn keys(&self) -> Arc<[hmac::Key]> {
        let WebhookSecret::File(path) = &self.source else { return self.cache().keys.clone() };
        {
            let mut cache = self.cache();
            if cache.read.is_some_and(|read| read.elapsed() < CACHE_TTL) {
                return cache.keys.clone();
            }
            if !cache.keys.is_empty() {
                // Concurrent deliveries use the previous keys instead of waiting for the file.
                cache.read = Some(Instant::now());
            }
        }
        let content = self.reader.read(path.clone(), MAX_SIZE, READ_TIMEOUT).await;
        let secrets = match content {
            Ok(content) => parse(&content).map_err(|error| format!("{} {error}", path.display())),
            Err(error) => Err(format!("{}: {error}", path.display())),
        };
        let mut cache = self.cache();
        let now = Instant::now();
        cache.read = Some(now);
        match secrets {
            Ok(secrets) => {
                cache.keys = keys(&secrets);
                self.condition.ready();
                if let Some(LogLine::Recovered { .. }) = cache.failures.succeeded(now) {
                    tracing::info!("the webhook's secret can be read again");
                }
            }
            Err(error) => {
                self.condition.missing(format!("the webhook's secret: {error}"));
                if cache.failures.failed(&error, now).is_some() {
                    tracing::warn!(
                        error,
                        "the webhook's secret cannot be read; the previous one stays valid"
                    );
                }
            }
        }
        cache.keys.clone()
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, CachedKeys> {
        // The critical sections are a few assignments, so a poisoned cache is consistent.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposed(content: &[u8]) -> Result<Vec<String>, SecretError> {
        parse(content).map(|secrets| secrets.iter().map(|secret| secret.expose().to_owned()).collect())
    }

    #[test]
    fn parses_one_secret_per_line() {
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
