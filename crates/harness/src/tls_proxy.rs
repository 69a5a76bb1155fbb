//! A proxy that adds TLS to a service.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::date_time_ymd;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::{Authority, Certificate};

/// Terminates TLS and forwards the bytes to a service.
pub struct TlsProxy {
    /// The address on which it listens.
    pub address: SocketAddr,
    /// The authority that signs its certificates.
    pub authority: Authority,
    acceptor: watch::Sender<Option<TlsAcceptor>>,
    protocols: Vec<Vec<u8>>,
}

impl TlsProxy {
    /// Starts a proxy without a certificate. It selects the first of `protocols` (ALPN) that a client supports. Without
    /// protocols it does not use ALPN.
    pub async fn to(service: SocketAddr, protocols: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (acceptor, current) = watch::channel::<Option<TlsAcceptor>>(None);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = current.borrow().clone().unwrap();
                tokio::spawn(async move {
                    // A client that rejects the certificate disconnects.
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let Ok(mut service) = TcpStream::connect(service).await else { return };
                    let _ = copy_bidirectional(&mut client, &mut service).await;
                });
            }
        });
        let protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self { address, authority: Authority::new("TLS proxy"), acceptor, protocols }
    }

    /// Sets a new certificate that expires at the start of `year`.
    pub fn set_certificate_until(&self, year: i32) {
        self.set_certificate(&self.authority.issue_until(&["127.0.0.1"], date_time_ymd(year, 1, 1)));
    }

    /// Sets the certificate for new connections.
    pub fn set_certificate(&self, issued: &Certificate) {
        let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols.clone_from(&self.protocols);
        self.acceptor.send_replace(Some(TlsAcceptor::from(Arc::new(config))));
    }
}
