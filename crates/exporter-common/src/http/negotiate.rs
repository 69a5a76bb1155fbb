//! Content negotiation by `Accept` and `Accept-Encoding`, as Prometheus and its client libraries do it.

use crate::metrics::Format;

/// A content coding of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// No coding.
    Identity,
    /// gzip, RFC 1952.
    Gzip,
    /// Zstandard, RFC 8878.
    Zstd,
}

/// How names with characters outside the classic set are written: the parameter `escaping` of a format. Names of
/// these exporters have no such characters, so they are the same in every scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Escaping {
    /// Such characters become underscores.
    #[default]
    Underscores,
    /// Such names stay as they are, in quotes.
    AllowUtf8,
    /// Such names become `U__` and code points.
    Values,
}

impl Escaping {
    /// The scheme that a client requests. `dots` would double the underscores of every name; it is not supported and
    /// treated like an unknown scheme.
    fn of(parameter: Option<&str>) -> Self {
        match parameter {
            Some("allow-utf-8") => Self::AllowUtf8,
            Some("values") => Self::Values,
            _ => Self::Underscores,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Underscores => "underscores",
            Self::AllowUtf8 => "allow-utf-8",
            Self::Values => "values",
        }
    }
}

/// The format and the escaping scheme of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptedFormat {
    /// The format.
    pub format: Format,
    /// The escaping scheme that the client requested.
    pub escaping: Escaping,
}

impl AcceptedFormat {
    /// Returns the `Content-Type` of the response. OpenMetrics and protobuf name the escaping scheme, as OpenMetrics
    /// requires; the classic text format has no such parameter.
    pub fn content_type(self) -> String {
        let content_type = self.format.content_type();
        match self.format {
            Format::Text => content_type.to_owned(),
            _ => format!("{content_type}; escaping={}", self.escaping.name()),
        }
    }
}

/// Returns the format for an `Accept` header: the supported one with the highest weight, else the classic text.
pub fn accepted_format(accept: &str) -> AcceptedFormat {
    let mut best = (0, AcceptedFormat { format: Format::Text, escaping: Escaping::default() });
    for range in elements(accept) {
        if let Some(format) = format_of(&range)
            && range.quality > best.0
        {
            let escaping = Escaping::of(range.parameter("escaping"));
            best = (range.quality, AcceptedFormat { format, escaping });
        }
    }
    best.1
}

/// Whether a client prefers HTML to JSON by its `Accept` header, as browsers do: HTML is the first of the types with
/// the highest weight. Clients that accept any type, or send no header, get JSON.
pub fn prefers_html(accept: &str) -> bool {
    let mut best = (0, false);
    for range in elements(accept) {
        let is_html = match &*range.name.to_ascii_lowercase() {
            "text/html" | "application/xhtml+xml" => true,
            "application/json" | "application/*" | "*/*" => false,
            _ => continue,
        };
        if range.quality > best.0 {
            best = (range.quality, is_html);
        }
    }
    best.1
}

/// Returns the coding for an `Accept-Encoding` header. gzip wins among equal weights: a proxy that forwards the header
/// of its client and inspects the response can read gzip.
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
    // `*` stands for gzip only: a client that does not name zstd can rarely read it.
    let gzip = gzip.or(rest).unwrap_or(0);
    let zstd = zstd.unwrap_or(0);
    let identity = identity.unwrap_or(0);
    if gzip > 0 && gzip >= zstd && gzip >= identity {
        Encoding::Gzip
    } else if zstd > 0 && zstd >= identity {
        Encoding::Zstd
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

/// Parses a weight of RFC 9110 (`0.5`) into thousandths; `None` if it is invalid.
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
    fn prefers_html_for_browsers_and_json_for_programs() {
        for html in [
            "text/html",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
            "application/json;q=0.5, TEXT/HTML",
        ] {
            assert!(prefers_html(html), "{html}");
        }
        for json in [
            "",
            "*/*",
            "application/json",
            "application/json, text/plain, */*",
            "*/*, text/html",
            "text/html;q=0.4, application/json",
            "text/html;q=0",
            "text/plain",
        ] {
            assert!(!prefers_html(json), "{json}");
        }
    }

    #[test]
    fn selects_the_format_by_accept() {
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
            assert_eq!(accepted_format(accept).format, format, "{accept}");
        }
    }

    #[test]
    fn content_types_name_the_requested_escaping() {
        const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=";
        const DRAFT: &str = "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=";
        const DELIMITED: &str = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=";
        const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
        for (accept, content_type, escaping) in [
            ("", TEXT, ""),
            ("text/plain;version=1.0.0;escaping=allow-utf-8", TEXT, ""),
            ("application/openmetrics-text", OPENMETRICS, "underscores"),
            ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8", OPENMETRICS, "allow-utf-8"),
            ("application/openmetrics-text; escaping=\"values\"; q=0.5", OPENMETRICS, "values"),
            ("application/openmetrics-text;version=0.0.1", DRAFT, "underscores"),
            ("application/openmetrics-text;version=0.0.1;escaping=allow-utf-8", DRAFT, "allow-utf-8"),
            // `dots` is not supported.
            ("application/openmetrics-text;version=1.0.0;escaping=dots", OPENMETRICS, "underscores"),
            ("application/openmetrics-text;escaping=x\r\ny", OPENMETRICS, "underscores"),
            // The scheme belongs to the selected range.
            (
                "text/plain;escaping=values;q=0.4,application/openmetrics-text;version=1.0.0;q=0.5",
                OPENMETRICS,
                "underscores",
            ),
            (PROTOBUF, DELIMITED, "underscores"),
            (&format!("{PROTOBUF};escaping=allow-utf-8"), DELIMITED, "allow-utf-8"),
        ] {
            assert_eq!(
                accepted_format(accept).content_type(),
                format!("{content_type}{escaping}"),
                "{accept}"
            );
        }
    }

    #[test]
    fn selects_the_format_for_headers_of_prometheus() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(accepted_format(prometheus_2).format, Format::OpenMetrics);
        let native_histograms = format!("{PROTOBUF};q=0.6,{prometheus_2}");
        assert_eq!(accepted_format(&native_histograms).format, Format::Protobuf);
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(accepted_format(prometheus_3).format, Format::OpenMetrics);
    }

    #[test]
    fn selects_the_coding_by_accept_encoding() {
        for (header, encoding) in [
            ("", Encoding::Identity),
            ("gzip", Encoding::Gzip),
            ("GZIP", Encoding::Gzip),
            ("zstd", Encoding::Zstd),
            ("gzip, deflate, br", Encoding::Gzip),
            ("gzip, zstd", Encoding::Gzip),
            ("zstd, gzip", Encoding::Gzip),
            ("gzip, deflate, br, zstd", Encoding::Gzip),
            ("zstd;q=0.5, gzip;q=0.5, *;q=0.1", Encoding::Gzip),
            ("zstd, *", Encoding::Gzip),
            ("zstd;q=1.0, gzip;q=0.9", Encoding::Zstd),
            ("zstd, gzip;q=0", Encoding::Zstd),
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
