//! For arbitrary bytes: decoding does not panic, an event identifies its instance, and the token of each message is
//! returned exactly once.

#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use spot_interruption_exporter::attribution::{Attribution, OPERATION_LATENESS, Settings};
use spot_interruption_exporter::event::{Event};
use spot_interruption_exporter::provider::google::audit_log::{InterruptionMethods, parse};
use spot_interruption_exporter::inventory::Scope;
use spot_interruption_exporter::provider::google::resource::Resource;

fuzz_target!(|bytes: &[u8]| {
    let parsed = parse(bytes, &InterruptionMethods::default());
    assert_eq!(parsed, parse(bytes, &InterruptionMethods::default()));
    if let Ok(entry) = &parsed {
        match &entry.event {
            Event::Interruption { instance, .. }
            | Event::UnlabelledCreation(instance)
            | Event::CreationFinished(instance) => assert!(instance.identifies()),
            Event::Creation(created) => assert!(created.instance.identifies()),
            Event::CreationFailed(_) | Event::BulkRequest { .. } | Event::Ignored(_) => {}
        }
    }

    let grace = Duration::from_secs(60);
    let mut attribution = Attribution::new(Settings {
        project: "mock-project".to_owned(),
        attribution_grace: grace,
        dedup_window: grace,
        tombstone_ttl: grace,
        fixed_scopes: Vec::new(),
        lateness: OPERATION_LATENESS,
    });
    let now = Instant::now();
    if let Ok(resource) = serde_json::from_slice::<Resource<'_>>(bytes)
        && let Some(instance) = resource.into_instance()
    {
        assert!(instance.instance.identifies());
        attribution.list(&Scope::project("mock-project"), &instance, now);
    }
    for token in 0..2 {
        attribution.message("id", parsed.clone(), token, now);
    }
    while let Some(lookup) = attribution.poll_lookup(now + grace / 2) {
        assert!(!lookup.zone.is_empty() && !lookup.instance.is_empty());
    }
    attribution.tick(now + grace);
    let mut tokens: Vec<u32> =
        std::iter::from_fn(|| attribution.poll_resolved()).map(|resolved| resolved.token).collect();
    tokens.sort_unstable();
    assert_eq!(tokens, [0, 1]);
});
