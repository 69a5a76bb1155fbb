//! Calls that are refused on purpose.

use tonic::{Code, Status};

/// How a call is refused on purpose.
pub(super) fn refusal(code: Code) -> Status {
    Status::new(code, format!("refused on purpose: {code}"))
}
