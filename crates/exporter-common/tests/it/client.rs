//! A client with a configurable TLS version, HTTP version and certificate.

use std::net::SocketAddr;
use std::sync::Arc;

use exporter_common::http::{Limits, Web};
use harness::{Authority, Certificate};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::server::{Server, TIMEOUT, UNLIMITED};

/// All combinations of a TLS version and whether HTTP/2 is used.
pub(crate) const PROTOCOLS: [(&SupportedProtocolVersion, bool); 4] = [
    (&rustls::version::TLS12, false),
    (&rustls::version::TLS12, true),
    (&rustls::version::TLS13, false),
    (&rustls::version::TLS13, true),
];

/// A folder with a web configuration and a server certificate, and the certificate authorities.
pub(crate) struct Folder {
    folder: TempDir,
    pub(crate) servers: Authority,
    pub(crate) clients: Authority,
}

/// The lines of a web configuration that enable TLS.
pub(crate) const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (servers, clients) = (Authority::new("Server CA"), Authority::new("Client CA"));
        servers.issue(&["localhost"]).write(folder.path(), "server");
        std::fs::write(folder.path().join("clients.crt"), clients.pem()).unwrap();
        Self { folder, servers, clients }
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the web configuration atomically, as editors and Kubernetes do.
    pub(crate) fn write(&self, config: &str) {
        std::fs::write(self.path("new"), config).unwrap();
        std::fs::rename(self.path("new"), self.path("web.yml")).unwrap();
    }

    pub(crate) fn load(&self, config: &str) -> Result<Web, String> {
        self.write(config);
        Web::load(&self.path("web.yml"), false).map_err(|error| error.to_string())
    }

    /// Starts a server with a web configuration. Scrapes return immediately.
    pub(crate) fn serve(&self, config: &str) -> Server {
        self.serve_with(config, false, UNLIMITED)
    }

    pub(crate) fn serve_with(&self, config: &str, open_probes: bool, limits: Limits) -> Server {
        self.write(config);
        let web = Web::load(&self.path("web.yml"), open_probes).unwrap();
        let server = Server::start_with(limits, false, web);
        server.permits.add_permits(1_000);
        server
    }

    pub(crate) fn client(&self) -> Client<'_> {
        Client {
            trusted: &self.servers,
            versions: vec![&rustls::version::TLS12, &rustls::version::TLS13],
            http2: false,
            certificate: None,
            credentials: None,
        }
    }
}

/// The settings of a client.
#[derive(Clone)]
pub(crate) struct Client<'a> {
    pub(crate) trusted: &'a Authority,
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    pub(crate) http2: bool,
    pub(crate) certificate: Option<&'a Certificate>,
    /// The value of the `Authorization` header.
    pub(crate) credentials: Option<String>,
}

impl Client<'_> {
    /// Sends one request over a new connection. Returns an error if there is no response.
    pub(crate) async fn get(&self, server: &Server, path: &str) -> Result<harness::HttpResponse, String> {
        let mut connection = self.connect(server.address).await?;
        connection.get(path, self.credentials.as_deref()).await
    }

    /// Returns the status of the response. Panics if there is none.
    pub(crate) async fn status(&self, server: &Server, path: &str) -> u16 {
        self.get(server, path).await.unwrap().status
    }

    /// Returns the value of a series from a scrape.
    pub(crate) async fn sample(&self, server: &Server, series: &str) -> f64 {
        self.get(server, "/metrics").await.unwrap().sample(series).unwrap_or_else(|| panic!("no {series}"))
    }

    pub(crate) async fn connect(&self, address: SocketAddr) -> Result<Connection, String> {
        let stream =
            timeout(TIMEOUT, self.handshake(address)).await.expect("the handshake does not finish")?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .handshake(TokioIo::new(stream))
                .await
                .map_err(text)?;
            tokio::spawn(connection);
            return Ok(Connection::Http2(sender));
        }
        assert!(!self.http2, "the server does not offer HTTP/2");
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
        tokio::spawn(connection);
        Ok(Connection::Http1(sender))
    }

    pub(crate) async fn handshake(&self, address: SocketAddr) -> Result<TlsStream<TcpStream>, String> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.trusted.pem())).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match self.certificate {
            None => config.with_no_client_auth(),
            Some(Certificate { certificate: chain, key }) => {
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                config.with_client_auth_cert(vec![certificate(chain)], key).unwrap()
            }
        };
        config.alpn_protocols = vec![if self.http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let tcp = TcpStream::connect(address).await.map_err(text)?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(text)
    }
}

/// An established connection.
pub(crate) enum Connection {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Connection {
    pub(crate) async fn get(
        &mut self,
        path: &str,
        credentials: Option<&str>,
    ) -> Result<harness::HttpResponse, String> {
        let response = async {
            let (head, body) = self.request(path, credentials).await?.into_parts();
            let body = body.collect().await.map_err(text)?.to_bytes();
            Ok(harness::HttpResponse { status: head.status.as_u16(), headers: head.headers, body })
        };
        timeout(TIMEOUT, response).await.unwrap_or_else(|_| panic!("no response from {path}"))
    }

    /// Waits until the server closes the HTTP/2 connection.
    pub(crate) async fn closed(&mut self) {
        let Self::Http2(sender) = self else { panic!("not an HTTP/2 connection") };
        let closed = async {
            while sender.ready().await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        timeout(TIMEOUT, closed).await.expect("the connection is not closed");
    }

    /// Sends a request and reads only the head of the response.
    pub(crate) async fn request(
        &mut self,
        path: &str,
        credentials: Option<&str>,
    ) -> Result<Response<Incoming>, String> {
        let mut request =
            Request::builder().uri(format!("https://localhost{path}")).header("host", "localhost");
        if let Some(credentials) = credentials {
            request = request.header("authorization", credentials);
        }
        let request = request.body(Empty::new()).unwrap();
        match self {
            Self::Http1(sender) => sender.send_request(request).await,
            Self::Http2(sender) => sender.send_request(request).await,
        }
        .map_err(text)
    }
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
