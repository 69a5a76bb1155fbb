//! Creates the TLS configuration of the server from the section `tls_server_config`.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DistinguishedName, Error, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use zeroize::Zeroizing;

use super::file::{ClientAuth, Pem, TlsServer};
use crate::tls::{CLIENT_AUTH, bad_encoding, explain_own, is_valid_for, verify_handshake_signatures};

/// Protocol names of ALPN.
pub(in crate::http) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Creates the TLS configuration. `read` returns the bytes of a PEM text, which is inline or in a file.
///
/// # Errors
/// A file cannot be read or has other content, or certificate and key do not match.
pub(super) fn server_config(
    tls: &TlsServer,
    http2: bool,
    mut read: impl FnMut(&str, &Pem) -> Result<Zeroizing<Vec<u8>>, String>,
) -> Result<ServerConfig, String> {
    let provider = Arc::new(CryptoProvider {
        cipher_suites: tls.cipher_suites.clone(),
        kx_groups: tls.curves.clone(),
        ..ring::default_provider()
    });
    let chain = certificates(&read("cert_file", &tls.certificate)?).ok_or("holds no certificate");
    let chain =
        chain.map_err(|problem| format!("failed to load X509KeyPair: the certificate's PEM {problem}"))?;
    let key = PrivateKeyDer::from_pem_slice(&read("key_file", &tls.key)?).map_err(
        |_| "failed to load X509KeyPair: the key's PEM holds no private key that is not encrypted",
    )?;
    let client_ca = tls.client_ca.as_ref().map(|pem| {
        certificates(&read("client_ca_file", pem)?)
            .ok_or_else(|| "the client CA's PEM holds no certificate".to_owned())
    });
    let client_ca = client_ca.transpose()?;

    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&tls.versions)
        .map_err(|error| error.to_string())?;
    let builder = match tls.client_auth {
        ClientAuth::NoClientCert => builder.with_no_client_auth(),
        _ => builder.with_client_cert_verifier(Arc::new(ClientVerifier::new(tls, client_ca, &provider)?)),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| format!("failed to load X509KeyPair: {}", explain_own(&error)))?;
    config.ignore_client_order = tls.prefer_server_cipher_suites;
    config.alpn_protocols = if http2 { vec![HTTP2.to_vec(), HTTP1.to_vec()] } else { vec![HTTP1.to_vec()] };
    Ok(config)
}

/// Parses the certificates of a PEM text; `None` if there are none or one is invalid.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    certificates.ok().filter(|certificates| !certificates.is_empty())
}

/// Verifies client certificates according to the configured policy.
#[derive(Debug)]
struct ClientVerifier {
    policy: ClientAuth,
    /// The verifier for the client CA. Without a client CA no certificate is trusted.
    webpki: Option<Arc<dyn ClientCertVerifier>>,
    /// The certificates of the client CA.
    authorities: Vec<CertificateDer<'static>>,
    allowed_sans: Option<Vec<String>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientVerifier {
    fn new(
        tls: &TlsServer,
        client_ca: Option<Vec<CertificateDer<'static>>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let unusable = |problem: String| format!("the client CA cannot be used: {problem}");
        let webpki = client_ca.as_ref().map(|authorities| {
            let mut roots = RootCertStore::empty();
            for authority in authorities {
                roots.add(authority.clone()).map_err(|error| unusable(explain_own(&error)))?;
            }
            WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
                .build()
                .map_err(|error| unusable(error.to_string()))
        });
        Ok(Self {
            policy: tls.client_auth,
            webpki: webpki.transpose()?,
            authorities: client_ca.unwrap_or_default(),
            allowed_sans: tls.client_allowed_sans.clone(),
            algorithms: provider.signature_verification_algorithms,
        })
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.policy.requires()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.webpki.as_ref().map_or(&[], |webpki| webpki.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.policy.verifies() {
            let webpki = self.webpki.as_ref().ok_or(CertificateError::UnknownIssuer)?;
            let verified = webpki.verify_client_cert(certificate, intermediates, now);
            // A certificate of the client CA can also be the client's own, as in `server_verifier`.
            if !self.authorities.contains(certificate) || !is_valid_for(certificate, CLIENT_AUTH, now)? {
                verified?;
            }
        }
        if let Some(allowed) = &self.allowed_sans
            && !subject_alternative_names(certificate)?.iter().any(|name| allowed.contains(name))
        {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(ClientCertVerified::assertion())
    }

    verify_handshake_signatures!();
}

/// Returns the DNS names, e-mail addresses, IP addresses and URIs of a certificate, formatted as in Go.
fn subject_alternative_names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, Error> {
    let certificate = Certificate::from_der(certificate).map_err(bad_encoding)?;
    let extension = certificate.tbs_certificate().get_extension::<SubjectAltName>().map_err(bad_encoding)?;
    let Some((_, SubjectAltName(names))) = extension else { return Ok(Vec::new()) };
    let text = |name: GeneralName| match name {
        GeneralName::DnsName(name)
        | GeneralName::Rfc822Name(name)
        | GeneralName::UniformResourceIdentifier(name) => Some(name.to_string()),
        GeneralName::IpAddress(bytes) => ip_address(bytes.as_bytes()).map(|address| address.to_string()),
        _ => None,
    };
    Ok(names.into_iter().filter_map(text).collect())
}

fn ip_address(bytes: &[u8]) -> Option<IpAddr> {
    let address = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let address = address.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
    address.ok().map(|address| address.to_canonical())
}
