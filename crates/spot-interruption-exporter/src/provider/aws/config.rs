//! Options of AWS: as written, and validated.

use std::time::Duration;

use exporter_common::config::{
    ConfigError, Environment, Loaded, Setting, TextList, format_duration, parse_url,
};
use http::Uri;
use serde::Deserialize;

use super::arn::RoleArn;
use super::tags::{CLUSTER_TAGS, NODE_POOL_TAGS, TagKeys};
use crate::config::entries;
use crate::inventory::Scope;
use crate::provider::endpoint::Endpoint;
use crate::source::MAX_MIXED_QUEUES;

const DEFAULT_RESYNC_INTERVAL: Duration = Duration::from_secs(300);

/// Variables with the region of a queue whose URL contains none.
const REGION_VARIABLES: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// The options as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AwsWritten {
    queue_urls: Option<TextList>,
    regions: Option<TextList>,
    role_arns: Option<TextList>,
    cluster_tags: Option<TextList>,
    node_pool_tags: Option<TextList>,
    resync_interval: Option<String>,
    sqs_endpoint: Option<String>,
    ec2_endpoint: Option<String>,
    sts_endpoint: Option<String>,
}

/// The validated options.
#[derive(Debug, Clone)]
pub struct AwsConfig {
    /// The queues, at least one.
    pub queues: Vec<QueueUrl>,
    /// The regions whose instances are listed.
    pub regions: Vec<String>,
    /// Roles to assume, at most one for each account.
    pub roles: Vec<RoleArn>,
    /// Tags with the cluster and the node pool.
    pub tags: TagKeys,
    /// Time between two listings of a region.
    pub resync_interval: Duration,
    /// Endpoint of SQS, if not that of the queue's URL.
    pub sqs_endpoint: Option<Endpoint>,
    /// Endpoint of EC2, if not AWS's.
    pub ec2_endpoint: Option<Endpoint>,
    /// Endpoint of STS, if not AWS's.
    pub sts_endpoint: Option<Endpoint>,
}

/// The URL of a queue, and what it contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueUrl {
    /// The URL.
    pub url: String,
    /// Scheme and host of the URL.
    pub endpoint: Endpoint,
    /// The region of the queue.
    pub region: String,
    /// The account of the queue.
    pub account: String,
    /// The name of the queue: the value of the `subscription` label.
    pub name: String,
}

impl AwsConfig {
    /// The settings. `option` creates a setting from a key and its help text.
    pub(crate) fn settings(option: impl Fn(&'static str, &'static str) -> Setting) -> Vec<Setting> {
        vec![
            option(
                "aws.queue_urls",
                "URLs of the SQS queues that receive EC2's spot events, https://sqs.REGION.amazonaws.com/ACCOUNT/NAME; \
                 a list, separated by commas in the variable. Enables AWS",
            ),
            option(
                "aws.regions",
                "Regions whose instances are listed, by default those of the queues; a list, separated by commas in the variable",
            ),
            option(
                "aws.role_arns",
                "Roles to assume for the instances of further accounts, one for each account; a list, separated by commas in the variable",
            ),
            option(
                "aws.cluster_tags",
                "Keys of tags with the name of the cluster, the first match counts; * in a key matches the name itself; a \
                 list, separated by commas in the variable",
            )
            .default(CLUSTER_TAGS.join(",")),
            option(
                "aws.node_pool_tags",
                "Keys of tags with the name of the node pool, the first match counts; a list, separated by commas in the variable",
            )
            .default(NODE_POOL_TAGS.join(",")),
            option("aws.resync_interval", "Time between two listings of all instances of a region")
                .default(format_duration(DEFAULT_RESYNC_INTERVAL)),
            option(
                "aws.sqs_endpoint",
                "URL of SQS in place of the queues' host; http:// is used without real credentials",
            ),
            option("aws.ec2_endpoint", "URL of EC2 in place of AWS's; http:// is used without real credentials"),
            option("aws.sts_endpoint", "URL of STS in place of AWS's; http:// is used without real credentials"),
        ]
    }

