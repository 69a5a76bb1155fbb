//! What is a web configuration and what is none, and what Prometheus's own tool says of the same files.

use std::process::Command;

use exporter_common::http::web::parse;

use super::client::{Folder, TLS};

/// What the verdict has to be.
enum Verdict {
    /// It is fine.
    Good,
    /// It is refused, with these words.
    Bad(&'static str),
    /// It is refused here only: this server cannot do it, or will not.
    BadHere(&'static str),
    /// Likewise, but promtool's release does not know the keys yet.
    GoodButNew,
    BadAndNew(&'static str),
}

use Verdict::{Bad, BadAndNew, BadHere, Good, GoodButNew};

const HASH: &str = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";

/// Sections by themselves.
const WHOLE: [(&str, Verdict); 33] = [
    ("", Good),
    ("# nothing\n", Good),
    ("tls_server_config:\nbasic_auth_users:\nhttp_server_config:\n", Good),
    ("tls_server_config: {}\n", Good),
    ("tls_server_config: {cert_file: ''}\n", Good),
    ("basic_auth_users: {}\n", Good),
    ("basic_auth_users: {alice: HASH, bob: HASH}\n", Good),
    (
        "basic_auth_users: {alice: 'secret'}\n",
        Bad("line 1: user \"alice\": crypto/bcrypt: hashedSecret too short"),
    ),
    ("basic_auth_users: {alice: }\n", Bad("hashedSecret too short to be a bcrypted password")),
    (
        "basic_auth_users: {alice: '$2y$32$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG'}\n",
        Bad("cost 32 is outside"),
    ),
    (
        "basic_auth_users: {alice: '$9y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG'}\n",
        Bad("prefix"),
    ),
    ("basic_auth_users: {'al:ice': HASH}\n", BadHere("colon")),
    ("basic_auth_users: [alice]\n", Bad("basic_auth_users is not a mapping")),
    (
        "basic_auth_user: {}\n",
        Bad(
            "line 1: unknown key basic_auth_user; allowed here: tls_server_config, http_server_config, rate_limit, basic_auth_users",
        ),
    ),
    (
        "basic_auth_users: {a: HASH}\nbasic_auth_users: {b: HASH}\n",
        Bad("names the key basic_auth_users twice, at line 2"),
    ),
    ("tls_server_config\n", Bad("is not a mapping of keys to values")),
    ("tls_server_config: [\n", Bad("is not YAML")),
    ("http_server_config: {http2: false}\n", Good),
    ("http_server_config: {http2: maybe}\n", Bad("http2 is \"maybe\"; allowed is true or false")),
    (
        "http_server_config: {http3: true}\n",
        Bad("unknown key http3 in http_server_config; allowed here: http2, headers"),
    ),
    (
        "http_server_config:\n  headers:\n    Content-Security-Policy: \"default-src 'self'\"\n    Strict-Transport-Security: max-age=1\n    X-Content-Type-Options: nosniff\n    X-Frame-Options: sameorigin\n    X-XSS-Protection: 1\n",
        Good,
    ),
    (
        "http_server_config:\n  headers:\n    X-Server: me\n",
        Bad("line 3: HTTP header \"X-Server\" can not be configured"),
    ),
    (
        "http_server_config:\n  headers:\n    x-frame-options: deny\n",
        Bad("HTTP header \"x-frame-options\" can not be configured"),
    ),
    (
        "http_server_config:\n  headers:\n    X-Frame-Options: allow\n",
        Bad(
            "invalid value for X-Frame-Options. Expected one of: [\"deny\", \"sameorigin\"], but got: \"allow\"",
        ),
    ),
    (
        "http_server_config:\n  headers:\n    X-Content-Type-Options: sniff\n",
        Bad("invalid value for X-Content-Type-Options"),
    ),
    ("rate_limit: {interval: 1s, burst: 20}\n", GoodButNew),
    ("rate_limit: {interval: 0, burst: 0}\n", GoodButNew),
    ("rate_limit: {interval: 1s}\n", BadAndNew("without a burst of at least 1")),
    ("rate_limit: {interval: 5, burst: 1}\n", BadAndNew("interval \"5\" has no unit; allowed is a duration")),
    ("rate_limit: {interval: 1s, burst: many}\n", BadAndNew("burst \"many\" is not a number")),
    ("rate_limit: {interval: -1s, burst: 1}\n", BadAndNew("is negative")),
    ("tls_server_config: {min_version: TLS13}\n", BadHere("missing one of cert or cert_file")),
    ("tls_server_config: {client_auth_type: NoClientCert}\n", Bad("missing one of cert or cert_file")),
];

/// What may follow a certificate and its key.
const WITH_TLS: [(&str, Verdict); 36] = [
    ("", Good),
    ("client_auth_type: RequestClientCert", Good),
    ("client_auth_type: RequireClientCert", Good),
    ("client_auth_type: RequireAnyClientCert", Good),
    ("client_auth_type: VerifyClientCertIfGiven", Good),
    ("client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.crt", Good),
    ("client_auth_type: RequireAndVerifyClientCert", BadHere("needs one of client_ca or client_ca_file")),
    ("client_auth_type: Maybe", Bad("line 4: invalid ClientAuth: Maybe")),
    ("client_ca_file: clients.crt", Bad("client CA's have been configured without a Client Auth Policy")),
    (
        "client_auth_type: RequestClientCert\n  client_ca_file: missing.crt",
        Bad("failed to read client_ca_file (missing.crt): No such file"),
    ),
    (
        "client_auth_type: RequestClientCert\n  client_ca_file: /dev/null",
        BadHere("the client CA's PEM holds no certificate"),
    ),
    ("client_auth_type: RequireAnyClientCert\n  client_allowed_sans: [a, b]", GoodButNew),
    (
        "client_auth_type: RequestClientCert\n  client_allowed_sans: [a]",
        BadAndNew("client_allowed_sans requires client_auth_type to be one of"),
    ),
    ("client_allowed_sans: []", BadAndNew("client_allowed_sans requires client_auth_type to be one of")),
    ("client_allowed_sans:", GoodButNew),
    ("min_version: TLS12\n  max_version: TLS13", Good),
    ("min_version: TLS13\n  max_version: TLS12", BadHere("no TLS version is left")),
    ("min_version: TLS10", Good),
    ("max_version: TLS11", BadHere("line 4: TLS version TLS11 is not supported; allowed are TLS12, TLS13")),
    ("min_version: SSL3", Bad("line 4: unknown TLS version: SSL3")),
    ("cipher_suites: []", Good),
    ("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384]", Good),
    (
        "cipher_suites:\n  - TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\n  - TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
        Good,
    ),
    (
        "cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]\n  max_version: TLS12",
        BadHere("no TLS version is left between min_version and max_version with one of cipher_suites"),
    ),
    ("cipher_suites: [TLS_MADE_UP]", Bad("unknown cipher: TLS_MADE_UP")),
    (
        "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]",
        BadHere("missing an HTTP/2-required AES_128_GCM_SHA256 cipher"),
    ),
    ("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]\nhttp_server_config: {http2: false}", Good),
    ("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]\n  min_version: TLS13", Good),
    ("cipher_suites: [TLS_AES_128_GCM_SHA256]\n  max_version: TLS12", BadHere("no TLS version is left")),
    ("curve_preferences: [X25519, CurveP256, CurveP384]", Good),
    ("curve_preferences: [CurveP521]", Good),
    ("curve_preferences: [CurveP521, CurveP256]", Good),
    ("curve_preferences: [CurveP123]", Bad("unknown curve: CurveP123")),
    ("prefer_server_cipher_suites: false", Good),
    (
        "certfile: x",
        Bad("line 4: unknown key certfile in tls_server_config; allowed here: cert, cert_file, key"),
    ),
    ("cert: x", BadAndNew("at most one of cert and cert_file may be set")),
];

#[test]
fn verdicts() {
    let folder = Folder::new();
    let promtool = harness::tool("promtool");
    let with_tls = WITH_TLS.iter().map(|(more, verdict)| (format!("{TLS}  {more}\n"), verdict));
    let whole = WHOLE.iter().map(|(text, verdict)| (text.replace("HASH", HASH), verdict));
    for (config, verdict) in with_tls.chain(whole) {
        let outcome = folder.load(&config).map(drop);
        match verdict {
            Good | GoodButNew => assert_eq!(outcome, Ok(()), "{config}"),
            Bad(words) | BadHere(words) | BadAndNew(words) => {
                let error = outcome.expect_err(&config);
                assert!(error.contains(words) && !error.contains('\n'), "{config}\n{error}");
            }
        }
        let theirs = match verdict {
            Good | BadHere(_) => true,
            Bad(_) => false,
            GoodButNew | BadAndNew(_) => continue,
        };
        let Some(promtool) = &promtool else { continue };
        let output =
            Command::new(promtool).args(["check", "web-config"]).arg(folder.path("web.yml")).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), theirs, "promtool differs about\n{config}\n{said}");
    }
}

#[test]
fn pem_may_stand_in_the_file_itself() {
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

/// Nothing of it weakens the server, and files that work elsewhere work here.
#[test]
fn what_is_not_spoken_is_left_out_and_said_so() {
    let text = format!(
        "{TLS}  min_version: TLS10\n  curve_preferences: [CurveP521, X25519]\n  cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n"
    );
    let tls = parse(&text).unwrap().tls.unwrap();
    assert_eq!(tls.left_out, ["TLS version TLS10", "cipher TLS_RSA_WITH_AES_128_CBC_SHA", "curve CurveP521"]);
    assert_eq!((tls.versions.len(), tls.curves.len()), (2, 1));
}
