//! Errors of injected faults.

use tonic::{Code, Status};

/// Returns the error of a rejected call.
pub(super) fn rejection(code: Code) -> Status {
    Status::new(code, format!("rejected by fault injection: {code}"))
}
