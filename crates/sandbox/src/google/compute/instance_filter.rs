//! What lists of instances can be filtered by.

use crate::google::{
    filter::{Filtered, Operator},
    instance::{Instance, Provisioning},
};

const FIELDS: [&str; 6] =
    ["name", "status", "zone", "machineType", "scheduling.provisioningModel", "scheduling.preemptible"];

impl Filtered for Instance {
    fn is_field(name: &str) -> bool {
        FIELDS.contains(&name) || name.strip_prefix("labels.").is_some_and(|label| !label.is_empty())
    }

    /// Values of `=` may end in `*`; `:` asks for a part, or with `*` for a field that is there at all.
    fn is(&self, field: &str, operator: Operator, value: &str) -> bool {
        let Some(text) = text(self, field) else { return false };
        match operator {
            Operator::Equals => {
                value.strip_suffix('*').map_or(text == value, |start| text.starts_with(start))
            }
            Operator::Has => value == "*" || text.contains(value),
            Operator::Below => text < value,
            Operator::UpTo => text <= value,
            Operator::Above => text > value,
            Operator::From => text >= value,
        }
    }
}

/// What a field of an instance says; none for a label that it has not got.
fn text<'a>(instance: &'a Instance, field: &str) -> Option<&'a str> {
    Some(match field {
        "name" => &instance.name,
        "status" => instance.status.name(),
        "zone" => &instance.zone,
        "machineType" => &instance.machine_type,
        "scheduling.provisioningModel" => match instance.provisioning {
            Provisioning::Spot => "SPOT",
            Provisioning::Standard | Provisioning::Preemptible => "STANDARD",
        },
        "scheduling.preemptible" => {
            if instance.provisioning.is_preemptible() {
                "true"
            } else {
                "false"
            }
        }
        field => instance.labels.get(field.strip_prefix("labels.")?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::google::{filter::Filter, instance::Status};

    #[test]
    fn filters() {
        let node = Instance::new(1, "europe-west1-c", "gke-n1").spot().gke("blue", "europe-west1", "pool");
        let other =
            Instance::new(2, "europe-west1-c", "batch").status(Status::Terminated).label("team", "data");
        for (filter, has_node, has_other) in [
            ("labels.goog-k8s-cluster-name:*", true, false),
            ("labels.goog-k8s-cluster-name=blue", true, false),
            ("labels.goog-k8s-cluster-name = \"blue\"", true, false),
            ("labels.goog-k8s-cluster-name=red", false, false),
            ("-labels.goog-k8s-cluster-name:*", false, true),
            ("NOT (labels.goog-k8s-cluster-name:*)", false, true),
            ("name=gke-*", true, false),
            ("name!=batch", true, false),
            ("status=RUNNING AND scheduling.provisioningModel=SPOT", true, false),
            ("(status eq TERMINATED) (labels.team=data)", false, true),
            ("status=TERMINATED OR scheduling.preemptible=true", true, true),
            ("zone:west1 AND name=batch OR name=gke-n1", true, true),
            ("name>=c AND name<h", true, false),
        ] {
            let parsed = Filter::parse::<Instance>(filter).expect(filter);
            assert_eq!((parsed.matches(&node), parsed.matches(&other)), (has_node, has_other), "{filter}");
        }
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        for filter in
            ["", "labels", "labels.:*", "labels.a", "size>3", "colour=red", "(name=a", "name=a)", "name=\"a"]
        {
            assert_eq!(Filter::parse::<Instance>(filter), None, "{filter}");
        }
    }
}
