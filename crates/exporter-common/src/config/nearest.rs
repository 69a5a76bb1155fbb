//! Suggests what somebody may have meant.

/// How alike two words must be, from 0 to 1, so that one is likely a slip for the other.
const ALIKE: f64 = 0.8;

/// The candidate that `word` most likely stands for, if one is likely at all. `-`, `_` and `.` are the same, and what
/// precedes the last dot of a candidate may be left out.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['_', '.'], "-");
    let word = plain(word);
    let likeness = |candidate: &str| {
        let alike = |candidate: &str| strsim::jaro_winkler(&word, &plain(candidate));
        // The whole of one candidate wins over the end of another.
        let end = candidate.rsplit('.').next().unwrap_or(candidate);
        alike(candidate).max(alike(end) * 0.99)
    };
    candidates
        .into_iter()
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_what_was_meant_and_other_words_find_nothing() {
        let flags = [
            "listen-address",
            "web.listen-address",
            "web.telemetry-path",
            "web.config.file",
            "log.level",
            "log.format",
        ];
        for (word, meant) in [
            ("listen-adress", Some("listen-address")),
            ("log-level", Some("log.level")),
            ("log_format", Some("log.format")),
            ("telemetry-path", Some("web.telemetry-path")),
            ("web.config-file", Some("web.config.file")),
            ("version", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, flags), meant, "{word}");
        }
    }
}
