//! The order of a family's samples: series by their labels, and in a histogram the buckets, then the sum, then the
//! count. prometheus-client writes series in the order of a hash map and a histogram's sum first, and some decoders
//! read the buckets of such a page wrongly.

use std::cmp::Ordering;

use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::MetricFamily;

/// The samples of one family in order, or `None` where they are already. A family that is written in order, as the
/// large ones are, costs a comparison of neighbouring lines and no copy.
pub(super) fn ordered(samples: &str, is_histogram: bool) -> Option<String> {
    if !is_histogram && is_ordered(samples) {
        return None;
    }
    let mut lines: Vec<Sample<'_>> = samples.split_inclusive('\n').map(Sample::parse).collect();
    lines.sort_by(|one, other| {
        first_difference(&one.labels, &other.labels, |one, other| compare(one, other))
            .then(one.part().cmp(&other.part()))
    });
    let mut text = String::with_capacity(samples.len());
    lines.iter().for_each(|line| line.write(&mut text));
    Some(text)
}

/// The same for the protobuf format, whose histograms have no lines.
pub(super) fn order_family(family: &mut MetricFamily) {
    for metric in &mut family.metric {
        if !metric.label.is_sorted_by(|one, other| one.name <= other.name) {
            metric.label.sort_by(|one, other| one.name.cmp(&other.name));
        }
    }
    family.metric.sort_by(|one, other| {
        first_difference(&one.label, &other.label, |one, other| {
            (&one.name, &one.value).cmp(&(&other.name, &other.value))
        })
    });
}

/// Compares two series label by label; one that has fewer of the same labels is less.
fn first_difference<T>(one: &[T], other: &[T], compare: impl Fn(&T, &T) -> Ordering) -> Ordering {
    let mut pairs = one.iter().zip(other).map(|(one, other)| compare(one, other));
    pairs.find(|ordering| ordering.is_ne()).unwrap_or(one.len().cmp(&other.len()))
}

/// Whether the label names of the first series are sorted, and the series among each other. All series of a family
/// have the same label names.
fn is_ordered(samples: &str) -> bool {
    let mut lines = samples.split_inclusive('\n');
    let Some(mut before) = lines.next() else { return true };
    if !Sample::parse(before).is_sorted {
        return false;
    }
    lines.all(|line| compare(std::mem::replace(&mut before, line), line) != Ordering::Greater)
}

/// Compares two texts of label pairs, or two lines of one family, by what their values mean: a value is less than a
/// longer one that begins with it, and what is escaped counts as what it stands for.
fn compare(one: &str, other: &str) -> Ordering {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    match difference(one, other) {
        Some(at) => meaning(one, at).cmp(&meaning(other, at)),
        None => one.len().cmp(&other.len()),
    }
}

/// Where two texts differ first, up to the end of the shorter one. Lines of a family have much in common, so it is
/// looked for by the block.
fn difference(one: &[u8], other: &[u8]) -> Option<usize> {
    const BLOCK: usize = 32;
    let blocks = one.chunks_exact(BLOCK).zip(other.chunks_exact(BLOCK));
    let start = blocks.take_while(|(one, other)| one == other).count() * BLOCK;
    let mut rest = one.iter().zip(other).skip(start);
    rest.position(|(one, other)| one != other).map(|at| start + at)
}

/// The character at a position of a label value; nothing at its end.
fn meaning(text: &[u8], at: usize) -> Option<u8> {
    let escaped = |byte: u8| Some(if byte == b'n' { b'\n' } else { byte });
    let (before, rest) = text.split_at_checked(at)?;
    let is_escaped = before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
    match *rest {
        [byte, ..] if is_escaped => escaped(byte),
        [b'\\', byte, ..] => escaped(byte),
        [b'"', ..] | [] => None,
        [byte, ..] => Some(byte),
    }
}

/// A line of a text format, taken apart.
struct Sample<'a> {
    name: &'a str,
    /// The pair `le="…"` of a bucket, which is no label of its series.
    bound: Option<&'a str>,
    /// The other pairs, sorted by name.
    labels: Vec<&'a str>,
    /// Whether they were sorted from the start.
    is_sorted: bool,
    /// Value, exemplar and line break.
    rest: &'a str,
}

impl<'a> Sample<'a> {
    fn parse(line: &'a str) -> Self {
        let (name, mut rest) = line.split_at(line.find(['{', ' ']).unwrap_or(line.len()));
        let (mut bound, mut labels) = (None, Vec::new());
        if let Some(inner) = rest.strip_prefix('{') {
            rest = inner;
            while let Some(length) = pair_length(rest) {
                let (pair, after) = rest.split_at(length);
                rest = after.strip_prefix(',').unwrap_or(after);
                if pair.starts_with("le=") {
                    bound = Some(pair);
                } else {
                    labels.push(pair);
                }
            }
            rest = rest.strip_prefix('}').unwrap_or(rest);
        }
        let label_name = |pair: &&'a str| pair.split('=').next();
        let is_sorted = labels.is_sorted_by_key(label_name);
        if !is_sorted {
            labels.sort_by_key(label_name);
        }
        Self { name, bound, labels, is_sorted, rest }
    }