    /// Whether AWS is enabled.
    pub(crate) fn is_enabled(written: &AwsWritten) -> bool {
        entries(written.queue_urls.as_ref()).next().is_some()
    }

    /// Validates the options. Returns `None` if AWS is not enabled.
    ///
    /// # Errors
    /// Returns an error if a value is invalid, or if an option has no effect because AWS is not enabled.
    pub(crate) fn validate<W>(
        loaded: &Loaded<W>,
        written: &AwsWritten,
        environment: &Environment,
    ) -> Result<Option<Self>, ConfigError> {
        if !Self::is_enabled(written) {
            return match written.first_set() {
                Some(key) => Err(ConfigError::new(format!(
                    "{key} from {} has no effect without aws.queue_urls; allowed is {key} together with aws.queue_urls",
                    loaded.source(key)
                ))),
                None => Ok(None),
            };
        }
        let mut default_region = None;
        for variable in REGION_VARIABLES {
            if default_region.is_none() {
                default_region = environment.get(variable)?;
            }
        }
        let mut queues: Vec<QueueUrl> = Vec::new();
        for text in entries(written.queue_urls.as_ref()) {
            let queue = QueueUrl::parse(text, default_region.as_deref())
                .map_err(|problem| loaded.invalid("aws.queue_urls", text, &problem))?;
            if !queues.contains(&queue) {
                queues.push(queue);
            }
        }
        if queues.len() > MAX_MIXED_QUEUES {
            let number = queues.len().to_string();
            let problem = format!("is too many queues; allowed are at most {MAX_MIXED_QUEUES}");
            return Err(loaded.invalid("aws.queue_urls", &number, &problem));
        }
        let mut regions: Vec<String> = Vec::new();
        for region in entries(written.regions.as_ref()) {
            if !is_region(region) {
                let problem = "is not a region; allowed is the name of a region such as eu-central-1";
                return Err(loaded.invalid("aws.regions", region, problem));
            }
            push_new(&mut regions, region);
        }
        if regions.is_empty() {
            for queue in &queues {
                push_new(&mut regions, &queue.region);
            }
        }
        let mut roles: Vec<RoleArn> = Vec::new();
        for text in entries(written.role_arns.as_ref()) {
            let role = RoleArn::parse(text).ok_or_else(|| {
                let problem =
                    "is not the ARN of a role; allowed is an ARN such as arn:aws:iam::123456789012:role/NAME";
                loaded.invalid("aws.role_arns", text, problem)
            })?;
            if let Some(other) =
                roles.iter().find(|other| other.account() == role.account() && **other != role)
            {
                let problem = format!(
                    "is a second role of account {}; allowed is one role for each account, {} is already in the list",
                    role.account(),
                    other.text()
                );
                return Err(loaded.invalid("aws.role_arns", text, &problem));
            }
            if !roles.contains(&role) {
                roles.push(role);
            }
        }
        let endpoint = |key: &str, text: Option<&String>| {
            let url = loaded.url(key, text, "https://SERVICE.REGION.amazonaws.com", "AWS's credentials")?;
            Ok(url.as_ref().map(Endpoint::new))
        };
        let tags = |written: Option<&TextList>, defaults: &[&str]| -> Vec<String> {
            let keys: Vec<String> = entries(written).map(str::to_owned).collect();
            if keys.is_empty() { defaults.iter().map(|key| (*key).to_owned()).collect() } else { keys }
        };
        Ok(Some(Self {
            tags: TagKeys::new(
                tags(written.cluster_tags.as_ref(), &CLUSTER_TAGS),
                tags(written.node_pool_tags.as_ref(), &NODE_POOL_TAGS),
            ),
            resync_interval: loaded.duration(
                "aws.resync_interval",
                written.resync_interval.as_ref(),
                DEFAULT_RESYNC_INTERVAL,
                Duration::from_millis(100),
            )?,
            sqs_endpoint: endpoint("aws.sqs_endpoint", written.sqs_endpoint.as_ref())?,
            ec2_endpoint: endpoint("aws.ec2_endpoint", written.ec2_endpoint.as_ref())?,
            sts_endpoint: endpoint("aws.sts_endpoint", written.sts_endpoint.as_ref())?,
            queues,
            regions,
            roles,
        }))
    }

