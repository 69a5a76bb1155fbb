//! The end of `cargo test --workspace`, where this is the last test: how many were skipped, and for want of what.

#![allow(clippy::print_stdout, reason = "this is what it is for")]

fn main() {
    println!("\n{}\n", harness::skipped_summary());
}
