//! The file of certificates to trust beside the system's.

use std::path::Path;
use std::time::Duration;

use exporter_common::files;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// The size of a file of certificates in bytes, and the time to read it.
const MAX_ROOTS: u64 = 16 * 1024 * 1024;
const READ_BOUND: Duration = Duration::from_secs(5);

/// Reads the certificates of a PEM file.
///
/// # Errors
/// The file cannot be read, is no PEM, or holds no certificate that can be trusted.
pub(super) fn read_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = files::read(path, MAX_ROOTS, READ_BOUND).map_err(|error| format!("cannot be read: {error}"))?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("is no PEM file: {error}"))?;
    let mut store = RootCertStore::empty();
    let (usable, _) = store.add_parsable_certificates(certificates.iter().cloned());
    if usable == 0 {
        return Err("holds no certificate; allowed is a PEM file with at least one CA certificate".to_owned());
    }
    Ok(certificates)
}
