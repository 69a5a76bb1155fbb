//! What the README's tables say is what the program does.
//!
//! `UPDATE_GOLDEN=1 cargo test -p spacelift-promex readme` writes the tables anew.

use std::collections::BTreeMap;
use std::path::Path;

use exporter_common::config::Kind;
use sandbox::spacelift::{Account, Spacelift};
use spacelift_promex::Config;
use spacelift_promex::collectors::ALL;

use super::support::Exporter;

#[test]
fn options() {
    let mut table =
        String::from("| flag | variable | key of the file | default | |\n|---|---|---|---|---|\n");
    for setting in Config::settings() {
        let flag = setting.flag.as_deref().unwrap_or_default();
        let flag = match (setting.kind, setting.short) {
            (Kind::Switch, _) if flag.starts_with("collector.") => format!("`--[no-]{flag}`"),
            (_, Some(short)) => format!("`--{flag}`, `-{short}`"),
            (_, None) => format!("`--{flag}`"),
        };
        let default = setting.default.as_deref().map(|default| format!("`{default}`")).unwrap_or_default();
        table += &format!(
            "| {flag} | `{}` | `{}` | {default} | {} |\n",
            setting.variable, setting.key, setting.help
        );
    }
    compare("options", &table);
}

#[tokio::test]
async fn metrics() {
    let api = Spacelift::builder().account(Account::rich()).start().await.unwrap();
    let none: Vec<String> =
        ALL.iter().map(|collector| format!("--no-collector.{}", collector.name)).collect();
    let none: Vec<&str> = none.iter().map(String::as_str).collect();
    let own = families(&Exporter::ready(&api, &none).await.scrape().await.text());
    let mut table = String::from("| collector | metric | labels | |\n|---|---|---|---|\n");
    for collector in &ALL {
        let only = format!("--collector.{}", collector.name);
        let exporter = Exporter::ready(&api, &[&none[..], &[&only]].concat()).await;
        let with = families(&exporter.scrape().await.text());
        let default = if collector.on_by_default { "" } else { " (off by default)" };
        let mut first = format!("`{}`{default}", collector.name);
        let added =
            with.iter().filter(|(name, _)| own.iter().all(|(own, _)| own != name) && !is_health(name));
        for (name, family) in added {
            table += &family.row(&std::mem::take(&mut first), name);
        }
    }
    let exporter = Exporter::ready(&api, &[]).await;
    exporter.scrape().await;
    let all = families(&exporter.scrape().await.text());
    let mut first = "every scrape".to_owned();
    for (name, family) in all
        .iter()
        .filter(|(name, _)| is_health(name) || name.contains("_promex_") || name == "spacelift_build_info")
    {
        table += &family.row(&std::mem::take(&mut first), name);
    }
    compare("metrics", &table);
}

fn is_health(name: &str) -> bool {
    name.starts_with("spacelift_scrape_")
}

/// What an exposition says of a family.
#[derive(Default)]
struct Family {
    help: String,
    kind: String,
    labels: Vec<String>,
}

impl Family {
    fn row(&self, collector: &str, name: &str) -> String {
        let labels: Vec<String> = self.labels.iter().map(|label| format!("`{label}`")).collect();
        let kind = if self.kind == "histogram" { " (histogram)" } else { "" };
        format!("| {collector} | `{name}` | {} | {}{kind} |\n", labels.join(", "), self.help)
    }
}

/// The families of an exposition in their order.
fn families(exposition: &str) -> Vec<(String, Family)> {
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
            // The accounts of these tests have no label value with a comma, equals sign or brace in it.
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

/// Holds a table against the README's, between the comments that mark it.
fn compare(table: &str, want: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let begin = readme.find(&format!("<!-- {table}:begin")).expect("the README has no such table");
    let begin = begin + readme[begin..].find('\n').unwrap() + 1;
    let end = readme.find(&format!("<!-- {table}:end")).expect("the README's table has no end");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, format!("{}{want}{}", &readme[..begin], &readme[end..])).unwrap();
        return;
    }
    let have = &readme[begin..end];
    let missing: Vec<&str> = want.lines().filter(|line| !have.contains(line)).collect();
    let stale: Vec<&str> = have.lines().filter(|line| !want.contains(line)).collect();
    assert!(
        have == want,
        "the README's {table} differ; missing:\n{}\nstale:\n{}",
        missing.join("\n"),
        stale.join("\n")
    );
}
