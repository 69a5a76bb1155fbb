//! What this build is: the workspace's version, the commit and the compiler.

/// The version of every binary of the workspace, as in `Cargo.toml`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The abbreviated git commit, or `unknown` where the build could not see one.
pub const COMMIT: &str = env!("EXPORTER_COMMIT");

/// The whole git commit, or `unknown`.
pub const REVISION: &str = env!("EXPORTER_REVISION");

/// The git branch, `HEAD` for none, or `unknown`.
pub const BRANCH: &str = env!("EXPORTER_BRANCH");

/// The version of the Rust compiler, such as `1.95.0`.
pub const RUST_VERSION: &str = env!("EXPORTER_RUST_VERSION");

/// The line that `--version` prints.
pub fn version_line(name: &str) -> String {
    format!("{name} {VERSION} (commit {COMMIT}, rust {RUST_VERSION})")
}
