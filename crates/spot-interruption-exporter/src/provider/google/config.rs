//! Options of Google Cloud: as written, and validated.

use std::time::Duration;

use exporter_common::config::{
    ConfigError, Environment, Loaded, Setting, TextList, format_duration, parse_url,
};
use serde::Deserialize;

use super::audit_log::InterruptionMethods;
use super::names::is_project_id;
use crate::config::entries;
use crate::provider::endpoint::Endpoint;

const DEFAULT_RESYNC_INTERVAL: Duration = Duration::from_secs(600);

const NOT_A_PROJECT_ID: &str = "is not a project id; allowed is an id such as my-project-123";

/// Default of `interruption_methods`.
pub(crate) const DEFAULT_METHOD: &str = "compute.instances.preempted";

/// Variable with the address of the Pub/Sub emulator, common to all Pub/Sub clients.
const EMULATOR_HOST: &str = "PUBSUB_EMULATOR_HOST";

/// The options as written.
#[derive(Debug)]
pub(crate) struct Written<'a> {
    pub(crate) project_name: Option<&'a String>,
    pub(crate) pubsub: &'a PubsubWritten,
    pub(crate) compute: &'a ComputeWritten,
    pub(crate) gcp: &'a GcpWritten,
    pub(crate) interruption_methods: Option<&'a TextList>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PubsubWritten {
    instance_creation_subscription_name: Option<String>,
    instance_interruption_subscription_name: Option<String>,
    endpoint: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ComputeWritten {
    endpoint: Option<String>,
    resync_interval: Option<String>,
    operations: Option<String>,
    operations_interval: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GcpWritten {
    projects: Option<TextList>,
    discover: Option<TextList>,
    discover_query: Option<String>,
    asset_endpoint: Option<String>,
}

/// Purpose of listing Compute Engine's operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationsMode {
    /// Finds interruptions whose Pub/Sub message is missing.
    Reconcile,
    /// Replaces Pub/Sub.
    Source,
    /// Operations are not listed.
    Off,
}

impl OperationsMode {
    fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "reconcile" => Ok(Self::Reconcile),
            "source" => Ok(Self::Source),
            // YAML parses an unquoted `off` as `false`.
            "off" | "false" => Ok(Self::Off),
            _ => Err("is not a mode; allowed are reconcile, source and off".to_owned()),
        }
    }

    fn default_interval(self) -> Duration {
        match self {
            Self::Source => Duration::from_secs(30),
            Self::Reconcile | Self::Off => Duration::from_secs(300),
        }
    }
}

/// The two subscriptions.
#[derive(Debug, Clone)]
pub struct Subscriptions {
    /// Creation events.
    pub creations: SubscriptionName,
    /// Interruption events.
    pub interruptions: SubscriptionName,
}

/// The validated options.
#[derive(Debug, Clone)]
pub struct GoogleConfig {
    /// The project of subscriptions that are given by their short names.
    pub project: String,
    /// The projects to list, including `project`.
    pub projects: Vec<String>,
    /// Folders and organisations whose projects are listed too, such as `folders/1`.
    pub discover: Vec<String>,
    /// Query that narrows the search for those projects.
    pub discover_query: Option<String>,
    /// Endpoint of the Cloud Asset API, if not Google's.
    pub asset_endpoint: Option<Endpoint>,
    /// The subscriptions, unless operations replace them.
    pub subscriptions: Option<Subscriptions>,
    /// Purpose of listing Compute Engine's operations.
    pub operations: OperationsMode,
    /// Interval between two operations listings.
    pub operations_interval: Duration,
    /// Endpoint of Pub/Sub, if not Google's.
    pub pubsub_endpoint: Option<Endpoint>,
    /// Endpoint of the Compute API, if not Google's.
    pub compute_endpoint: Option<Endpoint>,
    /// Interval between two listings of all instances.
    pub resync_interval: Duration,
    /// The methods that count as interruptions.
    pub methods: InterruptionMethods,
}

