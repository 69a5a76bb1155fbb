//! Any text is rejected with one line, or is a valid configuration with the protection that it describes.

#![no_main]

use exporter_common::http::web::{ClientAuth, TlsServer, WebConfig, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let parsed = parse(text);
    assert_eq!(format!("{parsed:?}"), format!("{:?}", parse(text)));
    match parsed {
        Err(error) => assert!(!error.to_string().contains(char::is_control), "{error:?}"),
        Ok(config) => {
            check(&config);
            // An unknown key is always an error.
            assert!(parse(&format!("{text}\nunknown_key: 1\n")).is_err());
        }
    }
});

fn check(config: &WebConfig) {
    let shown = format!("{config:?}");
    for (name, hash) in &config.users {
        let hash = hash.expose();
        assert!(!name.contains(':') && hash.len() == 60 && hash.starts_with("$2"));
        let cost: u32 = hash[4..6].parse().unwrap();
        assert!((4..=31).contains(&cost));
        // The name of a user can be the same text as a hash.
        assert!(config.users.contains_key(hash) || !shown.contains(hash));
    }
    for (name, value) in &config.headers {
        let allowed = [
            "content-security-policy",
            "strict-transport-security",
            "x-content-type-options",
            "x-frame-options",
            "x-xss-protection",
        ];
        assert!(allowed.contains(&name.as_str()) && !value.is_empty());
    }
    if let Some(limit) = config.rate_limit {
        assert!(!limit.interval.is_zero() && limit.burst > 0);
    }
    if let Some(tls) = &config.tls {
        check_tls(tls);
    }
}

fn check_tls(tls: &TlsServer) {
    assert!(!tls.versions.is_empty() && !tls.curves.is_empty());
    for version in &tls.versions {
        assert!(tls.cipher_suites.iter().any(|suite| suite.version() == *version), "{version:?} without a suite");
    }
    assert!(tls.client_ca.is_none() || tls.client_auth != ClientAuth::NoClientCert);
    assert!(tls.client_ca.is_some() || tls.client_auth != ClientAuth::RequireAndVerifyClientCert);
    assert!(tls.client_allowed_sans.is_none() || tls.client_auth.requires());
}
