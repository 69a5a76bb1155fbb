//! Encoding and decoding of expositions in each format.

use std::collections::BTreeMap;
use std::fmt;

use exporter_common::metrics::{BuildInfo, Format, Number, encode, gauges};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::MetricFamily;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use proptest::prelude::*;
use prost::Message;

const NAME: &str = "test_series";

/// A gauge with one label, `name`.
#[derive(Debug, Clone)]
struct Series(Vec<(String, f64)>);

impl Collector for Series {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let series = self.0.iter().map(|(name, value)| ([("name", name.as_str())], Number(*value)));
        gauges(&mut encoder, NAME, "Help that ends without a full stop", series)
    }
}

fn registry(collector: impl Collector) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(collector));
    registry
}

fn text(format: Format, registry: &Registry) -> String {
    String::from_utf8(encode(format, &[registry], 0).unwrap()).unwrap()
}

/// Parses the samples of [`Series`] by the rules of the text formats: only a line feed ends a line, and a backslash
/// escapes a backslash, a quote or a line feed.
fn read_samples(exposition: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    for line in exposition.split('\n').filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let quoted = line.strip_prefix("test_series{name=\"").unwrap();
        let mut value = String::new();
        let mut rest = quoted.chars();
        loop {
            match rest.next().unwrap() {
                '"' => break,
                '\\' => value.push(match rest.next().unwrap() {
                    'n' => '\n',
                    escaped @ ('\\' | '"') => escaped,
                    other => panic!("\\{other} in {line}"),
                }),
                plain => value.push(plain),
            }
        }
        let number = rest.as_str().strip_prefix("} ").unwrap();
        samples.insert(value, number.parse().unwrap());
    }
    samples
}

fn families(mut bytes: &[u8]) -> Vec<MetricFamily> {
    let mut families = Vec::new();
    while !bytes.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut bytes).unwrap());
    }
    families
}

proptest! {
    #[test]
    fn label_values_survive_encoding_and_decoding(series in proptest::collection::btree_map("(?s).*", -1e300..1e300_f64, 1..5)) {
        let registry = registry(Series(series.clone().into_iter().collect()));
        prop_assert_eq!(&read_samples(&text(Format::Text, &registry)), &series);
        prop_assert_eq!(&read_samples(&text(Format::OpenMetrics, &registry)), &series);
        let families = families(&encode(Format::Protobuf, &[&registry], 0).unwrap());
        let read: BTreeMap<String, f64> = families[0]
            .metric
            .iter()
            .map(|metric| (metric.label[0].value.clone(), metric.gauge.as_ref().unwrap().value))
            .collect();
        prop_assert_eq!(&read, &series);
    }

    #[test]
    fn numbers_survive_encoding_and_decoding(value in proptest::num::f64::NORMAL | proptest::num::f64::ZERO | proptest::num::f64::SUBNORMAL) {
        let registry = registry(Series(vec![("x".to_owned(), value)]));
        prop_assert_eq!(read_samples(&text(Format::Text, &registry))["x"], value);
    }
}

#[test]
fn integers_have_no_fraction() {
    for (value, written) in [
        (0.0, "0"),
        (6.0, "6"),
        (-3.0, "-3"),
        (23.5, "23.5"),
        (187e9, "187000000000"),
        (9_007_199_254_740_992.0, "9007199254740992"),
        (1e300, "1e300"),
    ] {
        let exposition = text(Format::Text, &registry(Series(vec![("x".to_owned(), value)])));
        assert!(exposition.ends_with(&format!("test_series{{name=\"x\"}} {written}\n")), "{exposition}");
    }
}

#[test]
fn a_family_without_series_is_absent() {
    assert_eq!(text(Format::Text, &registry(Series(Vec::new()))), "");
    assert_eq!(text(Format::OpenMetrics, &registry(Series(Vec::new()))), "# EOF\n");
}

