//! For arbitrary bytes: decoding a message of SQS does not panic, and an event identifies its instance by a valid id.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spot_interruption_exporter::event::{Event, Reasons};
use spot_interruption_exporter::provider::aws::event::{AwsReasons, parse};

fuzz_target!(|bytes: &[u8]| {
    let reasons = AwsReasons::add_to(&mut Reasons::default());
    let parsed = parse(bytes, &reasons);
    assert_eq!(parsed, parse(bytes, &reasons));
    let Ok(entry) = parsed else { return };
    match entry.event {
        Event::Interruption { instance, .. } => {
            assert!(instance.id.is_some());
            assert!(instance.name.is_some_and(|name| name.starts_with("i-")));
            assert_eq!(entry.operation_id.as_deref(), Some("interruption"));
        }
        Event::UnlabelledCreation(instance) => assert!(instance.id.is_some()),
        Event::Ignored(_) => {}
        other => panic!("{other:?}"),
    }
});
