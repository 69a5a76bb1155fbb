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

/// How names with characters outside the classic set are written, the parameter `escaping` of a format. Names of
/// these exporters have none, so that a name is the same in each of them.
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
    /// What a client asks for. `dots` doubles the underscores of every name, which is not done here; it is answered
    /// like an unknown scheme.
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

/// The format of an answer and what is said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The format.
    pub format: Format,
    /// The escaping scheme that the client asked for.
    pub escaping: Escaping,
}

impl Accepted {
    /// The `Content-Type` of the answer. OpenMetrics and protobuf name the escaping scheme, as OpenMetrics demands;
    /// the classic text does not know it.
    pub fn content_type(self) -> String {
        let content_type = self.format.content_type();
        match self.format {
            Format::Text => content_type.to_owned(),
            _ => format!("{content_type}; escaping={}", self.escaping.name()),
        }
    }
}

/// The format for an `Accept` header: the most wanted one that exists, else the classic text.
pub fn accepted_format(accept: &str) -> Accepted {
    let mut best = (0, Accepted { format: Format::Text, escaping: Escaping::default() });
    for range in elements(accept) {
        if let Some(format) = format_of(&range)
            && range.quality > best.0
        {
            let escaping = Escaping::of(range.parameter("escaping"));
            best = (range.quality, Accepted { format, escaping });
        }
    }
    best.1
}

/// Whether a client rather reads HTML than JSON, by its `Accept` header, as browsers do: of the most wanted types HTML
/// comes first. A client that takes anything, or says nothing, is a program.
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

/// The coding for an `Accept-Encoding` header. Among equally wanted ones gzip comes first: a proxy that forwards
/// the header of its own client, and looks into the answer, reads it.
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
    fn browsers_get_html_and_programs_json() {
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
            assert_eq!(accepted_format(accept).format, format, "{accept}");
        }
    }

    #[test]
    fn content_types_name_the_escaping_that_was_asked_for() {
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
            // It would double the underscores of every name.
            ("application/openmetrics-text;version=1.0.0;escaping=dots", OPENMETRICS, "underscores"),
            ("application/openmetrics-text;escaping=x\r\ny", OPENMETRICS, "underscores"),
            // The scheme is that of the range that was chosen.
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
    fn what_prometheus_sends() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(accepted_format(prometheus_2).format, Format::OpenMetrics);
        let native_histograms = format!("{PROTOBUF};q=0.6,{prometheus_2}");
        assert_eq!(accepted_format(&native_histograms).format, Format::Protobuf);
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(accepted_format(prometheus_3).format, Format::OpenMetrics);
    }

    #[test]
    fn encodings() {
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
