//! Errors of the services, and their responses in the format of each service.

use hyper::{Response, StatusCode};
use serde_json::json;

use super::{operation::Service, xml::escaped};
use crate::{http, server::Body};

/// An error of a service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct AwsError {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
}

pub(super) type Result<T> = std::result::Result<T, AwsError>;

impl AwsError {
    /// Returns an error with status 400.
    pub(super) fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.into(), message: message.into() }
    }

    /// Returns an error with the usual status and text of its code.
    pub(super) fn of_code(code: &str) -> Self {
        let (status, message) = match code {
            "AccessDenied" | "AccessDeniedException" => {
                (403, "User is not authorized to perform this action.")
            }
            "ExpiredToken" | "ExpiredTokenException" => {
                (403, "The security token included in the request is expired")
            }
            "InternalError" | "InternalFailure" => (500, "An internal error has occurred"),
            "InvalidClientTokenId" | "UnrecognizedClientException" => {
                (403, "The security token included in the request is invalid.")
            }
            "InvalidSignatureException" | "SignatureDoesNotMatch" => (
                403,
                "The request signature we calculated does not match the signature you provided. Check your \
                 AWS Secret Access Key and signing method. Consult the service documentation for details.",
            ),
            "MissingAuthenticationToken" | "MissingAuthenticationTokenException" => {
                (403, "Request is missing Authentication Token")
            }
            "AuthFailure" => (401, "AWS was not able to validate the provided access credentials"),
            "KmsAccessDenied" => (400, "The caller does not have the required KMS permissions."),
            "OverLimit" => (403, "Too many messages are inflight."),
            "QueueDoesNotExist" => (400, "The specified queue does not exist."),
            "ReceiptHandleIsInvalid" => (404, "The input receipt handle is invalid."),
            "RequestExpired" => (400, "Request has expired."),
            "RequestLimitExceeded" => (503, "Request limit exceeded."),
            "RequestThrottled" | "ThrottlingException" => (403, "Request is throttled."),
            "ServiceUnavailable" | "Unavailable" => {
                (503, "The service is unavailable. Please try again shortly.")
            }
            "UnauthorizedOperation" => (403, "You are not authorized to perform this operation."),
            _ => (400, "The request was rejected."),
        };
        Self { status, code: code.to_owned(), message: message.to_owned() }
    }

    pub(super) fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Returns the content type and the body in the format of the service.
    pub(super) fn rendered(&self, service: Service, request_id: &str) -> (&'static str, String) {
        let Self { code, message, .. } = self;
        let (shown, escaped_code) = (escaped(message), escaped(code));
        match service {
            Service::Sqs => {
                // Errors of the common layer have another namespace than those of SQS.
                let namespace = match code.as_str() {
                    "InvalidSignatureException"
                    | "UnrecognizedClientException"
                    | "ExpiredTokenException"
                    | "SerializationException"
                    | "MissingAuthenticationTokenException" => "com.amazon.coral.service",
                    _ => "com.amazonaws.sqs",
                };
                let body = json!({ "__type": format!("{namespace}#{code}"), "message": message });
                (SQS_TYPE, body.to_string())
            }
            Service::Ec2 => (
                EC2_TYPE,
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{escaped_code}</Code>\
                     <Message>{shown}</Message></Error></Errors><RequestID>{request_id}</RequestID></Response>"
                ),
            ),
            Service::Sts => (
                STS_TYPE,
                format!(
                    "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <Error>\n    \
                     <Type>Sender</Type>\n    <Code>{escaped_code}</Code>\n    <Message>{shown}</Message>\n  \
                     </Error>\n  <RequestId>{request_id}</RequestId>\n</ErrorResponse>\n"
                ),
            ),
            Service::Credentials => {
                ("application/json", json!({ "code": code, "message": message }).to_string())
            }
        }
    }

    /// Returns the code that clients of the older Query protocol of SQS expect.
    pub(super) fn query_code(&self) -> &str {
        match self.code.as_str() {
            "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue",
            "AccessDeniedException" => "AccessDenied",
            "ExpiredTokenException" => "ExpiredToken",
            "InvalidSignatureException" => "SignatureDoesNotMatch",
            "UnrecognizedClientException" => "InvalidClientTokenId",
            "MessageNotInflight" => "AWS.SimpleQueueService.MessageNotInflight",
            "EmptyBatchRequest" => "AWS.SimpleQueueService.EmptyBatchRequest",
            "TooManyEntriesInBatchRequest" => "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            "BatchEntryIdsNotDistinct" => "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
            code => code,
        }
    }

    pub(super) fn response(&self, service: Service, request_id: &str) -> Response<Body> {
        let (content_type, body) = self.rendered(service, request_id);
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        http::response(status, content_type, body)
    }
}

pub(super) const SQS_TYPE: &str = "application/x-amz-json-1.0";
pub(super) const EC2_TYPE: &str = "text/xml;charset=UTF-8";
pub(super) const STS_TYPE: &str = "text/xml";
