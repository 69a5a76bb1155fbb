//! Any `Accept` header selects a format that it names, or the default.

#![no_main]

use exporter_common::http::{Encoding, accepted_encoding, accepted_format};
use exporter_common::metrics::Format;
use libfuzzer_sys::fuzz_target;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";
const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

fuzz_target!(|header: &str| {
    let (accepted, encoding) = (accepted_format(header), accepted_encoding(header));
    let lower = header.to_ascii_lowercase();
    match accepted.format {
        Format::Text => {}
        Format::OpenMetrics | Format::OpenMetricsDraft => assert!(lower.contains("application/openmetrics-text")),
        Format::Protobuf => assert!(lower.contains("application/vnd.google.protobuf")),
    }
    match encoding {
        Encoding::Identity => {}
        Encoding::Gzip => assert!(lower.contains("gzip") || lower.contains('*')),
        Encoding::Zstd => assert!(lower.contains("zstd")),
    }
    // Repeating the header, or adding a format with weight 0, changes nothing.
    let twice = format!("{header},{header}");
    assert_eq!((accepted_format(&twice), accepted_encoding(&twice)), (accepted, encoding));
    assert_eq!(accepted_format(&format!("{PROTOBUF};q=0,{header}")), accepted);
    // The first format with the highest weight is selected.
    assert_eq!(accepted_format(&format!("{OPENMETRICS},{header}")).format, Format::OpenMetrics);
    assert_eq!(accepted_encoding(&format!("gzip,{header}")), Encoding::Gzip);
});
