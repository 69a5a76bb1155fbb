//! The README's first command: a simulated Spacelift and Google Cloud, and the exporters that watch them, in one
//! process.
//!
//! It starts things and shows what they say; there is nothing in here to reuse.

mod summary;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Arg, ArgMatches, Command};
use exporter_common::config::{Arguments, Environment, Invocation};
use exporter_common::http::{ListenAddress, Listener};
use exporter_common::program::{self, Program};
use exporter_common::shutdown::Signals;
use exporter_common::telemetry::{self, LogFormat, Logging};
use sandbox::google::{CREATION_SUBSCRIPTION, Google, INTERRUPTION_SUBSCRIPTION, ORGANIZATION, PROJECT};
use sandbox::spacelift::webhook::{Shape, Webhook};
use sandbox::spacelift::{DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Spacelift};
use tokio::sync::watch;
use tracing::level_filters::LevelFilter;

/// Simulated seconds in a second. The simulations' days pass within minutes as they are, and spot VMs live for minutes, not
/// hours. Faster, nodes would come and go before an exporter could look at them.
const SPACELIFT_SPEED: f64 = 1.0;
const GOOGLE_SPEED: f64 = 4.0;

/// A second project, which the exporter finds by itself, and its number.
const FOUND_PROJECT: (&str, u64) = ("example-shop", 210_987_654_321);

/// How long the simulated Google Cloud waits at most for the exporters to be ready.
const READY: Duration = Duration::from_secs(20);

/// What the simulated Spacelift signs its webhooks with.
const WEBHOOK_SECRET: &str = "quickstart";

/// How often the summary is printed.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(5);

/// Has the simulated Google Cloud publish into Google's emulator, and the exporter consume from there.
const EMULATOR_HOST: &str = "PUBSUB_EMULATOR_HOST";

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    program::exit_code(run().await)
}

async fn run() -> anyhow::Result<()> {
    let flags = flags().get_matches();
    let signals = Signals::listen()?;
    let environment = Environment::of_process();
    let logging = Logging { format: LogFormat::Text, level: LevelFilter::WARN, level_wins: false };
    telemetry::init(
        logging,
        &["quickstart", "sandbox", "spacelift_promex", "spot_interruption_exporter"],
        &environment,
    )?;
    let emulator = environment.get(EMULATOR_HOST)?;

    let listen = address(&flags, SPACELIFT)?;
    let spacelift = Spacelift::builder().listen(listen).living(seed(), SPACELIFT_SPEED);
    let spacelift = spacelift.start().await.with_context(|| taken(SPACELIFT, listen))?;
    let (pubsub, compute) = (address(&flags, PUBSUB)?, address(&flags, COMPUTE)?);
    let (found, number) = FOUND_PROJECT;
    let mut google = Google::builder()
        .add_project(found, number)
        .pubsub_listen(pubsub)
        .compute_listen(compute)
        .seed(seed())
        // Time stands still until both exporters watch, so that both see everything.
        .speed(0.0);
    if let Some(host) = &emulator {
        google = google.emulator(host.as_str());
    }
    let google = google
        .start()
        .await
        .with_context(|| format!("{} or {}", taken(PUBSUB, pubsub), taken(COMPUTE, compute)))?;
    let pubsub = match (google.pubsub(), &emulator) {
        (Some(pubsub), _) => pubsub.endpoint(),
        (None, host) => format!("http://{}", host.as_deref().unwrap_or_default()),
    };

    let promex = bind(&flags, PROMEX)?;
    let spot = bind(&flags, SPOT)?;
    let operations = bind(&flags, OPERATIONS)?;
    let (promex_url, spot_url, operations_url) = (url(&promex)?, url(&spot)?, url(&operations)?);
    let (stop, stopped) = watch::channel(false);
    let webhook = Webhook::new(format!("{promex_url}/webhook"), WEBHOOK_SECRET);
    // Of the two payloads the one that tells more.
    spacelift.set_webhook(webhook.shape(Shape::Policy));
    let promex = spacelift_promex::run(promex_config(&spacelift.url())?, promex, wait(stopped.clone()));
    let compute = google.compute().url();
    let spot = spot_interruption_exporter::run(spot_config(&pubsub, &compute)?, spot, wait(stopped.clone()));
    let operations = spot_interruption_exporter::run(operations_config(&compute)?, operations, wait(stopped));
    let (promex, spot, operations) = (tokio::spawn(promex), tokio::spawn(spot), tokio::spawn(operations));

    introduce(&[
        ("simulated Spacelift", &spacelift.url(), "its account as JSON: /_sandbox/account"),
        (
            "simulated Compute API",
            &google.compute().url(),
            "what happened in its two projects: /_sandbox/truth",
        ),
        (if emulator.is_some() { "Google's emulator" } else { "simulated Pub/Sub" }, &pubsub, ""),
        ("spacelift-promex", &promex_url, "/metrics, /webhook, /health, /ready"),
        ("spot-interruption-exporter", &spot_url, "/metrics, /interruptions, /health, /ready"),
        ("  the same without Pub/Sub", &operations_url, "one project, by Compute Engine's operations alone"),
    ]);
    suggest(&spacelift.url(), &compute, &promex_url, &spot_url);
    let start = {
        let (spot, operations) = (spot_url.clone(), operations_url.clone());
        async move {
            summary::ready(&[&spot, &operations], READY).await;
            google.set_speed(GOOGLE_SPEED);
            // The simulation ends with its handle.
            std::future::pending::<()>().await;
            drop(google);
        }
    };
    let start = tokio::spawn(start);
    let summary = tokio::spawn(summary::print(promex_url, spot_url, operations_url, SUMMARY_INTERVAL));

    signals.shutdown().await;
    summary.abort();
    stop.send_replace(true);
    promex.await??;
    spot.await??;
    operations.await??;
    start.abort();
    spacelift.stop().await;
    say("Stopped.");
    Ok(())
}

