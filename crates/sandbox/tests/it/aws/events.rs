//! Tests of the bodies of messages.

use std::time::{Duration, SystemTime};

use sandbox::aws::{Aws, Event, Instance, InstanceState, OTHER_ACCOUNT, QUEUE, in_sns_envelope};
use serde_json::{Value, json};

fn node() -> Instance {
    Instance::spot(0xb662_ef99_3138_8ba0, "eu-central-1b").id("i-0b662ef9931388ba0")
}

/// 2026-03-01T10:42:31.9Z.
fn time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_772_361_751_900)
}

#[test]
fn warnings_have_the_documented_bytes() {
    let event = Event::interruption_warning(&node()).at(time()).id("1e5527d7-bb36-4607-3370-4164db56a40e");
    assert_eq!(
        event.body(),
        r#"{"version":"0","id":"1e5527d7-bb36-4607-3370-4164db56a40e","detail-type":"EC2 Spot Instance Interruption Warning","source":"aws.ec2","account":"123456789012","time":"2026-03-01T10:42:31Z","region":"eu-central-1","resources":["arn:aws:ec2:eu-central-1b:instance/i-0b662ef9931388ba0"],"detail":{"instance-id":"i-0b662ef9931388ba0","instance-action":"terminate"}}"#
    );
    let event = event.account_resource(&node()).action("hibernate");
    assert!(event.body().contains(
        r#""resources":["arn:aws:ec2:eu-central-1:123456789012:instance/i-0b662ef9931388ba0"],"detail":{"instance-id":"i-0b662ef9931388ba0","instance-action":"hibernate"}}"#
    ));
}

#[test]
fn other_events_have_the_documented_details() {
    let id = "i-0b662ef9931388ba0";
    for (event, detail_type, detail) in [
        (
            Event::rebalance_recommendation(&node()),
            "EC2 Instance Rebalance Recommendation",
            json!({ "instance-id": id }),
        ),
        (
            Event::state_change(&node().state(InstanceState::ShuttingDown)),
            "EC2 Instance State-change Notification",
            json!({ "instance-id": id, "state": "shutting-down" }),
        ),
        (
            Event::fulfillment(&node()),
            "EC2 Spot Instance Request Fulfillment",
            json!({ "spot-instance-request-id": "sir-31388ba0", "instance-id": id }),
        ),
        (
            Event::capacity_reservation_warning(&node()).action("stop"),
            "EC2 Capacity Reservation Instance Interruption Warning",
            json!({ "instance-id": id, "instance-action": "stop" }),
        ),
    ] {
        let value: Value = serde_json::from_str(&event.body()).unwrap();
        assert_eq!(value["detail-type"], detail_type);
        assert_eq!(value["detail"], detail);
        assert_eq!(value["source"], "aws.ec2");
        assert_eq!(
            value["resources"],
            json!(["arn:aws:ec2:eu-central-1:123456789012:instance/i-0b662ef9931388ba0"])
        );
        assert_eq!(value["id"].as_str().unwrap().len(), 36);
    }
    let health: Value = serde_json::from_str(&Event::health(&node()).body()).unwrap();
    assert_eq!((&health["source"], &health["resources"][0]), (&json!("aws.health"), &json!(id)));
    assert_eq!(health["detail"]["eventTypeCategory"], "scheduledChange");
    let evicted: Value =
        serde_json::from_str(&Event::bid_evicted(&[node(), Instance::spot(1, "eu-central-1a")]).body())
            .unwrap();
    assert_eq!(evicted["detail"]["serviceEventDetails"]["instanceIdSet"], json!([id, "i-00000000000000001"]));
    assert_eq!(evicted["detail"]["eventName"], "BidEvictedEvent");
}

#[test]
fn sns_wraps_the_text() {
    let event = Event::interruption_warning(&node());
    let envelope: Value = serde_json::from_str(&event.in_sns_envelope()).unwrap();
    assert_eq!(envelope["Type"], "Notification");
    assert_eq!(envelope["Message"], event.body());
    assert_eq!(envelope["TopicArn"], "arn:aws:sns:eu-central-1:123456789012:spot");
    assert!(in_sns_envelope("damaged", "1", "x").contains(r#""Message":"damaged""#));
}

#[tokio::test]
async fn events_reach_the_queues_of_their_region() {
    let aws = Aws::builder().add_queue("123456789012", "us-east-1", QUEUE).start().await.unwrap();
    let second = aws.add_queue("123456789012", "eu-central-1", "second");
    aws.launch_all([node(), Instance::spot(2, "us-east-1a").account(OTHER_ACCOUNT)]);
    let event = aws.warn(&node().id).unwrap();
    assert_eq!(aws.queue().bodies(), [event.body()]);
    assert_eq!(second.bodies(), [event.body()]);
    second.set_receives_events(false);
    aws.fulfill(&node().id).unwrap();
    assert_eq!((aws.queue().visible(), second.visible()), (2, 1));
    assert_eq!(aws.warn("i-unknown"), None);

    let event = aws.recommend_rebalance("i-00000000000000002").unwrap();
    assert_eq!((event.account(), event.region()), (OTHER_ACCOUNT, "us-east-1"));
    let other = aws.find_queue("123456789012", "us-east-1", QUEUE).unwrap();
    assert_eq!(other.bodies(), [event.body()]);
    assert_eq!(aws.send_event_by_sns(&event), 1);
    aws.notify_state("i-00000000000000002").unwrap();
    aws.warn_capacity_reservation("i-00000000000000002").unwrap();
    assert_eq!(other.visible(), 4);

    aws.set_clock_offset(3600.0);
    let body = aws.warn(&node().id).unwrap().body();
    let time = serde_json::from_str::<Value>(&body).unwrap()["time"].as_str().unwrap().to_owned();
    let ahead = humantime::parse_rfc3339(&time).unwrap().duration_since(SystemTime::now()).unwrap();
    assert!(ahead > Duration::from_secs(3500), "{ahead:?}");
}
