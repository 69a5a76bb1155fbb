//! Compares expositions and README tables with golden files. With `UPDATE_GOLDEN` in the environment, updates the files.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;

use crate::tool;

/// Compares an exposition with a file, without the values of families for which `is_volatile` returns true and without
/// the labels of build information.
pub fn compare_exposition(file: &Path, exposition: &str, is_volatile: fn(&str) -> bool) {
    let got = stable(exposition, is_volatile);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file, got).unwrap();
        return;
    }
    let want = std::fs::read_to_string(file).unwrap_or_default();
    let file = file.display();
    assert!(
        got == want,
        "the exposition differs from {file}; if that is intended, update it with UPDATE_GOLDEN=1:\n{}",
        difference(&want, &got)
    );
}

/// Compares a table with the one in the README, which is between two comments with its name.
pub fn compare_table(readme: &Path, table: &str, want: &str) {
    let text = std::fs::read_to_string(readme).unwrap();
    let begin =
        text.find(&format!("<!-- {table}:begin")).unwrap_or_else(|| panic!("no table {table} in the README"));
    let begin = begin + text[begin..].find('\n').unwrap() + 1;
    let end = text.find(&format!("<!-- {table}:end")).unwrap_or_else(|| panic!("table {table} has no end"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(readme, format!("{}{want}{}", &text[..begin], &text[end..])).unwrap();
        return;
    }
    let have = &text[begin..end];
    assert!(have == want, "the README's table {table} is out of date:\n{}", difference(have, want));
}

fn difference(want: &str, got: &str) -> String {
    let removed = want.lines().filter(|line| !got.contains(line)).map(|line| format!("-{line}"));
    let added = got.lines().filter(|line| !want.contains(line)).map(|line| format!("+{line}"));
    removed.chain(added).collect::<Vec<_>>().join("\n")
}

/// Returns the exposition without values that differ between runs, and with the series of each family sorted, because a
/// registry keeps them in a hash map.
fn stable(exposition: &str, is_volatile: fn(&str) -> bool) -> String {
    let mut text = String::new();
    let mut samples: Vec<String> = Vec::new();
    for line in exposition.lines().chain(["#"]) {
        if line.starts_with('#') {
            samples.sort_by_key(|sample| without_bucket(sample));
            for sample in samples.drain(..) {
                text += &(sample + "\n");
            }
            text += &format!("{line}\n");
        } else {
            samples.push(stable_sample(line, is_volatile));
        }
    }
    text.trim_end_matches("#\n").to_owned()
}

/// Returns the labels of a sample without `le`, which all samples of a histogram series have in common.
fn without_bucket(sample: &str) -> String {
    let labels = sample.find('{').map_or("", |start| &sample[start + 1..]);
    let labels = match labels.strip_prefix("le=\"") {
        Some(rest) => rest.split_once("\",").map_or("", |(_, labels)| labels),
        None => labels,
    };
    labels.rsplit_once('}').map_or(String::new(), |(labels, _)| labels.to_owned())
}

fn stable_sample(line: &str, is_volatile: fn(&str) -> bool) -> String {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let name = series.split('{').next().unwrap();
    if name.ends_with("_build_info") {
        let labels: Vec<&str> =
            series.split(['{', ',']).skip(1).filter_map(|pair| pair.split('=').next()).collect();
        return format!("{name}{{{}}} {value}", labels.join(","));
    }
    let is_volatile = name.starts_with("process_") || name.starts_with("promhttp_") || is_volatile(name);
    format!("{series} {}", if is_volatile { "…" } else { value })
}

/// Runs promtool's linter and panics for findings that are not in `known`, which also has the reason for each.
pub async fn lint(exposition: &str, known: &[(&str, &str)]) {
    let Some(promtool) = tool("promtool") else { return };
    let mut child = tokio::process::Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(exposition.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let findings = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let new: Vec<&str> =
        findings.lines().filter(|finding| known.iter().all(|(known, _reason)| known != finding)).collect();
    assert!(new.is_empty(), "promtool finds:\n{}", new.join("\n"));
    assert!(output.status.code() != Some(1), "promtool cannot read the exposition");
}

/// The metadata of a family in an exposition.
#[derive(Debug, Default)]
pub struct Family {
    /// The help text.
    pub help: String,
    /// The type.
    pub kind: String,
    /// The names of the labels.
    pub labels: Vec<String>,
}

impl Family {
    /// Returns a row of a README table: the text `first`, the name, the labels, the help text.
    pub fn row(&self, first: &str, name: &str) -> String {
        let labels: Vec<String> = self.labels.iter().map(|label| format!("`{label}`")).collect();
        let kind = if self.kind == "histogram" { " (histogram)" } else { "" };
        format!("| {first} | `{name}` | {} | {}{kind} |\n", labels.join(", "), self.help)
    }
}

/// Parses the families of an exposition in their order. Label values must not contain commas, equals signs or braces.
pub fn families(exposition: &str) -> Vec<(String, Family)> {
    let mut order = Vec::new();
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for line in exposition.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            order.push(name.to_owned());
            families.entry(name.to_owned()).or_default().help = help.to_owned();
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            families.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if let Some(family) = order.last().and_then(|name| families.get_mut(name)) {
            let labels = line
                .split_once('{')
                .and_then(|(_, rest)| rest.rsplit_once('}'))
                .map_or("", |(labels, _)| labels);
            family.labels = labels
                .split(',')
                .filter_map(|label| label.split_once('='))
                .map(|(name, _)| name.to_owned())
                .filter(|name| name != "le")
                .collect();
        }
    }
    order.into_iter().map(|name| (name.clone(), families.remove(&name).unwrap_or_default())).collect()
}
