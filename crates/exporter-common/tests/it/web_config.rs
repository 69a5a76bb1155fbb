//! Valid and invalid web configurations, compared with the results of promtool.

use std::process::Command;

use exporter_common::http::web::parse;

use super::client::{Folder, TLS};

/// The expected result of parsing a configuration.
enum Expected {
    /// Valid.
    Valid,
    /// Invalid, with a part of the error.
    Invalid(&'static str),
    /// Valid for promtool, but this server does not support it.
    InvalidHere(&'static str),
    /// Valid, with keys that the installed promtool may not support yet.
    ValidNewKey,
    /// Invalid, with keys that the installed promtool may not support yet.
    InvalidNewKey(&'static str),
}

use Expected::{Invalid, InvalidHere, InvalidNewKey, Valid, ValidNewKey};

const HASH: &str = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";

/// Complete files.
const FILES: [(&str, Expected); 33] = [
    ("", Valid),
    ("# nothing\n", Valid),
    ("tls_server_config:\nbasic_auth_users:\nhttp_server_config:\n", Valid),
    ("tls_server_config: {}\n", Valid),
    ("tls_server_config: {cert_file: ''}\n", Valid),
    ("basic_auth_users: {}\n", Valid),
    ("basic_auth_users: {alice: HASH, bob: HASH}\n", Valid),
    (
        "basic_auth_users: {alice: 'secret'}\n",
        Invalid("line 1: user \"alice\": crypto/bcrypt: hashedSecret too short"),
    ),
    ("basic_auth_users: {alice: }\n", Invalid("hashedSecret too short to be a bcrypted password")),
    (
        "basic_auth_users: {alice: '$2y$32$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG'}\n",
        Invalid("cost 32 is outside"),
    ),
    (
        "basic_auth_users: {alice: '$9y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG'}\n",
        Invalid("prefix"),
    ),
    ("basic_auth_users: {'al:ice': HASH}\n", InvalidHere("colon")),
    ("basic_auth_users: [alice]\n", Invalid("basic_auth_users is not a mapping")),
    (
        "basic_auth_user: {}\n",
        Invalid(
            "line 1: unknown key basic_auth_user; allowed here: tls_server_config, http_server_config, rate_limit, basic_auth_users",
        ),
    ),
    (
        "basic_auth_users: {a: HASH}\nbasic_auth_users: {b: HASH}\n",
        Invalid("names the key basic_auth_users twice, at line 2"),
    ),
    ("tls_server_config\n", Invalid("is not a mapping of keys to values")),
    ("tls_server_config: [\n", Invalid("is not YAML")),
    ("http_server_config: {http2: false}\n", Valid),
    ("http_server_config: {http2: maybe}\n", Invalid("http2 is \"maybe\"; allowed is true or false")),
    (
        "http_server_config: {http3: true}\n",
        Invalid("unknown key http3 in http_server_config; allowed here: http2, headers"),
    ),
    (
        "http_server_config:\n  headers:\n    Content-Security-Policy: \"default-src 'self'\"\n    Strict-Transport-Security: max-age=1\n    X-Content-Type-Options: nosniff\n    X-Frame-Options: sameorigin\n    X-XSS-Protection: 1\n",
        Valid,
    ),
    (
        "http_server_config:\n  headers:\n    X-Server: me\n",
        Invalid("line 3: HTTP header \"X-Server\" can not be configured"),
    ),
    (
        "http_server_config:\n  headers:\n    x-frame-options: deny\n",
        Invalid("HTTP header \"x-frame-options\" can not be configured"),
    ),
    (
        "http_server_config:\n  headers:\n    X-Frame-Options: allow\n",
        Invalid(
            "invalid value for X-Frame-Options. Expected one of: [\"deny\", \"sameorigin\"], but got: \"allow\"",
        ),
    ),
    (
        "http_server_config:\n  headers:\n    X-Content-Type-Options: sniff\n",
        Invalid("invalid value for X-Content-Type-Options"),
    ),
    ("rate_limit: {interval: 1s, burst: 20}\n", ValidNewKey),
    ("rate_limit: {interval: 0, burst: 0}\n", ValidNewKey),
    ("rate_limit: {interval: 1s}\n", InvalidNewKey("without a burst of at least 1")),
    (
        "rate_limit: {interval: 5, burst: 1}\n",
        InvalidNewKey("interval \"5\" has no unit; allowed is a duration"),
    ),
    ("rate_limit: {interval: 1s, burst: many}\n", InvalidNewKey("burst \"many\" is not a number")),
    ("rate_limit: {interval: -1s, burst: 1}\n", InvalidNewKey("is negative")),
    ("tls_server_config: {min_version: TLS13}\n", InvalidHere("missing one of cert or cert_file")),
    ("tls_server_config: {client_auth_type: NoClientCert}\n", Invalid("missing one of cert or cert_file")),
];

/// Lines after a certificate and its key.
const WITH_TLS: [(&str, Expected); 36] = [
    ("", Valid),
    ("client_auth_type: RequestClientCert", Valid),
    ("client_auth_type: RequireClientCert", Valid),
    ("client_auth_type: RequireAnyClientCert", Valid),
    ("client_auth_type: VerifyClientCertIfGiven", Valid),
    ("client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.crt", Valid),
    ("client_auth_type: RequireAndVerifyClientCert", InvalidHere("needs one of client_ca or client_ca_file")),
    ("client_auth_type: Maybe", Invalid("line 4: invalid ClientAuth: Maybe")),
    ("client_ca_file: clients.crt", Invalid("client CA's have been configured without a Client Auth Policy")),
    (
        "client_auth_type: RequestClientCert\n  client_ca_file: missing.crt",
        Invalid("failed to read client_ca_file (missing.crt): No such file"),
    ),
    (
        "client_auth_type: RequestClientCert\n  client_ca_file: /dev/null",
        InvalidHere("the client CA's PEM holds no certificate"),
    ),
    ("client_auth_type: RequireAnyClientCert\n  client_allowed_sans: [a, b]", ValidNewKey),
    (
        "client_auth_type: RequestClientCert\n  client_allowed_sans: [a]",
        InvalidNewKey("client_allowed_sans requires client_auth_type to be one of"),
    ),
    ("client_allowed_sans: []", InvalidNewKey("client_allowed_sans requires client_auth_type to be one of")),
    ("client_allowed_sans:", ValidNewKey),
    ("min_version: TLS12\n  max_version: TLS13", Valid),
    ("min_version: TLS13\n  max_version: TLS12", InvalidHere("no TLS version is left")),
    ("min_version: TLS10", Valid),
    (
        "max_version: TLS11",
        InvalidHere("line 4: TLS version TLS11 is not supported; allowed are TLS12, TLS13"),
    ),
    ("min_version: SSL3", Invalid("line 4: unknown TLS version: SSL3")),
    ("cipher_suites: []", Valid),
    ("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384]", Valid),
    (
        "cipher_suites:\n  - TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\n  - TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
        Valid,
    ),
    (
        "cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]\n  max_version: TLS12",
        InvalidHere("no TLS version is left between min_version and max_version with one of cipher_suites"),
    ),
    ("cipher_suites: [TLS_MADE_UP]", Invalid("unknown cipher: TLS_MADE_UP")),
    (
        "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]",
        InvalidHere("missing an HTTP/2-required AES_128_GCM_SHA256 cipher"),
    ),
    ("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]\nhttp_server_config: {http2: false}", Valid),
    ("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]\n  min_version: TLS13", Valid),
    ("cipher_suites: [TLS_AES_128_GCM_SHA256]\n  max_version: TLS12", InvalidHere("no TLS version is left")),
    ("curve_preferences: [X25519, CurveP256, CurveP384]", Valid),
    ("curve_preferences: [CurveP521]", Valid),
    ("curve_preferences: [CurveP521, CurveP256]", Valid),
    ("curve_preferences: [CurveP123]", Invalid("unknown curve: CurveP123")),
    ("prefer_server_cipher_suites: false", Valid),
    (
        "certfile: x",
        Invalid("line 4: unknown key certfile in tls_server_config; allowed here: cert, cert_file, key"),
    ),
    ("cert: x", InvalidNewKey("at most one of cert and cert_file may be set")),
];

#[test]
fn accepts_and_rejects_the_same_files_as_promtool() {
    let folder = Folder::new();
    let promtool = harness::tool("promtool");
    let with_tls = WITH_TLS.iter().map(|(more, expected)| (format!("{TLS}  {more}\n"), expected));
    let files = FILES.iter().map(|(text, expected)| (text.replace("HASH", HASH), expected));
    for (config, expected) in with_tls.chain(files) {
        let outcome = folder.load(&config).map(drop);
        match expected {
            Valid | ValidNewKey => assert_eq!(outcome, Ok(()), "{config}"),
            Invalid(words) | InvalidHere(words) | InvalidNewKey(words) => {
                let error = outcome.expect_err(&config);
                assert!(error.contains(words) && !error.contains('\n'), "{config}\n{error}");
            }
        }
        let is_valid = match expected {
            Valid | InvalidHere(_) => true,
            Invalid(_) => false,
            ValidNewKey | InvalidNewKey(_) => continue,
        };
        let Some(promtool) = &promtool else { continue };
        let output =
            Command::new(promtool).args(["check", "web-config"]).arg(folder.path("web.yml")).output();
        let output = output.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), is_valid, "promtool differs for\n{config}\n{stderr}");
    }
}

#[test]
fn accepts_inline_pem() {
    let folder = Folder::new();
    let block = |name: &str, pem: &str| format!("  {name}: |\n    {}\n", pem.trim().replace('\n', "\n    "));
    let server = folder.servers.issue(&["localhost"]);
    let [certificate, key] = [block("cert", &server.certificate), block("key", &server.key)];
    let ca = block("client_ca", &folder.clients.pem());
    let client_auth = "  client_auth_type: RequireAndVerifyClientCert\n";
    let config = format!("tls_server_config:\n{certificate}{key}{ca}{client_auth}");
    let web = folder.load(&config).unwrap();
    let shown = format!("{web:?}");
    assert!(!shown.contains("PRIVATE KEY"), "{shown}");
    for (config, words) in [
        (format!("tls_server_config:\n{certificate}"), "missing one of key or key_file"),
        (format!("tls_server_config:\n{key}"), "missing one of cert or cert_file"),
        (
            format!("tls_server_config:\n{certificate}  key_file: server.key\n"),
            "failed to load X509KeyPair: ",
        ),
        (format!("tls_server_config:\n{certificate}  key: no\n"), "holds no private key"),
        (format!("tls_server_config:\n{key}  cert: no\n"), "holds no certificate"),
    ] {
        let error = folder.load(&config).map(drop).unwrap_err();
        assert!(error.contains(words) && !error.contains("BEGIN"), "{error}");
    }
}

/// Leaving them out does not weaken the server, and files for other exporters stay valid.
#[test]
fn reports_unsupported_settings_that_are_left_out() {
    let text = format!(
        "{TLS}  min_version: TLS10\n  curve_preferences: [CurveP521, X25519]\n  cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n"
    );
    let tls = parse(&text).unwrap().tls.unwrap();
    assert_eq!(tls.left_out, ["TLS version TLS10", "cipher TLS_RSA_WITH_AES_128_CBC_SHA", "curve CurveP521"]);
    assert_eq!((tls.versions.len(), tls.curves.len()), (2, 1));
}
