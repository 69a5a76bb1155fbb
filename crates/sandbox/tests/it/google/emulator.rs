//! Google's Pub/Sub emulator, which the simulated server is held to.

use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::Duration,
};

use google_cloud_googleapis::pubsub::v1::{ListTopicsRequest, publisher_client::PublisherClient};
use tokio::sync::OnceCell;
use tonic::transport::Channel;

static ENDPOINT: OnceCell<Option<String>> = OnceCell::const_new();
/// Ends the emulator when this process ends, however it ends.
static GUARD: Mutex<Option<Child>> = Mutex::new(None);

/// The endpoint of an emulator that all tests share; none if it is not installed, which CI does not excuse.
pub(crate) async fn endpoint() -> Option<String> {
    ENDPOINT.get_or_init(start).await.clone()
}

async fn start() -> Option<String> {
    let Some(jar) = jar() else {
        assert_ne!(env::var("CI").as_deref(), Ok("true"), "CI has no Pub/Sub emulator");
        return None;
    };
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    // The shell ends the emulator as soon as its standard input does, which is when this process has ended.
    let guard = Command::new("sh")
        .args(["-c", "java -jar \"$0\" --host=127.0.0.1 --port=\"$1\" & read -r _; kill $!"])
        .args([jar.as_os_str(), port.to_string().as_ref()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    *GUARD.lock().unwrap() = Some(guard);

    let endpoint = format!("http://127.0.0.1:{port}");
    let channel = Channel::from_shared(endpoint.clone()).unwrap().connect_lazy();
    let mut publisher = PublisherClient::new(channel);
    let request = ListTopicsRequest { project: "projects/example-project".to_owned(), ..Default::default() };
    for _ in 0..600 {
        if publisher.list_topics(request.clone()).await.is_ok() {
            return Some(endpoint);
        }
        // Nothing announces that it has started.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the emulator does not start");
}

fn jar() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let gcloud = env::split_paths(&path).map(|folder| folder.join("gcloud")).find(|file| file.is_file())?;
    let sdk = fs::canonicalize(gcloud).ok()?.parent()?.parent()?.to_owned();
    let is_jar = |path: &Path| path.to_string_lossy().ends_with("-all.jar");
    fs::read_dir(sdk.join("platform/pubsub-emulator/lib"))
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| is_jar(path))
}
