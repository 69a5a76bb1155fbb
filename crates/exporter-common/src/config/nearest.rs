//! Suggestions for misspelt names.

/// The minimum similarity of a suggestion, from 0 to 1.
const MIN_SIMILARITY: f64 = 0.8;

/// Returns the candidate that is most similar to `word`, if one is similar enough. `-`, `_` and `.` are the same, and the
/// part before the last dot of a candidate is optional.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['_', '.'], "-");
    let word = plain(word);
    let similarity = |candidate: &str| {
        let compare = |candidate: &str| strsim::jaro_winkler(&word, &plain(candidate));
        // A complete candidate wins over the last part of another one.
        let last_part = candidate.rsplit('.').next().unwrap_or(candidate);
        compare(candidate).max(compare(last_part) * 0.99)
    };
    candidates
        .into_iter()
        .map(|candidate| (similarity(candidate), candidate))
        .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_names_for_misspelt_words_only() {
        let flags = [
            "listen-address",
            "web.listen-address",
            "web.telemetry-path",
            "web.config.file",
            "log.level",
            "log.format",
        ];
        for (word, suggestion) in [
            ("listen-adress", Some("listen-address")),
            ("log-level", Some("log.level")),
            ("log_format", Some("log.format")),
            ("telemetry-path", Some("web.telemetry-path")),
            ("web.config-file", Some("web.config.file")),
            ("version", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, flags), suggestion, "{word}");
        }
    }
}
