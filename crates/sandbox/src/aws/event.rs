//! Events of EventBridge, as they arrive in a queue.
//!
//! The shapes are those of AWS's documentation and of the samples of the AWS Node Termination Handler and of
//! Karpenter.

use std::time::SystemTime;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    ec2::Instance,
    sqs::uuid,
    time::{millis, seconds},
};

/// An event of EC2 or AWS Health.
///
/// ```
/// use sandbox::aws::{Event, Instance};
///
/// let node = Instance::spot(7, "eu-central-1b");
/// let event = Event::interruption_warning(&node).id("1e5527d7-bb36-4607-3370-4164db56a40e");
/// assert!(event.body().contains(r#""detail-type":"EC2 Spot Instance Interruption Warning""#));
/// assert!(event.in_sns_envelope().contains(r#""Type":"Notification""#));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    version: &'static str,
    id: String,
    detail_type: &'static str,
    source: &'static str,
    account: String,
    time: String,
    region: String,
    resources: Vec<String>,
    detail: Detail,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Detail {
    #[serde(rename_all = "kebab-case")]
    Interruption {
        instance_id: String,
        instance_action: String,
    },
    #[serde(rename_all = "kebab-case")]
    Rebalance {
        instance_id: String,
    },
    #[serde(rename_all = "kebab-case")]
    StateChange {
        instance_id: String,
        state: String,
    },
    #[serde(rename_all = "kebab-case")]
    Fulfillment {
        spot_instance_request_id: String,
        instance_id: String,
    },
    Other(Value),
}

impl Event {
    /// `EC2 Spot Instance Interruption Warning` with the action `terminate`.
    #[must_use]
    pub fn interruption_warning(instance: &Instance) -> Self {
        let event = Self::new(instance, "EC2 Spot Instance Interruption Warning", interruption(instance));
        event.zone_resource(instance)
    }

    /// `EC2 Capacity Reservation Instance Interruption Warning` with the action `terminate`.
    #[must_use]
    pub fn capacity_reservation_warning(instance: &Instance) -> Self {
        let detail = interruption(instance);
        Self::new(instance, "EC2 Capacity Reservation Instance Interruption Warning", detail)
    }

    /// `EC2 Instance Rebalance Recommendation`.
    #[must_use]
    pub fn rebalance_recommendation(instance: &Instance) -> Self {
        let detail = Detail::Rebalance { instance_id: instance.id.clone() };
        Self::new(instance, "EC2 Instance Rebalance Recommendation", detail)
    }

    /// `EC2 Instance State-change Notification` with the state of the instance.
    #[must_use]
    pub fn state_change(instance: &Instance) -> Self {
        let detail =
            Detail::StateChange { instance_id: instance.id.clone(), state: instance.state.name().to_owned() };
        Self::new(instance, "EC2 Instance State-change Notification", detail)
    }

    /// `EC2 Spot Instance Request Fulfillment`.
    #[must_use]
    pub fn fulfillment(instance: &Instance) -> Self {
        let detail = Detail::Fulfillment {
            spot_instance_request_id: instance.spot_request(),
            instance_id: instance.id.clone(),
        };
        Self::new(instance, "EC2 Spot Instance Request Fulfillment", detail)
    }

    /// `AWS Health Event` about the retirement of the instance.
    #[must_use]
    pub fn health(instance: &Instance) -> Self {
        let kind = "AWS_EC2_PERSISTENT_INSTANCE_RETIREMENT_SCHEDULED";
        let detail = json!({
            "eventArn": format!("arn:aws:health:{}::event/EC2/{kind}/id", instance.region()),
            "service": "EC2",
            "eventTypeCode": kind,
            "eventTypeCategory": "scheduledChange",
            "startTime": "Sat, 05 Jun 2026 15:10:09 GMT",
            "eventDescription": [{ "language": "en_US", "latestDescription": "text" }],
            "affectedEntities": [{ "entityValue": instance.id, "tags": {} }],
        });
        let event = Self::new(instance, "AWS Health Event", Detail::Other(detail));
        Self { source: "aws.health", resources: vec![instance.id.clone()], ..event }
    }

