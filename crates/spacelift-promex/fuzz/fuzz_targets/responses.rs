//! API responses with any body, for each collector: the result is an error with a one-line message, or families without
//! duplicate series.

#![no_main]

use std::collections::HashSet;
use std::fmt;

use exporter_common::metrics::{Format, encode};
use libfuzzer_sys::fuzz_target;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;
use spacelift_promex::Failure;
use spacelift_promex::collectors::{ALL, CollectorData, Writer};

fuzz_target!(|bytes: &[u8]| {
    // The first byte selects the collector.
    let [number, body @ ..] = bytes else { return };
    match (ALL[usize::from(*number) % ALL.len()].parse)(body) {
        // The API's own text is not on one line yet: the client redacts it and formats it.
        Err(Failure::GraphQl(_) | Failure::Unauthorized(_) | Failure::Unsupported(_)) => {}
        Err(failure) => assert!(!failure.to_string().contains(char::is_control), "{failure:?}"),
        Ok(data) => {
            let mut registry = Registry::default();
            registry.register_collector(Box::new(Families(data)));
            for format in [Format::Text, Format::OpenMetrics] {
                check(&encode(format, &[&registry], 0).unwrap());
            }
            encode(Format::Protobuf, &[&registry], 0).unwrap();
        }
    }
});

#[derive(Debug)]
struct Families(CollectorData);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.write(&mut Writer(&mut encoder))
    }
}

fn check(text: &[u8]) {
    let text = str::from_utf8(text).unwrap();
    let mut seen = HashSet::new();
    // Line feeds in label values are escaped, so each line is a sample or a comment.
    for line in text.split('\n').filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(series.starts_with("spacelift_") && value.parse::<f64>().is_ok(), "{line}");
        assert!(seen.insert(series), "{series} is repeated");
    }
}
