//! What things are called unless somebody asks for other names.

/// The topic that interruptions are published to.
pub const INTERRUPTION_TOPIC: &str = "sie-interruption-topic";
/// The topic that creations are published to.
pub const CREATION_TOPIC: &str = "sie-creation-topic";
/// The subscription to the interruptions.
pub const INTERRUPTION_SUBSCRIPTION: &str = "sie-interruption-subscription";
/// The subscription to the creations.
pub const CREATION_SUBSCRIPTION: &str = "sie-creation-subscription";
/// The project, unless another is asked for.
pub const PROJECT: &str = "example-project";
/// Its number.
pub const PROJECT_NUMBER: u64 = 123_456_789_012;
/// The organization that projects are in, unless another is asked for.
pub const ORGANIZATION: &str = "organizations/1";
/// The folder of the organization that the projects of a simulated Google are in.
pub const FOLDER: &str = "folders/10";
/// What the URLs of Compute Engine's resources begin with.
pub(super) const COMPUTE_ROOT: &str = "https://www.googleapis.com/compute/v1/projects";