const SPACELIFT: &str = "spacelift-address";
const PUBSUB: &str = "pubsub-address";
const COMPUTE: &str = "compute-address";
const PROMEX: &str = "promex-address";
const SPOT: &str = "spot-address";
const OPERATIONS: &str = "operations-address";

fn flags() -> Command {
    let address = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("HOST:PORT").default_value(default).help(help)
    };
    Command::new("quickstart").about("A simulated world and the exporters that watch it").args([
        address(SPACELIFT, "127.0.0.1:4000", "Where the simulated Spacelift listens"),
        address(PUBSUB, "127.0.0.1:8085", "Where the simulated Pub/Sub listens"),
        address(COMPUTE, "127.0.0.1:8086", "Where the simulated Compute API listens"),
        address(PROMEX, "127.0.0.1:9953", "Where spacelift-promex listens"),
        address(SPOT, "127.0.0.1:8090", "Where spot-interruption-exporter listens"),
        address(OPERATIONS, "127.0.0.1:8091", "Where a second one listens, which does without Pub/Sub"),
    ])
}

fn address(flags: &ArgMatches, flag: &str) -> anyhow::Result<SocketAddr> {
    let text = flags.get_one::<String>(flag).map(String::as_str).unwrap_or_default();
    text.parse().with_context(|| format!("--{flag} {text} is no address"))
}

fn bind(flags: &ArgMatches, flag: &str) -> anyhow::Result<Listener> {
    let address = address(flags, flag)?;
    let listener = Listener::bind(&address.to_string().parse::<ListenAddress>()?);
    listener.with_context(|| taken(flag, address))
}

fn url(listener: &Listener) -> anyhow::Result<String> {
    Ok(format!("http://{}", listener.local_address()?))
}

fn taken(flag: &str, address: SocketAddr) -> String {
    format!(
        "cannot listen on {address}; choose another with `cargo run -p quickstart -- --{flag} 127.0.0.1:0`"
    )
}

