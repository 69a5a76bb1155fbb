//! Labels of a creation's request.

use super::*;

#[test]
fn accepts_labels_as_an_object() {
    let labels = json!({"goog-k8s-cluster-name": "other-cluster", "goog-k8s-node-pool-name": "pool-2"});
    let instance = creation_with("/protoPayload/request/labels", labels);
    assert_eq!(instance.cluster.as_deref(), Some("other-cluster"));
    assert_eq!(instance.node_pool.as_deref(), Some("pool-2"));
}

#[test]
fn prefers_the_node_pool_of_karpenter() {
    let label = |key: &str, value: &str| json!({"key": key, "value": value});
    let template = label("goog-k8s-node-pool-name", "template");
    let own = label("karpenter-sh-nodepool", "own");
    let kubernetes = label("karpenter.sh/nodepool", "kubernetes");
    let underscore = label("karpenter-sh_nodepool", "underscore");
    for (labels, expected) in [
        (json!([underscore, kubernetes, template, own]), Some("own")),
        (json!([own, template]), Some("own")),
        (json!([template, underscore, kubernetes]), Some("kubernetes")),
        (json!([underscore, template]), Some("underscore")),
        (json!([template, label("karpenter-sh-nodepool", "")]), Some("template")),
        (json!([template]), Some("template")),
        (json!([]), None),
    ] {
        assert_eq!(creation_with("/protoPayload/request/labels", labels).node_pool.as_deref(), expected);
    }
    // The Compute API returns labels as an object.
    let listed = r#"{"zone": "z", "name": "n", "labels": {"goog-k8s-node-pool-name": "template",
        "goog-k8s-cluster-name": "c", "karpenter-sh-nodepool": "own"}}"#;
    let listed = serde_json::from_str::<Resource<'_>>(listed).unwrap().into_instance().unwrap();
    assert_eq!(listed.node_pool.as_deref(), Some("own"));
}

#[test]
fn has_no_cluster_without_the_cluster_label() {
    for labels in [json!([]), json!({}), json!(null), json!([{"key": "goog-k8s-cluster-name", "value": ""}])]
    {
        assert_eq!(creation_with("/protoPayload/request/labels", labels.clone()).cluster, None, "{labels}");
    }
}

#[test]
fn rejects_labels_of_the_wrong_type_in_creations() {
    for labels in [json!("goog-k8s-cluster-name"), json!(1), json!(1.5), json!(true)] {
        let event = event_with(CREATION, "/protoPayload/request/labels", labels.clone());
        assert_eq!(event, Err(audit_log::MALFORMED_LABELS), "{labels}");
        let event = event_with(INTERRUPTION, "/protoPayload/request/labels", labels.clone());
        assert!(matches!(event, Ok(Event::Interruption { .. })), "{labels}");
    }
}

#[test]
fn skips_malformed_labels() {
    let labels = json!([null, 1, "x", [], {}, {"key": 5}, {"value": "v"}, {"key": "goog-k8s-cluster-location"},
        {"key": "goog-k8s-cluster-name", "value": "c", "more": {"deep": [1, 2, 3]}}]);
    let instance = creation_with("/protoPayload/request/labels", labels);
    assert_eq!((instance.cluster.as_deref(), instance.location), (Some("c"), None));
}