    /// The account of the exporter's own credentials: that of the first queue.
    #[must_use]
    pub fn account(&self) -> &str {
        self.queues.first().map_or("", |queue| &queue.account)
    }

    /// The accounts whose instances are listed, the exporter's own first.
    pub(crate) fn accounts(&self) -> Vec<&str> {
        let mut accounts = vec![self.account()];
        accounts.extend(self.roles.iter().map(RoleArn::account).filter(|account| *account != self.account()));
        accounts
    }

    /// The scopes of the listings: every region of every account.
    pub(crate) fn scopes(&self) -> Vec<Scope> {
        let regions = |account| self.regions.iter().map(move |region| Scope::part(account, region));
        self.accounts().into_iter().flat_map(regions).collect()
    }

    /// Values of the `subscription` label by the number of the queue. Queues with one name share a number.
    pub(crate) fn queue_labels(&self) -> Vec<&str> {
        let mut labels: Vec<&str> = Vec::new();
        for queue in &self.queues {
            if !labels.contains(&&*queue.name) {
                labels.push(&queue.name);
            }
        }
        labels
    }
}

impl AwsWritten {
    /// The first option that is set, `aws.queue_urls` excepted.
    fn first_set(&self) -> Option<&'static str> {
        let is_list_set = |list: &Option<TextList>| entries(list.as_ref()).next().is_some();
        let is_set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        [
            ("aws.regions", is_list_set(&self.regions)),
            ("aws.role_arns", is_list_set(&self.role_arns)),
            ("aws.cluster_tags", is_list_set(&self.cluster_tags)),
            ("aws.node_pool_tags", is_list_set(&self.node_pool_tags)),
            ("aws.resync_interval", is_set(&self.resync_interval)),
            ("aws.sqs_endpoint", is_set(&self.sqs_endpoint)),
            ("aws.ec2_endpoint", is_set(&self.ec2_endpoint)),
            ("aws.sts_endpoint", is_set(&self.sts_endpoint)),
        ]
        .into_iter()
        .find_map(|(key, is_set)| is_set.then_some(key))
    }
}

