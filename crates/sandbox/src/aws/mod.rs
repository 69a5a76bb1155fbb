//! The services of AWS that report interruptions of spot instances.
//!
//! [`Aws::builder`] starts a server for all of them: [SQS](Queue) with EventBridge's [events](Event), EC2's
//! `DescribeInstances`, STS and the endpoints that issue credentials inside of AWS. Signatures are checked. With
//! [`Builder::simulated`], a [`World`] launches and interrupts instances.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use sandbox::aws::{Aws, Instance, StateReason};
//!
//! let aws = Aws::builder().start().await?;
//! aws.launch(Instance::spot(1, "eu-central-1b").eks("prod", "default"));
//! aws.warn("i-00000000000000001");
//! aws.terminate("i-00000000000000001", StateReason::SpotTermination);
//! assert_eq!(aws.queue().visible(), 1);
//! # Ok(())
//! # }
//! ```

mod api;
mod auth;
mod control;
mod ec2;
mod error;
mod event;
mod form;
mod handle;
mod keys;
mod metadata;
mod names;
mod operation;
mod recorded;
mod roles;
mod signature;
mod simulation;
mod sqs;
mod sts;
mod time;
mod world;
mod xml;

pub use self::{
    ec2::{Ec2Settings, Instance, InstanceState, Lifecycle, Reason, StateReason},
    event::{Event, in_sns_envelope},
    handle::{Aws, Builder},
    keys::Credentials,
    names::{
        ACCOUNT, DUMMY_KEY_ID, DUMMY_SECRET, OTHER_ACCOUNT, OTHER_REGION, OTHER_ROLE, POD_IDENTITY_TOKEN,
        QUEUE, REGION, ROLE, WEB_IDENTITY_TOKEN,
    },
    operation::{Operation, Service, Target},
    recorded::Recorded,
    sqs::{Queue, QueueCounts, QueueFaults, StaleReceipts},
    world::{Interruption, Truth, World, WorldEvent},
};
pub use crate::reply::{Hold, Override, Reply};
