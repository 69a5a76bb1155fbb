//! The source of the API key's secret.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use exporter_common::files::{self, Reader};
use exporter_common::secret::Secret;
use zeroize::Zeroizing;

/// The source of the API key's secret.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// In the configuration.
    Value(Secret),
    /// In a file that is read for each token exchange, so that a rotated secret needs no restart.
    File(PathBuf),
}

/// Maximum size of the file in bytes.
const MAX_SIZE: u64 = 64 * 1024;

/// Maximum time to read it.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

impl SecretSource {
    /// Reads the secret once, at start, and returns an error if it is unusable. A read that blocks (hung NFS mount) is not an
    /// error: it is retried later, like a request to an unreachable API.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self::File(path) = self else { return Ok(()) };
        match files::read(path, MAX_SIZE, READ_TIMEOUT) {
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(()),
            content => parse(path, content).map(drop),
        }
    }

    /// Returns the current secret.
    pub(crate) async fn read(&self, reader: &Reader) -> Result<Secret, String> {
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            Self::File(path) => parse(path, reader.read(path.clone(), MAX_SIZE, READ_TIMEOUT).await),
        }
    }
}

/// Parses the content of the file.
fn parse(path: &Path, content: io::Result<Zeroizing<Vec<u8>>>) -> Result<Secret, String> {
    let content = content.map_err(|error| format!("{}: {error}", path.display()))?;
    Secret::from_bytes(&content).map_err(|error| format!("{} {error}", path.display()))
}
