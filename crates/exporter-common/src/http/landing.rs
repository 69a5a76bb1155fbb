//! The landing page: what is well and what is not, and where to look further.

use bytes::Bytes;
use http::Response;

use super::html::{escape, page};
use crate::build_info;
use crate::readiness::{ConditionState, Readiness};

/// Its links are relative, so that they hold behind a proxy that puts a prefix before the paths.
pub(super) fn landing_page<'a>(
    name: &str,
    about: &str,
    readiness: &Readiness,
    links: impl Iterator<Item = (&'static str, &'a str)>,
) -> Response<Bytes> {
    let (version, commit) = (build_info::VERSION, build_info::COMMIT);
    let (about, summary) = (escape(about), summary(readiness));
    let conditions: String = readiness.conditions().iter().map(row).collect();
    let links: String = links
        .map(|(name, path)| {
            format!("<li><a href=\"{}\">{}</a></li>\n", escape(&relative(path)), escape(name))
        })
        .collect();
    let body = format!(
        "<p>{about}</p>\n<p>Version {version}, commit {commit}</p>\n{summary}<table>\n\
         <tr><th>Condition</th><th>State</th><th>Reason</th></tr>\n{conditions}</table>\n<ul>\n{links}</ul>\n"
    );
    page(name, &body)
}

/// What `/ready` says, as a line of its own.
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

/// A path as a link on the landing page. One that begins like another host or a scheme is marked as a path.
fn relative(path: &str) -> String {
    let path = path.strip_prefix('/').unwrap_or(path);
    let prefix = if path.is_empty() || path.starts_with('/') || path.contains(':') { "./" } else { "" };
    format!("{prefix}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(readiness: &Readiness) -> String {
        let page = landing_page("test", "A <test>", readiness, [("Metrics", "/a:b\"")].into_iter());
        String::from_utf8(page.into_body().to_vec()).unwrap()
    }

    #[test]
    fn each_condition_has_its_state_and_its_reason() {
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
