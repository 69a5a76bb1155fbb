//! What a client can read: `Accept` and `Accept-Encoding`, as Prometheus and its client libraries use them.

use crate::metrics::Format;

/// A content coding of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// gzip, RFC 1952.
    Gzip,
    /// Zstandard, RFC 8878.
    Zstd,
}

/// The format for an `Accept` header: the most wanted one that exists, else the classic text.
pub fn accepted_format(accept: &str) -> Format {
    let mut best = (0, Format::Text);
    for range in elements(accept) {
        if let Some(format) = format_of(&range)
            && range.quality > best.0
        {
            best = (range.quality, format);
        }
    }
    best.1
}

/// The coding for an `Accept-Encoding` header. Among equally wanted ones zstd comes first, which is both
/// smaller and cheaper, then gzip.
pub fn accepted_encoding(accept_encoding: &str) -> Encoding {
    let (mut gzip, mut zstd, mut identity, mut rest) = (None, None, None, None);
    for element in elements(accept_encoding) {
        let slot = match &*element.name.to_ascii_lowercase() {
            "gzip" | "x-gzip" => &mut gzip,
            "zstd" => &mut zstd,
            "identity" => &mut identity,
            "*" => &mut rest,
            _ => continue,
        };
        slot.get_or_insert(element.quality);
    }
    // `*` speaks for gzip only: a client that does not name zstd rarely reads it.
    let gzip = gzip.or(rest).unwrap_or(0);
    let zstd = zstd.unwrap_or(0);
    let identity = identity.unwrap_or(0);
    if zstd > 0 && zstd >= gzip && zstd >= identity {
        Encoding::Zstd
    } else if gzip > 0 && gzip >= identity {
        Encoding::Gzip
    } else {
        Encoding::Identity
    }
}

/// One element of a comma-separated header: a name, its parameters, and its weight in thousandths.
struct Element<'a> {
    name: &'a str,
    parameters: &'a str,
    quality: u16,
}

impl Element<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        parameters(self.parameters).find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

fn elements(header: &str) -> impl Iterator<Item = Element<'_>> {
    header.split(',').filter_map(|element| {
        let (name, rest) = element.split_once(';').unwrap_or((element, ""));
        let quality = match parameters(rest).find(|(key, _)| key.eq_ignore_ascii_case("q")) {
            None => 1_000,
            Some((_, weight)) => thousandths(weight)?,
        };
        Some(Element { name: name.trim(), parameters: rest, quality })
    })
}

fn parameters(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(';').filter_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        Some((key.trim(), value.trim().trim_matches('"')))
    })
}

/// A weight of RFC 9110 (`0.5`) in thousandths; `None` for what is no weight.
fn thousandths(weight: &str) -> Option<u16> {
    let weight: f32 = weight.parse().ok()?;
    // In range by the check, so the cast cannot truncate.
    (0.0..=1.0).contains(&weight).then(|| (weight * 1_000.0).round() as u16)
}

fn format_of(range: &Element<'_>) -> Option<Format> {
    match &*range.name.to_ascii_lowercase() {
        "application/openmetrics-text" => match range.parameter("version") {
            None | Some("" | "1.0.0") => Some(Format::OpenMetrics),
            Some("0.0.1") => Some(Format::OpenMetricsDraft),
            Some(_) => None,
        },
        "application/vnd.google.protobuf" => {
            let proto = range.parameter("proto")?;
            let encoding = range.parameter("encoding")?;
            (proto == "io.prometheus.client.MetricFamily" && encoding == "delimited")
                .then_some(Format::Protobuf)
        }
        "text/plain" => match range.parameter("version") {
            None | Some("" | "0.0.4" | "1.0.0") => Some(Format::Text),
            Some(_) => None,
        },
        "text/*" | "*/*" => Some(Format::Text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PROTOBUF: &str =
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

    #[test]
    fn formats() {
        for (accept, format) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Text),
            ("application/json", Format::Text),
            ("nonsense;;;=,,", Format::Text),
            ("text/plain;version=0.0.4", Format::Text),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", Format::OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"", Format::OpenMetrics),
            ("application/openmetrics-text;version=0.0.1", Format::OpenMetricsDraft),
            ("application/openmetrics-text;version=2.0.0", Format::Text),
            ("application/openmetrics-text;q=0", Format::Text),
            ("application/openmetrics-text;q=nan", Format::Text),
            ("text/plain;q=0.9, application/openmetrics-text;q=0.5", Format::Text),
            ("text/plain;q=0.5, application/openmetrics-text;q=0.9", Format::OpenMetrics),
            (PROTOBUF, Format::Protobuf),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
                Format::Text,
            ),
            ("application/vnd.google.protobuf", Format::Text),
        ] {
            assert_eq!(accepted_format(accept), format, "{accept}");
        }
    }

    #[test]
    fn what_prometheus_sends() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(accepted_format(prometheus_2), Format::OpenMetrics);
        let native_histograms = format!("{PROTOBUF};q=0.6,{prometheus_2}");
        assert_eq!(accepted_format(&native_histograms), Format::Protobuf);
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(accepted_format(prometheus_3), Format::OpenMetrics);
    }

    #[test]
    fn encodings() {
        for (header, encoding) in [
            ("", Encoding::Identity),
            ("gzip", Encoding::Gzip),
            ("GZIP", Encoding::Gzip),
            ("zstd", Encoding::Zstd),
            ("gzip, deflate, br", Encoding::Gzip),
            ("gzip, zstd", Encoding::Zstd),
            ("zstd;q=0.5, gzip;q=0.9", Encoding::Gzip),
            ("gzip;q=0", Encoding::Identity),
            ("*", Encoding::Gzip),
            ("*;q=0", Encoding::Identity),
            ("identity, *;q=0", Encoding::Identity),
            ("identity;q=1, gzip;q=0.5", Encoding::Identity),
            ("br", Encoding::Identity),
            ("gzip;q=2", Encoding::Identity),
        ] {
            assert_eq!(accepted_encoding(header), encoding, "{header}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(header in ".*") {
            let _ = accepted_format(&header);
            let _ = accepted_encoding(&header);
        }
    }
}