impl GoogleConfig {
    /// Values of the `subscription` label, creations first: the short names, or the full names if the short ones are
    /// equal.
    pub(crate) fn subscription_labels(&self) -> Vec<&str> {
        let Some(Subscriptions { creations, interruptions }) = &self.subscriptions else { return Vec::new() };
        let same_short_name = creations.short() == interruptions.short();
        [creations, interruptions]
            .map(|name| if same_short_name { name.full() } else { name.short() })
            .to_vec()
    }

    /// The settings of these options.
    pub(crate) fn settings(option: impl Fn(&'static str, &'static str) -> Setting) -> Vec<Setting> {
        vec![
            option(
                "project_name",
                "Id of a project that is always listed; short subscription names and the durable state belong to it (required without aws.queue_urls)",
            ),
            option(
                "pubsub.instance_creation_subscription_name",
                "Subscription of creation events: a name, or projects/P/subscriptions/S. Set both subscriptions or neither; without them, operations are the source",
            ),
            option(
                "pubsub.instance_interruption_subscription_name",
                "Subscription of interruption events: a name, or projects/P/subscriptions/S",
            ),
            option(
                "pubsub.endpoint",
                "URL of Pub/Sub in place of Google's; http:// is used without credentials",
            ),
            option(
                "compute.endpoint",
                "URL of the Compute API in place of Google's; http:// is used without credentials",
            ),
            option("compute.resync_interval", "Time between two listings of all instances")
                .default(format_duration(DEFAULT_RESYNC_INTERVAL)),
            option(
                "compute.operations",
                "Purpose of listing Compute Engine's operations: reconcile finds interruptions whose Pub/Sub message is \
                 missing (the default with subscriptions), source replaces Pub/Sub (the default without), off",
            ),
            option(
                "compute.operations_interval",
                "Time between two listings of operations; 5m, or 30s with source",
            ),
            option(
                "gcp.projects",
                "Ids of further projects to list; a list, separated by commas in the variable",
            ),
            option(
                "gcp.discover",
                "Folders and organisations whose projects are listed too, folders/ID or organizations/ID; a list, \
                 separated by commas in the variable",
            ),
            option(
                "gcp.discover_query",
                "Query that narrows the search for those projects, in the syntax of Cloud Asset Inventory, for example labels.env:prod",
            ),
            option(
                "gcp.asset_endpoint",
                "URL of the Cloud Asset API in place of Google's; http:// is used without credentials",
            ),
        ]
    }

