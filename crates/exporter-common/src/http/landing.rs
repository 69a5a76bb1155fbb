//! The landing page.

use crate::build_info;

/// Its links are relative, so that they hold behind a proxy that puts a prefix before the paths.
pub(super) fn landing_page<'a>(
    name: &str,
    about: &str,
    links: impl Iterator<Item = (&'static str, &'a str)>,
) -> String {
    let (version, commit) = (build_info::VERSION, build_info::COMMIT);
    let links: String = links
        .map(|(name, path)| format!("<li><a href=\"{}\">{name}</a></li>\n", escape(&relative(path))))
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{name}</title></head>\n<body>\n\
         <h1>{name}</h1>\n<p>{about}</p>\n<p>Version {version}, commit {commit}</p>\n<ul>\n{links}</ul>\n</body>\n</html>\n"
    )
}

/// A path as a link on the landing page. One that begins like another host or a scheme is marked as a path.
fn relative(path: &str) -> String {
    let path = path.strip_prefix('/').unwrap_or(path);
    let prefix = if path.is_empty() || path.starts_with('/') || path.contains(':') { "./" } else { "" };
    format!("{prefix}{path}")
}

/// A configured path in an HTML attribute.
fn escape(path: &str) -> String {
    path.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
