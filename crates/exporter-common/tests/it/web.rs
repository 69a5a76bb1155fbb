//! TLS, authentication and their reloads, over sockets.

use std::os::unix::fs::symlink;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use exporter_common::http::{Limits, Web};
use harness::{Authority, Certificate};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};
use rustls::ProtocolVersion;
use tokio::time::timeout;

use super::client::{Client, Connection, Folder, PROTOCOLS, TLS};
use super::server::{SHORT, Server, TIMEOUT, UNLIMITED, closed, request, response, send};

const CHECKS: &str = "exporter_web_password_checks_total";
const RELOADED: &str = "exporter_web_config_reloads_total{outcome=\"success\"}";
const NOT_RELOADED: &str = "exporter_web_config_reloads_total{outcome=\"failure\"}";

fn rejections(reason: &str) -> String {
    format!("exporter_http_rejections_total{{reason=\"{reason}\"}}")
}

fn basic(credentials: &str) -> Option<String> {
    Some(format!("Basic {}", STANDARD.encode(credentials)))
}

/// The section `basic_auth_users`, with hashes of the lowest cost.
fn users(users: &[(&str, &str)]) -> String {
    let user =
        |(name, password): &(&str, &str)| format!("  {name}: {}\n", bcrypt::hash(password, 4).unwrap());
    format!("basic_auth_users:\n{}", users.iter().map(user).collect::<String>())
}

#[tokio::test]
async fn rejects_requests_without_valid_credentials() {
    let folder = Folder::new();
    let server = folder.serve(&format!("{TLS}{}", users(&[("alice", "secret")])));
    for (version, http2) in PROTOCOLS {
        let anonymous = Client { versions: vec![version], http2, ..folder.client() };
        for credentials in [None, basic("alice:wrong"), basic("bob:secret"), Some("Bearer secret".to_owned())]
        {
            let client = Client { credentials, ..anonymous.clone() };
            for path in ["/metrics", "/", "/health", "/ready", "/nowhere"] {
                let response = client.get(&server, path).await.unwrap();
                assert_eq!((response.status, response.text().as_str()), (401, "Unauthorized\n"), "{path}");
                assert_eq!(response.header("www-authenticate"), "Basic");
                assert_eq!(response.header("content-type"), "text/plain; charset=utf-8");
            }
        }
        let alice = Client { credentials: basic("alice:secret"), ..anonymous };
        assert_eq!(alice.status(&server, "/metrics").await, 200);
        assert_eq!(alice.status(&server, "/nowhere").await, 404);
    }
    let alice = Client { credentials: basic("alice:secret"), ..folder.client() };
    assert_eq!(alice.sample(&server, CHECKS).await, 3.0, "an outcome is not cached");
    assert_eq!(alice.sample(&server, &rejections("credentials")).await, 80.0);
}

#[tokio::test]
async fn checks_passwords_without_tls() {
    let folder = Folder::new();
    let server = folder.serve(&users(&[("alice", "secret")]));
    let url = format!("http://{}/metrics", server.address);
    assert_eq!(harness::get(&url, &[]).await.status, 401);
    assert_eq!(harness::get(&url, &[("authorization", &basic("alice:secret").unwrap())]).await.status, 200);
}

#[tokio::test]
async fn open_probes_require_no_credentials() {
    let folder = Folder::new();
    let config = format!("{}rate_limit: {{interval: 1h, burst: 2}}\n", users(&[("alice", "secret")]));
    let server = folder.serve_with(&config, true, UNLIMITED);
    server.readiness.ready();
    let status =
        async |path: &str| harness::get(&format!("http://{}{path}", server.address), &[]).await.status;
    for _ in 0..5 {
        for path in ["/health", "/ready", "/-/healthy", "/-/ready"] {
            assert_eq!(status(path).await, 200, "{path}");
        }
    }
    assert_eq!((status("/metrics").await, status("/").await), (401, 401));
    // The two requests above used the burst.
    assert_eq!((status("/metrics").await, status("/health").await), (429, 200));
}

