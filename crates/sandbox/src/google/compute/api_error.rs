//! Error responses to rejected requests.

use hyper::{Response, StatusCode};
use serde_json::json;

use crate::{
    google::{
        api_error::{error_body, error_value},
        project::Project,
    },
    http::{self, text},
    server::Body,
};

/// Why a request is rejected.
pub(super) enum ApiError {
    /// The path is unknown.
    Path,
    NotFound(String),
    /// The caller lacks a permission on a resource.
    Permission {
        permission: &'static str,
        resource: String,
    },
    /// Some zones are unreachable and the caller did not accept a partial list.
    Unreachable,
    /// The project is shut down.
    Deleted(Project),
    /// The Compute Engine API is not enabled in the project.
    ApiDisabled(Project),
    Invalid {
        field: &'static str,
        value: String,
    },
}

impl ApiError {
    pub(super) fn invalid(field: &'static str, value: &str) -> Self {
        Self::Invalid { field, value: value.to_owned() }
    }

    pub(super) fn response(self) -> Response<Body> {
        let (status, body) = match self {
            Self::Path => return text(StatusCode::NOT_FOUND, "not found\n"),
            Self::NotFound(resource) => {
                let message = format!("The resource '{resource}' was not found");
                (StatusCode::NOT_FOUND, error_body(404, "notFound", "NOT_FOUND", &message))
            }
            Self::Permission { permission, resource } => {
                let message = format!("Required '{permission}' permission for '{resource}'");
                (StatusCode::FORBIDDEN, error_body(403, "forbidden", "PERMISSION_DENIED", &message))
            }
            Self::Unreachable => {
                let message = "Backend Error: some zones are unreachable.";
                let body = error_body(503, "backendError", "UNAVAILABLE", message);
                (StatusCode::SERVICE_UNAVAILABLE, body)
            }
            Self::Deleted(project) => {
                let message = format!("Project #{} has been deleted.", project.number);
                (StatusCode::FORBIDDEN, consumer_error("forbidden", "CONSUMER_INVALID", &message, &project))
            }
            Self::ApiDisabled(project) => {
                let number = project.number;
                let message = format!(
                    "Compute Engine API has not been used in project {number} before or it is disabled. Enable it by \
                     visiting https://console.developers.google.com/apis/api/compute.googleapis.com/overview?project={number} \
                     then retry. If you enabled this API recently, wait a few minutes for the action to propagate to our \
                     systems and retry."
                );
                let body = consumer_error("accessNotConfigured", "SERVICE_DISABLED", &message, &project);
                (StatusCode::FORBIDDEN, body)
            }
            Self::Invalid { field, value } => {
                let message = format!("Invalid value for field '{field}': '{value}'.");
                (StatusCode::BAD_REQUEST, error_body(400, "invalid", "INVALID_ARGUMENT", &message))
            }
        };
        let mut response = http::json(body);
        *response.status_mut() = status;
        response
    }
}

/// Returns the body of an error that is caused by the state of the project.
fn consumer_error(reason: &str, cause: &str, message: &str, project: &Project) -> String {
    let mut error = error_value(403, reason, "PERMISSION_DENIED", message);
    error["error"]["details"] = json!([{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": cause,
        "domain": "googleapis.com",
        "metadata": { "consumer": format!("projects/{}", project.number), "service": "compute.googleapis.com" },
    }]);
    error.to_string()
}
