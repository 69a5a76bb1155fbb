//! Instances as the Compute API returns them.

use super::*;

#[test]
fn parses_a_listed_instance_like_a_created_one() {
    let listed = serde_json::from_str::<Resource<'_>>(LISTED).unwrap().into_instance().unwrap();
    assert_eq!(listed, Instance { created_at: time("2023-09-16T08:42:31.325Z"), ..gke_n1() });
}

#[test]
fn derives_running_from_the_status() {
    for (status, running) in [
        ("PROVISIONING", true),
        ("STAGING", true),
        ("RUNNING", true),
        ("REPAIRING", true),
        ("STOPPING", false),
        ("SUSPENDED", false),
        ("TERMINATED", false),
    ] {
        let listed = LISTED.replace("RUNNING", status);
        let instance = serde_json::from_str::<Resource<'_>>(&listed).unwrap().into_instance().unwrap();
        assert_eq!(instance.running, running, "{status}");
    }
    assert!(serde_json::from_str::<Resource<'_>>("{}").unwrap().into_instance().is_none());
    assert!(serde_json::from_str::<Resource<'_>>("[1]").unwrap().into_instance().is_none());
}
