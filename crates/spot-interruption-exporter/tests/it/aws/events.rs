//! Events of EventBridge in each documented form, and damaged ones.

use serde_json::{Value, json};
use spot_interruption_exporter::event::{Entry, Event, Ignored, Invalid, Reasons};
use spot_interruption_exporter::instance::{InstanceId, InstanceRef};
use spot_interruption_exporter::provider::aws::event::{
    AwsReasons, NO_DETAIL_TYPE, NO_INSTANCE, NOT_AN_OBJECT, parse,
};

const INSTANCE: &str = "i-0b662ef9931388ba0";

fn event(detail_type: &str, resource: &str, detail: &Value) -> Value {
    json!({
        "version": "0",
        "id": "1e5527d7-bb36-4607-3370-4164db56a40e",
        "detail-type": detail_type,
        "source": "aws.ec2",
        "account": "123456789012",
        "time": "2026-03-01T10:42:31Z",
        "region": "eu-central-1",
        "resources": [resource],
        "detail": detail,
    })
}

fn warning() -> Value {
    event(
        "EC2 Spot Instance Interruption Warning",
        "arn:aws:ec2:eu-central-1b:instance/i-0b662ef9931388ba0",
        &json!({"instance-id": INSTANCE, "instance-action": "terminate"}),
    )
}

fn in_sns_envelope(message: &str) -> Value {
    json!({
        "Type": "Notification",
        "MessageId": "e1a7dcc8-73aa-452c-9dbf-d5241adb8ab6",
        "TopicArn": "arn:aws:sns:eu-central-1:123456789012:spot",
        "Message": message,
        "Timestamp": "2026-11-25T09:38:07.354Z",
        "SignatureVersion": "2",
    })
}

/// The reason of an interruption, the kind of another event, or why the text is not an event.
fn read(text: &str) -> Result<(String, Option<InstanceRef<'static>>), Invalid> {
    let mut reasons = Reasons::default();
    let aws = AwsReasons::add_to(&mut reasons);
    let entry: Entry<'_> = parse(text.as_bytes(), &aws)?;
    let own = |instance: &InstanceRef<'_>| InstanceRef {
        id: instance.id,
        project: instance.project.as_deref().map(|text| text.to_owned().into()),
        zone: instance.zone.as_deref().map(|text| text.to_owned().into()),
        name: instance.name.as_deref().map(|text| text.to_owned().into()),
    };
    Ok(match &entry.event {
        Event::Interruption { instance, reason } => {
            assert_eq!(
                entry.operation_id.as_deref(),
                Some("interruption"),
                "one instance is interrupted once"
            );
            (reasons.label(*reason).to_owned(), Some(own(instance)))
        }
        Event::UnlabelledCreation(instance) => ("creation".to_owned(), Some(own(instance))),
        Event::Ignored(ignored) => (ignored.label().to_owned(), None),
        other => panic!("{other:?}"),
    })
}