impl QueueUrl {
    /// Parses a URL. `default_region` is the region if the host contains none.
    fn parse(text: &str, default_region: Option<&str>) -> Result<Self, String> {
        const ALLOWED: &str = "allowed is https://sqs.REGION.amazonaws.com/ACCOUNT/NAME";
        let uri = parse_url(text).map_err(|error| format!("{error}; {ALLOWED}"))?;
        let host = uri.host().unwrap_or_default();
        let parts: Vec<&str> = uri.path().trim_start_matches('/').split('/').collect();
        let (account, name) = match parts[..] {
            [account, name] if is_account(account) && is_queue_name(name) => (account, name),
            _ => return Err(format!("is not the URL of a queue; {ALLOWED}")),
        };
        let Some(region) = region_of_host(host).or(default_region) else {
            let variables = REGION_VARIABLES.join(" or ");
            return Err(format!("has no region in its host; {ALLOWED}, or set the variable {variables}"));
        };
        if !is_region(region) {
            return Err(format!("has no region such as eu-central-1; {ALLOWED}"));
        }
        let endpoint = Uri::builder()
            .scheme(uri.scheme_str().unwrap_or("https"))
            .authority(uri.authority().map_or("", http::uri::Authority::as_str))
            .path_and_query("/")
            .build()
            .map_err(|_| format!("is not the URL of a queue; {ALLOWED}"))?;
        Ok(Self {
            url: text.trim().to_owned(),
            endpoint: Endpoint::new(&endpoint),
            region: region.to_owned(),
            account: account.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// The region in the host of a queue's URL: `sqs.REGION.amazonaws.com`, also of VPC endpoints and FIPS endpoints, or the
/// older `REGION.queue.amazonaws.com`.
fn region_of_host(host: &str) -> Option<&str> {
    let labels: Vec<&str> = host.split('.').collect();
    labels.windows(2).find_map(|pair| match *pair {
        ["sqs" | "sqs-fips", region] if is_region(region) => Some(region),
        [region, "queue"] if is_region(region) => Some(region),
        _ => None,
    })
}

fn push_new(list: &mut Vec<String>, text: &str) {
    if !list.iter().any(|known| known == text) {
        list.push(text.to_owned());
    }
}

/// Whether a text can be the name of a region, such as `us-gov-west-1`.
pub(super) fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() >= 3
        && parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        && text.bytes().all(|byte| !byte.is_ascii_uppercase())
        && parts.last().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a text is the id of an account: twelve digits.
pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_queue_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 80
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_region_account_and_name_of_a_queue() {
        for (url, region, endpoint) in [
            (
                "https://sqs.eu-central-1.amazonaws.com/123456789012/q-1",
                "eu-central-1",
                "https://sqs.eu-central-1.amazonaws.com",
            ),
            (
                "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q-1",
                "cn-north-1",
                "https://sqs.cn-north-1.amazonaws.com.cn",
            ),
            (
                "https://sqs-fips.us-gov-west-1.amazonaws.com/123456789012/q-1",
                "us-gov-west-1",
                "https://sqs-fips.us-gov-west-1.amazonaws.com",
            ),
            (
                "https://us-east-1.queue.amazonaws.com/123456789012/q-1",
                "us-east-1",
                "https://us-east-1.queue.amazonaws.com",
            ),
            (
                "https://vpce-1-2.sqs.us-east-2.vpce.amazonaws.com/123456789012/q-1",
                "us-east-2",
                "https://vpce-1-2.sqs.us-east-2.vpce.amazonaws.com",
            ),
            ("http://127.0.0.1:5599/123456789012/q-1", "ap-south-1", "http://127.0.0.1:5599"),
        ] {
            let queue =
                QueueUrl::parse(url, Some("ap-south-1")).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!((&*queue.region, queue.endpoint.url()), (region, endpoint), "{url}");
            assert_eq!((&*queue.account, &*queue.name, &*queue.url), ("123456789012", "q-1", url));
        }
    }

    #[test]
    fn rejects_what_is_not_a_queue() {
        for url in [
            "q",
            "arn:aws:sqs:eu-central-1:123456789012:q",
            "https://sqs.eu-central-1.amazonaws.com",
            "https://sqs.eu-central-1.amazonaws.com/123456789012",
            "https://sqs.eu-central-1.amazonaws.com/12345/q",
            "https://sqs.eu-central-1.amazonaws.com/123456789012/q/r",
            "https://sqs.eu-central-1.amazonaws.com/123456789012/a b",
            "http://127.0.0.1:5599/123456789012/q",
        ] {
            let error = QueueUrl::parse(url, None).expect_err(url);
            assert!(error.contains("https://sqs.REGION.amazonaws.com/ACCOUNT/NAME"), "{error}");
        }
    }

    #[test]
    fn recognizes_regions() {
        for region in ["eu-central-1", "us-gov-west-1", "ap-southeast-2", "mx-central-1", "us-isob-east-1"] {
            assert!(is_region(region), "{region}");
        }
        for other in ["", "eu", "eu-central", "EU-central-1", "eu-central-1b", "eu--1", "eu-central-1/x"] {
            assert!(!is_region(other), "{other}");
        }
    }
}
