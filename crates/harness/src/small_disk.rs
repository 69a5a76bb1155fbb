//! A file system of a few MiB for one process, to test a full disk.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use crate::skipped;

/// A folder that is a separate file system of 8 MiB in the mount namespace of one process.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Creates the folder. Returns `None`, and reports the skip, if user namespaces are not allowed.
    pub async fn new() -> Option<Self> {
        let disk = Self { folder: tempfile::tempdir().unwrap() };
        let mut attempt = disk.around(&Command::new("true"));
        let status = attempt.stdout(Stdio::null()).stderr(Stdio::null()).status().await;
        if !status.is_ok_and(|status| status.success()) {
            skipped("user namespaces are not allowed here");
            return None;
        }
        Some(disk)
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the command with the file system mounted at [`path`](Self::path).
    pub fn around(&self, command: &Command) -> Command {
        const SCRIPT: &str = "mount -t tmpfs -o size=8m none \"$0\" && exec \"$@\"";
        let command = command.as_std();
        let mut around = Command::new("unshare");
        around.args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT]).arg(self.path());
        around.arg(command.get_program()).args(command.get_args());
        around.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        around.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        around
    }

    /// Fills the file system of the process `pid`, and returns the file to pass to [`free`](Self::free).
    pub fn fill(&self, pid: u32) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{pid}/root"));
        let path = root.join(self.path().strip_prefix("/").unwrap()).join("filler");
        let mut file = File::create(&path).unwrap();
        while file.write_all(&[1; 4_096]).is_ok() {}
        path
    }

    /// Removes the file that [`fill`](Self::fill) wrote.
    pub fn free(&self, filler: PathBuf) {
        fs::remove_file(filler).unwrap();
    }
}
