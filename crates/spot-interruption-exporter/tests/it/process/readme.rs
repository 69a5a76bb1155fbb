//! The tables and messages of the README agree with the program.
//!
//! `UPDATE_GOLDEN=1 cargo test -p spot-interruption-exporter readme` regenerates the tables.

use std::path::{Path, PathBuf};

use exporter_common::program::Program;
use harness::{compare_table, families};
use spot_interruption_exporter::Config;

fn readme() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")
}

#[test]
fn keys() {
    let mut table =
        String::from("| configuration key | variable | default | description |\n|---|---|---|---|\n");
    for setting in Config::settings() {
        let default = setting.default.as_deref().map(|default| format!("`{default}`")).unwrap_or_default();
        let flag: String = setting.flags().map(|flag| format!(", `--{flag}`")).collect();
        let (key, variable, help) = (&setting.key, &setting.variable, &setting.help);
        table += &format!("| `{key}`{flag} | `{variable}` | {default} | {help} |\n");
    }
    compare_table(&readme(), "keys", &table);
}

#[test]
fn spot_metrics() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/spot.prom");
    // The label parser does not support the escaped cluster name; its series have the same labels as the others.
    let exposition: String = std::fs::read_to_string(golden)
        .unwrap()
        .lines()
        .filter(|line| !line.contains("odd \\\"name"))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut table = String::from("| metric | type | labels | description |\n|---|---|---|---|\n");
    for (name, family) in families(&exposition) {
        if !name.starts_with("process_") && !name.starts_with("promhttp_") {
            let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
            table += &format!("| `{name}` | {} | {} | {} |\n", family.kind, labels.join(", "), family.help);
        }
    }
    compare_table(&readme(), "spot_metrics", &table);
}

/// The end-to-end tests publish the two messages of the README.
#[test]
fn messages() {
    let text = std::fs::read_to_string(readme()).unwrap();
    for fixture in [
        include_str!("../fixtures/published_creation.json"),
        include_str!("../fixtures/published_interruption.json"),
    ] {
        assert!(text.contains(fixture.trim()), "the README does not contain\n{fixture}");
    }
}
