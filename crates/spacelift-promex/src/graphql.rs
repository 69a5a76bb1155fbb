//! GraphQL responses: the data, or the failure that the errors mean.

use cynic::GraphQlResponse;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::failure::Failure;
use crate::json;

/// The API's error for a field that is not available for API keys. The API sends no error code.
const MACHINE_SESSION: &str = "not available for machine sessions";

/// The API's error for an invalid or expired token, and also for missing access.
const UNAUTHORIZED: &str = "unauthorized";

/// Parses a GraphQL response with the data `Q`.
///
/// # Errors
/// The response contains errors, or cannot be parsed.
pub(crate) fn read_data<Q: DeserializeOwned>(body: &[u8]) -> Result<Q, Failure> {
    match json::from_slice::<GraphQlResponse<Q>>(body) {
        Ok(GraphQlResponse { errors: Some(errors), .. }) if !errors.is_empty() => {
            Err(classify(errors.iter().map(|error| error.message.as_str())))
        }
        Ok(GraphQlResponse { data: Some(data), .. }) => Ok(data),
        Ok(GraphQlResponse { data: None, .. }) => Err(Failure::Invalid("neither data nor errors".to_owned())),
        // A failed field can be null although the schema does not allow null. Then the GraphQL errors explain more than the
        // parser's error.
        Err(error) => Err(errors_of(body).unwrap_or_else(|| parse_failure(&error))),
    }
}

/// Returns the failure that the GraphQL errors of a body mean, or `None` if the body has no errors.
pub(crate) fn errors_of(body: &[u8]) -> Option<Failure> {
    #[derive(Deserialize)]
    struct Envelope {
        errors: Option<Vec<Message>>,
        #[serde(rename = "data")]
        _data: Option<IgnoredAny>,
    }

    #[derive(Deserialize)]
    struct Message {
        #[serde(default)]
        message: String,
    }

    let errors = json::from_slice::<Envelope>(body).ok()?.errors.filter(|errors| !errors.is_empty())?;
    Some(classify(errors.iter().map(|error| error.message.as_str())))
}

fn classify<'a>(messages: impl Iterator<Item = &'a str> + Clone) -> Failure {
    let find = |sign: &str| {
        messages.clone().find(|message| message.to_ascii_lowercase().contains(sign)).map(str::to_owned)
    };
    if let Some(message) = find(MACHINE_SESSION) {
        Failure::Unsupported(message)
    } else if let Some(message) = find(UNAUTHORIZED) {
        Failure::Unauthorized(message)
    } else {
        let all: Vec<&str> = messages.collect();
        Failure::GraphQl(all.join("; "))
    }
}

/// Describes where parsing failed. The content is not included, because it can be sensitive.
fn parse_failure(error: &serde_json::Error) -> Failure {
    let what = match error.classify() {
        serde_json::error::Category::Io | serde_json::error::Category::Syntax => "not JSON",
        serde_json::error::Category::Eof => "JSON that ends too early",
        serde_json::error::Category::Data => "JSON that does not match the schema",
    };
    Failure::Invalid(format!("{what}, at line {} column {}", error.line(), error.column()))
}
