//! Google's Pub/Sub emulator, which the simulated server is held to.

/// The endpoint of an emulator that all tests share; none if it is not installed, which CI does not excuse.
pub(crate) async fn endpoint() -> Option<String> {
    harness::pubsub_emulator().await.map(|host| format!("http://{host}"))
}
