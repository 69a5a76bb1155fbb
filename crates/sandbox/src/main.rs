//! Serves the simulated services until a signal arrives.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    str::FromStr,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use sandbox::{
    aws::Aws,
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
        simulation: SimulationArgs,
    },
    /// Serves simulated clusters through Pub/Sub, the Compute API and the asset inventory; GET /_sandbox/ on
    /// the last two lists the controls
    Google {
        #[command(flatten)]
        google: GoogleArgs,
        #[command(flatten)]
        simulation: SimulationArgs,
    },
    /// Serves simulated spot instances through SQS, EC2 and STS; GET /_sandbox/ lists the controls
    Aws {
        #[command(flatten)]
        aws: AwsArgs,
        #[command(flatten)]
        simulation: SimulationArgs,
    },
    /// Serves all of them
    All {
        #[command(flatten)]
        spacelift: SpaceliftArgs,
        #[command(flatten)]
        google: GoogleArgs,
        #[command(flatten)]
        aws: AwsArgs,
        #[command(flatten)]
        simulation: SimulationArgs,
    },
}

/// Settings of all simulations.
#[derive(Args)]
struct SimulationArgs {
    /// Seed of the random numbers
    #[arg(long, env = "SANDBOX_SEED", default_value_t = 1)]
    seed: u64,

    /// Simulated seconds per second
    #[arg(long, env = "SANDBOX_SPEED", default_value_t = 1.0, value_parser = speed)]
    speed: f64,
}

#[derive(Args)]
struct SpaceliftArgs {
    /// Listen address of the Spacelift API
    #[arg(long, env = "SANDBOX_LISTEN", default_value = "127.0.0.1:4000")]
    listen: SocketAddr,

    /// Serve HTTPS; GET /_sandbox/ca.pem returns the CA certificate
    #[arg(long, env = "SANDBOX_TLS")]
    tls: bool,

    /// Behaviour of the API: healthy, machine_key, partial_failure, unauthorized, rate_limited, slow,
    /// garbage, down
    #[arg(long, env = "SANDBOX_SCENARIO", default_value_t)]
    scenario: Scenario,

    /// Id of the accepted API key
    #[arg(long, env = "SANDBOX_API_KEY_ID", default_value = DEFAULT_API_KEY_ID)]
    api_key_id: String,

    /// Secret of the accepted API key
    #[arg(long, env = "SANDBOX_API_KEY_SECRET", default_value = DEFAULT_API_KEY_SECRET, hide_env_values = true)]
    api_key_secret: String,

    /// Lifetime of tokens
    #[arg(long, env = "SANDBOX_TOKEN_LIFETIME", default_value = "60s", value_parser = humantime::parse_duration)]
    token_lifetime: Duration,

    /// Serve a fixed account with this many pools, for benchmarks, instead of a simulated one
    #[arg(long, env = "SANDBOX_POOLS")]
    pools: Option<usize>,

    /// Number of workers of each pool of the fixed account
    #[arg(long, env = "SANDBOX_WORKERS_PER_POOL", default_value_t = 10)]
    workers_per_pool: usize,

    /// Destination of webhook deliveries about runs, such as <http://localhost:9953/webhook>
    #[arg(long, env = "SANDBOX_WEBHOOK_URL", requires = "webhook_secret", value_parser = webhook_url)]
    webhook_url: Option<String>,

    /// Secret for signing deliveries
    #[arg(long, env = "SANDBOX_WEBHOOK_SECRET", hide_env_values = true)]
    webhook_secret: Option<String>,

    /// Payload of deliveries: default, policy or both
    #[arg(long, env = "SANDBOX_WEBHOOK_SHAPE", default_value_t)]
    webhook_shape: Shape,
}

#[derive(Args)]
struct GoogleArgs {
    /// Listen address of Pub/Sub: the value for `PUBSUB_EMULATOR_HOST`
    #[arg(long, env = "SANDBOX_PUBSUB_LISTEN", default_value = "127.0.0.1:8085")]
    pubsub_listen: SocketAddr,

    /// Listen address of Compute Engine
    #[arg(long, env = "SANDBOX_COMPUTE_LISTEN", default_value = "127.0.0.1:8086")]
    compute_listen: SocketAddr,

    /// Id of the first project
    #[arg(long, env = "SANDBOX_PROJECT", default_value = PROJECT)]
    project: String,