#[tokio::test]
async fn limits_the_rate_of_requests() {
    let folder = Folder::new();
    let server = folder.serve("rate_limit: {interval: 1h, burst: 3}\n");
    let mut stream = server.connect().await;
    for _ in 0..3 {
        request(&mut stream, "/health").await;
        assert!(response(&mut stream).await.starts_with("HTTP/1.1 200"));
    }
    request(&mut stream, "/health").await;
    let rejected = response(&mut stream).await;
    assert!(
        rejected.starts_with("HTTP/1.1 429") && rejected.ends_with("\r\n\r\nToo Many Requests\n"),
        "{rejected}"
    );
    // An unchanged limit keeps its tokens when another part of the file changes. A changed limit starts with a full burst.
    folder.write("rate_limit: {interval: 1h, burst: 3}\nhttp_server_config: {http2: false}\n");
    request(&mut stream, "/health").await;
    assert!(response(&mut stream).await.starts_with("HTTP/1.1 429"));
    folder.write("rate_limit: {interval: 1h, burst: 1}\n");
    request(&mut stream, "/health").await;
    assert!(response(&mut stream).await.starts_with("HTTP/1.1 200"));
    folder.write("");
    assert_eq!(server.rejections("rate_limit").await, 2.0);
}

#[tokio::test]
async fn all_responses_have_the_configured_headers() {
    let folder = Folder::new();
    let headers = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    Strict-Transport-Security: max-age=1\n    X-XSS-Protection: ''\n";
    let server = folder.serve(&format!("{TLS}{headers}{}", users(&[("alice", "secret")])));
    for (version, http2) in PROTOCOLS {
        for (credentials, path) in
            [(None, "/"), (basic("alice:secret"), "/metrics"), (basic("alice:secret"), "/no")]
        {
            let client = Client { versions: vec![version], http2, credentials, ..folder.client() };
            let response = client.get(&server, path).await.unwrap();
            assert_eq!(response.header("x-frame-options"), "deny");
            assert_eq!(response.header("strict-transport-security"), "max-age=1");
            assert!(!response.headers.contains_key("x-xss-protection"), "an empty header is set");
        }
    }
}

#[tokio::test]
async fn verifies_client_certificates_as_configured() {
    let folder = Folder::new();
    let (trusted, untrusted) =
        (folder.clients.issue(&["prometheus"]), Authority::new("Other").issue(&["prometheus"]));
    // Whether a client is accepted without a certificate, with an untrusted one, and with a trusted one.
    for (client_auth_type, expected) in [
        ("NoClientCert", [true, true, true]),
        ("RequestClientCert", [true, true, true]),
        ("RequireAnyClientCert", [false, true, true]),
        ("RequireClientCert", [false, true, true]),
        ("VerifyClientCertIfGiven", [true, false, true]),
        ("RequireAndVerifyClientCert", [false, false, true]),
    ] {
        let ca = if client_auth_type == "NoClientCert" { "" } else { "  client_ca_file: clients.crt\n" };
        let server = folder.serve(&format!("{TLS}  client_auth_type: {client_auth_type}\n{ca}"));
        let mut rejected = 0.0;
        for (version, http2) in PROTOCOLS {
            for (certificate, accepted) in [None, Some(&untrusted), Some(&trusted)].into_iter().zip(expected)
            {
                let client = Client { versions: vec![version], http2, certificate, ..folder.client() };
                let got = client.get(&server, "/metrics").await;
                assert_eq!(got.is_ok(), accepted, "{client_auth_type} {version:?} {got:?}");
                rejected += f64::from(u8::from(!accepted));
            }
        }
        let client = Client { certificate: Some(&trusted), ..folder.client() };
        assert_eq!(
            client.sample(&server, &rejections("tls_handshake")).await,
            rejected,
            "{client_auth_type}"
        );
    }
}