    /// `AWS Service Event via CloudTrail` with the name `BidEvictedEvent`: EC2 took the instances, which are in
    /// the account and region of the first one.
    ///
    /// # Panics
    ///
    /// Panics without an instance.
    #[must_use]
    pub fn bid_evicted(instances: &[Instance]) -> Self {
        assert!(!instances.is_empty(), "the event names at least one instance");
        let first = &instances[0];
        let ids: Vec<&str> = instances.iter().map(|instance| instance.id.as_str()).collect();
        let mut event = Self::new(first, "AWS Service Event via CloudTrail", Detail::Other(Value::Null));
        event.resources.clear();
        event.detail = Detail::Other(json!({
            "eventVersion": "1.10",
            "userIdentity": { "accountId": first.account, "invokedBy": "sec2.amazonaws.com" },
            "eventTime": event.time,
            "eventSource": "ec2.amazonaws.com",
            "eventName": "BidEvictedEvent",
            "awsRegion": first.region(),
            "requestParameters": null,
            "responseElements": null,
            "requestID": "ebf032e3-5009-3484-aae8-b4946ab2e2eb",
            "eventID": "3a15843b-96c2-41b1-aac1-7d62dc754547",
            "readOnly": false,
            "eventType": "AwsServiceEvent",
            "managementEvent": true,
            "recipientAccountId": first.account,
            "serviceEventDetails": { "instanceIdSet": ids },
            "eventCategory": "Management",
        }));
        event
    }

    fn new(instance: &Instance, detail_type: &'static str, detail: Detail) -> Self {
        Self {
            version: "0",
            id: uuid(&mut StdRng::seed_from_u64(rand::rng().random())),
            detail_type,
            source: "aws.ec2",
            account: instance.account.clone(),
            time: seconds(SystemTime::now()),
            region: instance.region().to_owned(),
            resources: vec![format!(
                "arn:aws:ec2:{}:{}:instance/{}",
                instance.region(),
                instance.account,
                instance.id
            )],
            detail,
        }
    }

    /// Sets the id. The default is random.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// Sets the time. The default is now, by the clock of the machine.
    #[must_use]
    pub fn at(mut self, time: SystemTime) -> Self {
        self.time = seconds(time);
        self
    }

    /// Sets the action of a warning: `terminate`, `stop` or `hibernate`.
    #[must_use]
    pub fn action(mut self, action: &str) -> Self {
        if let Detail::Interruption { instance_action, .. } = &mut self.detail {
            action.clone_into(instance_action);
        }
        self
    }

    /// Sets the state of a state change.
    #[must_use]
    pub fn state(mut self, name: &str) -> Self {
        if let Detail::StateChange { state, .. } = &mut self.detail {
            name.clone_into(state);
        }
        self
    }

    /// Names the instance by an ARN with a zone and without an account, like AWS's first samples:
    /// `arn:aws:ec2:eu-central-1b:instance/i-0123456789abcdef0`. It is the default of spot warnings.
    #[must_use]
    pub fn zone_resource(mut self, instance: &Instance) -> Self {
        self.resources = vec![format!("arn:aws:ec2:{}:instance/{}", instance.zone, instance.id)];
        self
    }

    /// Names the instance by an ARN with the region and the account, like AWS's documentation. It is the
    /// default of all events except spot warnings.
    #[must_use]
    pub fn account_resource(mut self, instance: &Instance) -> Self {
        let (region, account, id) = (instance.region(), &instance.account, &instance.id);
        self.resources = vec![format!("arn:aws:ec2:{region}:{account}:instance/{id}")];
        self
    }

    /// Returns the account.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Returns the region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Returns the JSON text, as EventBridge writes it into a queue.
    #[must_use]
    pub fn body(&self) -> String {
        // A derived implementation without maps does not fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns the JSON text in the envelope of an SNS topic without raw message delivery.
    #[must_use]
    pub fn in_sns_envelope(&self) -> String {
        in_sns_envelope(&self.body(), &self.account, &self.region)
    }
}

/// Returns any text in the envelope of an SNS topic.
#[must_use]
pub fn in_sns_envelope(text: &str, account: &str, region: &str) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Envelope<'a> {
        r#type: &'a str,
        message_id: &'a str,
        topic_arn: String,
        message: &'a str,
        timestamp: String,
        signature_version: &'a str,
        signature: &'a str,
        #[serde(rename = "SigningCertURL")]
        signing_cert_url: String,
        #[serde(rename = "UnsubscribeURL")]
        unsubscribe_url: String,
    }
    let topic = format!("arn:aws:sns:{region}:{account}:spot");
    let envelope = Envelope {
        r#type: "Notification",
        message_id: "e1a7dcc8-73aa-452c-9dbf-d5241adb8ab6",
        message: text,
        timestamp: millis(SystemTime::now()),
        signature_version: "2",
        signature: "c2lnbmF0dXJl",
        signing_cert_url: format!("https://sns.{region}.amazonaws.com/SimpleNotificationService-1.pem"),
        unsubscribe_url: format!(
            "https://sns.{region}.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={topic}:1"
        ),
        topic_arn: topic,
    };
    serde_json::to_string(&envelope).unwrap_or_default()
}

fn interruption(instance: &Instance) -> Detail {
    Detail::Interruption { instance_id: instance.id.clone(), instance_action: "terminate".to_owned() }
}
