//! Tests the access control of an exporter with a web configuration, using common tools.

use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::{Authority, Exporter, Prometheus, TIMEOUT, tool};

/// A text that only `/metrics` contains.
const METRIC: &str = "process_cpu_seconds_total";

/// Starts the exporter with a web configuration file and sends requests with valid and invalid certificates and
/// passwords.
///
/// # Panics
/// A request without access gets metrics, or a request with access is rejected.
pub async fn check_access_control(start: impl AsyncFnOnce(&Path) -> Exporter) {
    let (Some(curl), Some(openssl)) = (tool("curl"), tool("openssl")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("Test CA");
    authority.issue(&["localhost", "127.0.0.1"]).write(folder.path(), "server");
    let [certificate, key] = authority.issue(&["prometheus.example.org"]).write(folder.path(), "client");
    let [other, other_key] =
        Authority::new("Other CA").issue(&["prometheus.example.org"]).write(folder.path(), "other");
    let ca = folder.path().join("ca.crt");
    std::fs::write(&ca, authority.pem()).unwrap();
    let config = folder.path().join("web.yml");
    let tls = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n";
    // The lowest cost, because every wrong password is checked.
    let hash = bcrypt::hash("hush", 4).unwrap();
    std::fs::write(&config, format!("{tls}basic_auth_users:\n  prometheus: {hash}\n")).unwrap();
    let exporter = start(&config).await;
    let url = format!("https://{}/metrics", exporter.address);

    let [ca, certificate, key, other, other_key] =
        [ca, certificate, key, other, other_key].map(|path| path.display().to_string());
    let with_certificate = ["--cert", certificate.as_str(), "--key", key.as_str()];
    let with_other = ["--cert", other.as_str(), "--key", other_key.as_str()];
    let with_password = ["--user", "prometheus:hush"];
    let wrong_passwords = [&[][..], &["--user", "prometheus:hunter2"], &["--user", "nobody:hush"]];
    for version in [&["--tlsv1.2", "--tls-max", "1.2"][..], &["--tlsv1.3"]] {
        for protocol in ["--http1.1", "--http2"] {
            let request = async |more: &[&[&str]]| {
                let flags =
                    [&["--silent", "--include", "--cacert", &ca, protocol], version, &more.concat()].concat();
                run(Command::new(&curl).args(flags).arg(&url)).await
            };
            let response = request(&[&with_certificate, &with_password]).await;
            let status = if protocol == "--http2" { "HTTP/2 200" } else { "HTTP/1.1 200 OK" };
            assert!(
                response.starts_with(status) && response.contains(METRIC),
                "{version:?} {protocol}: {response}"
            );
            for wrong in wrong_passwords {
                let response = request(&[&with_certificate, wrong]).await;
                assert!(
                    response.contains(" 401") && response.ends_with("\r\n\r\nUnauthorized\n"),
                    "{wrong:?}: {response}"
                );
                assert!(response.to_lowercase().contains("\r\nwww-authenticate: basic\r\n"), "{response}");
            }
            for certificate in [&[][..], &with_other] {
                assert_eq!(request(&[certificate, &with_password]).await, "", "{version:?} {certificate:?}");
            }
        }
    }
    let plain =
        run(Command::new(&curl).args(["--silent", "--include"]).arg(url.replace("https", "http"))).await;
    assert!(plain.starts_with("HTTP/1.1 400"), "{plain}");
    assert!(plain.ends_with("Client sent an HTTP request to an HTTPS server.\n"), "{plain}");

    for version in ["-tls1_2", "-tls1_3"] {
        let request = async |more: &[&str]| {
            let flags =
                [&["s_client", "-quiet", "-connect", &exporter.address, "-CAfile", &ca, version], more]
                    .concat();
            let head = "GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic cHJvbWV0aGV1czpodXNo\r\nConnection: close\r\n\r\n";
            run_with(Command::new(&openssl).args(flags), head).await
        };
        let response = request(&["-cert", &certificate, "-key", &key]).await;
        assert!(response.contains("HTTP/1.1 200 OK") && response.contains(METRIC), "{version}: {response}");
        for more in [&[][..], &["-cert", &other, "-key", &other_key]] {
            let response = request(more).await;
            assert!(!response.contains("HTTP/1.1"), "{version} {more:?}: {response}");
        }
    }
    let old = run(Command::new(&curl).args(["--silent", "--cacert", &ca, "--tls-max", "1.1", &url])).await;
    assert_eq!(old, "");

    let scrape = format!(
        "  scheme: https\n  basic_auth: {{username: prometheus, password: hush}}\n  tls_config: {{ca_file: {ca}, cert_file: {certificate}, key_file: {key}}}\n"
    );
    let failed = exporter.log("a TLS handshake failed").await;
    assert!(failed.contains("the client sent no certificate"), "{failed}");

    // SIGHUP reloads the file without a request, and does not stop the process.
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}http_server_config: {{headers: {{X-Frame-Options: deny}}}}\n"))
        .unwrap();
    exporter.signal("HUP");
    exporter.log("reloaded the web configuration").await;
    exporter.signal("HUP");
    exporter.log("it is the same").await;

    let Some(prometheus) = Prometheus::scraping_with(&exporter.address, &scrape).await else { return };
    // The valid password and each wrong one were checked once.
    let checks = prometheus.query("exporter_web_password_checks_total").await;
    assert_eq!(checks[0].1, 3.0);
    let rejected = prometheus.query("exporter_http_rejections_total{reason='credentials'}").await;
    assert_eq!(rejected[0].1, 12.0);
}

/// Runs a command and returns its standard output.
async fn run(command: &mut Command) -> String {
    run_with(command, "").await
}

async fn run_with(command: &mut Command, input: &str) -> String {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = child.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A tool without access may exit before it has read its input.
    let _ = stdin.write_all(input.as_bytes()).await;
    let output = timeout(TIMEOUT, child.wait_with_output()).await.expect("the tool does not exit").unwrap();
    drop(stdin);
    String::from_utf8(output.stdout).unwrap()
}
