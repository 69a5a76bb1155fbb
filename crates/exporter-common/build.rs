//! Records the commit and the compiler for `--version` and the `*_build_info` metrics.

use std::process::Command;

fn main() {
    println!("cargo:rustc-env=EXPORTER_COMMIT={}", commit());
    println!("cargo:rustc-env=EXPORTER_REVISION={}", revision());
    println!("cargo:rustc-env=EXPORTER_BRANCH={}", branch());
    println!("cargo:rustc-env=EXPORTER_RUST_VERSION={}", rust_version());
    // The reflog changes with every commit and checkout. git returns its path, also in a worktree.
    if let Some(reflog) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={reflog}");
    }
}

/// The abbreviated commit. An image build has no `.git` directory and passes `SOURCE_COMMIT` and `SOURCE_BRANCH`; other
/// builds get them from git.
fn commit() -> String {
    let abbreviated = variable("SOURCE_COMMIT").map(|commit| commit.chars().take(12).collect());
    abbreviated.or_else(|| git(&["rev-parse", "--short=12", "HEAD"])).unwrap_or_else(unknown)
}

fn revision() -> String {
    variable("SOURCE_COMMIT").or_else(|| git(&["rev-parse", "HEAD"])).unwrap_or_else(unknown)
}

fn branch() -> String {
    variable("SOURCE_BRANCH").or_else(|| git(&["rev-parse", "--abbrev-ref", "HEAD"])).unwrap_or_else(unknown)
}

fn variable(name: &str) -> Option<String> {
    println!("cargo:rerun-if-env-changed={name}");
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn git(arguments: &[&str]) -> Option<String> {
    output(Command::new("git").args(arguments))
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// `rustc 1.95.0 (f2d3ce0bd 2026-03-21)` becomes `1.95.0`.
fn rust_version() -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    output(Command::new(rustc).arg("--version"))
        .and_then(|line| line.split_whitespace().nth(1).map(str::to_owned))
        .unwrap_or_else(unknown)
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}
