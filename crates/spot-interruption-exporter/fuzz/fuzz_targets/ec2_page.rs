//! For arbitrary bytes: parsing a page of instances does not panic, and every instance has an id, the account and the
//! region that were requested.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spot_interruption_exporter::provider::aws::instance_page::InstancePage;
use spot_interruption_exporter::provider::aws::tags::TagKeys;

fuzz_target!(|bytes: &[u8]| {
    let Ok(page) = InstancePage::parse(bytes, "123456789012", "eu-central-1", &TagKeys::default()) else { return };
    for described in page.instances {
        let instance = described.instance;
        assert!(instance.instance.id.is_some() && instance.spot);
        assert_eq!(instance.instance.project.as_deref(), Some("123456789012"));
        assert_eq!(instance.location.as_deref(), Some("eu-central-1"));
        assert!(!(instance.running && described.interrupted.is_some()));
    }
});
