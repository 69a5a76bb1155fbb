use super::*;
use crate::runs::{PolicyReceipt, ResourceChanges, Timestamp, Timing, WorkerPool};

const DEFAULT: &str = r#"{"account": "acme", "state": "FINISHED", "stateVersion": 4, "timestamp": 1596979684,
    "timestamp_millis": 1596979684123, "event_source": "spacelift", "event_type": "run_state_changed_event",
    "run": {"id": "01EF9PFPNFFM2MQXTJKHK1B869", "branch": "main", "createdAt": 1596979665, "type": "TRACKED",
        "triggeredBy": "api::01", "driftDetection": false, "url": "https://acme.app.spacelift.io/stack/network/run/01EF",
        "delta": {"added": 1, "changed": 2, "deleted": 3, "resources": 9}, "commit": {"authorName": "a"}},
    "stack": {"id": "network", "name": "Network", "labels": ["team:core"], "url": "https://…", "vcs": "GITHUB"},
    "workerPool": {"public": false, "id": "01G8", "name": "blue", "labels": []}}"#;

const POLICY: &str = r#"{"account": "acme", "state": "FINISHED", "username": "u",
    "run": {"id": "01EF9PFPNFFM2MQXTJKHK1B869", "type": "TRACKED", "created_at": 1596979665000000000,
        "updated_at": 1596979684123456789, "drift_detection": true, "changes": [
            {"action": "added", "phase": "plan"}, {"action": "changed", "phase": "plan"},
            {"action": "added", "phase": "apply"}, {"action": "destroy-Before-create-replaced", "phase": "apply"}, 7]},
    "stack": {"id": "network", "name": "Network", "space": {"id": "infra-01", "name": "infra"}},
    "timing": [{"state": "QUEUED", "duration": 1500000000}, {"state": 7}, {"state": "READY", "duration": -5}],
    "policy_receipts": [{"name": "p", "type": "PLAN", "outcome": "allow", "flags": []}, {"name": "p"}]}"#;

fn run(body: &str) -> RunUpdate {
    match parse(body.as_bytes()) {
        Ok(Payload { event: Event::Run(update), .. }) => *update,
        other => panic!("{other:?}"),
    }
}

#[test]
fn reads_the_default_payload() {
    assert_eq!(parse(DEFAULT.as_bytes()).unwrap().account.as_deref(), Some("acme"));
    let expected = RunUpdate {
        run: "01EF9PFPNFFM2MQXTJKHK1B869".to_owned(),
        stack: "network".to_owned(),
        state: "FINISHED".to_owned(),
        version: Some(4),
        at: Some(Timestamp(1_596_979_684_123_000)),
        created: Some(Timestamp(1_596_979_665_000_000)),
        run_type: Some("TRACKED".to_owned()),
        drift_detection: Some(false),
        worker_pool: Some(WorkerPool::Private("blue".to_owned())),
        changes: Some(ResourceChanges { added: 1, changed: 2, deleted: 3, replaced: None }),
        ..RunUpdate::default()
    };
    assert_eq!(run(DEFAULT), expected);
}

