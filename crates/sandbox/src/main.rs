//! Serves the simulated services until it is told to stop.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use sandbox::spacelift::{
    Account, DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Scenario, Spacelift, StartError,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(version, about = "Simulated services to try the exporters against")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves a simulated Spacelift API
    Spacelift(SpaceliftArgs),
}

#[derive(Args)]
struct SpaceliftArgs {
    /// Where to listen
    #[arg(long, env = "SANDBOX_LISTEN", default_value = "127.0.0.1:4000")]
    listen: SocketAddr,

    /// Serve HTTPS; GET /_sandbox/ca.pem is the certificate to trust
    #[arg(long, env = "SANDBOX_TLS")]
    tls: bool,

    /// What decides on chance
    #[arg(long, env = "SANDBOX_SEED", default_value_t = 1)]
    seed: u64,

    /// Simulated seconds in a second
    #[arg(long, env = "SANDBOX_SPEED", default_value_t = 1.0, value_parser = speed)]
    speed: f64,

    /// How the API behaves: healthy, machine_key, partial_failure, unauthorized, rate_limited, slow, garbage, down
    #[arg(long, env = "SANDBOX_SCENARIO", default_value_t)]
    scenario: Scenario,

    /// The API key to accept
    #[arg(long, env = "SANDBOX_API_KEY_ID", default_value = DEFAULT_API_KEY_ID)]
    api_key_id: String,

    /// The API key's secret
    #[arg(long, env = "SANDBOX_API_KEY_SECRET", default_value = DEFAULT_API_KEY_SECRET, hide_env_values = true)]
    api_key_secret: String,

    /// How long tokens are good for
    #[arg(long, env = "SANDBOX_TOKEN_LIFETIME", default_value = "60s", value_parser = humantime::parse_duration)]
    token_lifetime: Duration,

    /// Serve a fixed account with this many pools, for benchmarks, instead of one that lives
    #[arg(long, env = "SANDBOX_POOLS")]
    pools: Option<usize>,

    /// How many workers each pool of the fixed account has
    #[arg(long, env = "SANDBOX_WORKERS_PER_POOL", default_value_t = 10)]
    workers_per_pool: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli { command } = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();

    let mut stop = Stop::listen()?;
    match command {
        Command::Spacelift(args) => {
            let spacelift = args.start().await?;
            announce("spacelift", &spacelift.url())?;
            stop.requested().await;
            spacelift.stop().await;
        }
    }
    Ok(())
}

impl SpaceliftArgs {
    async fn start(self) -> Result<Spacelift, StartError> {
        let builder = Spacelift::builder()
            .listen(self.listen)
            .tls(self.tls)
            .scenario(self.scenario)
            .credentials(self.api_key_id, self.api_key_secret)
            .token_lifetime(self.token_lifetime);
        let builder = match self.pools {
            Some(pools) => builder.account(Account::with_pools(pools, self.workers_per_pool)).canned(true),
            None => builder.living(self.seed, self.speed),
        };
        builder.start().await
    }
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if f64::is_finite(speed) && speed >= 0.0 => Ok(speed),
        _ => Err("expected a number that is not negative".to_owned()),
    }
}

/// One line on standard output for each service, as soon as it can be reached.
fn announce(service: &str, url: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{service}: listening on {url}")
}

/// The signals that ask a process to end, heard from the moment that this exists.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn requested(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
