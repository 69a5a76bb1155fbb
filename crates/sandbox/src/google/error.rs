//! Why something does not start.

use crate::ListenError;

/// Why a part of the simulated Google could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The topics or subscriptions could not be created, which happens only in an emulator.
    #[error("cannot create topics and subscriptions")]
    Create(#[from] tonic::Status),
}
