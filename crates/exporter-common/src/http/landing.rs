//! The landing page: readiness conditions, the present state, and links.

use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use http::Response;

use super::html::{escape, page};
use crate::build_info;
use crate::readiness::{ConditionState, Readiness};

/// A name and value about the present state of the exporter: a row of the landing page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    name: Cow<'static, str>,
    value: String,
    is_problem: bool,
}

impl Fact {
    /// Creates a row from a name and a value, both plain text.
    pub fn new(name: impl Into<Cow<'static, str>>, value: impl Display) -> Self {
        Self { name: name.into(), value: value.to_string(), is_problem: false }
    }

    /// Highlights the row if `is_problem` is true.
    #[must_use]
    pub fn problem_if(mut self, is_problem: bool) -> Self {
        self.is_problem = is_problem;
        self
    }
}

/// Formats an age in its largest whole unit, such as `12 s ago`.
#[must_use]
pub fn ago(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// Returns the landing page. Its links are relative, so that they work behind a proxy that adds a path prefix.
pub(super) fn landing_page<'a>(
    name: &str,
    about: &str,
    readiness: &Readiness,
    facts: &[Fact],
    links: impl Iterator<Item = (&'static str, &'a str)>,
) -> Response<Bytes> {
    let (version, commit) = (build_info::VERSION, build_info::COMMIT);
    let (about, summary) = (escape(about), summary(readiness));
    let conditions: String = readiness.conditions().iter().map(row).collect();
    let facts = facts_table(facts);
    let links: String = links
        .map(|(name, path)| {
            format!("<li><a href=\"{}\">{}</a></li>\n", escape(&relative(path)), escape(name))
        })
        .collect();
    let body = format!(
        "<p>{about}</p>\n<p>Version {version}, commit {commit}</p>\n{summary}<table>\n\
         <tr><th>Condition</th><th>State</th><th>Reason</th></tr>\n{conditions}</table>\n{facts}<ul>\n{links}</ul>\n"
    );
    page(name, &body)
}

/// The text of `/ready` as a paragraph.
fn summary(readiness: &Readiness) -> String {
    let (class, text) = match (readiness.missing(), readiness.impaired()) {
        (Some(reason), _) => (" class=\"bad\"", format!("Not ready: {reason}")),
        (None, Some(reason)) => (" class=\"warn\"", format!("Ready, but: {reason}")),
        (None, None) => ("", "Ready".to_owned()),
    };
    format!("<p{class}><strong>{}</strong></p>\n", escape(&text))
}

fn row(condition: &ConditionState) -> String {
    let (class, state) = match (&condition.missing, condition.is_optional) {
        (None, _) => ("", "ok"),
        (Some(_), true) => (" class=\"warn\"", "failing, not needed to be ready"),
        (Some(_), false) => (" class=\"bad\"", "failing"),
    };
    let (name, reason) = (escape(condition.name), escape(condition.missing.as_deref().unwrap_or_default()));
    format!("<tr{class}><td>{name}</td><td>{state}</td><td>{reason}</td></tr>\n")
}

fn facts_table(facts: &[Fact]) -> String {
    if facts.is_empty() {
        return String::new();
    }
    let row = |Fact { name, value, is_problem }: &Fact| {
        let class = if *is_problem { " class=\"warn\"" } else { "" };
        format!("<tr{class}><th>{}</th><td>{}</td></tr>\n", escape(name), escape(value))
    };
    format!("<h2>Now</h2>\n<table>\n{}</table>\n", facts.iter().map(row).collect::<String>())
}

/// Returns a path as a relative link. A prefix `./` prevents a path from being read as another host or a scheme.
fn relative(path: &str) -> String {
    let path = path.strip_prefix('/').unwrap_or(path);
    let prefix = if path.is_empty() || path.starts_with('/') || path.contains(':') { "./" } else { "" };
    format!("{prefix}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(readiness: &Readiness) -> String {
        with_facts(readiness, &[])
    }

    fn with_facts(readiness: &Readiness, facts: &[Fact]) -> String {
        let page = landing_page("test", "A <test>", readiness, facts, [("Metrics", "/a:b\"")].into_iter());
        String::from_utf8(page.into_body().to_vec()).unwrap()
    }

    #[test]
    fn facts_are_escaped_rows() {
        let readiness = Readiness::default();
        assert!(!text(&readiness).contains("<h2>"), "without facts there is no table of them");
        let facts = [
            Fact::new("Last <event>", ago(Duration::from_secs(12))),
            Fact::new("Failing", "<script>").problem_if(true),
        ];
        let page = with_facts(&readiness, &facts);
        assert!(page.contains("<tr><th>Last &lt;event&gt;</th><td>12 s ago</td></tr>"), "{page}");
        assert!(page.contains("<tr class=\"warn\"><th>Failing</th><td>&lt;script&gt;</td></tr>"), "{page}");
    }

    #[test]
    fn formats_ages_in_the_largest_unit() {
        for (seconds, expected) in [
            (0, "0 s ago"),
            (119, "119 s ago"),
            (120, "2 min ago"),
            (7_199, "119 min ago"),
            (7_200, "2 h ago"),
            (172_800, "2 days ago"),
        ] {
            assert_eq!(ago(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn shows_state_and_reason_of_each_condition() {
        let readiness = Readiness::default();
        let session = readiness.condition("session", "HTTP 502: <script>alert(1)</script>");
        let lookups = readiness.optional_condition("lookups");
        let failing = text(&readiness);
        assert!(failing.contains("Not ready: HTTP 502: &lt;script&gt;"), "{failing}");
        assert!(
            failing.contains("<td>session</td><td>failing</td><td>HTTP 502: &lt;script&gt;"),
            "{failing}"
        );
        assert!(failing.contains("<td>lookups</td><td>ok</td><td></td>"), "{failing}");
        assert!(!failing.contains("<script") && failing.contains("A &lt;test&gt;"), "{failing}");
        session.ready();
        lookups.missing("HTTP 429");
        let impaired = text(&readiness);
        assert!(impaired.contains("<strong>Ready, but: HTTP 429</strong>"), "{impaired}");
        assert!(impaired.contains("failing, not needed to be ready</td><td>HTTP 429</td>"), "{impaired}");
        lookups.ready();
        assert!(text(&readiness).contains("<p><strong>Ready</strong></p>"));
        readiness.shut_down();
        assert!(text(&readiness).contains("Not ready: shutting down"));
    }

    #[test]
    fn links_are_relative_and_escaped() {
        assert!(text(&Readiness::default()).contains("<a href=\"./a:b&quot;\">Metrics</a>"));
    }
}
