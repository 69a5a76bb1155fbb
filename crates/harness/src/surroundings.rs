//! What surrounds a process and is otherwise the machine's: names of hosts, and the time of day.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use crate::{run_to_end, skipped, tool};

/// The hosts that a process can find: its own `/etc/hosts`, and a name server that does not answer.
#[derive(Debug)]
pub struct Hosts {
    folder: TempDir,
}

impl Hosts {
    /// None. Where the machine does not allow it, the caller skips.
    pub async fn none() -> Option<Self> {
        let hosts = Self { folder: tempfile::tempdir().unwrap() };
        hosts.set("");
        // Nobody serves names on this port of an address that is always there, so the refusal is immediate.
        fs::write(hosts.folder.path().join("resolv.conf"), "nameserver 127.255.255.253\n").unwrap();
        let mut attempt = hosts.around(&Command::new("true"));
        let allowed = attempt.stdout(Stdio::null()).stderr(Stdio::null()).status().await;
        if !allowed.is_ok_and(|status| status.success()) {
            skipped("user namespaces are not allowed here");
            return None;
        }
        Some(hosts)
    }

    /// The command, with these hosts instead of the machine's.
    pub fn around(&self, command: &Command) -> Command {
        const SCRIPT: &str = "mount --bind \"$0/hosts\" /etc/hosts \
            && mount --bind \"$0/resolv.conf\" /etc/resolv.conf && exec \"$@\"";
        let command = command.as_std();
        let mut around = Command::new("unshare");
        around.args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT]).arg(self.folder.path());
        around.arg(command.get_program()).args(command.get_args());
        around.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        around.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        around
    }

    /// Changes them, in the form of `/etc/hosts`, also under a process that runs.
    pub fn set(&self, hosts: &str) {
        fs::write(self.folder.path().join("hosts"), hosts).unwrap();
    }
}

/// The time of day as a process sees it. Time that passes, which has a clock of its own, is left alone.
#[derive(Debug)]
pub struct Clock {
    folder: TempDir,
    library: String,
}

impl Clock {
    /// The right time. `None` where there is no `faketime`.
    pub async fn right() -> Option<Self> {
        let mut command = Command::new(tool("faketime")?);
        command.args(["-m", "-f", "+0", "printenv", "LD_PRELOAD"]);
        let (_, library, _) = run_to_end(command).await;
        let clock = Self { folder: tempfile::tempdir().unwrap(), library: library.trim().to_owned() };
        clock.set("+0");
        Some(clock)
    }

    /// Gives the process this clock.
    pub fn show_to(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", self.file())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }

    /// Sets it to an offset from the right time, such as `+6h` or `-6h`.
    pub fn set(&self, offset: &str) {
        // Renamed into place, since the process may read it at any moment.
        let new = self.folder.path().join("new");
        fs::write(&new, offset).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }
}
