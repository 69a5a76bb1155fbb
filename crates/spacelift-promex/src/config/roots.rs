//! The file of additional trusted root certificates.

use std::path::Path;
use std::time::Duration;

use exporter_common::files;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// Maximum size of the file in bytes.
const MAX_SIZE: u64 = 16 * 1024 * 1024;

/// Maximum time to read it.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the certificates of a PEM file.
///
/// # Errors
/// Returns an error if the file cannot be read, is not PEM, or contains no usable certificate.
pub(super) fn read_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem =
        files::read(path, MAX_SIZE, READ_TIMEOUT).map_err(|error| format!("cannot be read: {error}"))?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("is not a PEM file: {error}"))?;
    let mut store = RootCertStore::empty();
    let (usable, _) = store.add_parsable_certificates(certificates.iter().cloned());
    if usable == 0 {
        return Err(
            "contains no certificate; allowed is a PEM file with at least one CA certificate".to_owned()
        );
    }
    Ok(certificates)
}
