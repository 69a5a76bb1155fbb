//! Executes requests.

use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    batch,
    messages::md5,
    queue::Queue,
    queues::Queues,
    wire::{AttributeNames, Batch, Entry, Messages, QueueName, QueueUrl, Receive},
};
use crate::aws::{
    error::{AwsError, Result},
    operation::Operation,
};

/// The visibility timeout of a queue without other settings, in seconds.
const VISIBILITY: i64 = 30;
/// The longest visibility timeout, in seconds.
const LONGEST_VISIBILITY: i64 = 43_200;

/// Executes a request of an account to a region. Returns the body of the response.
pub(in crate::aws) async fn execute(
    queues: &Queues,
    operation: Operation,
    account: &str,
    region: &str,
    body: &[u8],
) -> Result<String> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    if operation == Operation::GetQueueUrl {
        let QueueName { queue_name, account: owner } = parse(body)?;
        let queue = queues.find(owner.as_deref().unwrap_or(account), region, &queue_name);
        let queue = queue.ok_or_else(|| AwsError::of_code("QueueDoesNotExist"))?;
        queue.admit(account, operation.name())?;
        return Ok(json!({ "QueueUrl": queue.url() }).to_string());
    }
    let url = parse::<QueueUrl>(body)?.queue_url.ok_or_else(|| missing("QueueUrl"))?;
    let queue = queues.find_by_url(&url, region).ok_or_else(|| AwsError::of_code("QueueDoesNotExist"))?;
    queue.admit(account, operation.name())?;
    match operation {
        Operation::ReceiveMessage => receive(&queue, &parse(body)?).await,
        Operation::DeleteMessage => {
            delete(&queue, &parse(body)?)?;
            Ok(String::new())
        }
        Operation::ChangeMessageVisibility => {
            change_visibility(&queue, &parse(body)?)?;
            Ok(String::new())
        }
        Operation::SendMessage => {
            let mut response = json!({});
            for (name, value) in send(&queue, &parse(body)?)? {
                response[name] = value.into();
            }
            Ok(response.to_string())
        }
        Operation::DeleteMessageBatch => in_batch(&queue, &parse(body)?, |entry| {
            delete(&queue, entry)?;
            Ok(Vec::new())
        }),
        Operation::ChangeMessageVisibilityBatch => in_batch(&queue, &parse(body)?, |entry| {
            change_visibility(&queue, entry)?;
            Ok(Vec::new())
        }),
        Operation::SendMessageBatch => in_batch(&queue, &parse(body)?, |entry| send(&queue, entry)),
        Operation::GetQueueAttributes => attributes(&queue, &parse(body)?),
        _ => Err(AwsError::new("UnknownOperationException", "unknown operation")),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| AwsError::new("SerializationException", error.to_string()))
}

fn missing(parameter: &str) -> AwsError {
    AwsError::new("MissingParameter", format!("The request must contain the parameter {parameter}."))
}

/// Checks the range of a parameter.
fn within(name: &str, value: i64, least: i64, most: i64) -> Result<u64> {
    if (least..=most).contains(&value) {
        return Ok(value.unsigned_abs());
    }
    Err(AwsError::new(
        "InvalidParameterValue",
        format!(
            "Value {value} for parameter {name} is invalid. Reason: Must be between {least} and {most}, if provided."
        ),
    ))
}

async fn receive(queue: &Queue, request: &Receive) -> Result<String> {
    let most = within("MaxNumberOfMessages", request.max_number_of_messages.unwrap_or(1), 1, 10)?;
    let wait = within("WaitTimeSeconds", request.wait_time_seconds.unwrap_or(0), 0, 20)?;
    let timeout = request.visibility_timeout.unwrap_or(VISIBILITY);
    let timeout = within("VisibilityTimeout", timeout, 0, LONGEST_VISIBILITY)?;
    let received =
        queue.receive(most as usize, Duration::from_secs(timeout), Duration::from_secs(wait)).await?;
    let names = || request.message_system_attribute_names.iter().chain(&request.attribute_names);
    let messages = Messages::new(&received, |name| names().any(|wanted| wanted == "All" || wanted == name));
    serde_json::to_string(&messages).map_err(|error| AwsError::new("InternalFailure", error.to_string()))
}

fn delete(queue: &Queue, entry: &Entry) -> Result<()> {
    queue.delete(entry.receipt_handle.as_deref().ok_or_else(|| missing("ReceiptHandle"))?)
}

fn change_visibility(queue: &Queue, entry: &Entry) -> Result<()> {
    let handle = entry.receipt_handle.as_deref().ok_or_else(|| missing("ReceiptHandle"))?;
    let timeout = entry.visibility_timeout.ok_or_else(|| missing("VisibilityTimeout"))?;
    let timeout = within("VisibilityTimeout", timeout, 0, LONGEST_VISIBILITY)?;
    queue.change_visibility(handle, Duration::from_secs(timeout))
}

fn send(queue: &Queue, entry: &Entry) -> Result<Vec<(&'static str, String)>> {
    let body = entry.message_body.as_deref().ok_or_else(|| missing("MessageBody"))?;
    if body.is_empty() {
        return Err(AwsError::new("InvalidParameterValue", "The message body is empty."));
    }
    Ok(vec![("MessageId", queue.send(body)), ("MD5OfMessageBody", md5(body).to_string())])
}

/// Executes a batch, in which entries fail by the fault of the queue.
fn in_batch(
    queue: &Queue,
    batch: &Batch,
    mut each: impl FnMut(&Entry) -> Result<Vec<(&'static str, String)>>,
) -> Result<String> {
    let response = batch::execute(batch, |entry| match queue.entry_failure() {
        Some(failure) => Err(failure),
        None => each(entry),
    });
    Ok(response?.to_string())
}

fn attributes(queue: &Queue, request: &AttributeNames) -> Result<String> {
    let counts = queue.counts();
    let created = queue.created().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let all = [
        ("QueueArn", queue.arn()),
        ("ApproximateNumberOfMessages", counts.visible.to_string()),
        ("ApproximateNumberOfMessagesNotVisible", counts.in_flight.to_string()),
        ("ApproximateNumberOfMessagesDelayed", "0".to_owned()),
        ("CreatedTimestamp", created.to_string()),
        ("LastModifiedTimestamp", created.to_string()),
        ("VisibilityTimeout", VISIBILITY.to_string()),
        ("MaximumMessageSize", "1048576".to_owned()),
        ("MessageRetentionPeriod", "345600".to_owned()),
        ("DelaySeconds", "0".to_owned()),
        ("ReceiveMessageWaitTimeSeconds", "0".to_owned()),
        ("SqsManagedSseEnabled", "true".to_owned()),
    ];
    let wanted = &request.attribute_names;
    // Attributes that this queue does not have.
    let absent = ["Policy", "RedrivePolicy", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "All"];
    let is_known =
        |name: &String| all.iter().any(|(known, _)| known == name) || absent.contains(&name.as_str());
    if let Some(name) = wanted.iter().find(|name| !is_known(name)) {
        return Err(AwsError::new("InvalidAttributeName", format!("Unknown Attribute {name}.")));
    }
    let mut attributes = json!({});
    for (name, value) in all {
        if wanted.iter().any(|wanted| wanted == "All" || wanted == name) {
            attributes[name] = Value::from(value);
        }
    }
    let is_empty = attributes.as_object().is_some_and(serde_json::Map::is_empty);
    Ok(if is_empty { json!({}) } else { json!({ "Attributes": attributes }) }.to_string())
}