/// `openssl req -x509` creates certificates that are their own authority.
#[tokio::test]
async fn accepts_a_self_signed_client_certificate_as_its_own_authority() {
    let self_signed = |is_ca: IsCa, usage: Option<ExtendedKeyUsagePurpose>, year: i32| {
        let mut params = CertificateParams::new(["prometheus".to_owned()]).unwrap();
        params.is_ca = is_ca;
        params.extended_key_usages.extend(usage);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        Certificate { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    };
    let authority = || IsCa::Ca(BasicConstraints::Unconstrained);
    let (client, server) = (ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth);
    let folder = Folder::new();
    let untrusted = self_signed(authority(), None, 4_000);
    for (certificate, accepted) in [
        (self_signed(authority(), None, 4_000), true),
        (self_signed(authority(), Some(client), 4_000), true),
        (self_signed(IsCa::NoCa, None, 4_000), true),
        (self_signed(authority(), Some(server), 4_000), false),
        (self_signed(authority(), None, 2_025), false),
    ] {
        certificate.write(&folder.path(""), "self");
        let config =
            format!("{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: self.crt\n");
        let server = folder.serve(&config);
        for (version, http2) in PROTOCOLS {
            for (certificate, accepted) in [(&certificate, accepted), (&untrusted, false)] {
                let certificate = Some(certificate);
                let client = Client { versions: vec![version], http2, certificate, ..folder.client() };
                assert_eq!(client.get(&server, "/metrics").await.is_ok(), accepted, "{version:?}");
            }
        }
    }
}

#[tokio::test]
async fn trusts_no_client_certificate_without_a_client_ca() {
    let folder = Folder::new();
    let server = folder.serve(&format!("{TLS}  client_auth_type: VerifyClientCertIfGiven\n"));
    let certificate = folder.clients.issue(&["prometheus"]);
    assert_eq!(folder.client().status(&server, "/metrics").await, 200);
    let given = Client { certificate: Some(&certificate), ..folder.client() };
    assert!(given.get(&server, "/metrics").await.is_err());
}

#[tokio::test]
async fn requires_an_allowed_name_in_client_certificates() {
    let folder = Folder::new();
    let server = folder.serve(&format!(
        "{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.crt\n  client_allowed_sans: [prometheus.example.org, 10.0.0.1, '2001:db8::1', ops@example.org, 'spiffe://example.org/prometheus']\n"
    ));
    for (names, accepted) in [
        (&["other.example.org", "prometheus.example.org"][..], true),
        (&["10.0.0.1"], true),
        (&["2001:db8::1"], true),
        (&["ops@example.org"], true),
        (&["spiffe://example.org/prometheus"], true),
        (&["prometheus.example.com"], false),
        (&["PROMETHEUS.example.org"], false),
        (&["10.0.0.2"], false),
        (&["spiffe://example.org/prometheus/2"], false),
        (&[], false),
    ] {
        let certificate = folder.clients.issue(names);
        for (version, http2) in PROTOCOLS {
            let client =
                Client { versions: vec![version], http2, certificate: Some(&certificate), ..folder.client() };
            assert_eq!(client.get(&server, "/metrics").await.is_ok(), accepted, "{names:?}");
        }
    }
}

#[tokio::test]
async fn uses_the_configured_versions_and_suites() {
    let folder = Folder::new();
    let [old, new] = [&rustls::version::TLS12, &rustls::version::TLS13];
    let ecdsa = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
    for (more, with_old, with_new) in [
        (String::new(), true, true),
        ("  min_version: TLS13\n".to_owned(), false, true),
        ("  max_version: TLS12\n".to_owned(), true, false),
        (format!("  cipher_suites: [{ecdsa}]\n"), true, true),
        ("  curve_preferences: [CurveP384]\n".to_owned(), true, true),
        // A suite for another kind of key, and a suite for TLS 1.3 only.
        ("  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n".to_owned(), false, true),
        ("  cipher_suites: [TLS_AES_128_GCM_SHA256]\n".to_owned(), false, true),
    ] {
        let server = folder.serve(&format!("{TLS}{more}"));
        for (version, accepted) in [(old, with_old), (new, with_new)] {
            let client = Client { versions: vec![version], ..folder.client() };
            let stream = client.handshake(server.address).await;
            assert_eq!(stream.is_ok(), accepted, "{more} {version:?}");
            let Ok(stream) = stream else { continue };
            let tls = stream.get_ref().1;
            assert_eq!(tls.protocol_version(), Some(version.version));
            if version.version == ProtocolVersion::TLSv1_2 && more.contains(ecdsa) {
                assert_eq!(tls.negotiated_cipher_suite().unwrap().suite().as_str(), Some(ecdsa));
            }
            if more.contains("CurveP384") {
                let group = tls.negotiated_key_exchange_group().unwrap().name();
                assert_eq!(group, rustls::NamedGroup::secp384r1);
            }
        }
    }
}

#[tokio::test]
async fn http2_can_be_disabled() {
    let folder = Folder::new();
    let server = folder.serve(&format!("{TLS}http_server_config: {{http2: false}}\n"));
    assert_eq!(folder.client().status(&server, "/metrics").await, 200);
    let http2 = Client { http2: true, ..folder.client() };
    assert!(http2.connect(server.address).await.is_err());
}

#[tokio::test]
async fn explains_the_mistake_to_plain_http_clients() {
    let folder = Folder::new();
    let server = folder.serve(TLS);
    let mut stream = server.connect().await;
    request(&mut stream, "/metrics").await;
    let text = response(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 400"), "{text}");
    assert!(text.ends_with("\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"), "{text}");
    closed(&mut stream).await;
    // Bytes that are neither TLS nor HTTP get only a TLS alert.
    let mut stream = server.connect().await;
    send(&mut stream, "\0hello hello hello").await;
    closed(&mut stream).await;
    // A connection without any bytes, as a port scan makes it, is not counted.
    drop(server.connect().await);
    let client = folder.client();
    assert_eq!(client.sample(&server, &rejections("plain_http")).await, 1.0);
    assert_eq!(client.sample(&server, &rejections("tls_handshake")).await, 1.0);
}

#[tokio::test]
async fn closes_connections_with_slow_handshakes() {
    let folder = Folder::new();
    let server = folder.serve_with(TLS, false, Limits { head_time: Duration::from_secs(1), ..UNLIMITED });
    let mut silent = server.connect().await;
    let mut half = server.connect().await;
    send(&mut half, "\x16\x03\x01").await;
    let mut without_request = folder.client().handshake(server.address).await.unwrap();
    closed(&mut silent).await;
    closed(&mut half).await;
    let (tcp, _) = without_request.get_mut();
    closed(tcp).await;
    assert_eq!(folder.client().sample(&server, &rejections("head_time")).await, 3.0);
}

#[tokio::test]
async fn handshakes_count_as_connections() {
    let folder = Folder::new();
    let server = folder.serve_with(TLS, false, Limits { connections: 2, ..UNLIMITED });
    let mut oldest = server.connect().await;
    let _newer = server.connect().await;
    assert_eq!(folder.client().status(&server, "/health").await, 200);
    closed(&mut oldest).await;
}

#[tokio::test]
async fn closes_connections_of_http2_clients_that_do_not_read() {
    let folder = Folder::new();
    let server =
        Server::start_with(Limits { stall_time: SHORT, ..UNLIMITED }, true, folder.load(TLS).unwrap());
    server.permits.add_permits(2);
    let client = Client { http2: true, ..folder.client() };
    let mut connection = client.connect(server.address).await.unwrap();
    let unread = connection.request("/metrics", None).await.unwrap();
    connection.closed().await;
    drop(unread);
    assert_eq!(client.sample(&server, &rejections("stall_time")).await, 1.0);
}

#[tokio::test]
async fn rejects_large_http2_heads() {
    let folder = Folder::new();
    let server = folder.serve_with(TLS, false, Limits { head_bytes: 4_096, ..UNLIMITED });
    let client = Client { http2: true, credentials: Some("x".repeat(6_000)), ..folder.client() };
    assert_eq!(client.status(&server, "/health").await, 431);
    let client = Client { credentials: None, ..client };
    assert_eq!(client.sample(&server, &rejections("head_bytes")).await, 1.0);
}

#[tokio::test]
async fn a_cancelled_http2_request_releases_its_permit() {
    let folder = Folder::new();
    let limits = Limits { in_flight: 4, idle_time: Duration::from_secs(2), ..UNLIMITED };
    let server = Server::start_with(limits, false, folder.load(TLS).unwrap());
    let client = Client { http2: true, ..folder.client() };
    let mut connection = client.connect(server.address).await.unwrap();
    for _ in 0..3 {
        // The request uses the client's only permit of the quota and waits in the scrape.
        assert!(timeout(SHORT, connection.request("/metrics", None)).await.is_err());
    }
    // After its response, the server has read the requests that were sent before.
    connection.get("/health", None).await.unwrap();
    server.permits.add_permits(1);
    assert_eq!(connection.get("/metrics", None).await.unwrap().status, 200);
    // No request is running, so the idle time applies.
    connection.closed().await;
}

#[tokio::test]
async fn shutdown_finishes_running_requests_over_tls() {
    for http2 in [false, true] {
        let folder = Folder::new();
        let mut server = Server::start_with(UNLIMITED, false, folder.load(TLS).unwrap());
        let client = Client { http2, ..folder.client() };
        let mut idle = client.connect(server.address).await.unwrap();
        idle.get("/health", None).await.unwrap();
        let mut handshaking = server.connect().await;
        let mut running = client.connect(server.address).await.unwrap();
        running.get("/health", None).await.unwrap();
        let response = tokio::spawn(async move { running.get("/metrics", None).await });
        // After its response, the server has read the requests that were sent before.
        client.get(&server, "/health").await.unwrap();
        server.stop();
        closed(&mut handshaking).await;
        server.permits.add_permits(1);
        assert_eq!(response.await.unwrap().unwrap().status, 200);
        timeout(TIMEOUT, server.running).await.expect("the server does not stop").unwrap();
        assert!(idle.get("/health", None).await.is_err());
    }
}

#[tokio::test]
async fn reloads_users_and_certificates() {
    let folder = Folder::new();
    let before = format!("{TLS}{}", users(&[("alice", "secret")]));
    let server = folder.serve(&before);
    let alice = Client { credentials: basic("alice:secret"), ..folder.client() };
    let mut kept = alice.connect(server.address).await.unwrap();
    let get = async |kept: &mut Connection| kept.get("/metrics", alice.credentials.as_deref()).await.unwrap();
    assert_eq!(get(&mut kept).await.status, 200);

    // Alice's password changes, also on an open connection.
    folder.write(&format!("{TLS}{}", users(&[("alice", "other"), ("bob", "secret")])));
    assert_eq!(get(&mut kept).await.status, 401);
    let bob = Client { credentials: basic("bob:secret"), ..folder.client() };
    assert_eq!(bob.sample(&server, RELOADED).await, 1.0);

    // New connections get the certificate of another authority.
    let authority = Authority::new("Next CA");
    authority.issue(&["localhost"]).write(folder.path("").as_path(), "server");
    let next = Client { trusted: &authority, ..bob.clone() };
    assert!(bob.get(&server, "/metrics").await.is_err(), "the old certificate is used");
    assert_eq!(next.sample(&server, RELOADED).await, 2.0);
    assert_eq!(next.sample(&server, NOT_RELOADED).await, 0.0);
}

#[tokio::test]
async fn reloads_the_client_ca() {
    let folder = Folder::new();
    let server = folder.serve(&format!(
        "{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.crt\n"
    ));
    let (next, old_certificate) = (Authority::new("Next CA"), folder.clients.issue(&["prometheus"]));
    let next_certificate = next.issue(&["prometheus"]);
    let old = Client { certificate: Some(&old_certificate), ..folder.client() };
    let new = Client { certificate: Some(&next_certificate), ..folder.client() };
    assert!(old.get(&server, "/metrics").await.is_ok() && new.get(&server, "/metrics").await.is_err());
    std::fs::write(folder.path("clients.crt"), next.pem()).unwrap();
    assert!(new.get(&server, "/metrics").await.is_ok() && old.get(&server, "/metrics").await.is_err());
}

#[tokio::test]
async fn reloads_files_in_a_kubernetes_volume() {
    let folder = Folder::new();
    for (name, password) in [("first", "secret"), ("second", "other")] {
        std::fs::create_dir(folder.path(name)).unwrap();
        std::fs::write(folder.path(name).join("web.yml"), users(&[("alice", password)])).unwrap();
    }
    symlink("first", folder.path("..data")).unwrap();
    symlink("..data/web.yml", folder.path("web.yml")).unwrap();
    let server = Server::start_with(UNLIMITED, false, Web::load(&folder.path("web.yml"), false).unwrap());
    let url = format!("http://{}/health", server.address);
    let status = async |password: &str| {
        harness::get(&url, &[("authorization", &basic(&format!("alice:{password}")).unwrap())]).await.status
    };
    assert_eq!((status("secret").await, status("other").await), (200, 401));
    symlink("second", folder.path("..data_tmp")).unwrap();
    std::fs::rename(folder.path("..data_tmp"), folder.path("..data")).unwrap();
    assert_eq!((status("secret").await, status("other").await), (401, 200));
}

#[tokio::test]
async fn keeps_the_configuration_if_a_file_is_invalid() {
    let folder = Folder::new();
    let good = format!("{TLS}{}", users(&[("alice", "secret")]));
    let server = folder.serve(&good);
    let alice = Client { credentials: basic("alice:secret"), ..folder.client() };
    let mut failures = 0.0;
    let mut is_rejected = async |what: &str| {
        failures += 1.0;
        for _ in 0..3 {
            assert_eq!(alice.sample(&server, NOT_RELOADED).await, failures, "{what}");
        }
        assert_eq!(folder.client().status(&server, "/metrics").await, 401, "{what}");
    };
    folder.write("tls_server_config: [");
    is_rejected("no YAML").await;
    folder.write(&format!("{good}  mallory: plain\n"));
    is_rejected("no hash").await;
    std::fs::remove_file(folder.path("web.yml")).unwrap();
    is_rejected("no file").await;
    // Half of a file can be a valid configuration, but it must not weaken the protection.
    folder.write("");
    is_rejected("an empty file").await;
    folder.write(TLS);
    is_rejected("no users").await;
    folder.write(&users(&[("alice", "secret")]));
    is_rejected("no TLS").await;
    folder.write(&good);
    assert_eq!(alice.sample(&server, RELOADED).await, 1.0);
    std::fs::write(folder.path("server.key"), "").unwrap();
    is_rejected("no key").await;
    folder.servers.issue(&["localhost"]).write(folder.path("").as_path(), "server");
    assert_eq!(alice.sample(&server, RELOADED).await, 2.0);
    // Writing the same content is not a change.
    folder.write(&good);
    assert_eq!(alice.sample(&server, RELOADED).await, 2.0);
}

#[tokio::test]
async fn a_reload_keeps_cached_outcomes_of_unchanged_users() {
    let folder = Folder::new();
    let users = users(&[("alice", "secret")]);
    let server = folder.serve(&format!("{TLS}{users}"));
    let alice = Client { credentials: basic("alice:secret"), ..folder.client() };
    assert_eq!(alice.sample(&server, CHECKS).await, 1.0);
    folder.write(&format!("{TLS}{users}http_server_config: {{http2: false}}\n"));
    assert_eq!((alice.sample(&server, RELOADED).await, alice.sample(&server, CHECKS).await), (1.0, 1.0));
}

/// The unit tests of the rules cover the other settings.
#[tokio::test]
async fn a_reload_cannot_disable_client_certificates() {
    let folder = Folder::new();
    let auth = |kind: &str| format!("{TLS}  client_auth_type: {kind}\n  client_ca_file: clients.crt\n");
    let server = folder.serve(&auth("RequireAndVerifyClientCert"));
    let (trusted, untrusted) =
        (folder.clients.issue(&["prometheus"]), Authority::new("Other").issue(&["prometheus"]));
    let client = Client { certificate: Some(&trusted), ..folder.client() };
    let other = Client { certificate: Some(&untrusted), ..folder.client() };
    for kind in ["RequireAnyClientCert", "VerifyClientCertIfGiven", "RequestClientCert"] {
        folder.write(&auth(kind));
        assert!(other.get(&server, "/metrics").await.is_err(), "{kind}");
        assert!(folder.client().get(&server, "/metrics").await.is_err(), "{kind}");
    }
    assert_eq!(client.sample(&server, NOT_RELOADED).await, 3.0);
}

/// Replaces a file by a named pipe without a writer until this is dropped. Opening it blocks, as on a hung NFS mount.
struct BlockedFile(std::path::PathBuf);

impl BlockedFile {
    fn new(folder: &Folder, name: &str) -> Self {
        let pipe = folder.path("pipe");
        let _ = std::fs::remove_file(&pipe);
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        std::fs::hard_link(&pipe, folder.path("link")).unwrap();
        std::fs::rename(folder.path("link"), folder.path(name)).unwrap();
        Self(pipe)
    }
}

impl Drop for BlockedFile {
    fn drop(&mut self) {
        drop(std::fs::File::options().read(true).write(true).open(&self.0));
    }
}

#[tokio::test]
async fn a_blocked_read_delays_neither_requests_nor_shutdown() {
    let folder = Folder::new();
    let good = format!("{TLS}{}", users(&[("alice", "secret")]));
    let mut server = folder.serve(&good);
    let alice = Client { credentials: basic("alice:secret"), ..folder.client() };
    assert_eq!(alice.status(&server, "/health").await, 200);
    for (round, name) in [(1.0, "server.key"), (2.0, "web.yml")] {
        let blocked = BlockedFile::new(&folder, name);
        for _ in 0..20 {
            assert_eq!(alice.status(&server, "/health").await, 200, "{name}");
        }
        assert_eq!(folder.client().status(&server, "/metrics").await, 401, "{name}");
        // The files can be read again, with the changes that were made in the meantime.
        folder.servers.issue(&["localhost"]).write(folder.path("").as_path(), "next");
        std::fs::rename(folder.path("next.crt"), folder.path("server.crt")).unwrap();
        std::fs::rename(folder.path("next.key"), folder.path("server.key")).unwrap();
        folder.write(&good);
        drop(blocked);
        let is_reloaded = async { while alice.sample(&server, RELOADED).await < round {} };
        timeout(TIMEOUT, is_reloaded).await.expect("the files are not read again");
    }
    let blocked = BlockedFile::new(&folder, "web.yml");
    assert_eq!(alice.status(&server, "/health").await, 200);
    server.stop();
    timeout(TIMEOUT, server.running).await.expect("the server does not stop").unwrap();
    drop(blocked);
}
