//! Executes `DescribeInstances`.

use rand::rngs::StdRng;

use super::{
    filter::Filter,
    fleet::Fleet,
    instance::Instance,
    page::{self, PageSize},
    render,
};
use crate::aws::{
    error::{AwsError, Result},
    form::Form,
};

const VERSION: &str = "2016-11-15";
const PARAMETERS: &[&str] =
    &["Action", "Version", "DryRun", "MaxResults", "NextToken", "IncludeManagedResources"];
const LISTS: &[&str] = &["Filter.", "InstanceId."];

/// Executes a request of an account to a region. Returns the XML.
pub(in crate::aws) fn describe(
    fleet: &Fleet,
    account: &str,
    region: &str,
    form: &Form,
    request_id: &str,
) -> Result<String> {
    let settings = fleet.settings();
    check_parameters(form, settings.reject_managed_resources)?;
    let filters = Filter::parse_all(form)?;
    let size = PageSize::parse(form)?;
    let after = page::parse_token(form, (account, region))?;
    let ids = form.list("InstanceId");
    let includes_managed = form.get("IncludeManagedResources") == Some("true");
    let admits = |instance: &Instance| {
        (includes_managed || !instance.is_hidden)
            && (ids.is_empty() || ids.contains(&instance.id.as_str()))
            && filters.iter().all(|filter| filter.admits(instance))
    };
    let most = size.0.unwrap_or(usize::MAX);
    let (instances, has_more, mut rng): (Vec<Instance>, bool, StdRng) =
        fleet.select(account, region, after.as_deref(), most, admits);
    check_ids(&ids, size, fleet, account, region)?;
    let token = match form.get("NextToken") {
        Some(token) if settings.repeat_token => Some(token.to_owned()),
        _ => instances.last().filter(|_| has_more).map(|last| page::token(form, (account, region), &last.id)),
    };
    let mut xml = render::response(&instances, token.as_deref(), request_id, &settings, &mut rng);
    if let Some(mut length) = settings.cut {
        while !xml.is_char_boundary(length.min(xml.len())) {
            length -= 1;
        }
        xml.truncate(length);
    }
    Ok(xml)
}

fn check_parameters(form: &Form, reject_managed_resources: bool) -> Result<()> {
    for (name, _) in form.iter() {
        let is_known = PARAMETERS.contains(&name) || LISTS.iter().any(|list| name.starts_with(list));
        if !is_known || reject_managed_resources && name == "IncludeManagedResources" {
            return Err(AwsError::new("UnknownParameter", format!("The parameter {name} is not recognized")));
        }
    }
    match form.get("Version") {
        Some(VERSION) => Ok(()),
        version => Err(AwsError::new(
            "NoSuchVersion",
            format!(
                "The requested version ({}) of service AmazonEC2 does not exist",
                version.unwrap_or_default()
            ),
        )),
    }
}

/// Checks a request by ids: one unknown id fails the whole request.
fn check_ids(ids: &[&str], size: PageSize, fleet: &Fleet, account: &str, region: &str) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    if size.0.is_some() {
        return Err(AwsError::new(
            "InvalidParameterCombination",
            "The parameter instancesSet cannot be used with the parameter maxResults",
        ));
    }
    let is_id = |id: &&str| {
        id.strip_prefix("i-").is_some_and(|digits| {
            [8, 17].contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    };
    if let Some(id) = ids.iter().find(|id| !is_id(id)) {
        return Err(AwsError::new("InvalidInstanceID.Malformed", format!("Invalid id: \"{id}\"")));
    }
    let (known, ..) =
        fleet.select(account, region, None, usize::MAX, |instance| ids.contains(&instance.id.as_str()));
    let unknown: Vec<&str> =
        ids.iter().filter(|id| !known.iter().any(|instance| instance.id == **id)).copied().collect();
    match unknown.as_slice() {
        [] => Ok(()),
        [id] => {
            Err(AwsError::new("InvalidInstanceID.NotFound", format!("The instance ID '{id}' does not exist")))
        }
        ids => Err(AwsError::new(
            "InvalidInstanceID.NotFound",
            format!("The instance IDs '{}' do not exist", ids.join(", ")),
        )),
    }
}
