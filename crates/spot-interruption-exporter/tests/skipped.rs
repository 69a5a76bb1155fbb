//! Prints how many tests were skipped and which tools they need. It is the last test target of `cargo test --workspace`.

#![allow(clippy::print_stdout, reason = "the summary goes to standard output")]

fn main() {
    println!("\n{}\n", harness::skipped_summary());
}
