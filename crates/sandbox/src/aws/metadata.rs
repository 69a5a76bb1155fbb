//! Endpoints that issue credentials inside of AWS: EKS Pod Identity, ECS and the instance metadata (IMDSv2).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use hyper::{HeaderMap, Method, Response, StatusCode, header::AUTHORIZATION};
use rand::distr::{Alphanumeric, SampleString as _};
use serde_json::{Value, json};

use super::{
    error::AwsError,
    keys::{Credentials, Keys},
    names::ROLE,
    operation::{Operation, Service},
    roles::{Roles, name},
    signature::header,
    time::seconds,
};
use crate::{
    http::{self, method_not_allowed, text},
    server::Body,
};

const POD_IDENTITY: &str = "/v1/credentials";
const TASK: &str = "/v2/credentials/";
const METADATA_TOKEN: &str = "/latest/api/token";
const METADATA_ROLES: &str = "/latest/meta-data/iam/security-credentials";
/// The longest lifetime of a session token of the instance metadata, in seconds.
const LONGEST_SESSION: u64 = 21_600;

/// Session tokens of the instance metadata, with the times at which they expire.
#[derive(Default)]
pub(super) struct MetadataSessions(Mutex<HashMap<String, SystemTime>>);

/// Returns the operation of a path; `None` for other paths.
pub(super) fn operation(path: &str) -> Option<Operation> {
    if path == POD_IDENTITY {
        return Some(Operation::PodIdentity);
    }
    if path.starts_with(TASK) {
        return Some(Operation::TaskCredentials);
    }
    if path == METADATA_TOKEN {
        return Some(Operation::MetadataToken);
    }
    Some(match path.strip_prefix(METADATA_ROLES)? {
        "" | "/" => Operation::MetadataRole,
        _ => Operation::MetadataCredentials,
    })
}

/// Issues credentials to local clients.
pub(super) struct Endpoints<'a> {
    pub(super) keys: &'a Keys,
    pub(super) roles: &'a Roles,
    pub(super) sessions: &'a MetadataSessions,
    pub(super) now: SystemTime,
}

impl Endpoints<'_> {
    pub(super) fn respond(
        &self,
        operation: Operation,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Response<Body> {
        match (operation, method.as_str()) {
            (Operation::MetadataToken, "PUT") => self.start_session(headers),
            (Operation::MetadataToken, _) => method_not_allowed("PUT"),
            (_, "GET") => match operation {
                Operation::PodIdentity => self.pod_identity(headers),
                Operation::TaskCredentials => self.issue(|view, _| view["RoleArn"] = ROLE.into()),
                _ if !self.is_admitted(headers) => text(StatusCode::UNAUTHORIZED, "401 - Unauthorized\n"),
                Operation::MetadataRole => text(StatusCode::OK, name(ROLE)),
                _ if path.strip_prefix(METADATA_ROLES) == Some(&format!("/{}", name(ROLE))) => {
                    self.issue(|view, now| {
                        view["Code"] = "Success".into();
                        view["Type"] = "AWS-HMAC".into();
                        view["LastUpdated"] = seconds(now).into();
                    })
                }
                _ => text(StatusCode::NOT_FOUND, "404 - Not Found\n"),
            },
            _ => method_not_allowed("GET"),
        }
    }

    fn pod_identity(&self, headers: &HeaderMap) -> Response<Body> {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        if given != Some(self.roles.lock().pod_identity_token.as_str()) {
            let error = AwsError::new(
                "AccessDeniedException",
                "Unauthorized Exception! EKS does not have permissions to assume the associated role.",
            );
            return AwsError { status: 401, ..error }.response(Service::Credentials, "");
        }
        self.issue(|_, _| {})
    }

    /// Starts a session with the instance metadata.
    fn start_session(&self, headers: &HeaderMap) -> Response<Body> {
        let lifetime =
            header(headers, "x-aws-ec2-metadata-token-ttl-seconds").and_then(|text| text.parse().ok());
        match lifetime {
            Some(seconds @ 1..=LONGEST_SESSION) => {
                let token = Alphanumeric.sample_string(&mut rand::rng(), 56);
                let mut sessions = self.sessions.0.lock().unwrap_or_else(PoisonError::into_inner);
                sessions.insert(token.clone(), self.now + Duration::from_secs(seconds));
                text(StatusCode::OK, token)
            }
            _ => text(StatusCode::BAD_REQUEST, "400 - Bad Request\n"),
        }
    }

    /// Returns whether the request has a valid session token.
    fn is_admitted(&self, headers: &HeaderMap) -> bool {
        let sessions = self.sessions.0.lock().unwrap_or_else(PoisonError::into_inner);
        header(headers, "x-aws-ec2-metadata-token")
            .and_then(|token| sessions.get(token))
            .is_some_and(|expires| *expires > self.now)
    }

    /// Responds with new credentials of the default role.
    fn issue(&self, add: impl FnOnce(&mut Value, SystemTime)) -> Response<Body> {
        let issued = self.roles.assume(self.keys, ROLE, "simulated", None, self.now, "local");
        let Credentials { key_id, secret, token, expires, account, .. } = match issued {
            Ok(credentials) => credentials,
            Err(error) => return error.response(Service::Credentials, ""),
        };
        let mut view = json!({
            "AccessKeyId": key_id,
            "SecretAccessKey": secret,
            "Token": token,
            "Expiration": expires.map(seconds),
            "AccountId": account,
        });
        add(&mut view, self.now);
        http::json(view.to_string())
    }
}