    /// Further projects, separated by commas, as ID or ID:NUMBER. With the suffix =forbidden, =deleted,
    /// =not_found or =api_disabled, Compute Engine returns this error for the project. Cloud Asset Inventory
    /// finds all of them
    #[arg(long, env = "SANDBOX_PROJECTS", value_delimiter = ',')]
    projects: Vec<OtherProject>,

    /// Publish to Google's Pub/Sub emulator at this host and port instead of the simulated Pub/Sub
    #[arg(long, env = "SANDBOX_EMULATOR")]
    emulator: Option<String>,

    /// Factor of the node pool sizes
    #[arg(long, env = "SANDBOX_SCALE", default_value_t = 1)]
    scale: usize,
}

#[derive(Args)]
struct AwsArgs {
    /// Listen address of SQS, EC2 and STS
    #[arg(long, env = "SANDBOX_AWS_LISTEN", default_value = "127.0.0.1:8087")]
    aws_listen: SocketAddr,

    /// Factor of the sizes of the node pools; with 0 there are no instances
    #[arg(long, env = "SANDBOX_AWS_SCALE", default_value_t = 1)]
    aws_scale: usize,

    /// Seconds by which the clock of AWS is ahead of the clock of the machine
    #[arg(long, env = "SANDBOX_AWS_CLOCK_OFFSET", default_value_t = 0.0, allow_hyphen_values = true)]
    aws_clock_offset: f64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli { command } = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();

    let mut stop = Stop::listen()?;
    match command {
        Command::Spacelift { spacelift, simulation } => {
            let spacelift = spacelift.start(&simulation).await?;
            stop.requested().await;
            spacelift.stop().await;
        }
        Command::Google { google, simulation } => {
            let google = google.start(&simulation).await?;
            stop.requested().await;
            google.stop().await;
        }
        Command::Aws { aws, simulation } => {
            let aws = aws.start(&simulation).await?;
            stop.requested().await;
            aws.stop().await;
        }
        Command::All { spacelift, google, aws, simulation } => {
            let spacelift = spacelift.start(&simulation).await?;
            let google = google.start(&simulation).await?;
            let aws = aws.start(&simulation).await?;
            stop.requested().await;
            tokio::join!(spacelift.stop(), google.stop(), aws.stop());
        }
    }
    Ok(())
}

impl SpaceliftArgs {
    async fn start(self, simulation: &SimulationArgs) -> anyhow::Result<Spacelift> {
        let builder = Spacelift::builder()
            .listen(self.listen)
            .tls(self.tls)
            .scenario(self.scenario)
            .credentials(self.api_key_id, self.api_key_secret)
            .token_lifetime(self.token_lifetime);
        let builder = match self.pools {
            Some(pools) => {
                builder.account(Account::with_pools(pools, self.workers_per_pool)).cache_responses(true)
            }
            None => builder.simulated(simulation.seed, simulation.speed),
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
    async fn start(self, simulation: &SimulationArgs) -> anyhow::Result<Google> {
        let builder = Google::builder()
            .pubsub_listen(self.pubsub_listen)
            .compute_listen(self.compute_listen)
            .project(self.project, PROJECT_NUMBER)
            .scale(self.scale)
            .seed(simulation.seed)
            .speed(simulation.speed);
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

impl AwsArgs {
    async fn start(self, simulation: &SimulationArgs) -> anyhow::Result<Aws> {
        let builder = Aws::builder()
            .listen(self.aws_listen)
            .scale(self.aws_scale)
            .seed(simulation.seed)
            .speed(simulation.speed);
        let aws = builder.start().await?;
        aws.set_clock_offset(self.aws_clock_offset);
        announce("aws", &aws.url())?;
        Ok(aws)
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
                (id, Some(number.parse().map_err(|_| format!("{number} is not a project number"))?))
            }
            None => (name, None),
        };
        if id.trim().is_empty() {
            return Err("expected a project id".to_owned());
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
        _ => Err("expected a number of at least 0".to_owned()),
    }
}

fn webhook_url(text: &str) -> Result<String, String> {
    if text.starts_with("http://") { Ok(text.to_owned()) } else { Err("expected an http URL".to_owned()) }
}

/// Prints a line for a service that accepts connections.
fn announce(service: &str, url: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{service}: listening on {url}")
}

/// Signals that request termination. They are caught from its creation on.
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
