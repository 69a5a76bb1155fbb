//! A simulated Security Token Service.

use std::time::{Duration, SystemTime};

use super::{
    error::{AwsError, Result},
    form::Form,
    keys::{Credentials, Keys},
    operation::Operation,
    roles::{Roles, account, name},
    time::seconds,
    xml::element,
};

const VERSION: &str = "2011-06-15";

/// Executes a request. `caller` is the verified caller; `None` for an unsigned request. Returns the XML.
pub(super) fn execute(
    (keys, roles): (&Keys, &Roles),
    operation: Operation,
    form: &Form,
    caller: Option<&Credentials>,
    now: SystemTime,
    request_id: &str,
) -> Result<String> {
    if form.get("Version") != Some(VERSION) {
        let action = form.get("Action").unwrap_or_default();
        return Err(AwsError::new(
            "InvalidAction",
            format!("Could not find operation {action} for this version"),
        ));
    }
    let result = match (operation, caller) {
        (Operation::AssumeRoleWithWebIdentity, _) => {
            let token = required(form, "WebIdentityToken")?;
            if token != roles.lock().web_identity_token {
                return Err(AwsError::new(
                    "InvalidIdentityToken",
                    "Couldn't retrieve verification key from your identity provider",
                ));
            }
            let credentials = assume(keys, roles, form, now, "anonymous")?;
            let mut xml = result(form, &credentials);
            element(&mut xml, "SubjectFromWebIdentityToken", "system:serviceaccount:monitoring:sie");
            element(&mut xml, "Audience", "sts.amazonaws.com");
            xml
        }
        (Operation::AssumeRole, Some(caller)) => {
            let credentials = assume(keys, roles, form, now, &caller.arn)?;
            result(form, &credentials)
        }
        (Operation::GetCallerIdentity, Some(caller)) => {
            let mut xml = String::new();
            element(&mut xml, "Arn", &caller.arn);
            element(&mut xml, "UserId", &caller.key_id);
            element(&mut xml, "Account", &caller.account);
            xml
        }
        _ => return Err(AwsError::of_code("MissingAuthenticationToken")),
    };
    Ok(format!(
        "<{operation}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  \
         <{operation}Result>{result}</{operation}Result>\n  \
         <ResponseMetadata>\n    <RequestId>{request_id}</RequestId>\n  </ResponseMetadata>\n\
         </{operation}Response>\n"
    ))
}

fn assume(keys: &Keys, roles: &Roles, form: &Form, now: SystemTime, caller: &str) -> Result<Credentials> {
    let role = required(form, "RoleArn")?;
    let session = required(form, "RoleSessionName")?;
    let lifetime = match form.get("DurationSeconds").map(str::parse) {
        None => None,
        Some(Ok(seconds @ 900..=43_200)) => Some(Duration::from_secs(seconds)),
        Some(_) => {
            return Err(AwsError::new(
                "ValidationError",
                "1 validation error detected: Value at 'durationSeconds' failed to satisfy constraint",
            ));
        }
    };
    roles.assume(keys, role, session, lifetime, now, caller)
}

fn required<'a>(form: &'a Form, name: &str) -> Result<&'a str> {
    form.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
        AwsError::new(
            "ValidationError",
            format!("1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"),
        )
    })
}

/// Returns the elements of issued credentials.
fn result(form: &Form, credentials: &Credentials) -> String {
    let Credentials { key_id, secret, token, expires, arn, .. } = credentials;
    let mut xml = String::from("<AssumedRoleUser>");
    let role = form.get("RoleArn").unwrap_or_default();
    let session = form.get("RoleSessionName").unwrap_or_default();
    element(
        &mut xml,
        "AssumedRoleId",
        &format!("AROA{}{}:{session}", account(role), name(role).to_uppercase()),
    );
    element(&mut xml, "Arn", arn);
    xml.push_str("</AssumedRoleUser><Credentials>");
    element(&mut xml, "AccessKeyId", key_id);
    element(&mut xml, "SecretAccessKey", secret);
    element(&mut xml, "SessionToken", token.as_deref().unwrap_or_default());
    element(&mut xml, "Expiration", &seconds(expires.unwrap_or(SystemTime::UNIX_EPOCH)));
    xml.push_str("</Credentials>");
    xml
}