    /// Validates the options.
    ///
    /// # Errors
    /// Returns an error if a value is invalid.
    pub(crate) fn validate<W>(
        loaded: &Loaded<W>,
        written: &Written<'_>,
        environment: &Environment,
        has_other_provider: bool,
    ) -> Result<Option<Self>, ConfigError> {
        let Written { project_name, pubsub, compute, gcp, interruption_methods } = *written;
        if project_name.is_none_or(String::is_empty) {
            if let Some(key) = written.first_set().filter(|_| has_other_provider) {
                return Err(ConfigError::new(format!(
                    "{key} from {} has no effect without project_name; allowed is {key} together with project_name",
                    loaded.source(key)
                )));
            }
            if has_other_provider {
                return Ok(None);
            }
            let missing = loaded.missing("project_name");
            return Err(ConfigError::new(format!("{missing}; or, for AWS, set aws.queue_urls")));
        }
        let emulator = environment.get(EMULATOR_HOST)?.map(|host| emulator(&host)).transpose()?;
        let project = loaded.required("project_name", project_name, |text| {
            let text = text.trim();
            if is_project(text) { Ok(text.to_owned()) } else { Err(NOT_A_PROJECT_ID.to_owned()) }
        })?;
        let mut projects = vec![project.clone()];
        for id in entries(gcp.projects.as_ref()) {
            // A number would be listed as a separate project, because events name the same project by its id.
            if !is_project(id) || !is_project_id(id) {
                return Err(loaded.invalid("gcp.projects", id, NOT_A_PROJECT_ID));
            }
            if !projects.iter().any(|known| known == id) {
                projects.push(id.to_owned());
            }
        }
        let mut discover = Vec::new();
        for parent in entries(gcp.discover.as_ref()) {
            let is_parent =
                matches!(parent.split_once('/'), Some(("folders" | "organizations", id)) if is_number(id));
            if !is_parent {
                let problem = "is not a folder or an organisation; allowed is an id such as folders/123456 or \
                               organizations/123456";
                return Err(loaded.invalid("gcp.discover", parent, problem));
            }
            discover.push(parent.to_owned());
        }
        let discover_query = loaded.optional("gcp.discover_query", gcp.discover_query.as_ref(), |text| {
            if discover.is_empty() {
                return Err(
                    "has no effect without gcp.discover; allowed is a query beside gcp.discover".to_owned()
                );
            }
            Ok(text.trim().to_owned())
        })?;
        let subscriptions = subscriptions(loaded, pubsub, &project)?;
        let operations = operations(loaded, compute, subscriptions.is_some())?;
        let endpoint = |key: &str, text: Option<&String>| {
            const EXAMPLE: &str = "https://SERVICE.googleapis.com";
            let url = loaded.url(key, text, EXAMPLE, "Application Default Credentials")?;
            Ok(url.as_ref().map(Endpoint::new))
        };
        let pubsub_endpoint = endpoint("pubsub.endpoint", pubsub.endpoint.as_ref())?;
        Ok(Some(Self {
            subscriptions,
            operations,
            operations_interval: loaded.duration(
                "compute.operations_interval",
                compute.operations_interval.as_ref(),
                operations.default_interval(),
                Duration::from_millis(100),
            )?,
            pubsub_endpoint: pubsub_endpoint.or(emulator),
            compute_endpoint: endpoint("compute.endpoint", compute.endpoint.as_ref())?,
            resync_interval: loaded.duration(
                "compute.resync_interval",
                compute.resync_interval.as_ref(),
                DEFAULT_RESYNC_INTERVAL,
                Duration::from_millis(100),
            )?,
            asset_endpoint: endpoint("gcp.asset_endpoint", gcp.asset_endpoint.as_ref())?,
            methods: methods(loaded, interruption_methods)?,
            projects,
            discover,
            discover_query: discover_query.filter(|query| !query.is_empty()),
            project,
        }))
    }
}

impl Written<'_> {
    /// The first option of Google Cloud that is set, `project_name` excepted.
    fn first_set(&self) -> Option<&'static str> {
        let is_set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let is_list_set = |list: &Option<TextList>| entries(list.as_ref()).next().is_some();
        let Self { pubsub, compute, gcp, interruption_methods, .. } = self;
        [
            (
                "pubsub.instance_creation_subscription_name",
                is_set(&pubsub.instance_creation_subscription_name),
            ),
            (
                "pubsub.instance_interruption_subscription_name",
                is_set(&pubsub.instance_interruption_subscription_name),
            ),
            ("pubsub.endpoint", is_set(&pubsub.endpoint)),
            ("compute.endpoint", is_set(&compute.endpoint)),
            ("compute.resync_interval", is_set(&compute.resync_interval)),
            ("compute.operations", is_set(&compute.operations)),
            ("compute.operations_interval", is_set(&compute.operations_interval)),
            ("gcp.projects", is_list_set(&gcp.projects)),
            ("gcp.discover", is_list_set(&gcp.discover)),
            ("gcp.discover_query", is_set(&gcp.discover_query)),
            ("gcp.asset_endpoint", is_set(&gcp.asset_endpoint)),
            ("interruption_methods", interruption_methods.is_some()),
        ]
        .into_iter()
        .find_map(|(key, is_set)| is_set.then_some(key))
    }
}

/// The full name of a subscription, `projects/P/subscriptions/S`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionName(String);

impl SubscriptionName {
    /// The full name.
    pub fn full(&self) -> &str {
        &self.0
    }

