//! Tests of the complete simulated Google Cloud.

use std::{collections::BTreeMap, time::Duration};

use sandbox::google::{CREATION_SUBSCRIPTION, Event, Google, INTERRUPTION_SUBSCRIPTION, StartError};
use serde_json::Value;

use super::{
    client::{Client, ack_ids, payloads},
    emulator,
};

/// Returns a client of one of the subscriptions.
pub(super) async fn subscriber(google: &Google, id: &str) -> Client {
    let mut client = Client::connect(google.pubsub().unwrap().endpoint(), id).await;
    client.subscription = google.subscription(id);
    client
}

/// Returns and acknowledges all messages of a subscription.
pub(super) async fn entries(client: &mut Client) -> Vec<Value> {
    let mut entries = Vec::new();
    loop {
        let messages = client.peek().await;
        if messages.is_empty() {
            return entries;
        }
        entries.extend(
            payloads(&messages).iter().map(|payload| serde_json::from_str::<Value>(payload).unwrap()),
        );
        client.acknowledge(ack_ids(&messages)).await.unwrap();
    }
}

#[tokio::test]
async fn publishes_and_lists_events() {
    let google = Google::builder().seed(3).start().await.unwrap();
    let mut interruptions = subscriber(&google, INTERRUPTION_SUBSCRIPTION).await;
    let mut creations = subscriber(&google, CREATION_SUBSCRIPTION).await;
    assert_eq!(google.compute().instances().len() as u64, google.truth().await.instances);

    let mut events = google.advance(Duration::from_secs(300)).await.unwrap();
    events.extend(google.burst(0.5).await.unwrap());
    let truth = google.truth().await;
    assert_eq!(google.compute().instances().len() as u64, truth.instances);

    // Counting each entry once and joining it with its instance yields the expected results.
    let mut clusters = BTreeMap::<String, String>::new();
    for event in &events {
        if let Event::Preempted(instance) = event {
            clusters.insert(instance.id.to_string(), instance.cluster().unwrap_or_default().to_owned());
        }
    }
    let mut seen = BTreeMap::<String, Value>::new();
    for entry in entries(&mut interruptions).await {
        assert_eq!(entry["protoPayload"]["methodName"], "compute.instances.preempted");
        seen.insert(entry["insertId"].as_str().unwrap().to_owned(), entry);
    }
    let mut counted = BTreeMap::<String, u64>::new();
    for entry in seen.values() {
        let cluster = &clusters[entry["resource"]["labels"]["instance_id"].as_str().unwrap()];
        *counted.entry(cluster.clone()).or_default() += 1;
    }
    assert_eq!(counted.remove("").unwrap_or(0), truth.unattributed);
    counted.retain(|_, count| *count > 0);
    let mut expected = truth.interruptions_by_cluster;
    expected.retain(|_, count| *count > 0);
    assert_eq!(counted, expected);

    let methods: BTreeMap<String, usize> =
        entries(&mut creations).await.into_iter().fold(BTreeMap::new(), |mut methods, entry| {
            *methods.entry(entry["protoPayload"]["methodName"].as_str().unwrap().to_owned()).or_default() +=
                1;
            methods
        });
    for method in
        ["v1.compute.instances.insert", "beta.compute.instances.insert", "v1.compute.instances.bulkInsert"]
    {
        assert!(methods.contains_key(method), "no {method} in {methods:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn advances_with_the_clock() {
    let google = Google::builder().speed(10.0).start().await.unwrap();
    let creations = google.subscription(CREATION_SUBSCRIPTION);
    let pubsub = google.pubsub().unwrap();
    pubsub.wait_until(&creations, |counts| counts.published > 20).await;
    google.set_speed(0.0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let published = pubsub.counts(&creations).published;
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(pubsub.counts(&creations).published, published);
}

#[tokio::test]
async fn a_scale_of_zero_has_no_instances() {
    let google = Google::builder().project("other-project", 7).scale(0).start().await.unwrap();
    assert_eq!(google.truth().await.instances, 0);
    let subscription = google.subscription(INTERRUPTION_SUBSCRIPTION);
    assert_eq!(subscription, "projects/other-project/subscriptions/sie-interruption-subscription");
    google.stop().await;
}

#[tokio::test]
async fn publishes_to_googles_emulator() {
    let Some(endpoint) = emulator::endpoint().await else { return };
    let host = endpoint.strip_prefix("http://").unwrap();
    let builder = Google::builder().emulator(host).project("emulated-project", 8);
    let google = builder.clone().start().await.unwrap();
    assert!(google.pubsub().is_none());
    google.burst(0.2).await.unwrap();
    let mut client = Client::connect(endpoint.clone(), "unused").await;
    client.subscription = google.subscription(INTERRUPTION_SUBSCRIPTION);
    let truth = google.truth().await;
    let expected = truth.interruptions_by_cluster.values().sum::<u64>() + truth.unattributed;
    let mut seen = Vec::new();
    while (seen.len() as u64) < expected {
        let messages = client.pull(1000).await;
        client.acknowledge(ack_ids(&messages)).await.unwrap();
        seen.extend(payloads(&messages));
    }
    builder.start().await.expect("existing topics are reused");
}

#[tokio::test]
async fn reports_an_unreachable_emulator() {
    let error = Google::builder().emulator("127.0.0.1:1").start().await.err().unwrap();
    assert!(matches!(error, StartError::Create(_)), "{error}");
    Google::builder().emulator("no host").start().await.err().unwrap();
}
