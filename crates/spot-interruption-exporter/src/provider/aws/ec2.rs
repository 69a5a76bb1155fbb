//! The requests to EC2: pages of instances, and single instances.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::api::{Api, ApiError, Call, TIMEOUT, form};
use super::config::AwsConfig;
use super::credentials::AccountCredentials;
use super::instance_page::InstancePage;
use super::tags::TagKeys;
use crate::provider::endpoint::Endpoint;

/// Number of instances in a page of a listing.
const PAGE: &str = "500";

/// Maximum size of a response in bytes. An instance takes up to 15 KB, because EC2 has no field masks.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// EC2's code for a parameter that it does not know.
const UNKNOWN_PARAMETER: &str = "UnknownParameter";

/// The client of EC2, with the credentials of each account.
#[derive(Debug, Clone)]
pub(super) struct Ec2 {
    api: Api,
    accounts: Arc<BTreeMap<String, AccountCredentials>>,
    endpoint: Option<Endpoint>,
    tags: Arc<TagKeys>,
    /// Whether EC2 knows the parameter that includes managed instances, such as those of EKS Auto Mode. Old partitions
    /// do not.
    includes_managed: Arc<AtomicBool>,
}

impl Ec2 {
    pub(super) fn new(api: Api, accounts: BTreeMap<String, AccountCredentials>, config: &AwsConfig) -> Self {
        Self {
            api,
            accounts: Arc::new(accounts),
            endpoint: config.ec2_endpoint.clone(),
            tags: Arc::new(config.tags.clone()),
            includes_managed: Arc::new(AtomicBool::new(true)),
        }
    }

    /// Requests a page of the spot instances of an account in a region. The first page has no token.
    pub(super) async fn page(
        &self,
        account: &str,
        region: &str,
        token: Option<&str>,
    ) -> Result<InstancePage, ApiError> {
        let mut parameters = vec![
            ("MaxResults", PAGE),
            ("Filter.1.Name", "instance-lifecycle"),
            ("Filter.1.Value.1", "spot"),
            ("Filter.1.Value.2", "interruptible-capacity-reservation"),
        ];
        parameters.extend(token.map(|token| ("NextToken", token)));
        self.describe(account, region, &parameters).await
    }

    /// Requests instances by their ids. Unknown ids are missing in the result.
    pub(super) async fn find(
        &self,
        account: &str,
        region: &str,
        ids: &[String],
    ) -> Result<InstancePage, ApiError> {
        // A request by `InstanceId` would fail if one of the ids is unknown.
        let names: Vec<String> = (1..=ids.len()).map(|number| format!("Filter.1.Value.{number}")).collect();
        let mut parameters = vec![("Filter.1.Name", "instance-id")];
        parameters.extend(names.iter().map(String::as_str).zip(ids.iter().map(String::as_str)));
        self.describe(account, region, &parameters).await
    }

    async fn describe(
        &self,
        account: &str,
        region: &str,
        parameters: &[(&str, &str)],
    ) -> Result<InstancePage, ApiError> {
        let includes_managed = self.includes_managed.load(Ordering::Relaxed);
        match self.describe_once(account, region, parameters, includes_managed).await {
            Err(error) if includes_managed && error.code.as_deref() == Some(UNKNOWN_PARAMETER) => {
                self.includes_managed.store(false, Ordering::Relaxed);
                self.describe_once(account, region, parameters, false).await
            }
            result => result,
        }
    }

    async fn describe_once(
        &self,
        account: &str,
        region: &str,
        parameters: &[(&str, &str)],
        includes_managed: bool,
    ) -> Result<InstancePage, ApiError> {
        let credentials = self.accounts.get(account).ok_or_else(|| {
            format!(
                "there are no credentials for account {account}; add a role of the account to aws.role_arns"
            )
        })?;
        let mut all = vec![("Action", "DescribeInstances"), ("Version", "2016-11-15")];
        all.extend(includes_managed.then_some(("IncludeManagedResources", "true")));
        all.extend(parameters);
        let aws = || service_endpoint("ec2", region);
        let endpoint = self.endpoint.clone().map_or_else(aws, Ok)?;
        let call = Call {
            endpoint: &endpoint,
            service: "ec2",
            region,
            content_type: "application/x-www-form-urlencoded; charset=utf-8",
            target: None,
            body: form(&all),
            timeout: TIMEOUT,
            max_bytes: MAX_BYTES,
        };
        let response = self.api.call(&call, credentials).await?;
        Ok(InstancePage::parse(&response, account, region, &self.tags)?)
    }
}

/// AWS's URL of a service in a region.
///
/// # Errors
/// Returns an error if the region is not part of a host name.
pub(super) fn service_endpoint(service: &str, region: &str) -> Result<Endpoint, String> {
    let suffix = match region {
        region if region.starts_with("cn-") => "amazonaws.com.cn",
        region if region.starts_with("eusc-") => "amazonaws.eu",
        region if region.starts_with("us-iso-") => "c2s.ic.gov",
        region if region.starts_with("us-isob-") => "sc2s.sgov.gov",
        _ => "amazonaws.com",
    };
    let url = format!("https://{service}.{region}.{suffix}");
    url.parse().map(|uri| Endpoint::new(&uri)).map_err(|_| format!("{region} is not a region"))
}
