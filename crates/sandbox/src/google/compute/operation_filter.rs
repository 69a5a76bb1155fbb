//! What lists of operations can be filtered by.

use super::zone_operation::ZoneOperation;
use crate::google::{
    filter::{Filtered, Operator},
    names::COMPUTE_ROOT,
    time::{pacific, rfc3339},
};

const URLS: [&str; 2] = ["zone", "targetLink"];
const TIMES: [&str; 3] = ["insertTime", "startTime", "endTime"];
const TEXTS: [&str; 7] =
    ["name", "operationType", "status", "statusMessage", "targetId", "user", "operationGroupId"];

/// An operation of a project.
pub(super) struct Listed<'a> {
    pub(super) project: &'a str,
    pub(super) operation: &'a ZoneOperation,
}

impl Listed<'_> {
    /// The zone's URL.
    pub(super) fn zone_link(&self) -> String {
        format!("{COMPUTE_ROOT}/{}/zones/{}", self.project, self.operation.zone)
    }

    /// The URL of what the operation was about: the instance, or the zone's instances.
    pub(super) fn target_link(&self) -> String {
        match &self.operation.target {
            Some((name, _)) => format!("{}/instances/{name}", self.zone_link()),
            None => format!("{}/instances", self.zone_link()),
        }
    }

    fn text(&self, field: &str) -> Option<String> {
        let ZoneOperation { name, operation_type, target, user, status_message, group, inserted, .. } =
            self.operation;
        match field {
            "name" => Some(name.clone()),
            "operationType" => Some(operation_type.clone()),
            "status" => Some("DONE".to_owned()),
            "statusMessage" => status_message.clone(),
            "targetId" => target.as_ref().map(|(_, id)| id.to_string()),
            "user" => Some(user.clone()),
            "operationGroupId" => group.clone(),
            "zone" => Some(self.zone_link()),
            "targetLink" => Some(self.target_link()),
            _ => Some(pacific(*inserted)),
        }
    }
}

impl Filtered for Listed<'_> {
    fn is_field(name: &str) -> bool {
        URLS.contains(&name) || TIMES.contains(&name) || TEXTS.contains(&name)
    }

    fn is_value(field: &str, operator: Operator, value: &str) -> bool {
        !TIMES.contains(&field) || rfc3339(value).is_some() || (operator == Operator::Has && value == "*")
    }

    /// Times are compared as such. `:` looks for a part in texts but not in URLs; with `*` it asks for a field that is
    /// there at all.
    fn is(&self, field: &str, operator: Operator, value: &str) -> bool {
        let Some(text) = self.text(field) else { return false };
        if operator == Operator::Has && value == "*" {
            return true;
        }
        if TIMES.contains(&field) {
            return rfc3339(value).is_some_and(|value| compares(&self.operation.inserted, operator, &value));
        }
        match operator {
            Operator::Has if !URLS.contains(&field) => text.contains(value),
            Operator::Equals if !URLS.contains(&field) && value.ends_with('*') => {
                text.starts_with(value.trim_end_matches('*'))
            }
            operator => compares(text.as_str(), operator, value),
        }
    }
}

fn compares<T: PartialOrd + ?Sized>(left: &T, operator: Operator, right: &T) -> bool {
    match operator {
        Operator::Equals | Operator::Has => left == right,
        Operator::Below => left < right,
        Operator::UpTo => left <= right,
        Operator::Above => left > right,
        Operator::From => left >= right,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::google::{filter::Filter, instance::Instance};

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn filters() {
        let node = Instance::new(7, "europe-west1-c", "gke-n1");
        // 2023-09-16T08:42:31Z
        let preempted = ZoneOperation::preempted("systemevent-1", &node, at(1_694_853_751));
        let inserted = ZoneOperation::inserted("operation-1", &node, at(1_694_853_000)).group("g");
        let [preempted, inserted] =
            [&preempted, &inserted].map(|operation| Listed { project: "p", operation });
        for (filter, is_preempted, is_inserted) in [
            (r#"(operationType="compute.instances.preempted")"#, true, false),
            (
                r#"(operationType="compute.instances.preempted") AND (insertTime>="2023-09-16T08:42:31Z")"#,
                true,
                false,
            ),
            (
                r#"(operationType="compute.instances.preempted") AND (insertTime>"2023-09-16T08:42:31Z")"#,
                false,
                false,
            ),
            (r#"(operationType="compute.instances.preempted") OR (operationType="insert")"#, true, true),
            (
                r#"((operationType="insert") OR (operationType="bulkInsert")) (insertTime < "2023-09-16T01:42:31-07:00")"#,
                false,
                true,
            ),
            (r#"insertTime<="2023-09-16T08:30:00.000Z""#, false, true),
            (r#"operationType:preempted"#, true, false),
            (r#"targetLink:gke-n1"#, false, false),
            (
                r#"targetLink="https://www.googleapis.com/compute/v1/projects/p/zones/europe-west1-c/instances/gke-n1""#,
                true,
                true,
            ),
            (r#"zone:europe-west1-c"#, false, false),
            (r#"operationGroupId:* -user=system"#, false, true),
            (r#"targetId=7 status=DONE"#, true, true),
            (r#"name=systemevent-*"#, true, false),
        ] {
            let parsed = Filter::parse::<Listed<'_>>(filter).expect(filter);
            let found = (parsed.matches(&preempted), parsed.matches(&inserted));
            assert_eq!(found, (is_preempted, is_inserted), "{filter}");
        }
        for bad in [r#"insertTime>="yesterday""#, "insertTime>=2023-09-16T08:42:31Z", "progress=100", "("] {
            assert_eq!(Filter::parse::<Listed<'_>>(bad), None, "{bad}");
        }
    }
}
