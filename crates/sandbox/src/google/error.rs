//! Errors at start.

use crate::ListenError;

/// Why a part of the simulated Google Cloud could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The server cannot listen on the address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The topics or subscriptions could not be created. Only an emulator causes this error.
    #[error("cannot create topics and subscriptions")]
    Create(#[from] tonic::Status),
}
