//! The operations of the simulated services.

use std::fmt;

/// A service of AWS.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Service {
    /// Simple Queue Service.
    Sqs,
    /// Elastic Compute Cloud.
    Ec2,
    /// Security Token Service.
    Sts,
    /// Endpoints that issue credentials inside of AWS: EKS Pod Identity, ECS and the instance metadata.
    Credentials,
}

macro_rules! operations {
    ($($(#[$documentation:meta])* $name:ident $service:ident,)*) => {
        /// An operation of a service.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Operation {
            $($(#[$documentation])* $name,)*
        }

        impl Operation {
            /// All operations.
            pub(super) const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns the service of the operation.
            #[must_use]
            pub const fn service(self) -> Service {
                match self {
                    $(Self::$name => Service::$service,)*
                }
            }

            /// Returns AWS's name of the operation.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// Returns the operation with a name.
            pub(super) fn named(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

operations! {
    /// SQS: receives up to ten messages.
    ReceiveMessage Sqs,
    /// SQS: deletes a message.
    DeleteMessage Sqs,
    /// SQS: deletes up to ten messages.
    DeleteMessageBatch Sqs,
    /// SQS: changes the visibility timeout of a message.
    ChangeMessageVisibility Sqs,
    /// SQS: changes the visibility timeouts of up to ten messages.
    ChangeMessageVisibilityBatch Sqs,
    /// SQS: returns attributes of a queue.
    GetQueueAttributes Sqs,
    /// SQS: returns the URL of a queue.
    GetQueueUrl Sqs,
    /// SQS: sends a message.
    SendMessage Sqs,
    /// SQS: sends up to ten messages.
    SendMessageBatch Sqs,
    /// EC2: lists instances.
    DescribeInstances Ec2,
    /// STS: returns the caller's account.
    GetCallerIdentity Sts,
    /// STS: issues credentials of a role.
    AssumeRole Sts,
    /// STS: exchanges a token of Kubernetes for credentials of a role.
    AssumeRoleWithWebIdentity Sts,
    /// The EKS Pod Identity agent: credentials of a pod.
    PodIdentity Credentials,
    /// ECS: credentials of a task.
    TaskCredentials Credentials,
    /// Instance metadata: a session token.
    MetadataToken Credentials,
    /// Instance metadata: the name of the instance's role.
    MetadataRole Credentials,
    /// Instance metadata: credentials of the instance.
    MetadataCredentials Credentials,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Requests to which an override applies: those of an operation, of one account or region if given.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Target {
    pub(super) operation: Operation,
    pub(super) account: Option<String>,
    pub(super) region: Option<String>,
}

impl From<Operation> for Target {
    fn from(operation: Operation) -> Self {
        Self { operation, account: None, region: None }
    }
}

impl Target {
    /// Returns all requests of an operation.
    #[must_use]
    pub fn new(operation: Operation) -> Self {
        operation.into()
    }

    /// Limits the target to the requests of an account, by its id.
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Limits the target to the requests to a region.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Returns the targets that contain a request, the most specific one first.
    pub(super) fn all_of(operation: Operation, account: Option<&str>, region: Option<&str>) -> Vec<Self> {
        let mut targets = Vec::new();
        for (account, region) in [(account, region), (account, None), (None, region), (None, None)] {
            let target =
                Self { operation, account: account.map(str::to_owned), region: region.map(str::to_owned) };
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        targets
    }
}
