//! The quickstart of the README: a simulated Spacelift, a simulated Google Cloud, a simulated AWS and the
//! exporters in one process.
//!
//! It only starts these parts and prints their results.

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
use sandbox::aws::{Aws, OTHER_ROLE, Queue};
use sandbox::google::{CREATION_SUBSCRIPTION, Google, INTERRUPTION_SUBSCRIPTION, ORGANIZATION, PROJECT};
use sandbox::spacelift::webhook::{Shape, Webhook};
use sandbox::spacelift::{DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Spacelift};
use tokio::sync::watch;
use tracing::level_filters::LevelFilter;

/// Simulated seconds per second. A simulated day has five minutes, and spot instances exist for minutes
/// instead of hours. With a higher speed, nodes would be deleted before an exporter could look them up.
const SPACELIFT_SPEED: f64 = 1.0;
const GOOGLE_SPEED: f64 = 4.0;
const AWS_SPEED: f64 = 4.0;

/// The id and the number of a second project, which the exporter discovers.
const DISCOVERED_PROJECT: (&str, u64) = ("example-shop", 210_987_654_321);

/// The maximum time the simulated clouds wait until the exporters are ready.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// The secret of the simulated Spacelift's webhook.
const WEBHOOK_SECRET: &str = "quickstart";

/// The interval of the summary.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(5);

/// Replaces the simulated Pub/Sub by Google's emulator, for the simulation and the exporter.
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
    let spacelift = Spacelift::builder().listen(listen).simulated(seed(), SPACELIFT_SPEED);
    let spacelift = spacelift.start().await.with_context(|| address_in_use(SPACELIFT, listen))?;
    let (pubsub, compute) = (address(&flags, PUBSUB)?, address(&flags, COMPUTE)?);
    let (found, number) = DISCOVERED_PROJECT;
    let mut google = Google::builder()
        .add_project(found, number)
        .pubsub_listen(pubsub)
        .compute_listen(compute)
        .seed(seed())
        // Paused until both exporters are ready, so that both count all interruptions.
        .speed(0.0);
    if let Some(host) = &emulator {
        google = google.emulator(host.as_str());
    }
    let google = google.start().await.with_context(|| {
        format!("{} or {}", address_in_use(PUBSUB, pubsub), address_in_use(COMPUTE, compute))
    })?;
    let listen = address(&flags, AWS)?;
    // Paused like Google Cloud.
    let aws = Aws::builder().listen(listen).simulated().seed(seed()).speed(0.0);
    let aws = aws.start().await.with_context(|| address_in_use(AWS, listen))?;
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
    // The policy's payload contains more than the default payload.
    spacelift.set_webhook(webhook.shape(Shape::Policy));
    let promex = spacelift_promex::run(promex_config(&spacelift.url())?, promex, wait(stopped.clone()));
    let compute = google.compute().url();
    let spot =
        spot_interruption_exporter::run(spot_config(&pubsub, &compute, &aws)?, spot, wait(stopped.clone()));
    let operations = spot_interruption_exporter::run(operations_config(&compute)?, operations, wait(stopped));
    let (promex, spot, operations) = (tokio::spawn(promex), tokio::spawn(spot), tokio::spawn(operations));

    print_endpoints(&[
        ("simulated Spacelift", &spacelift.url(), "account as JSON: /_sandbox/account"),
        (
            "simulated Compute API",
            &google.compute().url(),
            "actual interruptions of its two projects: /_sandbox/truth",
        ),
        ("simulated AWS", &aws.url(), "actual interruptions of its two accounts: /_sandbox/truth"),
        (if emulator.is_some() { "Google's emulator" } else { "simulated Pub/Sub" }, &pubsub, ""),
        ("spacelift-promex", &promex_url, "/metrics, /webhook, /health, /ready"),
        ("spot-interruption-exporter", &spot_url, "both clouds: /metrics, /interruptions, /health, /ready"),
        ("  the same without Pub/Sub", &operations_url, "one project, from Compute Engine's operations only"),
    ]);
    print_examples(&spacelift.url(), &compute, &promex_url, &spot_url);
    let start = {
        let (spot, operations) = (spot_url.clone(), operations_url.clone());
        async move {
            summary::ready(&[&spot, &operations], READY_TIMEOUT).await;
            google.set_speed(GOOGLE_SPEED);
            aws.set_speed(AWS_SPEED);
            // Dropping the handles would stop the simulations.
            std::future::pending::<()>().await;
            drop((google, aws));
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
    print_line("Stopped.");
    Ok(())
}

const SPACELIFT: &str = "spacelift-address";
const PUBSUB: &str = "pubsub-address";
const COMPUTE: &str = "compute-address";
const AWS: &str = "aws-address";
const PROMEX: &str = "promex-address";
const SPOT: &str = "spot-address";
const OPERATIONS: &str = "operations-address";

fn flags() -> Command {
    let address = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("HOST:PORT").default_value(default).help(help)
    };
    Command::new("quickstart").about("Simulated services and the exporters that watch them").args([
        address(SPACELIFT, "127.0.0.1:4000", "Listen address of the simulated Spacelift"),
        address(PUBSUB, "127.0.0.1:8085", "Listen address of the simulated Pub/Sub"),
        address(COMPUTE, "127.0.0.1:8086", "Listen address of the simulated Compute API"),
        address(AWS, "127.0.0.1:8087", "Listen address of the simulated AWS"),
        address(PROMEX, "127.0.0.1:9953", "Listen address of spacelift-promex"),
        address(SPOT, "127.0.0.1:8090", "Listen address of spot-interruption-exporter"),
        address(
            OPERATIONS,
            "127.0.0.1:8091",
            "Listen address of a second spot-interruption-exporter without Pub/Sub",
        ),
    ])
}

