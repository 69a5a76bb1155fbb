//! TLS: verification of server certificates, and error texts for clients and servers.

use std::sync::Arc;

use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::server::ParsedCertificate;
use rustls::{AlertDescription, CertificateError, Error, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::ExtendedKeyUsage;

/// The extended key usages of certificates for servers and clients.
pub(crate) const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
pub(crate) const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

const KEYS: &str = "RSA, ECDSA with P-256 and P-384, and Ed25519 are supported, and P-521 is not";

/// Generates the methods of a certificate verifier that check the signatures of a handshake with `self.algorithms`. The
/// traits for servers and clients declare the same three methods, and neither has a default for them.
macro_rules! verify_handshake_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &rustls_pki_types::CertificateDer<'_>,
            signed: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &rustls_pki_types::CertificateDer<'_>,
            signed: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            self.algorithms.supported_schemes()
        }
    };
}

pub(crate) use verify_handshake_signatures;

/// Returns a verifier for server certificates that are signed by one of `roots`. A certificate in `trusted` is also
/// accepted as the server's own for its names, even if it is marked as a CA, as those of `openssl req -x509` are. curl
/// and Go accept such certificates too.
///
/// # Errors
/// `roots` is empty.
pub fn server_verifier(
    roots: RootCertStore,
    trusted: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, VerifierBuilderError> {
    let algorithms = provider.signature_verification_algorithms;
    let webpki = WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build()?;
    Ok(Arc::new(ServerVerifier { webpki, trusted, algorithms }))
}

#[derive(Debug)]
struct ServerVerifier {
    webpki: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.webpki.verify_server_cert(certificate, intermediates, name, ocsp_response, now);
        if verified.is_ok()
            || !self.trusted.contains(certificate)
            || !is_valid_for(certificate, SERVER_AUTH, now).unwrap_or(false)
        {
            return verified;
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    verify_handshake_signatures!();
}

/// Whether a trusted certificate is valid for `purpose` at the time `now`.
pub(crate) fn is_valid_for(
    certificate: &CertificateDer<'_>,
    purpose: ObjectIdentifier,
    now: UnixTime,
) -> Result<bool, Error> {
    const ANY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
    let certificate = Certificate::from_der(certificate).map_err(bad_encoding)?;
    let certificate = certificate.tbs_certificate();
    let [begin, end] = [certificate.validity().not_before, certificate.validity().not_after]
        .map(|time| time.to_unix_duration().as_secs());
    let uses = certificate.get_extension::<ExtendedKeyUsage>().map_err(bad_encoding)?;
    let has_purpose =
        uses.is_none_or(|(_, uses)| uses.0.iter().any(|&usage| usage == purpose || usage == ANY));
    Ok(has_purpose && (begin..=end).contains(&now.as_secs()))
}

pub(crate) fn bad_encoding(_: x509_cert::der::Error) -> Error {
    CertificateError::BadEncoding.into()
}

/// Describes why a connection to a server failed, with the remedy where one is known.
#[must_use]
pub fn explain(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(cause) => format!("invalid peer certificate: {}", described(cause)),
        Error::AlertReceived(AlertDescription::HandshakeFailure) => format!(
            "{error}: the server has no version, cipher suite or kind of key in common with this client; TLS 1.2 and 1.3 are supported; of keys, {KEYS}"
        ),
        other => other.to_string(),
    }
}

/// Describes why a certificate in this program's configuration cannot be used.
#[must_use]
pub fn explain_own(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(cause) => format!("invalid certificate: {}", described(cause)),
        other => other.to_string(),
    }
}

