//! Whatever the API answers to whichever question: it is refused in the API's words or in one line of ours, or it becomes families in which no
//! series stands twice.

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
    // The first byte says which question.
    let [number, body @ ..] = bytes else { return };
    match (ALL[usize::from(*number) % ALL.len()].parse)(body) {
        // The API's own words are made fit to be shown where secrets are taken out of them.
        Err(Failure::GraphQl(_) | Failure::Unauthorized(_) | Failure::Unsupported(_)) => {}
        Err(failure) => assert!(!failure.to_string().contains(char::is_control), "{failure:?}"),
        Ok(answer) => {
            let mut registry = Registry::default();
            registry.register_collector(Box::new(Families(answer)));
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
    // Within a label value line feeds are escaped, so a line is a sample or a comment.
    for line in text.split('\n').filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(series.starts_with("spacelift_") && value.parse::<f64>().is_ok(), "{line}");
        assert!(seen.insert(series), "{series} stands twice");
    }
}