#[test]
fn reads_every_event_that_counts() {
    let arn = "arn:aws:ec2:eu-central-1:123456789012:instance/i-0b662ef9931388ba0";
    let detail = json!({"instance-id": INSTANCE, "instance-action": "hibernate"});
    let request = json!({"spot-instance-request-id": "sir-1a2b3c4d", "instance-id": INSTANCE});
    for (event, what) in [
        (warning(), "interruption_warning"),
        (event("EC2 Spot Instance Interruption Warning", arn, &detail), "interruption_warning"),
        (
            event("EC2 Capacity Reservation Instance Interruption Warning", arn, &detail),
            "capacity_reservation_warning",
        ),
        (event("EC2 Spot Instance Request Fulfillment", arn, &request), "creation"),
    ] {
        let text = event.to_string();
        for text in [text.clone(), in_sns_envelope(&text).to_string(), format!("\u{feff} {text}\n")] {
            let (read, instance) = read(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(read, what, "{text}");
            let instance = instance.expect("an instance");
            assert_eq!(instance.id.map(InstanceId::get), Some(0xb662_ef99_3138_8ba0));
            assert_eq!(instance.name.as_deref(), Some(INSTANCE));
            assert_eq!(instance.project.as_deref(), Some("123456789012"));
            assert_eq!(instance.zone.as_deref(), Some("eu-central-1"));
        }
    }
}

#[test]
fn ignores_events_that_are_not_interruptions() {
    let arn = "arn:aws:ec2:eu-central-1:123456789012:instance/i-0b662ef9931388ba0";
    let instance = json!({"instance-id": INSTANCE});
    let mut other_source = warning();
    other_source["source"] = json!("my.tests");
    let mut evicted =
        event("AWS Service Event via CloudTrail", arn, &json!({"eventName": "BidEvictedEvent"}));
    evicted["detail"]["serviceEventDetails"] = json!({"instanceIdSet": [INSTANCE]});
    let mut health = event("AWS Health Event", arn, &json!({"service": "EC2"}));
    health["source"] = json!("aws.health");
    for event in [
        event("EC2 Instance Rebalance Recommendation", arn, &instance),
        event(
            "EC2 Instance State-change Notification",
            arn,
            &json!({"instance-id": INSTANCE, "state": "shutting-down"}),
        ),
        event(
            "EC2 Instance State-change Notification",
            arn,
            &json!({"instance-id": INSTANCE, "state": "terminated"}),
        ),
        event("EC2 Instance-terminate Lifecycle Action", arn, &json!({"EC2InstanceId": INSTANCE})),
        other_source,
        evicted,
        health,
    ] {
        let (what, _) = read(&event.to_string()).unwrap();
        assert_eq!(what, Ignored::OtherMethod.label(), "{event}");
    }
}

#[test]
fn reads_events_with_missing_fields() {
    for missing in ["version", "id", "source", "account", "time", "region", "resources"] {
        let mut event = warning();
        event.as_object_mut().unwrap().remove(missing);
        let (what, instance) = read(&event.to_string()).unwrap();
        assert_eq!(what, "interruption_warning", "{missing}");
        assert_eq!(instance.unwrap().name.as_deref(), Some(INSTANCE));
    }
    let mut odd = warning();
    for field in ["version", "id", "account", "time", "region", "resources"] {
        odd[field] = json!({"not": ["a", "text"]});
    }
    assert_eq!(read(&odd.to_string()).unwrap().0, "interruption_warning");
}

#[test]
fn rejects_what_is_not_an_event() {
    let mut no_instance = warning();
    no_instance["detail"] = json!({});
    let mut wrong_instance = warning();
    wrong_instance["detail"]["instance-id"] = json!("my-vm");
    let mut number = warning();
    number["detail"]["instance-id"] = json!(7);
    let mut no_type = warning();
    no_type.as_object_mut().unwrap().remove("detail-type");
    let nested = in_sns_envelope(&in_sns_envelope(&warning().to_string()).to_string());
    for (text, expected) in [
        (no_instance.to_string(), NO_INSTANCE),
        (wrong_instance.to_string(), NO_INSTANCE),
        (number.to_string(), NO_INSTANCE),
        (no_type.to_string(), NO_DETAIL_TYPE),
        (nested.to_string(), NO_DETAIL_TYPE),
        (json!({"Type": "Notification"}).to_string(), NO_DETAIL_TYPE),
        (json!({"Type": "SubscriptionConfirmation", "Message": "x"}).to_string(), NO_DETAIL_TYPE),
        ("{}".to_owned(), NO_DETAIL_TYPE),
        ("[]".to_owned(), NOT_AN_OBJECT),
        ("null".to_owned(), NOT_AN_OBJECT),
        ("\"text\"".to_owned(), NOT_AN_OBJECT),
    ] {
        assert_eq!(read(&text), Err(expected), "{text}");
    }
    let text = warning().to_string();
    for cut in [0, 1, text.len() / 2, text.len() - 1] {
        assert!(matches!(read(&text[..cut]), Err(Invalid::NotJson { .. })), "cut at {cut}");
    }
    assert!(matches!(read(&in_sns_envelope("not an event").to_string()), Err(Invalid::NotJson { .. })));
    assert!(matches!(read(&format!("{text}{text}")), Err(Invalid::NotJson { .. })));
}
