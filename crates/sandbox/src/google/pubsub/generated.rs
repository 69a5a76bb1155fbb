//! Pub/Sub's gRPC servers, made by build.rs.

#![allow(clippy::all, clippy::pedantic, missing_docs, unreachable_pub, unused_qualifications)]

include!(concat!(env!("OUT_DIR"), "/google.pubsub.v1.Publisher.rs"));
include!(concat!(env!("OUT_DIR"), "/google.pubsub.v1.Subscriber.rs"));
