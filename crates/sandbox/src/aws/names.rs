//! Default names.

/// The id of the default account.
pub const ACCOUNT: &str = "123456789012";
/// The id of the second account of the simulated world.
pub const OTHER_ACCOUNT: &str = "210987654321";
/// The default region.
pub const REGION: &str = "eu-central-1";
/// The second region of the simulated world.
pub const OTHER_REGION: &str = "us-east-1";
/// The name of the default queue.
pub const QUEUE: &str = "sie-interruption-queue";
/// The access key id of the dummy credentials for `http://` endpoints.
pub const DUMMY_KEY_ID: &str = "test";
/// The secret access key of the dummy credentials.
pub const DUMMY_SECRET: &str = "test";
/// The role for tokens of Kubernetes, EKS Pod Identity, ECS and the instance metadata.
pub const ROLE: &str = "arn:aws:iam::123456789012:role/sie";
/// The role of the second account, for `AssumeRole`.
pub const OTHER_ROLE: &str = "arn:aws:iam::210987654321:role/sie-reader";
/// The default token of a Kubernetes service account.
pub const WEB_IDENTITY_TOKEN: &str = "simulated-web-identity-token";
/// The default token for EKS Pod Identity.
pub const POD_IDENTITY_TOKEN: &str = "simulated-pod-identity-token";
