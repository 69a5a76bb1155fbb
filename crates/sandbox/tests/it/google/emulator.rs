//! Google's Pub/Sub emulator, the reference for the simulated server.

/// Returns the endpoint of the shared emulator; `None` if it is not installed, which is an error in CI.
pub(crate) async fn endpoint() -> Option<String> {
    harness::pubsub_emulator().await.map(|host| format!("http://{host}"))
}
