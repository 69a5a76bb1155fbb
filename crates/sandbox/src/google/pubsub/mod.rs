//! A Pub/Sub server in this process.
//!
//! [`PubSub::builder`] starts a server. It speaks gRPC without TLS, like Google's emulator, so that clients
//! can use it through `PUBSUB_EMULATOR_HOST`. It follows Google's semantics: leases that expire,
//! acknowledgement ids that are valid for one delivery, flow control per stream, at-least-once and
//! exactly-once delivery, and a maximum number of delivery attempts. Messages beyond it are counted as dead
//! letters but not published to another topic. Ordering keys, filters, retry policies, push, seek and
//! snapshots return `UNIMPLEMENTED`.
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
mod rejection;
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
