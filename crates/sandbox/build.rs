//! Generates gRPC servers for Pub/Sub's message types, whose crate contains only clients. `protoc` is not
//! needed.

use tonic_build::manual::{Builder, Method, MethodBuilder, Service};

/// The path of the unchanged message types.
const TYPES: &str = "::google_cloud_googleapis::pubsub::v1::";
/// The path of the replaced message types.
const RAW: &str = "crate::google::pubsub::wire::";
const EMPTY: &str = "()";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let publisher = Service::builder()
        .name("Publisher")
        .package("google.pubsub.v1")
        .method(unary("create_topic", "CreateTopic", "Topic", "Topic"))
        .method(unary("delete_topic", "DeleteTopic", "DeleteTopicRequest", EMPTY))
        .method(unary("publish", "Publish", "PublishRequest", "PublishResponse"))
        .build();
    let subscriber = Service::builder()
        .name("Subscriber")
        .package("google.pubsub.v1")
        .method(unary("create_subscription", "CreateSubscription", "Subscription", "Subscription"))
        .method(unary("get_subscription", "GetSubscription", "GetSubscriptionRequest", "Subscription"))
        .method(unary("delete_subscription", "DeleteSubscription", "DeleteSubscriptionRequest", EMPTY))
        .method(unary("modify_ack_deadline", "ModifyAckDeadline", "ModifyAckDeadlineRequest", EMPTY))
        .method(unary("acknowledge", "Acknowledge", "AcknowledgeRequest", EMPTY))
        .method(
            method("pull", "Pull").input_type(typed("PullRequest")).output_type(raw("PullResponse")).build(),
        )
        .method(
            method("streaming_pull", "StreamingPull")
                .input_type(raw("StreamingPullRequest"))
                .output_type(raw("StreamingPullResponse"))
                .client_streaming()
                .server_streaming()
                .build(),
        )
        .build();
    Builder::new().build_client(false).build_transport(false).compile(&[publisher, subscriber]);
}

fn unary(name: &str, route: &str, input: &str, output: &str) -> Method {
    method(name, route).input_type(typed(input)).output_type(typed(output)).build()
}

fn method(name: &str, route: &str) -> MethodBuilder {
    Method::builder().name(name).route_name(route).codec_path("::tonic_prost::ProstCodec")
}

fn typed(name: &str) -> String {
    if name == EMPTY { raw("Empty") } else { format!("{TYPES}{name}") }
}

fn raw(name: &str) -> String {
    format!("{RAW}{name}")
}
