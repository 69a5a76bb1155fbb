//! The environment of a process that is otherwise the machine's: host names and the time of day.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use crate::{run_to_end, skipped, tool};

/// The host names of a process: a separate `/etc/hosts`, and a name server that does not respond.
#[derive(Debug)]
pub struct Hosts {
    folder: TempDir,
}

impl Hosts {
    /// Creates an environment without host names. Returns `None` if the machine does not allow it; the test is then
    /// reported as skipped.
    pub async fn empty() -> Option<Self> {
        let hosts = Self { folder: tempfile::tempdir().unwrap() };
        hosts.set("");
        // No name server listens on this loopback address, so that queries are refused immediately.
        fs::write(hosts.folder.path().join("resolv.conf"), "nameserver 127.255.255.253\n").unwrap();
        let mut attempt = hosts.wrap(&Command::new("true"));
        let allowed = attempt.stdout(Stdio::null()).stderr(Stdio::null()).status().await;
        if !allowed.is_ok_and(|status| status.success()) {
            skipped("user namespaces are not allowed here");
            return None;
        }
        Some(hosts)
    }

    /// Wraps a command so that it runs with these hosts.
    pub fn wrap(&self, command: &Command) -> Command {
        const SCRIPT: &str = "mount --bind \"$0/hosts\" /etc/hosts \
            && mount --bind \"$0/resolv.conf\" /etc/resolv.conf && exec \"$@\"";
        let command = command.as_std();
        let mut wrapped = Command::new("unshare");
        wrapped.args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT]).arg(self.folder.path());
        wrapped.arg(command.get_program()).args(command.get_args());
        wrapped.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        wrapped
    }

    /// Sets the hosts in the format of `/etc/hosts`, also for running processes.
    pub fn set(&self, hosts: &str) {
        fs::write(self.folder.path().join("hosts"), hosts).unwrap();
    }
}

/// The time of day of a process. The monotonic clock is not changed.
#[derive(Debug)]
pub struct Clock {
    folder: TempDir,
    library: String,
}

impl Clock {
    /// Creates a clock with the real time. Returns `None` if `faketime` is not installed.
    pub async fn accurate() -> Option<Self> {
        let mut command = Command::new(tool("faketime")?);
        command.args(["-m", "-f", "+0", "printenv", "LD_PRELOAD"]);
        let (_, library, _) = run_to_end(command).await;
        let clock = Self { folder: tempfile::tempdir().unwrap(), library: library.trim().to_owned() };
        clock.set("+0");
        Some(clock)
    }

    /// Makes a command use this clock.
    pub fn apply_to(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", self.file())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }

    /// Sets the offset from the real time, such as `+6h` or `-6h`.
    pub fn set(&self, offset: &str) {
        // Written atomically, because the process can read the file at any moment.
        let new = self.folder.path().join("new");
        fs::write(&new, offset).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }
}
