//! The program `spacelift-promex`.

use std::process::ExitCode;

fn main() -> ExitCode {
    exporter_common::program::main::<spacelift_promex::Config>()
}
