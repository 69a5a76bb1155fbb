//! Checks that the README's tables match the program.
//!
//! `UPDATE_GOLDEN=1 cargo test -p spacelift-promex readme` updates the tables.

use std::path::Path;

use exporter_common::config::SettingKind;
use exporter_common::program::Program;
use harness::families;
use sandbox::spacelift::{Account, Spacelift};
use spacelift_promex::Config;
use spacelift_promex::collectors::ALL;

use super::support::Exporter;
use super::webhook::Receiver;

#[test]
fn options() {
    let mut table = String::from(
        "| flag | variable | configuration key | default | description |\n|---|---|---|---|---|\n",
    );
    for setting in Config::settings() {
        let flag = setting.flag.as_deref().unwrap_or_default();
        let flag = match (setting.kind, setting.short) {
            (SettingKind::Switch, _) if flag.starts_with("collector.") => format!("`--[no-]{flag}`"),
            (_, Some(short)) => format!("`--{flag}`, `-{short}`"),
            (_, None) => format!("`--{flag}`"),
        };
        let list = setting.list_flag.as_deref().map(|flag| format!(", `--{flag}`")).unwrap_or_default();
        let flag = flag + &list;
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
    let mut table = String::from("| collector | metric | labels | description |\n|---|---|---|---|\n");
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
    let receiver = Receiver::with_every_kind(&none).await;
    let mut first = "`runs` (on with a webhook secret)".to_owned();
    let with = families(&receiver.scrape_every_kind().await.text());
    for (name, family) in
        with.iter().filter(|(name, _)| own.iter().all(|(own, _)| own != name) && !is_health(name))
    {
        table += &family.row(&std::mem::take(&mut first), name);
    }
    let exporter = Exporter::ready(&api, &[]).await;
    exporter.scrape().await;
    let all = families(&exporter.scrape().await.text());
    let mut first = "every scrape".to_owned();
    for (name, family) in all.iter().filter(|(name, _)| is_health(name) || is_own(name)) {
        table += &family.row(&std::mem::take(&mut first), name);
    }
    compare("metrics", &table);
}

fn is_own(name: &str) -> bool {
    name.contains("_promex_") || name.starts_with("exporter_") || name == "spacelift_build_info"
}

fn is_health(name: &str) -> bool {
    name.starts_with("spacelift_scrape_")
}

fn compare(table: &str, want: &str) {
    harness::compare_table(&Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"), table, want);
}
