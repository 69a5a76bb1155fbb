//! The log filter: `RUST_LOG` and the configured level.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use crate::config::nearest;

/// Libraries with many log lines. Their level is at most `warn` unless `RUST_LOG` names them.
const LIBRARIES: [&str; 9] =
    ["h2", "hyper", "hyper_rustls", "hyper_util", "reqwest", "rustls", "tokio_util", "tonic", "tower"];

/// The level names in `RUST_LOG`.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A parsed filter.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) targets: Targets,
    /// Named targets that do not exist.
    pub(super) unknown: Vec<String>,
}

/// Parses the directives of `RUST_LOG`: a level, or `target=level`, separated by commas. Targets without a directive have
/// the level `level`. It also overrides a level in the directives if `level_wins`. `known` are the existing targets, or
/// prefixes of them, in addition to the libraries.
///
/// # Errors
/// A directive is neither a level nor `target=level`. The error names it and what is allowed.
pub(super) fn parse(
    directives: &str,
    level: LevelFilter,
    level_wins: bool,
    known: &[&str],
) -> Result<Filter, String> {
    let mut default = level;
    let mut named = Vec::new();
    let mut unknown = Vec::new();
    for directive in directives.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
        let (target, level) = match directive.split_once('=') {
            Some((target, level)) => (target.trim(), level.trim()),
            None if parse_level(directive).is_some() => ("", directive),
            None if exists(directive, known) => (directive, "trace"),
            None => return Err(invalid(directive, directive, known)),
        };
        let Some(level) = parse_level(level) else { return Err(invalid(directive, level, &[])) };
        if target.is_empty() && !directive.contains('=') {
            if !level_wins {
                default = level;
            }
        } else if target.is_empty() || !target.chars().all(|c| c.is_alphanumeric() || "_:-.".contains(c)) {
            return Err(invalid(directive, "", &[]));
        } else {
            if !exists(target, known) {
                unknown.push(target.to_owned());
            }
            named.push((target.to_owned(), level));
        }
    }
    let libraries = LIBRARIES.map(|library| (library.to_owned(), default.min(LevelFilter::WARN)));
    let targets = Targets::new().with_default(default).with_targets(libraries).with_targets(named);
    Ok(Filter { targets, unknown })
}

fn parse_level(text: &str) -> Option<LevelFilter> {
    LEVELS.contains(&text.to_ascii_lowercase().as_str()).then(|| text.parse().ok()).flatten()
}

/// Whether a target has this name or starts with it.
fn exists(target: &str, known: &[&str]) -> bool {
    let name = target.split("::").next().unwrap_or(target);
    known.iter().chain(&LIBRARIES).any(|known| {
        known.starts_with(name) || name.strip_prefix(known).is_some_and(|rest| rest.starts_with('_'))
    })
}

/// Suggests an existing target for one that does not exist.
pub(super) fn likely(target: &str, known: &[&str]) -> Option<String> {
    nearest(target, known.iter().chain(&LIBRARIES).copied()).map(str::to_owned)
}

/// Returns the error for a directive, with a suggestion for `word`.
fn invalid(directive: &str, word: &str, known: &[&str]) -> String {
    let hint = nearest(word, LEVELS.iter().chain(known).copied());
    let hint = hint.map(|hint| format!(" (did you mean {hint}?)")).unwrap_or_default();
    let levels = LEVELS.join(", ");
    format!(
        "{directive:?} is not a log filter{hint}; allowed is a level ({levels}) or target=level, separated by commas"
    )
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    const KNOWN: [&str; 2] = ["exporter_common", "my_exporter"];

    fn parse(directives: &str) -> Result<Filter, String> {
        super::parse(directives, LevelFilter::INFO, false, &KNOWN)
    }

    /// The most verbose level of a target.
    fn level_of(targets: &Targets, target: &str) -> Option<Level> {
        [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR]
            .into_iter()
            .find(|level| targets.would_enable(target, level))
    }

    #[test]
    fn a_level_does_not_make_libraries_verbose() {
        for (directives, own, library) in [
            ("", Level::INFO, Level::WARN),
            (" , ", Level::INFO, Level::WARN),
            ("debug", Level::DEBUG, Level::WARN),
            (" Debug\n", Level::DEBUG, Level::WARN),
            ("TRACE", Level::TRACE, Level::WARN),
            ("error", Level::ERROR, Level::ERROR),
            ("info,hyper=debug", Level::INFO, Level::DEBUG),
            ("my_exporter=debug", Level::DEBUG, Level::WARN),
            ("my_exporter", Level::TRACE, Level::WARN),
            ("my_exporter::part=debug", Level::INFO, Level::WARN),
        ] {
            let filter = parse(directives).unwrap();
            assert_eq!(level_of(&filter.targets, "my_exporter"), Some(own), "{directives:?}");
            assert_eq!(level_of(&filter.targets, "hyper::client"), Some(library), "{directives:?}");
            assert_eq!(filter.unknown, Vec::<String>::new(), "{directives:?}");
        }
        assert_eq!(level_of(&parse("off").unwrap().targets, "my_exporter"), None);
    }

    #[test]
    fn a_directive_for_one_target_does_not_change_others() {
        let targets = parse("hyper=trace").unwrap().targets;
        assert_eq!(level_of(&targets, "my_exporter"), Some(Level::INFO));
    }

    #[test]
    fn a_level_from_a_flag_overrides_a_level_but_not_a_target() {
        let filter = super::parse("error,hyper=trace", LevelFilter::DEBUG, true, &KNOWN).unwrap();
        assert_eq!(level_of(&filter.targets, "my_exporter"), Some(Level::DEBUG));
        assert_eq!(level_of(&filter.targets, "hyper"), Some(Level::TRACE));
    }

    #[test]
    fn rejects_other_directives_with_a_suggestion() {
        for (directives, parts) in [
            ("warning", &["\"warning\"", "did you mean warn?"][..]),
            ("inof", &["did you mean info?"]),
            ("info,foo", &["\"foo\""]),
            ("verbose", &["off, error, warn, info, debug, trace"]),
            ("my_exporter=loud", &["\"my_exporter=loud\""]),
            ("my_exporter=", &["target=level"]),
            ("=debug", &["target=level"]),
            ("hyper[span]=debug", &["target=level"]),
            ("info debug", &["separated by commas"]),
            ("\"info\"", &["allowed is a level"]),
            ("3", &["allowed is a level"]),
        ] {
            let error = parse(directives).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{directives:?}: {error}");
            }
        }
    }

    #[test]
    fn reports_unknown_targets() {
        let filter = parse("info,foo=debug,my-exporter=trace").unwrap();
        assert_eq!(filter.unknown, ["foo", "my-exporter"]);
        assert_eq!(likely("my-exporter", &KNOWN).as_deref(), Some("my_exporter"));
    }
}
