//! The soak test in short: every fault once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Command;

/// It runs the exporters' programs, which are there when the tests of the whole workspace are run.
#[test]
fn a_quarter_of_a_minute_with_every_fault() {
    let soak = Command::new(env!("CARGO_BIN_EXE_soak"))
        .args(["--for", "15s", "--fault", "900ms", "--events", "300", "--scrapes", "5"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&soak.stdout).into_owned() + &String::from_utf8_lossy(&soak.stderr);
    assert!(soak.status.success() && text.contains("\npassed after 15s"), "{text}");
}
