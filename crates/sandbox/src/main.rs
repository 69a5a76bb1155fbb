//! Serves the simulated services until it is told to stop.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    str::FromStr,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use sandbox::{
    google::{
        Google, PROJECT, PROJECT_NUMBER,
        compute::{Access, UnknownAccess},
    },
    spacelift::{
        Account, DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Scenario, Spacelift,
        webhook::{Shape, Webhook},
    },
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
    Spacelift {
        #[command(flatten)]
        spacelift: SpaceliftArgs,
        #[command(flatten)]
        life: Life,
    },
    /// Serves a simulated Pub/Sub, Compute API and asset inventory with clusters that live; GET /_sandbox/ on the latter two helps
    Google {
        #[command(flatten)]
        google: GoogleArgs,
        #[command(flatten)]
        life: Life,
    },
    /// Serves all of it
    All {
        #[command(flatten)]
        spacelift: SpaceliftArgs,
        #[command(flatten)]
        google: GoogleArgs,
        #[command(flatten)]
        life: Life,
    },
}

/// How what is simulated lives.
#[derive(Args)]
struct Life {
    /// What decides on chance
    #[arg(long, env = "SANDBOX_SEED", default_value_t = 1)]
    seed: u64,

    /// Simulated seconds in a second
    #[arg(long, env = "SANDBOX_SPEED", default_value_t = 1.0, value_parser = speed)]
    speed: f64,
}

#[derive(Args)]
struct SpaceliftArgs {
    /// Where the Spacelift API listens
    #[arg(long, env = "SANDBOX_LISTEN", default_value = "127.0.0.1:4000")]
    listen: SocketAddr,

    /// Serve HTTPS; GET /_sandbox/ca.pem is the certificate to trust
    #[arg(long, env = "SANDBOX_TLS")]
    tls: bool,

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

    /// Where what happens to runs is delivered to, such as <http://localhost:9953/webhook>
    #[arg(long, env = "SANDBOX_WEBHOOK_URL", requires = "webhook_secret", value_parser = webhook_url)]
    webhook_url: Option<String>,

    /// What deliveries are signed with
    #[arg(long, env = "SANDBOX_WEBHOOK_SECRET", hide_env_values = true)]
    webhook_secret: Option<String>,

    /// The payload of deliveries: default, policy or both
    #[arg(long, env = "SANDBOX_WEBHOOK_SHAPE", default_value_t)]
    webhook_shape: Shape,
}

#[derive(Args)]
struct GoogleArgs {
    /// Where Pub/Sub listens: the value of `PUBSUB_EMULATOR_HOST`
    #[arg(long, env = "SANDBOX_PUBSUB_LISTEN", default_value = "127.0.0.1:8085")]
    pubsub_listen: SocketAddr,

    /// Where Compute Engine listens
    #[arg(long, env = "SANDBOX_COMPUTE_LISTEN", default_value = "127.0.0.1:8086")]
    compute_listen: SocketAddr,

    /// The project's id
    #[arg(long, env = "SANDBOX_PROJECT", default_value = PROJECT)]
    project: String,

    /// Further projects, separated by commas, as ID or ID:NUMBER; with =forbidden, =deleted, =not_found or =api_disabled
    /// behind it, such an answer is all that Compute Engine gives for one. Cloud Asset Inventory finds all of them
    #[arg(long, env = "SANDBOX_PROJECTS", value_delimiter = ',')]
    projects: Vec<OtherProject>,

    /// Publish into Google's Pub/Sub emulator at this host and port instead
    #[arg(long, env = "SANDBOX_EMULATOR")]
    emulator: Option<String>,

    /// How many times as large the node pools are
    #[arg(long, env = "SANDBOX_SCALE", default_value_t = 1)]
    scale: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli { command } = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();

    let mut stop = Stop::listen()?;
    match command {
        Command::Spacelift { spacelift, life } => {
            let spacelift = spacelift.start(&life).await?;
            stop.requested().await;
            spacelift.stop().await;
        }
        Command::Google { google, life } => {
            let google = google.start(&life).await?;
            stop.requested().await;
            google.stop().await;
        }
        Command::All { spacelift, google, life } => {
            let spacelift = spacelift.start(&life).await?;
            let google = google.start(&life).await?;
            stop.requested().await;
            tokio::join!(spacelift.stop(), google.stop());
        }
    }
    Ok(())
}

impl SpaceliftArgs {
    async fn start(self, life: &Life) -> anyhow::Result<Spacelift> {
        let builder = Spacelift::builder()
            .listen(self.listen)
            .tls(self.tls)
            .scenario(self.scenario)
            .credentials(self.api_key_id, self.api_key_secret)
            .token_lifetime(self.token_lifetime);
        let builder = match self.pools {
            Some(pools) => builder.account(Account::with_pools(pools, self.workers_per_pool)).canned(true),
            None => builder.living(life.seed, life.speed),
        };
        let builder = match (self.webhook_url, self.webhook_secret) {
            (Some(url), Some(secret)) => builder.webhook(Webhook::new(url, secret).shape(self.webhook_shape)),
            _ => builder,
        };
        let spacelift = builder.start().await?;
        announce("spacelift", &spacelift.url())?;
        Ok(spacelift)
    }
}

impl GoogleArgs {
    async fn start(self, life: &Life) -> anyhow::Result<Google> {
        let builder = Google::builder()
            .pubsub_listen(self.pubsub_listen)
            .compute_listen(self.compute_listen)
            .project(self.project, PROJECT_NUMBER)
            .scale(self.scale)
            .seed(life.seed)
            .speed(life.speed);
        let builder = match self.emulator {
            Some(host) => builder.emulator(host),
            None => builder,
        };
        let google = builder.start().await?;
        for project in self.projects {
            project.add_to(&google).await;
        }
        if let Some(pubsub) = google.pubsub() {
            announce("pubsub", &pubsub.endpoint())?;
        }
        announce("compute", &google.compute().url())?;
        Ok(google)
    }
}

/// A project on the command line.
#[derive(Clone, Debug)]
struct OtherProject {
    id: String,
    number: Option<u64>,
    access: Access,
}

impl FromStr for OtherProject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, access) = match text.split_once('=') {
            Some((name, access)) => (name, access.parse().map_err(|error: UnknownAccess| error.to_string())?),
            None => (text, Access::Granted),
        };
        let (id, number) = match name.split_once(':') {
            Some((id, number)) => {
                (id, Some(number.parse().map_err(|_| format!("{number} is no project number"))?))
            }
            None => (name, None),
        };
        if id.trim().is_empty() {
            return Err("expected a project's id".to_owned());
        }
        Ok(Self { id: id.trim().to_owned(), number, access })
    }
}

impl OtherProject {
    async fn add_to(self, google: &Google) {
        let project = match self.number {
            Some(number) => google.add_project(&self.id, number).await,
            None => google.add_numbered_project(&self.id).await,
        };
        match self.access {
            Access::Deleted => drop(google.delete_project(&self.id).await),
            access => project.set_access(access),
        }
    }
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if f64::is_finite(speed) && speed >= 0.0 => Ok(speed),
        _ => Err("expected a number that is not negative".to_owned()),
    }
}

fn webhook_url(text: &str) -> Result<String, String> {
    if text.starts_with("http://") { Ok(text.to_owned()) } else { Err("expected an http URL".to_owned()) }
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
