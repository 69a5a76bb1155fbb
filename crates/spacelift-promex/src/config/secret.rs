//! Where the secret of the API key comes from.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use exporter_common::files::{self, Reader};
use exporter_common::secret::Secret;
use zeroize::Zeroizing;

/// Where the secret of the API key is.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// In the configuration.
    Value(Secret),
    /// In a file that is read again for each exchange, so that a rotated secret needs no restart.
    File(PathBuf),
}

/// The size of a secret's file in bytes, and the time to read it.
const MAX_SECRET: u64 = 64 * 1024;
const READ_BOUND: Duration = Duration::from_secs(2);

impl SecretSource {
    /// Reads the secret once, at start. A file on a volume that hangs is like an API that cannot be reached: it is
    /// tried again later.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self::File(path) = self else { return Ok(()) };
        match files::read(path, MAX_SECRET, READ_BOUND) {
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(()),
            content => in_file(path, content).map(drop),
        }
    }

    /// The secret as it is now.
    pub(crate) async fn read(&self, reader: &Reader) -> Result<Secret, String> {
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            Self::File(path) => in_file(path, reader.read(path.clone(), MAX_SECRET, READ_BOUND).await),
        }
    }
}

fn in_file(path: &Path, content: io::Result<Zeroizing<Vec<u8>>>) -> Result<Secret, String> {
    let content = content.map_err(|error| format!("{}: {error}", path.display()))?;
    Secret::from_bytes(&content).map_err(|error| format!("{} {error}", path.display()))
}
