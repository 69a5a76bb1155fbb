//! Default names.

/// The topic of interruptions.
pub const INTERRUPTION_TOPIC: &str = "sie-interruption-topic";
/// The topic of creations.
pub const CREATION_TOPIC: &str = "sie-creation-topic";
/// The subscription to interruptions.
pub const INTERRUPTION_SUBSCRIPTION: &str = "sie-interruption-subscription";
/// The subscription to creations.
pub const CREATION_SUBSCRIPTION: &str = "sie-creation-subscription";
/// The id of the default project.
pub const PROJECT: &str = "example-project";
/// The number of the default project.
pub const PROJECT_NUMBER: u64 = 123_456_789_012;
/// The organization of the default project.
pub const ORGANIZATION: &str = "organizations/1";
/// The folder of all projects of a simulated Google Cloud.
pub const FOLDER: &str = "folders/10";
/// The prefix of Compute Engine's resource URLs.
pub(super) const COMPUTE_ROOT: &str = "https://www.googleapis.com/compute/v1/projects";
