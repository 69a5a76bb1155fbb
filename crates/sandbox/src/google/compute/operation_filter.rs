//! The filters that lists of operations support.

use std::time::SystemTime;

use super::zone_operation::ZoneOperation;
use crate::google::filter::{Filtered, Operator};

impl Filtered for ZoneOperation {
    /// Supports `operationType=TYPE` and `insertTime>=TIME`, with the time in RFC 3339 and UTC.
    fn supports(field: &str, operator: Operator, value: &str) -> bool {
        match (field, operator) {
            ("operationType", Operator::Equals) => true,
            ("insertTime", Operator::AtLeast) => time(value).is_some(),
            _ => false,
        }
    }

    fn matches(&self, field: &str, _operator: Operator, value: &str) -> bool {
        match field {
            "operationType" => self.operation_type == value,
            _ => time(value).is_some_and(|from| self.inserted >= from),
        }
    }
}

fn time(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::google::{filter::Filter, instance::Instance};

    #[test]
    fn filters_by_type_and_time() {
        let node = Instance::new(7, "europe-west1-c", "gke-n1");
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        // 2023-09-16T08:42:31Z
        let preempted = ZoneOperation::preempted("systemevent-1", &node, at(1_694_853_751));
        let inserted = ZoneOperation::inserted("operation-1", &node, at(1_694_853_000));
        for (filter, matches_preempted, matches_inserted) in [
            (r#"(operationType="compute.instances.preempted")"#, true, false),
            (
                r#"(operationType="compute.instances.preempted") AND (insertTime>="2023-09-16T08:42:31Z")"#,
                true,
                false,
            ),
            (
                r#"(operationType="compute.instances.preempted") AND (insertTime>="2023-09-16T08:42:32Z")"#,
                false,
                false,
            ),
            (r#"operationType=insert insertTime >= "2023-09-16T08:30:00.000Z""#, false, true),
        ] {
            let parsed = Filter::parse::<ZoneOperation>(filter).expect(filter);
            let matches = (parsed.matches(&preempted), parsed.matches(&inserted));
            assert_eq!(matches, (matches_preempted, matches_inserted), "{filter}");
        }
        for bad in [
            r#"insertTime>="yesterday""#,
            "insertTime>=2023-09-16T08:42:31Z",
            r#"insertTime>"2023-09-16T08:42:31Z""#,
            "progress=100",
            "(",
        ] {
            assert_eq!(Filter::parse::<ZoneOperation>(bad), None, "{bad}");
        }
    }
}
