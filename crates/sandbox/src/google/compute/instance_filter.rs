//! The filters that lists of instances support.

use crate::google::{
    filter::{Filtered, Operator},
    instance::Instance,
};

impl Filtered for Instance {
    /// Supports only `labels.KEY:*`, which matches instances with the label.
    fn supports(field: &str, operator: Operator, value: &str) -> bool {
        let key = field.strip_prefix("labels.").unwrap_or_default();
        !key.is_empty() && operator == Operator::Has && value == "*"
    }

    fn matches(&self, field: &str, _operator: Operator, _value: &str) -> bool {
        field.strip_prefix("labels.").is_some_and(|key| self.labels.contains_key(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::google::filter::Filter;

    #[test]
    fn matches_instances_that_have_the_labels() {
        let node = Instance::new(1, "europe-west1-c", "gke-n1").gke("blue", "europe-west1", "pool");
        let other = Instance::new(2, "europe-west1-c", "batch").label("team", "data");
        for (filter, matches_node, matches_other) in [
            ("labels.goog-k8s-cluster-name:*", true, false),
            ("(labels.team:*)", false, true),
            ("labels.goog-k8s-cluster-name:* labels.team:*", false, false),
            ("labels.goog-gke-node:* AND (labels.goog-k8s-cluster-name:*)", true, false),
        ] {
            let parsed = Filter::parse::<Instance>(filter).expect(filter);
            let matches = (parsed.matches(&node), parsed.matches(&other));
            assert_eq!(matches, (matches_node, matches_other), "{filter}");
        }
    }

    #[test]
    fn rejects_unsupported_filters() {
        for filter in [
            "",
            "labels",
            "labels.:*",
            "labels.a",
            "labels.a=b",
            "labels.a:b",
            "name=a",
            "-labels.a:*",
            "NOT labels.a:*",
            "labels.a:* OR labels.b:*",
            "labels.a:* AND",
            "(labels.a:*",
            "labels.a:*)",
            "labels.a:\"*",
        ] {
            assert_eq!(Filter::parse::<Instance>(filter), None, "{filter}");
        }
    }
}
