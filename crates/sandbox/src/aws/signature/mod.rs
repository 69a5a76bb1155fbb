//! Checks signatures of the version 4 of AWS.
//!
//! The implementation follows AWS's documentation of the signing process and shares no code with the exporters
//! or the SDKs.

mod authorization;
mod canonical;
mod sign;

use std::time::{Duration, SystemTime};

use hyper::{HeaderMap, Method, Uri};

pub(super) use self::authorization::Authorization;
use self::{canonical::canonical_request, sign::signature};
use super::{
    keys::Credentials,
    time::{basic, parse_basic},
};

/// The largest accepted difference between the time of a request and the clock of the service.
const LARGEST_SKEW: Duration = Duration::from_secs(5 * 60);

/// Why a signature is rejected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Rejection {
    /// A part of the signature is missing or malformed.
    Incomplete(String),
    /// The session token differs from that of the credentials.
    WrongToken,
    /// The temporary credentials have expired.
    Expired,
    /// The time of the request is too early.
    TooOld { signed: SystemTime, now: SystemTime },
    /// The time of the request is too late.
    TooNew { signed: SystemTime, now: SystemTime },
    /// The signature differs.
    Mismatch { canonical_request: String },
}

impl Rejection {
    /// Returns AWS's description of a wrong time: `Signature expired: ...`.
    pub(super) fn time_message(&self) -> Option<String> {
        let (relation, signed, now, limit, sign) = match self {
            Self::TooOld { signed, now } => ("expired", signed, now, *now - LARGEST_SKEW, '-'),
            Self::TooNew { signed, now } => ("not yet current", signed, now, *now + LARGEST_SKEW, '+'),
            _ => return None,
        };
        let comparison = if sign == '-' { "earlier" } else { "later" };
        Some(format!(
            "Signature {relation}: {} is {} {comparison} than {} ({} {sign} 5 min.)",
            basic(*signed),
            if sign == '-' { "now" } else { "still" },
            basic(limit),
            basic(*now),
        ))
    }
}

/// A request whose signature is checked.
pub(super) struct SignedRequest<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

/// Checks a signature that was made with these credentials for a service.
pub(super) fn verify(
    request: &SignedRequest<'_>,
    authorization: &Authorization,
    credentials: &Credentials,
    service: &str,
    now: SystemTime,
) -> Result<(), Rejection> {
    let incomplete = |reason: String| Rejection::Incomplete(reason);
    let scope = &authorization.scope;
    if scope.service != service {
        return Err(incomplete(format!("Credential should be scoped to correct service: '{service}'.")));
    }
    let time = header(request.headers, "x-amz-date").ok_or_else(|| {
        incomplete("Authorization header requires existence of an X-Amz-Date header.".to_owned())
    })?;
    let signed = parse_basic(time)
        .ok_or_else(|| incomplete("X-Amz-Date must be in ISO8601 'basic format'.".to_owned()))?;
    if !time.starts_with(&scope.date) {
        return Err(incomplete(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{}'",
            scope.date,
            time.get(..8).unwrap_or_default()
        )));
    }
    check_signed_headers(request.headers, authorization)?;
    if credentials.token.as_deref() != header(request.headers, "x-amz-security-token") {
        return Err(Rejection::WrongToken);
    }
    let canonical_request = canonical_request(request, &authorization.signed_headers);
    if signature(&canonical_request, time, scope, &credentials.secret) != authorization.signature {
        return Err(Rejection::Mismatch { canonical_request });
    }
    if signed + LARGEST_SKEW < now {
        return Err(Rejection::TooOld { signed, now });
    }
    if signed > now + LARGEST_SKEW {
        return Err(Rejection::TooNew { signed, now });
    }
    if credentials.expires.is_some_and(|expires| expires <= now) {
        return Err(Rejection::Expired);
    }
    Ok(())
}

/// Checks that the host and all of Amazon's headers are signed.
fn check_signed_headers(headers: &HeaderMap, authorization: &Authorization) -> Result<(), Rejection> {
    let is_signed = |name: &str| authorization.signed_headers.iter().any(|signed| signed == name);
    if !is_signed("host") {
        return Err(Rejection::Incomplete(
            "'Host' must be a 'SignedHeader' in the AWS Authorization.".to_owned(),
        ));
    }
    let unsigned =
        headers.keys().find(|name| name.as_str().starts_with("x-amz-") && !is_signed(name.as_str()));
    match unsigned {
        Some(name) => {
            Err(Rejection::Incomplete(format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.")))
        }
        None => Ok(()),
    }
}

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests;
