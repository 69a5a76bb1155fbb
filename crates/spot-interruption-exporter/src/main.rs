//! The program `spot-interruption-exporter`.

use std::process::ExitCode;

fn main() -> ExitCode {
    exporter_common::program::main::<spot_interruption_exporter::Config>()
}
