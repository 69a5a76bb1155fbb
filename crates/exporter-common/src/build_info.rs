//! Information about this build: the workspace's version, the commit and the compiler.

/// The version of every binary of the workspace, as in `Cargo.toml`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The abbreviated git commit, or `unknown` if the build had no git information.
pub const COMMIT: &str = env!("EXPORTER_COMMIT");

/// The full git commit, or `unknown`.
pub const REVISION: &str = env!("EXPORTER_REVISION");

/// The git branch, `HEAD` for a detached head, or `unknown`.
pub const BRANCH: &str = env!("EXPORTER_BRANCH");

/// The version of the Rust compiler, such as `1.95.0`.
pub const RUST_VERSION: &str = env!("EXPORTER_RUST_VERSION");

/// Returns the line that `--version` prints.
pub fn version_line(name: &str) -> String {
    format!("{name} {VERSION} (commit {COMMIT}, rust {RUST_VERSION})")
}