#[test]
fn encodes_counters_and_histograms_in_both_text_formats() {
    let mut registry = Registry::default();
    let counter: Counter = Counter::default();
    counter.inc_by(6);
    registry.register("events", "Events so far", counter);
    let histogram = Histogram::new([0.5, 1.0]);
    histogram.observe(0.7);
    registry.register("age_seconds", "Age", histogram);
    assert_eq!(
        text(Format::Text, &registry),
        "# HELP events_total Events so far\n# TYPE events_total counter\nevents_total 6\n\
         # HELP age_seconds Age\n# TYPE age_seconds histogram\nage_seconds_bucket{le=\"0.5\"} 0\n\
         age_seconds_bucket{le=\"1.0\"} 1\nage_seconds_bucket{le=\"+Inf\"} 1\nage_seconds_sum 0.7\nage_seconds_count 1\n"
    );
    assert_eq!(
        text(Format::OpenMetrics, &registry),
        "# HELP events Events so far\n# TYPE events counter\nevents_total 6\n\
         # HELP age_seconds Age\n# TYPE age_seconds histogram\nage_seconds_bucket{le=\"0.5\"} 0\n\
         age_seconds_bucket{le=\"1.0\"} 1\nage_seconds_bucket{le=\"+Inf\"} 1\nage_seconds_sum 0.7\nage_seconds_count 1\n\
         # EOF\n"
    );
    let families = families(&encode(Format::Protobuf, &[&registry], 0).unwrap());
    assert_eq!((families[0].name.as_str(), families[0].help.as_str()), ("events_total", "Events so far"));
}

#[test]
fn encodes_several_registries_as_one_exposition() {
    let build = registry(BuildInfo { name: "test_build_info" });
    let series = registry(Series(vec![("x".to_owned(), 1.0)]));
    let both = String::from_utf8(encode(Format::OpenMetrics, &[&series, &build], 0).unwrap()).unwrap();
    assert!(both.starts_with("# HELP test_series ") && both.contains("test_build_info{branch=\""));
    for label in ["commit", "revision", "rustversion", "version"] {
        assert!(both.contains(&format!(",{label}=\"")), "{both}");
    }
    assert_eq!(both.matches("# EOF").count(), 1);
}

/// A registry keeps series in a hash map, whose order is random.
#[test]
fn series_are_sorted_in_every_format() {
    let labels = |number: u8| [("pool", format!("{}", number % 7)), ("kind", format!("{}", number % 3))];
    for _ in 0..8 {
        let mut registry = Registry::default();
        let counters = Family::<Vec<(&str, String)>, Counter>::default();
        let histograms =
            Family::<Vec<(&str, String)>, Histogram>::new_with_constructor(|| Histogram::new([0.5, 10.0]));
        for number in 0..21 {
            counters.get_or_create(&labels(number).into()).inc();
            histograms.get_or_create(&labels(number).into()).observe(1.0);
        }
        registry.register("events", "Events", counters);
        registry.register("age_seconds", "Age", histograms);
        let mut expected = String::new();
        for (kind, pool) in (0..3).flat_map(|kind| (0..7).map(move |pool| (kind, pool))) {
            expected += &format!("events_total{{kind=\"{kind}\",pool=\"{pool}\"}} 1\n");
        }
        expected += "# HELP age_seconds Age\n# TYPE age_seconds histogram\n";
        for (kind, pool) in (0..3).flat_map(|kind| (0..7).map(move |pool| (kind, pool))) {
            let labels = format!("kind=\"{kind}\",pool=\"{pool}\"");
            for (bound, count) in [("0.5", 0), ("10.0", 1), ("+Inf", 1)] {
                expected += &format!("age_seconds_bucket{{le=\"{bound}\",{labels}}} {count}\n");
            }
            expected += &format!("age_seconds_sum{{{labels}}} 1.0\nage_seconds_count{{{labels}}} 1\n");
        }
        let classic = text(Format::Text, &registry);
        assert_eq!(classic, format!("# HELP events_total Events\n# TYPE events_total counter\n{expected}"));
        let openmetrics = text(Format::OpenMetrics, &registry);
        assert_eq!(openmetrics, format!("# HELP events Events\n# TYPE events counter\n{expected}# EOF\n"));
        for family in families(&encode(Format::Protobuf, &[&registry], 0).unwrap()) {
            let series: Vec<Vec<&str>> = family
                .metric
                .iter()
                .map(|metric| metric.label.iter().map(|label| label.value.as_str()).collect())
                .collect();
            assert!(series.is_sorted() && series.len() == 21, "{series:?}");
        }
    }
}
