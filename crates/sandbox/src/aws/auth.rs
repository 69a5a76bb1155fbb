//! Authentication of requests.

use std::time::SystemTime;

use super::{
    error::{AwsError, Result},
    keys::{Credentials, Keys},
    operation::Service,
    signature::{Authorization, Rejection, SignedRequest, header, verify},
};

/// Returns the parsed `Authorization` header.
pub(super) fn authorization(request: &SignedRequest<'_>) -> Option<Authorization> {
    header(request.headers, "authorization").and_then(Authorization::parse)
}

/// Returns the credentials with which a request is signed. Without `checks_signature` the access key id is
/// sufficient.
pub(super) fn authenticate(
    keys: &Keys,
    request: &SignedRequest<'_>,
    authorization: Option<&Authorization>,
    service: Service,
    now: SystemTime,
    checks_signature: bool,
) -> Result<Credentials> {
    let Some(authorization) = authorization else {
        return Err(AwsError::of_code(match service {
            Service::Sqs => "MissingAuthenticationTokenException",
            Service::Ec2 => "AuthFailure",
            Service::Sts | Service::Credentials => "MissingAuthenticationToken",
        }));
    };
    let Some(credentials) = keys.find(&authorization.key_id) else {
        return Err(error(service, &Rejection::WrongToken));
    };
    if checks_signature {
        verify(request, authorization, &credentials, scope_name(service), now)
            .map_err(|rejection| error(service, &rejection))?;
    }
    Ok(credentials)
}

/// Returns the name of a service in the scope of a signature.
fn scope_name(service: Service) -> &'static str {
    match service {
        Service::Sqs => "sqs",
        Service::Ec2 => "ec2",
        Service::Sts | Service::Credentials => "sts",
    }
}

/// Returns the error of a service for a rejected signature.
fn error(service: Service, rejection: &Rejection) -> AwsError {
    let [sqs, ec2, sts] = match rejection {
        Rejection::Incomplete(_) => ["IncompleteSignatureException", "AuthFailure", "IncompleteSignature"],
        Rejection::WrongToken => ["UnrecognizedClientException", "AuthFailure", "InvalidClientTokenId"],
        Rejection::Expired => ["ExpiredTokenException", "RequestExpired", "ExpiredToken"],
        Rejection::TooOld { .. } => ["InvalidSignatureException", "RequestExpired", "SignatureDoesNotMatch"],
        Rejection::TooNew { .. } | Rejection::Mismatch { .. } => {
            ["InvalidSignatureException", "AuthFailure", "SignatureDoesNotMatch"]
        }
    };
    let error = AwsError::of_code(match service {
        Service::Sqs => sqs,
        Service::Ec2 => ec2,
        Service::Sts | Service::Credentials => sts,
    });
    // EC2 does not explain.
    match (service, rejection) {
        (Service::Ec2, _) => error,
        (_, Rejection::Incomplete(reason)) => error.message(reason),
        (_, Rejection::Mismatch { canonical_request }) => {
            let message = format!(
                "{}\n\nThe Canonical String for this request should have been\n'{canonical_request}'\n",
                error.message
            );
            error.message(message)
        }
        (_, rejection) => match rejection.time_message() {
            Some(message) => error.message(message),
            None => error,
        },
    }
}
