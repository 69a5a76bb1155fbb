//! Tests that are skipped because a program or permission is missing, and their summary.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::parent_id;
use std::path::PathBuf;
use std::thread;

/// Reports that a test is skipped. Panics in CI, where no test may be skipped.
///
/// Writes to standard error directly, because the output of `print!` is captured and only shown if the test fails.
pub fn skipped(why: &str) {
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!in_ci, "{why}, which CI requires");
    let test = thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(io::stderr(), "SKIPPED {test}: {why}");
    if let Some(path) = record() {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let _ = file.and_then(|mut file| file.write_all(format!("{why}\n").as_bytes()));
    }
}

/// Returns and clears the summary of the skipped tests in this run: their number and the reasons.
pub fn skipped_summary() -> String {
    let Some(path) = record() else { return String::new() };
    let lines = fs::read_to_string(&path).unwrap_or_default();
    let _ = fs::remove_file(path);
    summary(&lines)
}

fn summary(lines: &str) -> String {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for why in lines.lines() {
        *reasons.entry(why).or_default() += 1;
    }
    let total: usize = reasons.values().sum();
    let mut text = match total {
        0 => "No test was skipped.".to_owned(),
        1 => "SKIPPED: 1 test".to_owned(),
        _ => format!("SKIPPED: {total} tests"),
    };
    for (why, count) in reasons {
        text.push_str(&format!("\n  {count} because {why}"));
    }
    text
}

/// Returns the file that collects skipped tests, beside the test binaries. All processes of a run have the same parent,
/// whose id is in the file's name.
fn record() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.join(format!("skipped-{}", parent_id())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_counts_by_reason() {
        assert_eq!(summary(""), "No test was skipped.");
        assert_eq!(summary("x is missing\n"), "SKIPPED: 1 test\n  1 because x is missing");
        assert_eq!(
            summary("y is missing\nx is missing\ny is missing\n"),
            "SKIPPED: 3 tests\n  1 because x is missing\n  2 because y is missing"
        );
    }
}
