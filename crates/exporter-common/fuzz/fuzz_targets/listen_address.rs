//! Parsing a displayed listen address returns the same address, and every socket address is accepted.

#![no_main]

use std::net::SocketAddr;

use exporter_common::http::ListenAddress;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let parsed = text.parse::<ListenAddress>();
    if let Ok(address) = &parsed {
        let shown = address.to_string();
        assert_eq!(shown.parse().as_ref(), Ok(address));
        assert!(!shown.contains(char::is_whitespace));
        let port = |text: &str| text.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
        assert_eq!(port(&shown), port(text.trim()));
    }
    if let Ok(address) = text.parse::<SocketAddr>()
        && !text.contains('%')
    {
        assert_eq!(parsed.map(|parsed| parsed.to_string()), Ok(address.to_string()));
    }
});
