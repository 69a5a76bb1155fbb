//! Decodes a message of SQS into an event, or into the reason why the message is not an event.
//!
//! A message is an event of EventBridge, or the envelope of SNS with such an event as text. Fields are optional until an
//! event needs them, and a field of an unexpected type counts as absent. The `resources` of an event are not read: their
//! form differs between events.

use std::borrow::Cow;

use jiff::Timestamp;

use super::instance_id;
use crate::event::{Entry, Event, Ignored, InterruptionReason, Invalid, Reasons};
use crate::instance::InstanceRef;
use crate::lenient::{self, Object};

/// JSON that is not an object.
pub const NOT_AN_OBJECT: Invalid =
    Invalid::NotAnEvent { label: "not_an_object", text: "not an event: the message is not a JSON object" };

/// The message contains no type of event.
pub const NO_DETAIL_TYPE: Invalid = Invalid::NotAnEvent {
    label: "no_detail_type",
    text: "not an event of EventBridge: `detail-type` is missing; a rule must not have an input transformer",
};

/// The event names no instance.
pub const NO_INSTANCE: Invalid = Invalid::NotAnEvent {
    label: "no_instance",
    text: "no instance is named: `detail.instance-id` is not an id such as i-0123456789abcdef0",
};

/// The name that an interruption and its later listing share, so that both are one event. EC2 assigns no id to an
/// interruption, and an instance is interrupted once.
pub(super) const INTERRUPTION: &str = "interruption";

/// Service of EC2's events. Other services use the same types of events for other purposes.
const EC2: &str = "aws.ec2";

const INTERRUPTION_WARNING: &str = "EC2 Spot Instance Interruption Warning";
const CAPACITY_RESERVATION_WARNING: &str = "EC2 Capacity Reservation Instance Interruption Warning";
const REQUEST_FULFILLMENT: &str = "EC2 Spot Instance Request Fulfillment";

/// The reasons of interruptions on AWS.
#[derive(Debug, Clone, Copy)]
pub struct AwsReasons {
    /// A warning two minutes before the interruption.
    pub(super) interruption_warning: InterruptionReason,
    /// The same warning for an instance in an interruptible capacity reservation.
    pub(super) capacity_reservation_warning: InterruptionReason,
    /// An interruption without a warning.
    pub(super) unannounced: InterruptionReason,
}

impl AwsReasons {
    /// Adds the reasons to `reasons`.
    pub fn add_to(reasons: &mut Reasons) -> Self {
        Self {
            interruption_warning: reasons.labelled("interruption_warning"),
            capacity_reservation_warning: reasons.labelled("capacity_reservation_warning"),
            unannounced: reasons.labelled("unannounced"),
        }
    }
}

/// Decodes a message.
///
/// # Errors
/// Returns an error if the message is not an event. A redelivery would not change that.
pub fn parse<'a>(message: &'a [u8], reasons: &AwsReasons) -> Result<Entry<'a>, Invalid> {
    let mut outer = read(message)?;
    if outer.detail_type.is_none() && outer.envelope_type.as_deref() == Some("Notification") {
        // The envelope of SNS. Its text is decoded once, so a nested envelope is not an event.
        if let Some(text) = outer.envelope_message.take() {
            return entry(read(text.as_bytes())?, reasons).map(into_owned);
        }
    }
    entry(outer, reasons)
}

fn read(message: &[u8]) -> Result<RawEvent<'_>, Invalid> {
    let mut event: Object<RawEvent<'_>> = Object::default();
    // A byte order mark can precede text that was written by hand.
    let message = message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message);
    match str::from_utf8(message) {
        // It is faster to validate the whole message once than each of its texts.
        Ok(text) => read_json(serde_json::Deserializer::from_str(text), &mut event)?,
        // Invalid UTF-8 is accepted in fields that are skipped.
        Err(_) => read_json(serde_json::Deserializer::from_slice(message), &mut event)?,
    }
    if event.is_there { Ok(event.fields) } else { Err(NOT_AN_OBJECT) }
}

fn read_json<'a, R: serde_json::de::Read<'a>>(
    mut json: serde_json::Deserializer<R>,
    event: &mut Object<RawEvent<'a>>,
) -> Result<(), serde_json::Error> {
    lenient::document(&mut json, event)?;
    json.end()
}

fn entry<'a>(event: RawEvent<'a>, reasons: &AwsReasons) -> Result<Entry<'a>, Invalid> {
    let RawEvent { detail_type, source, account, region, time, id, detail, .. } = event;
    let detail_type = detail_type.ok_or(NO_DETAIL_TYPE)?;
    let timestamp: Option<Timestamp> = time.and_then(|time| time.parse().ok());
    let is_from_ec2 = source.is_none_or(|source| source == EC2);
    let reason = match &*detail_type {
        INTERRUPTION_WARNING => Some(reasons.interruption_warning),
        CAPACITY_RESERVATION_WARNING => Some(reasons.capacity_reservation_warning),
        _ => None,
    };
    if !is_from_ec2 || (reason.is_none() && detail_type != REQUEST_FULFILLMENT) {
        let event = Event::Ignored(Ignored::OtherMethod);
        return Ok(Entry { insert_id: id, operation_id: None, timestamp, event });
    }
    let name = detail.instance_id.ok_or(NO_INSTANCE)?;
    let instance = InstanceRef {
        id: Some(instance_id::parse(&name).ok_or(NO_INSTANCE)?),
        project: account,
        // An event contains no zone. The region is sufficient for a lookup.
        zone: region,
        name: Some(name),
    };
    Ok(match reason {
        Some(reason) => Entry {
            insert_id: None,
            operation_id: Some(INTERRUPTION.into()),
            timestamp,
            event: Event::Interruption { instance, reason },
        },
        None => {
            Entry { insert_id: id, operation_id: None, timestamp, event: Event::UnlabelledCreation(instance) }
        }
    })
}

/// Copies the borrowed texts of an entry that this module has created.
fn into_owned(entry: Entry<'_>) -> Entry<'static> {
    let own = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
    let own_instance = |instance: InstanceRef<'_>| InstanceRef {
        id: instance.id,
        project: own(instance.project),
        zone: own(instance.zone),
        name: own(instance.name),
    };
    let event = match entry.event {
        Event::Interruption { instance, reason } => {
            Event::Interruption { instance: own_instance(instance), reason }
        }
        Event::UnlabelledCreation(instance) => Event::UnlabelledCreation(own_instance(instance)),
        _ => Event::Ignored(Ignored::OtherMethod),
    };
    Entry {
        insert_id: own(entry.insert_id),
        operation_id: own(entry.operation_id),
        timestamp: entry.timestamp,
        event,
    }
}

/// The fields of an event of EventBridge, and those of the envelope of SNS.
#[derive(Debug, Default)]
struct RawEvent<'a> {
    detail_type: Option<Cow<'a, str>>,
    source: Option<Cow<'a, str>>,
    account: Option<Cow<'a, str>>,
    region: Option<Cow<'a, str>>,
    time: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    detail: RawDetail<'a>,
    envelope_type: Option<Cow<'a, str>>,
    envelope_message: Option<Cow<'a, str>>,
}

lenient::fields!(RawEvent {
    "detail-type" => detail_type,
    "source" => source,
    "account" => account,
    "region" => region,
    "time" => time,
    "id" => id,
    "detail" => detail,
    "Type" => envelope_type,
    "Message" => envelope_message,
});

#[derive(Debug, Default)]
struct RawDetail<'a> {
    instance_id: Option<Cow<'a, str>>,
}

lenient::fields!(RawDetail { "instance-id" => instance_id });
