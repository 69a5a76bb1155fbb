//! A Pub/Sub server in this process.
//!
//! [`PubSub::builder`] starts one on a port of its own. It speaks gRPC without TLS, as Google's emulator does,
//! so that clients find it through `PUBSUB_EMULATOR_HOST`. It holds to Google's semantics: leases that end,
//! acknowledgement ids that are good for one delivery, flow control for each stream, at-least-once or
//! exactly-once delivery, retry policies and dead letters. It has no ordering keys, filters, push, seek or
//! snapshots, and says so when asked for them.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use sandbox::google::pubsub::{Faults, PubSub};
//!
//! let pubsub = PubSub::builder().start().await?;
//! pubsub.create_topic("projects/example-project/topics/events")?;
//! let events = "projects/example-project/subscriptions/events";
//! pubsub.create_subscription(events, "projects/example-project/topics/events")?;
//! pubsub.set_subscription_faults(events, Faults { duplicates: 0.1, ..Faults::default() });
//! pubsub.publish("projects/example-project/topics/events", ["one", "two"])?;
//! assert_eq!(pubsub.unacked(events), 2);
//! println!("{}", pubsub.endpoint());
//! # Ok(())
//! # }
//! ```

mod broker;
mod counts;
mod faults;
mod generated;
mod handle;
mod limits;
mod names;
mod queue;
mod refusal;
mod server;
mod service;
mod session;
mod settings;
mod stream;
mod wire;

pub use tonic::{Code, Status};

pub use self::{
    counts::Counts,
    faults::Faults,
    handle::{Builder, Message, PubSub},
};
