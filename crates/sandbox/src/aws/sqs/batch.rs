//! Batch requests.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::wire::{Batch, Entry};
use crate::aws::error::{AwsError, Result};

/// The maximum number of entries.
const MOST: usize = 10;

/// Executes each entry. The response lists successful and failed entries.
///
/// `execute` returns additional fields of a successful entry.
pub(super) fn execute(
    batch: &Batch,
    mut execute: impl FnMut(&Entry) -> Result<Vec<(&'static str, String)>>,
) -> Result<Value> {
    check(&batch.entries)?;
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for entry in &batch.entries {
        match execute(entry) {
            Ok(fields) => {
                let mut result = json!({ "Id": entry.id });
                for (name, value) in fields {
                    result[name] = value.into();
                }
                successful.push(result);
            }
            Err(AwsError { status, code, message }) => failed.push(json!({
                "Id": entry.id, "Code": code, "Message": message, "SenderFault": status < 500,
            })),
        }
    }
    let mut response = json!({});
    for (name, entries) in [("Successful", successful), ("Failed", failed)] {
        if !entries.is_empty() {
            response[name] = entries.into();
        }
    }
    Ok(response)
}

fn check(entries: &[Entry]) -> Result<()> {
    if entries.is_empty() {
        return Err(AwsError::new("EmptyBatchRequest", "The request contains no entries."));
    }
    if entries.len() > MOST {
        return Err(AwsError::new(
            "TooManyEntriesInBatchRequest",
            format!("Maximum number of entries per request are {MOST}. You have sent {}.", entries.len()),
        ));
    }
    let mut ids = HashSet::new();
    match entries.iter().find(|entry| !ids.insert(entry.id.as_str())) {
        Some(entry) => Err(AwsError::new("BatchEntryIdsNotDistinct", format!("Id {} repeated.", entry.id))),
        None => Ok(()),
    }
}