    /// The place within a histogram's series.
    fn part(&self) -> u8 {
        match self.name.rsplit('_').next() {
            Some("bucket") => 0,
            Some("sum") => 1,
            Some("count") => 2,
            _ => 3,
        }
    }

    fn write(&self, text: &mut String) {
        text.push_str(self.name);
        let mut separator = "{";
        for pair in self.bound.iter().chain(&self.labels) {
            text.push_str(separator);
            text.push_str(pair);
            separator = ",";
        }
        if separator == "," {
            text.push('}');
        }
        text.push_str(self.rest);
    }
}

/// The length of the pair `name="value"` that a text begins with.
fn pair_length(text: &str) -> Option<usize> {
    let start = text.find(['"', '}']).filter(|at| text.as_bytes().get(*at) == Some(&b'"'))? + 1;
    let mut is_escaped = false;
    let end = text.as_bytes().get(start..)?.iter().position(|byte| {
        let ends = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    })?;
    Some(start + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_in_order_is_not_copied() {
        for samples in [
            "",
            "a 1\n",
            "a{x=\"1\"} 1\na{x=\"2\"} 1\n",
            "a{x=\"1\",y=\"2\"} 3\na{x=\"1\",y=\"20\"} 2\na{x=\"1 \",y=\"\"} 1\n",
        ] {
            assert_eq!(ordered(samples, false), None, "{samples}");
        }
    }

    #[test]
    fn series_are_sorted_by_what_their_labels_mean() {
        for (samples, sorted) in [
            ("a{x=\"2\"} 1\na{x=\"1\"} 2\n", "a{x=\"1\"} 2\na{x=\"2\"} 1\n"),
            // By the value, not by the quote that ends it.
            ("a{x=\"b c\"} 1\na{x=\"b\"} 2\n", "a{x=\"b\"} 2\na{x=\"b c\"} 1\n"),
            // A line feed is less than a letter, though it is written as `\n`.
            ("a{x=\"bA\"} 1\na{x=\"b\\nz\"} 2\n", "a{x=\"b\\nz\"} 2\na{x=\"bA\"} 1\n"),
            (
                "a{x=\"}\\\"\",y=\"1\"} 1\na{x=\"!\",y=\"2\"} 2\n",
                "a{x=\"!\",y=\"2\"} 2\na{x=\"}\\\"\",y=\"1\"} 1\n",
            ),
            // By name first, as in the client libraries that keep labels sorted.
            ("a{y=\"1\",b=\"2\"} 1\na{y=\"2\",b=\"1\"} 2\n", "a{b=\"1\",y=\"2\"} 2\na{b=\"2\",y=\"1\"} 1\n"),
        ] {
            assert_eq!(ordered(samples, false).as_deref(), Some(sorted), "{samples}");
        }
    }

    #[test]
    fn a_histogram_has_its_buckets_first() {
        let samples = "h_sum{p=\"b\"} 3\nh_count{p=\"b\"} 2\nh_bucket{le=\"0.5\",p=\"b\"} 1\nh_bucket{le=\"10.0\",p=\"b\"} 1\nh_bucket{le=\"+Inf\",p=\"b\"} 2 # {t=\"x\"} 1\n\
                       h_sum{p=\"a\"} 0\nh_count{p=\"a\"} 0\nh_bucket{le=\"0.5\",p=\"a\"} 0\nh_bucket{le=\"10.0\",p=\"a\"} 0\nh_bucket{le=\"+Inf\",p=\"a\"} 0\n";
        let sorted = "h_bucket{le=\"0.5\",p=\"a\"} 0\nh_bucket{le=\"10.0\",p=\"a\"} 0\nh_bucket{le=\"+Inf\",p=\"a\"} 0\nh_sum{p=\"a\"} 0\nh_count{p=\"a\"} 0\n\
                      h_bucket{le=\"0.5\",p=\"b\"} 1\nh_bucket{le=\"10.0\",p=\"b\"} 1\nh_bucket{le=\"+Inf\",p=\"b\"} 2 # {t=\"x\"} 1\nh_sum{p=\"b\"} 3\nh_count{p=\"b\"} 2\n";
        assert_eq!(ordered(samples, true).as_deref(), Some(sorted));
        let bare = "h_sum 3\nh_count 2\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 2\n";
        let sorted = "h_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n";
        assert_eq!(ordered(bare, true).as_deref(), Some(sorted));
    }

    fn escape(value: &str) -> String {
        value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_the_values(values in proptest::collection::btree_set(("[ab\\\\\"\n },=]{0,4}", "(?s).{0,3}"), 1..6)) {
            let line = |(x, y): &(String, String)| format!("a{{x=\"{}\",y=\"{}\"}} 1\n", escape(x), escape(y));
            let sorted: String = values.iter().map(line).collect();
            let reversed: String = values.iter().rev().map(line).collect();
            prop_assert_eq!(ordered(&sorted, false), None);
            prop_assert_eq!(ordered(&reversed, false).unwrap_or(reversed), sorted);
        }
    }
}