#[test]
fn reads_the_policy_payload() {
    let expected = RunUpdate {
        run: "01EF9PFPNFFM2MQXTJKHK1B869".to_owned(),
        stack: "network".to_owned(),
        state: "FINISHED".to_owned(),
        at: Some(Timestamp(1_596_979_684_123_456)),
        created: Some(Timestamp(1_596_979_665_000_000)),
        run_type: Some("TRACKED".to_owned()),
        drift_detection: Some(true),
        space: Some("infra-01".to_owned()),
        changes: Some(ResourceChanges { added: 1, changed: 0, deleted: 0, replaced: Some(1) }),
        timing: vec![
            Timing { state: "QUEUED".to_owned(), nanoseconds: 1_500_000_000 },
            Timing { state: "READY".to_owned(), nanoseconds: 0 },
        ],
        policies: vec![PolicyReceipt { policy_type: "PLAN".to_owned(), outcome: "allow".to_owned() }],
        ..RunUpdate::default()
    };
    assert_eq!(run(POLICY), expected);
    // The whole input of a policy, without a projection.
    let inner = POLICY.strip_prefix(r#"{"account": "acme", "#).unwrap();
    let whole = format!(r#"{{"account": {{"name": "acme"}}, "run_updated": {{{inner}}}"#);
    assert_eq!(run(&whole), expected);
    assert_eq!(parse(whole.as_bytes()).unwrap().account.as_deref(), Some("acme"));
}

#[test]
fn ignores_missing_and_invalid_fields() {
    let least = run(r#"{"state": "queued", "run": {"id": "r"}, "stack": {"id": "s"}}"#);
    let expected = RunUpdate {
        run: "r".to_owned(),
        stack: "s".to_owned(),
        state: "QUEUED".to_owned(),
        ..RunUpdate::default()
    };
    assert_eq!(least, expected);
    let wrong = run(
        r#"{"state": "QUEUED", "stateVersion": {}, "timestamp_millis": "x", "timestamp": null, "timing": 7,
            "run": {"id": "r", "type": 7, "createdAt": [], "driftDetection": "no", "delta": null, "changes": null},
            "stack": {"id": "s", "space": 7}, "workerPool": "blue", "policy_receipts": [[], {}]}"#,
    );
    assert_eq!(wrong, expected);
    let public = run(r#"{"state": "QUEUED", "stateVersion": "0", "run": {"id": "r"}, "stack": {"id": "s"},
            "workerPool": {"public": true, "name": "Public"}}"#);
    assert_eq!((public.version, public.worker_pool), (Some(0), Some(WorkerPool::Public)));
    let long =
        run(&format!(r#"{{"state": "A", "run": {{"id": "r"}}, "stack": {{"id": "{}"}}}}"#, "é".repeat(500)));
    assert_eq!(long.stack, "é".repeat(128));
}

#[test]
fn distinguishes_other_events_from_errors() {
    let event = |body: &str| parse(body.as_bytes()).map(|payload| payload.event);
    let error = r#"{"account": "acme", "title": "t", "body": "b", "error": "e", "severity": "warning"}"#;
    assert_eq!(event(error), Ok(Event::InternalError("WARNING".to_owned())));
    for other in [
        r#"{"account": "acme", "action": "stack.update", "actor": "a", "timestamp": 1596979684123, "data": {}}"#,
        r#"{"module": {"id": "m"}, "version": {"id": "v"}, "state": "ACTIVE"}"#,
        r#"{"module": {"id": "m"}, "run": {"id": "r"}, "state": "FINISHED"}"#,
        r#"{"severity": "ERROR"}"#,
        "{}",
        "[]",
        "null",
        "7",
        r#"{"run": "01"}"#,
    ] {
        assert_eq!(event(other), Ok(Event::Other), "{other}");
    }
    for (body, error) in [
        ("", PayloadError::Json),
        ("{", PayloadError::Json),
        ("run=1", PayloadError::Json),
        (r#"{"run": {"id": "r"}, "stack": {"id": "s"}}"#, PayloadError::Run),
        (r#"{"run": {"id": "r"}, "state": "QUEUED", "stack": {}}"#, PayloadError::Run),
        (r#"{"run": {}, "state": "QUEUED", "stack": {"id": "s"}}"#, PayloadError::Run),
    ] {
        assert_eq!(event(body), Err(error), "{body}");
    }
}

#[test]
fn bounds_the_work_for_hostile_documents() {
    let deep = format!(
        r#"{{"state": "QUEUED", "run": {{"id": "r"}}, "stack": {{"id": "s"}}, "note": {}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert_eq!(run(&deep).run, "r");
    assert!(parse("[".repeat(100_000).as_bytes()).is_err());
    let wide: String = (0..100_000).map(|number| format!(r#""{number}": {number}, "#)).collect();
    let wide = format!(r#"{{{wide}"state": "QUEUED"}}"#);
    assert_eq!(parse(wide.as_bytes()).map(|payload| payload.event), Ok(Event::Other));
    // A byte that is not UTF-8 is replaced.
    let body = [
        &br#"{"state": "QUEUED", "note": ""#[..],
        b"\xff",
        br#"", "run": {"id": "r"}, "stack": {"id": "s"}}"#,
    ];
    assert!(matches!(parse(&body.concat()).unwrap().event, Event::Run(_)));
}

#[test]
fn the_last_of_repeated_fields_counts() {
    let twice = run(r#"{"state": "QUEUED", "state": "READY", "run": {"id": "r"}, "stack": {"id": "s"}}"#);
    assert_eq!(twice.state, "READY");
}
