//! Google's Pub/Sub emulator, shared by all tests of a binary.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OnceCell;

use crate::skipped;

static HOST: OnceCell<Option<String>> = OnceCell::const_new();

/// A shell that stops the emulator when this process exits, even if it is killed.
static GUARD: Mutex<Option<Child>> = Mutex::new(None);

/// Returns the address of the emulator as in `PUBSUB_EMULATOR_HOST`; `None` if it is not installed.
pub async fn pubsub_emulator() -> Option<String> {
    let host = HOST.get_or_init(start).await.clone();
    if host.is_none() {
        skipped("Google's Pub/Sub emulator is not installed");
    }
    host
}

async fn start() -> Option<String> {
    let jar = jar()?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap().port();
    // The shell stops the emulator when its standard input is closed, which happens when this process exits.
    let guard = Command::new("sh")
        .args(["-c", "java -jar \"$0\" --host=127.0.0.1 --port=\"$1\" & read -r _; kill $!"])
        .args([jar.as_os_str(), port.to_string().as_ref()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    *GUARD.lock().unwrap() = Some(guard);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    for _ in 0..600 {
        if TcpStream::connect(address).await.is_ok() {
            return Some(address.to_string());
        }
        // The emulator does not report when it has started.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the emulator does not start");
}

/// Returns the emulator's file, which is part of the Google Cloud SDK that has the `gcloud` on the path.
fn jar() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let gcloud =
        std::env::split_paths(&path).map(|folder| folder.join("gcloud")).find(|file| file.is_file())?;
    let sdk = std::fs::canonicalize(gcloud).ok()?.parent()?.parent()?.to_owned();
    std::fs::read_dir(sdk.join("platform/pubsub-emulator/lib"))
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.to_string_lossy().ends_with("-all.jar"))
}
