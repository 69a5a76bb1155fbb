//! The README's first command: a simulated Spacelift and the exporter that watches it, in one process.
//!
//! It starts things and shows what they say; there is nothing in here to reuse.

mod summary;

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Arg, Command};
use exporter_common::config::{Environment, Invocation};
use exporter_common::http::{ListenAddress, Listener};
use exporter_common::shutdown::Signals;
use exporter_common::telemetry::{self, LogFormat};
use sandbox::spacelift::{DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Spacelift};
use tokio::sync::watch;
use tracing::level_filters::LevelFilter;

/// Simulated seconds in a second: a working day passes within minutes.
const SPEED: f64 = 1.0;

/// How often the summary is printed.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(5);

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let flags = flags().get_matches();
    let address = |flag: &str| flags.get_one::<String>(flag).cloned().unwrap_or_default();
    telemetry::init(LogFormat::Human, LevelFilter::WARN, &Environment::of_process())?;

    let listen = address("spacelift-address");
    let spacelift = Spacelift::builder()
        .listen(listen.parse::<std::net::SocketAddr>().with_context(|| format!("{listen} is no address"))?)
        .living(seed(), SPEED)
        .start()
        .await
        .with_context(|| taken("--spacelift-address", &listen))?;

    let promex = address("promex-address");
    let listener = bind(&promex).with_context(|| taken("--promex-address", &promex))?;
    let promex = listener.local_address()?;
    let config = promex_config(&spacelift.url())?;

    let (stop, stopped) = watch::channel(false);
    let exporter = tokio::spawn(spacelift_promex::run(config, listener, wait(stopped.clone())));
    introduce(&spacelift.url(), &format!("http://{promex}"));
    let summary = tokio::spawn(summary::print(format!("http://{promex}/metrics"), SUMMARY_INTERVAL));

    Signals::listen()?.shutdown().await;
    summary.abort();
    stop.send_replace(true);
    exporter.await??;
    spacelift.stop().await;
    say("Stopped.");
    Ok(())
}

fn flags() -> Command {
    let address = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("HOST:PORT").default_value(default).help(help)
    };
    Command::new("quickstart").about("A simulated Spacelift and the exporter that watches it").args([
        address("spacelift-address", "127.0.0.1:4000", "Where the simulated Spacelift listens"),
        address("promex-address", "127.0.0.1:9953", "Where spacelift-promex listens"),
    ])
}

/// The exporter's own configuration, with every collector on.
fn promex_config(endpoint: &str) -> anyhow::Result<spacelift_promex::Config> {
    let mut line: Vec<OsString> =
        ["spacelift-promex", "serve", "--api-endpoint", endpoint].map(Into::into).to_vec();
    line.extend(
        ["--api-key-id", DEFAULT_API_KEY_ID, "--api-key-secret", DEFAULT_API_KEY_SECRET].map(Into::into),
    );
    line.extend(
        spacelift_promex::collectors::ALL
            .iter()
            .map(|collector| format!("--collector.{}", collector.name).into()),
    );
    let settings = spacelift_promex::Config::settings();
    match spacelift_promex::config::command().parse(&settings, line)? {
        Invocation::Run(arguments) => {
            Ok(spacelift_promex::Config::load(&arguments, &Environment::default())?)
        }
        Invocation::Print(text) => bail!("the command line was not understood: {text}"),
    }
}

fn bind(address: &str) -> anyhow::Result<Listener> {
    Ok(Listener::bind(&address.parse::<ListenAddress>()?)?)
}

fn taken(flag: &str, address: &str) -> String {
    format!(
        "cannot listen on {address}; choose another with `cargo run --release -p quickstart -- {flag} 127.0.0.1:0`"
    )
}

async fn wait(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone means the same as its signal.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Every run shows another account.
fn seed() -> u64 {
    std::process::id().into()
}

fn introduce(spacelift: &str, promex: &str) {
    say(&format!(
        "\n  simulated Spacelift   {spacelift}   (its account as JSON: {spacelift}/_sandbox/account)\n\
         \x20 spacelift-promex      {promex}   (metrics, /health, /ready)\n\n\
         Try:\n\n\
         \x20 curl -s {promex}/metrics | grep worker_pool\n\
         \x20 curl -X PUT -d partial_failure {spacelift}/_sandbox/scenario   # then look at spacelift_scrape_collector_success\n\
         \x20 curl -X PUT -d healthy {spacelift}/_sandbox/scenario\n\n\
         Ctrl-C ends it. What the exporter sees, every {} seconds:\n",
        SUMMARY_INTERVAL.as_secs()
    ));
}

/// Speaks to the person at the terminal.
#[expect(clippy::print_stdout, reason = "this program is for a person at a terminal")]
fn say(text: &str) {
    println!("{text}");
}