fn address(flags: &ArgMatches, flag: &str) -> anyhow::Result<SocketAddr> {
    let text = flags.get_one::<String>(flag).map(String::as_str).unwrap_or_default();
    text.parse().with_context(|| format!("--{flag} {text} is not an address"))
}

fn bind(flags: &ArgMatches, flag: &str) -> anyhow::Result<Listener> {
    let address = address(flags, flag)?;
    let listener = Listener::bind(&address.to_string().parse::<ListenAddress>()?);
    listener.with_context(|| address_in_use(flag, address))
}

fn url(listener: &Listener) -> anyhow::Result<String> {
    Ok(format!("http://{}", listener.local_address()?))
}

fn address_in_use(flag: &str, address: SocketAddr) -> String {
    format!(
        "cannot listen on {address}; choose another address with `cargo run -p quickstart -- --{flag} 127.0.0.1:0`"
    )
}

/// Returns the exporter's configuration from a command line, with all collectors enabled.
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
        Invocation::Print(text) => bail!("unexpected output of the command line: {text}"),
    }
}

/// Returns the exporter's configuration from environment variables, for both clouds.
fn spot_config(pubsub: &str, compute: &str, aws: &Aws) -> anyhow::Result<spot_interruption_exporter::Config> {
    let queues: Vec<String> = aws.queues().iter().map(Queue::aws_url).collect();
    let (queues, url) = (queues.join(","), aws.url());
    let environment = Environment::from_iter([
        ("SIE_PROJECT_NAME", PROJECT),
        ("SIE_PUBSUB__INSTANCE_CREATION_SUBSCRIPTION_NAME", CREATION_SUBSCRIPTION),
        ("SIE_PUBSUB__INSTANCE_INTERRUPTION_SUBSCRIPTION_NAME", INTERRUPTION_SUBSCRIPTION),
        ("SIE_PUBSUB__ENDPOINT", pubsub),
        ("SIE_COMPUTE__ENDPOINT", compute),
        ("SIE_COMPUTE__RESYNC_INTERVAL", "2s"),
        // Interruptions missing from Pub/Sub are counted within seconds, while the instances still exist.
        ("SIE_COMPUTE__OPERATIONS_INTERVAL", "1s"),
        ("SIE_ATTRIBUTION_GRACE", "2s"),
        ("SIE_GCP__DISCOVER", ORGANIZATION),
        // The simulated asset inventory shares the port of the Compute API.
        ("SIE_GCP__ASSET_ENDPOINT", compute),
        ("SIE_AWS__QUEUE_URLS", &queues),
        ("SIE_AWS__ROLE_ARNS", OTHER_ROLE),
        ("SIE_AWS__SQS_ENDPOINT", &url),
        ("SIE_AWS__EC2_ENDPOINT", &url),
        ("SIE_AWS__STS_ENDPOINT", &url),
        ("SIE_AWS__RESYNC_INTERVAL", "2s"),
    ]);
    Ok(spot_interruption_exporter::Config::load(&Arguments::default(), &environment)?)
}

/// Returns the configuration without Pub/Sub: a project and its Compute API.
fn operations_config(compute: &str) -> anyhow::Result<spot_interruption_exporter::Config> {
    let environment = Environment::from_iter([
        ("SIE_PROJECT_NAME", PROJECT),
        ("SIE_COMPUTE__ENDPOINT", compute),
        // Intervals are short because a simulated day has five minutes.
        ("SIE_COMPUTE__OPERATIONS_INTERVAL", "1s"),
        ("SIE_COMPUTE__RESYNC_INTERVAL", "2s"),
    ]);
    Ok(spot_interruption_exporter::Config::load(&Arguments::default(), &environment)?)
}

async fn wait(mut stopped: watch::Receiver<bool>) {
    // A dropped sender also means stop.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Returns a different seed for each run.
fn seed() -> u64 {
    std::process::id().into()
}

fn print_endpoints(parts: &[(&str, &str, &str)]) {
    print_line("");
    for (name, url, what) in parts {
        print_line(format!("  {name:<27} {url:<24} {what}").trim_end());
    }
}

fn print_examples(spacelift: &str, compute: &str, promex: &str, spot: &str) {
    print_line(&format!(
        "\nTry:\n\n\
         \x20 curl -s {promex}/metrics | grep worker_pool\n\
         \x20 curl -s {promex}/metrics | grep -E 'spacelift_runs_(active|total)'\n\
         \x20 curl -s {spot}/metrics | grep interruption_events_total\n\
         \x20 curl -s {spot}/metrics | grep spot_interruptions_total | grep -E 'interruption_warning|unannounced'   # AWS\n\
         \x20 curl -X PUT -d partial_failure {spacelift}/_sandbox/scenario   # then look at spacelift_scrape_collector_success\n\
         \x20 curl -X PUT -d healthy {spacelift}/_sandbox/scenario\n\
         \x20 curl -X PUT -d off {compute}/_sandbox/sink   # no events in Pub/Sub, only operations\n\
         \x20 curl -X PUT -d 0 {compute}/_sandbox/speed    # pauses the simulation; then both counts agree\n\n\
         Ctrl-C stops it. The exporters' metrics, every {} seconds:\n",
        SUMMARY_INTERVAL.as_secs()
    ));
}

/// Prints a line to the terminal.
#[expect(clippy::print_stdout, reason = "the program prints to a terminal")]
fn print_line(text: &str) {
    println!("{text}");
}
