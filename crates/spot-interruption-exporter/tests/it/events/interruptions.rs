//! Log entries of interruptions.

use super::*;

#[test]
fn parses_an_interruption() {
    let entry = read(INTERRUPTION).unwrap();
    let Event::Interruption { instance: found, reason } = entry.event else { panic!("{entry:?}") };
    assert_eq!(found, instance(Some(ID), Some("mock-project"), "gke-n1"));
    assert_eq!(InterruptionMethods::default().reasons().label(reason), "preempted");
    assert_eq!(entry.insert_id.as_deref(), Some("qnwer3e38dfz"));
    assert_eq!(entry.operation_id.as_deref(), Some("systemevent-1694860946116-1"));
    assert_eq!(entry.timestamp, time("2023-09-16T10:42:31.325309Z"));
}

#[test]
fn parses_the_interruption_of_the_readme() {
    let entry = read(INTERRUPTION_README).unwrap();
    let Event::Interruption { instance: found, .. } = entry.event else { panic!("{entry:?}") };
    assert_eq!(found, instance(None, Some("mock-project"), "mock-instance-spot-3706-5b909138-nr65"));
    assert_eq!((entry.insert_id, entry.operation_id, entry.timestamp), (None, None, None));
}

#[test]
fn maps_interruption_methods_to_reasons() {
    let methods = InterruptionMethods::new([
        "compute.instances.preempted",
        "compute.instances.hostError",
        "v1.compute.instances.preempted",
        "compute.instances.guestTerminate",
    ])
    .unwrap();
    let label = |method| methods.reason(method).map(|reason| methods.reasons().label(reason));
    assert_eq!(label("compute.instances.preempted"), Some("preempted"));
    assert_eq!(label("v1.compute.instances.preempted"), Some("preempted"));
    assert_eq!(label("compute.instances.hostError"), Some("host_error"));
    assert_eq!(label("compute.instances.guestTerminate"), Some("guest_terminate"));
    for method in ["beta.compute.instances.preempted", "alpha.compute.instances.preempted"] {
        assert_eq!(label(method), Some("preempted"), "{method}");
    }
    assert_eq!(label("v1.compute.instances.hostError"), Some("host_error"));
    assert_eq!(label("compute.instances.automaticRestart"), None);
    assert_eq!(label("xcompute.instances.preempted"), None);
    assert_eq!(
        methods.reason("compute.instances.preempted"),
        methods.reason("v1.compute.instances.preempted"),
        "methods of one time series have one reason"
    );

    let versioned = InterruptionMethods::new(["beta.compute.instances.delete"]).unwrap();
    for method in ["compute.instances.delete", "v1.compute.instances.delete", "beta.compute.instances.delete"]
    {
        assert!(versioned.reason(method).is_some(), "{method}");
    }
    let mut preempted: Value = serde_json::from_str(INTERRUPTION).unwrap();
    preempted["protoPayload"]["methodName"] = json!("v1.compute.instances.preempted");
    assert!(matches!(event(&preempted.to_string()), Event::Interruption { .. }));

    let no_methods: [&str; 0] = [];
    assert_eq!(InterruptionMethods::new(no_methods).unwrap_err(), InvalidMethods::Empty);
    for name in ["", " ", "compute.instances.", "compute.instances.pre-empted", "compute instances"] {
        let error = InterruptionMethods::new([name]).unwrap_err();
        assert!(matches!(error, InvalidMethods::NotAMethod(_)), "{name}");
    }
}