/// The exporter's own configuration, with every collector on.
fn promex_config(endpoint: &str) -> anyhow::Result<spacelift_promex::Config> {
    let mut line: Vec<OsString> =
        ["spacelift-promex", "serve", "--api-endpoint", endpoint].map(Into::into).to_vec();
    line.extend(
        ["--api-key-id", DEFAULT_API_KEY_ID, "--api-key-secret", DEFAULT_API_KEY_SECRET].map(Into::into),
    );
    line.extend(["--webhook.secret", WEBHOOK_SECRET].map(Into::into));
    let collectors = spacelift_promex::collectors::ALL.iter();
    line.extend(collectors.map(|collector| format!("--collector.{}", collector.name).into()));
    let settings = spacelift_promex::Config::settings();
    match spacelift_promex::Config::COMMAND.parse(&settings, line)? {
        Invocation::Run(arguments) => {
            Ok(spacelift_promex::Config::load(&arguments, &Environment::default())?)
        }
        Invocation::Print(text) => bail!("the command line was not understood: {text}"),
    }
}

/// The exporter's own configuration, by its variables.
fn spot_config(pubsub: &str, compute: &str) -> anyhow::Result<spot_interruption_exporter::Config> {
    let environment = Environment::from_iter([
        ("SIE_PROJECT_NAME", PROJECT),
        ("SIE_PUBSUB__INSTANCE_CREATION_SUBSCRIPTION_NAME", CREATION_SUBSCRIPTION),
        ("SIE_PUBSUB__INSTANCE_INTERRUPTION_SUBSCRIPTION_NAME", INTERRUPTION_SUBSCRIPTION),
        ("SIE_PUBSUB__ENDPOINT", pubsub),
        ("SIE_COMPUTE__ENDPOINT", compute),
        ("SIE_COMPUTE__RESYNC_INTERVAL", "2s"),
        // What Pub/Sub misses is counted within seconds, while the instance still exists.
        ("SIE_COMPUTE__OPERATIONS_INTERVAL", "1s"),
        ("SIE_ATTRIBUTION_GRACE", "2s"),
        ("SIE_GCP__DISCOVER", ORGANIZATION),
        // The simulated asset inventory shares the port of the Compute API.
        ("SIE_GCP__ASSET_ENDPOINT", compute),
    ]);
    Ok(spot_interruption_exporter::Config::load(&Arguments::default(), &environment)?)
}

/// The same exporter without Pub/Sub: a project, and where its Compute API is.
fn operations_config(compute: &str) -> anyhow::Result<spot_interruption_exporter::Config> {
    let environment = Environment::from_iter([
        ("SIE_PROJECT_NAME", PROJECT),
        ("SIE_COMPUTE__ENDPOINT", compute),
        // A day passes in minutes here.
        ("SIE_COMPUTE__OPERATIONS_INTERVAL", "1s"),
        ("SIE_COMPUTE__RESYNC_INTERVAL", "2s"),
    ]);
    Ok(spot_interruption_exporter::Config::load(&Arguments::default(), &environment)?)
}

async fn wait(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone means the same as its signal.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Every run shows another world.
fn seed() -> u64 {
    std::process::id().into()
}

fn introduce(parts: &[(&str, &str, &str)]) {
    say("");
    for (name, url, what) in parts {
        say(format!("  {name:<27} {url:<24} {what}").trim_end());
    }
}

fn suggest(spacelift: &str, compute: &str, promex: &str, spot: &str) {
    say(&format!(
        "\nTry:\n\n\
         \x20 curl -s {promex}/metrics | grep worker_pool\n\
         \x20 curl -s {promex}/metrics | grep -E 'spacelift_runs_(active|total)'\n\
         \x20 curl -s {spot}/metrics | grep interruption_events_total\n\
         \x20 curl -X PUT -d partial_failure {spacelift}/_sandbox/scenario   # then look at spacelift_scrape_collector_success\n\
         \x20 curl -X PUT -d healthy {spacelift}/_sandbox/scenario\n\
         \x20 curl -X PUT -d off {compute}/_sandbox/sink   # Pub/Sub gets no events; operations count them all the same\n\
         \x20 curl -X PUT -d 0 {compute}/_sandbox/speed    # the world stands still, and both ways of counting agree\n\n\
         Ctrl-C ends it. What the exporters see, every {} seconds:\n",
        SUMMARY_INTERVAL.as_secs()
    ));
}

/// Speaks to the person at the terminal.
#[expect(clippy::print_stdout, reason = "this program is for a person at a terminal")]
fn say(text: &str) {
    println!("{text}");
}
