//! GraphQL answers: the data, or what the API's errors mean.

use cynic::GraphQlResponse;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::failure::Failure;
use crate::json;

/// What the API says where a field is closed to the key's kind of session. There is no code to go by.
const MACHINE_SESSION: &str = "not available for machine sessions";

/// What the API says of a token that it does not take (any more), and also of missing access.
const UNAUTHORIZED: &str = "unauthorized";

/// Reads a GraphQL answer that holds `Q` and no error.
pub(crate) fn read_data<Q: DeserializeOwned>(body: &[u8]) -> Result<Q, Failure> {
    match json::from_slice::<GraphQlResponse<Q>>(body) {
        Ok(GraphQlResponse { errors: Some(errors), .. }) if !errors.is_empty() => {
            Err(classify(errors.iter().map(|error| error.message.as_str())))
        }
        Ok(GraphQlResponse { data: Some(data), .. }) => Ok(data),
        Ok(GraphQlResponse { data: None, .. }) => Err(Failure::Invalid("neither data nor errors".to_owned())),
        // A field that failed may be null where the schema knows no null; the error says more than that.
        Err(error) => Err(errors_of(body).unwrap_or_else(|| not_readable(&error))),
    }
}

/// The GraphQL errors of a body, whatever else it holds; `None` where there are none.
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
    let says = |sign: &str| {
        messages.clone().find(|message| message.to_ascii_lowercase().contains(sign)).map(str::to_owned)
    };
    if let Some(message) = says(MACHINE_SESSION) {
        Failure::Unsupported(message)
    } else if let Some(message) = says(UNAUTHORIZED) {
        Failure::Unauthorized(message)
    } else {
        let all: Vec<&str> = messages.collect();
        Failure::GraphQl(all.join("; "))
    }
}

/// Says where the answer stopped making sense, never what it held there.
fn not_readable(error: &serde_json::Error) -> Failure {
    let what = match error.classify() {
        serde_json::error::Category::Io | serde_json::error::Category::Syntax => "not JSON",
        serde_json::error::Category::Eof => "JSON that ends too early",
        serde_json::error::Category::Data => "JSON that does not match the schema",
    };
    Failure::Invalid(format!("{what}, at line {} column {}", error.line(), error.column()))
}