    /// The last part of the name, for labels and messages.
    pub fn short(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    fn parse(text: &str, project: &str) -> Result<Self, String> {
        const ALLOWED: &str =
            "allowed is a name such as sie-interruption-subscription, or projects/P/subscriptions/S";
        let is_name = |name: &str| {
            name.starts_with(|first: char| first.is_ascii_alphabetic())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.~+%".contains(c))
        };
        let text = text.trim();
        match text.split('/').collect::<Vec<_>>()[..] {
            [name] if is_name(name) => Ok(Self(format!("projects/{project}/subscriptions/{name}"))),
            ["projects", project, "subscriptions", name] if is_project(project) && is_name(name) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(format!("is not a subscription; {ALLOWED}")),
        }
    }
}

/// Both subscriptions, or `None` if neither is set.
fn subscriptions<W>(
    loaded: &Loaded<W>,
    written: &PubsubWritten,
    project: &str,
) -> Result<Option<Subscriptions>, ConfigError> {
    let PubsubWritten {
        instance_creation_subscription_name, instance_interruption_subscription_name, ..
    } = written;
    let creations =
        ("pubsub.instance_creation_subscription_name", instance_creation_subscription_name.as_ref());
    let interruptions =
        ("pubsub.instance_interruption_subscription_name", instance_interruption_subscription_name.as_ref());
    let is_set = |name: Option<&String>| name.is_some_and(|name| !name.is_empty());
    if !is_set(creations.1) && !is_set(interruptions.1) {
        return Ok(None);
    }
    let subscription = |(key, name): (&str, Option<&String>)| {
        loaded.required(key, name, |text| SubscriptionName::parse(text, project))
    };
    let both =
        Subscriptions { creations: subscription(creations)?, interruptions: subscription(interruptions)? };
    if both.creations == both.interruptions {
        return Err(loaded.invalid(
            creations.0,
            both.creations.full(),
            "is also the subscription of interruptions; allowed are two different subscriptions",
        ));
    }
    Ok(Some(both))
}

fn operations<W>(
    loaded: &Loaded<W>,
    written: &ComputeWritten,
    has_subscriptions: bool,
) -> Result<OperationsMode, ConfigError> {
    let key = "compute.operations";
    let mode = loaded.optional(key, written.operations.as_ref(), |text| {
        let mode = OperationsMode::parse(text)?;
        if mode != OperationsMode::Source && !has_subscriptions {
            return Err("leaves no source of interruptions; allowed is source, or the two \
                        subscriptions pubsub.instance_creation_subscription_name and \
                        pubsub.instance_interruption_subscription_name"
                .to_owned());
        }
        Ok(mode)
    })?;
    let default = if has_subscriptions { OperationsMode::Reconcile } else { OperationsMode::Source };
    Ok(mode.unwrap_or(default))
}

fn methods<W>(loaded: &Loaded<W>, written: Option<&TextList>) -> Result<InterruptionMethods, ConfigError> {
    let Some(TextList(names)) = written else {
        return Ok(InterruptionMethods::default());
    };
    InterruptionMethods::new(names).map_err(|error| {
        loaded.invalid(
            "interruption_methods",
            &names.join(", "),
            &format!("is not valid; allowed is a list of methods: {error}"),
        )
    })
}

fn emulator(host: &str) -> Result<Endpoint, ConfigError> {
    const ALLOWED: &str = "allowed is HOST:PORT such as localhost:8085";
    let host = host.trim();
    let url = if host.contains("://") { host.to_owned() } else { format!("http://{host}") };
    // The value is not part of the error, because a URL can contain a password.
    let url = parse_url(&url)
        .map_err(|problem| ConfigError::new(format!("variable {EMULATOR_HOST} {problem}; {ALLOWED}")))?;
    Ok(Endpoint::new(&url))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Project ids are lower case; legacy ones have a domain before a colon.
fn is_project(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-:._".contains(c))
}
