//! Records what `--version` and the `*_build_info` metrics say: the commit and the compiler.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=SOURCE_COMMIT");
    println!("cargo:rustc-env=EXPORTER_COMMIT={}", commit());
    println!("cargo:rustc-env=EXPORTER_RUST_VERSION={}", rust_version());
}

/// An image build has no `.git` and passes `SOURCE_COMMIT`; elsewhere git knows.
fn commit() -> String {
    if let Some(given) = std::env::var("SOURCE_COMMIT").ok().filter(|commit| !commit.is_empty()) {
        return given;
    }
    // The reflog changes with every commit and checkout; git knows where it is, in a worktree too.
    if let Some(reflog) = output(Command::new("git").args(["rev-parse", "--git-path", "logs/HEAD"])) {
        println!("cargo:rerun-if-changed={reflog}");
    }
    output(Command::new("git").args(["rev-parse", "--short=12", "HEAD"]))
        .unwrap_or_else(|| "unknown".to_owned())
}

/// `rustc 1.95.0 (f2d3ce0bd 2026-03-21)` becomes `1.95.0`.
fn rust_version() -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    output(Command::new(rustc).arg("--version"))
        .and_then(|line| line.split_whitespace().nth(1).map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned())
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}