fn described(error: &CertificateError) -> String {
    match error {
        CertificateError::BadEncoding => "it cannot be decoded (BadEncoding)".to_owned(),
        CertificateError::UnknownIssuer => {
            "it is not signed by a trusted authority (UnknownIssuer)".to_owned()
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            format!("it is signed by a key of a kind that is not supported: {KEYS}")
        }
        CertificateError::Other(other) => match other.0.downcast_ref::<webpki::Error>() {
            Some(webpki::Error::UnsupportedCertVersion) => {
                "it is of X.509 version 1, which cannot be verified; issue it as version 3, with a subjectAltName"
                    .to_owned()
            }
            Some(webpki::Error::CaUsedAsEndEntity) => {
                "it is marked as an authority (CA:TRUE) and is not itself one of the trusted certificates".to_owned()
            }
            _ => other.0.to_string(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};
    use rustls::crypto::ring;
    use rustls_pki_types::pem::PemObject;

    use super::*;

    /// Made by `openssl x509 -req -signkey` without extensions: X.509 version 1.
    const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBJDCBywIUEtE4RhwN13SmrE5NnEBmOboDBEIwCgYIKoZIzj0EAwIwFDESMBAG
A1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNTEzMjUxNVoYDzIxMjYxMTAxMTMyNTE1
WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AASI5gm6tMfCiJ3xKCsmusRpS14r85C3f02YpncxOiGJrtlK84X+hschpwN4ZO/F
63XD4rYOU9V3Wj+pwO2SdTCPMAoGCCqGSM49BAMCA0gAMEUCIBofOnA4/jeA9DVn
G45G3nrh2i7+J8hz+YYlZ0HywhQwAiEAxvLf5vfUNbCvclVBpgTK8JjvWu0C59yK
+aQLP8FbnMM=
-----END CERTIFICATE-----";

    /// The authority has a P-521 key; the server has a P-256 key.
    const P521_AUTHORITY: &str = "\
-----BEGIN CERTIFICATE-----
MIIB/TCCAV6gAwIBAgIUZUnsBecSzvJJizPYL89o35wuTw0wCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEcDUyMTAgFw0yNjExMjUxMzI1MTVaGA8yMTI2MTEwMTEzMjUx
NVowDzENMAsGA1UEAwwEcDUyMTCBmzAQBgcqhkjOPQIBBgUrgQQAIwOBhgAEAW6p
HZ+1KjC1LeDQl+gvOadfNnWg6/s9I2sh1H/bQ+/cErm2ahdg5Kh0zMLF3t/WewU6
5+hS+fAeuD2S9AYewqmoAGiyCmN5+OUVH83Lnoo5aG7i/B/sSXIsjIDk+Ypg61ve
89wa6DWDAw5dM/2E0p/b1AeWAL7EfT8TifuAsCE87Gs0o1MwUTAdBgNVHQ4EFgQU
LKeTF5ekiN3ma/dv6//EXs7qp1QwHwYDVR0jBBgwFoAULKeTF5ekiN3ma/dv6//E
Xs7qp1QwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgOBjAAwgYgCQgFruZRS
p28ZYDEjpyxk72vpWuuz2BNaLFrwVy3tB7eSrbOZhg0WoSM8/5eVisZkXf3svtNc
Uc0ZBKse6jAcLy96wQJCAXWo+KW5RflcWYWxKV8tmn9AdsOhDdZM0a82CGHpqUAe
ZxtjvsPNusj6Ek+3Jw7yqkfF9jdHTqU0AUWPy9pz5eMQ
-----END CERTIFICATE-----";
    const P521_SIGNED: &str = "\
-----BEGIN CERTIFICATE-----
MIIBxDCCASWgAwIBAgIUWCAv01I1rJrNNI523Wh4d/Mpl/EwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEcDUyMTAgFw0yNjExMjUxMzI1MTZaGA8yMTI2MTEwMTEzMjUx
NlowFDESMBAGA1UEAwwJbG9jYWxob3N0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD
QgAEiOYJurTHwoid8SgrJrrEaUteK/OQt39NmKZ3MTohia7ZSvOF/obHIacDeGTv
xet1w+K2DlPVd1o/qcDtknUwj6NYMFYwFAYDVR0RBA0wC4IJbG9jYWxob3N0MB0G
A1UdDgQWBBSkauXqosSMGiNG1C3KeHDKbtFYmTAfBgNVHSMEGDAWgBQsp5MXl6SI
3eZr92/r/8RezuqnVDAKBggqhkjOPQQDAgOBjAAwgYgCQgEggdDaMAlCiuHYLQlG
WWpm+CgjynMYDpNgJozGr7qfQszirsPxoM5vFS+b4vtcBiGY+UJ06sfW2JOcy8Jr
mFB8tgJCANkdZO8tBNIdhz5l+zphEsFxBgxEvObfZzRU3JJRHguZAAy1V/WKXz4/
b1tNg743lV7FMSyw6G3SadI56AjZ27oA
-----END CERTIFICATE-----";

    /// In the year 2027.
    const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));

    fn certificate(pem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    }

    /// Verifies `certificate` for `localhost` with `trusted` as the only trusted certificate.
    fn verify(
        trusted: &CertificateDer<'static>,
        certificate: &CertificateDer<'static>,
    ) -> Result<(), String> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier = server_verifier(roots, vec![trusted.clone()], provider).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let verified = verifier.verify_server_cert(certificate, &[], &name, &[], NOW);
        verified.map(|_| ()).map_err(|error| explain(&error))
    }

    fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn accepts_a_trusted_authority_as_the_server_for_its_names() {
        let server = self_signed(|_| {});
        assert_eq!(verify(&server, &server), Ok(()));
        let other = verify(&self_signed(|_| {}), &server).unwrap_err();
        assert!(other.contains("UnknownIssuer") || other.contains("CA:TRUE"), "{other}");
        for (change, problem) in [
            (
                (|params| {
                    params.subject_alt_names =
                        vec![rcgen::SanType::DnsName("other.test".try_into().unwrap())];
                }) as fn(&mut CertificateParams),
                "not valid for name",
            ),
            (|params| params.not_after = date_time_ymd(2020, 1, 1), "expired"),
            (|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth], ""),
        ] {
            let server = self_signed(change);
            let error = verify(&server, &server).unwrap_err();
            assert!(error.starts_with("invalid peer certificate: ") && error.contains(problem), "{error}");
        }
    }

    #[test]
    fn names_the_remedy_for_unsupported_certificates() {
        let version_1 = certificate(VERSION_1);
        let error = verify(&version_1, &version_1).unwrap_err();
        assert!(error.contains("X.509 version 1") && error.contains("issue it as version 3"), "{error}");
        let error = verify(&certificate(P521_AUTHORITY), &certificate(P521_SIGNED)).unwrap_err();
        assert!(error.contains("kind that is not supported") && error.contains("P-521"), "{error}");
        let alert = explain(&Error::AlertReceived(AlertDescription::HandshakeFailure));
        assert!(alert.contains("P-521"), "{alert}");
    }

    #[test]
    fn errors_about_own_certificates_name_no_peer() {
        let error = Error::InvalidCertificate(CertificateError::BadEncoding);
        assert_eq!(explain_own(&error), "invalid certificate: it cannot be decoded (BadEncoding)");
    }
}
