//! A page of `instances.aggregatedList`.
//!
//! A complete listing also shows which instances are gone. Therefore the [structure](super::page) of a response is
//! parsed strictly, and only its instances leniently.

use super::page::{Item, Page};
use crate::instance::Instance;
use crate::provider::google::resource::Resource;

/// A page of instances.
pub(super) type InstancePage = Page<Instance<'static>>;

impl Item for Instance<'static> {
    type Raw<'a> = Resource<'a>;

    const PLURAL: &'static str = "instances";

    fn read(raw: Resource<'_>) -> Option<Self> {
        raw.into_instance().map(Instance::into_owned)
    }
}

/// Field mask with all fields of a page that are used.
pub(super) fn fields() -> String {
    let instance = Resource::FIELDS;
    format!("items/*/instances({instance}),items/*/warning/code,nextPageToken,unreachables,warning/code")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::InstanceId;
    use crate::inventory::Unseen;

    fn parse(response: &str) -> InstancePage {
        InstancePage::aggregated(response.as_bytes()).unwrap_or_else(|error| panic!("{response}: {error}"))
    }

    #[test]
    fn reads_instances_of_every_zone() {
        let page = parse(
            r#"{"kind": "compute#instanceAggregatedList", "nextPageToken": "Cg", "items": {
                "zones/b": {"instances": [{"id": "7", "zone": "b", "name": "n"}, {"status": "RUNNING"}, {"id": "8"}]},
                "zones/c": {"warning": {"code": "NO_RESULTS_ON_PAGE", "data": []}},
                "zones/d": {"instances": [{"id": 9, "labels": 1}], "warning": null},
                "zones/e": {"instances": null}, "zones/f": null}}"#,
        );
        let ids: Vec<_> =
            page.items.iter().filter_map(|instance| instance.instance.id).map(InstanceId::get).collect();
        assert_eq!(ids, [7, 8, 9]);
        assert_eq!((page.next.as_deref(), page.reason), (Some("Cg"), None));
        assert!(page.unseen.is_empty());
    }

    #[test]
    fn reports_unreachable_zones() {
        let mut zone = Unseen::default();
        zone.add_zone("b");
        let mut everything = Unseen::default();
        everything.add_everything();
        for (response, reason, unseen) in [
            (
                r#"{"items": {"zones/b": {"warning": {"code": "UNREACHABLE"}}}}"#,
                "zones/b: UNREACHABLE",
                &zone,
            ),
            (r#"{"unreachables": ["zones/b"]}"#, "zones/b cannot be reached", &zone),
            (r#"{"unreachables": ["global"]}"#, "global cannot be reached", &everything),
            (
                r#"{"unreachables": ["https://c/compute/v1/projects/p/zones/b/instances"]}"#,
                "https://c/compute/v1/projects/p/zones/b/instances cannot be reached",
                &zone,
            ),
            (
                r#"{"unreachables": ["projects/p/zones/b"], "warning": {"code": "UNREACHABLE"}}"#,
                "projects/p/zones/b cannot be reached",
                &zone,
            ),
            (r#"{"items": {}, "warning": {"code": "UNREACHABLE"}}"#, "UNREACHABLE", &everything),
        ] {
            let page = parse(response);
            assert_eq!((page.reason.as_deref(), &page.unseen), (Some(reason), unseen), "{response}");
        }
    }

    #[test]
    fn accepts_an_empty_page() {
        for response in [
            "{}",
            r#"{"items": {}}"#,
            r#"{"items": null, "nextPageToken": "", "unreachables": [], "warning": {"code": "NO_RESULTS_ON_PAGE"}}"#,
        ] {
            let page = parse(response);
            assert!(page.items.is_empty() && page.next.is_none() && page.unseen.is_empty(), "{response}");
        }
    }

    #[test]
    fn rejects_a_response_that_is_not_a_page() {
        for response in [
            "",
            "<html>",
            "null",
            "[]",
            r#"{"items": []}"#,
            r#"{"items": {"zones/b": []}}"#,
            r#"{"items": {"zones/b": {"instances": {}}}}"#,
            r#"{"nextPageToken": 7}"#,
            r#"{"items": {}} trailing"#,
            r#"{"items": {"zones/b": {"instances": [{"id": "7"}"#,
        ] {
            let error = InstancePage::aggregated(response.as_bytes()).expect_err(response);
            assert!(error.starts_with("the response is not a list of instances: "), "{error}");
        }
    }
}
