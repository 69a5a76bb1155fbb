//! A short soak test with each fault once.

#![allow(clippy::unwrap_used, reason = "failures of tests panic")]

use std::process::Command;

/// Requires the exporters' programs, which exist when the whole workspace is tested.
#[test]
fn passes_with_every_fault() {
    let soak = Command::new(env!("CARGO_BIN_EXE_soak"))
        .args(["--for", "15s", "--fault", "900ms", "--events", "300", "--scrapes", "5"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&soak.stdout).into_owned() + &String::from_utf8_lossy(&soak.stderr);
    assert!(soak.status.success() && text.contains("\npassed after 15s"), "{text}");
}
