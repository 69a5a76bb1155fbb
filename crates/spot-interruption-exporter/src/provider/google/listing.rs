//! A page of `instances.aggregatedList`.
//!
//! What the exporter takes for a complete listing also says which instances are gone. So the frame of an answer is
//! read strictly - a page that is not what the API gives is an error, never an empty page - and only the instances
//! in it leniently.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;

use super::names::unseen_part;
use crate::instance::Instance;
use crate::inventory::Unseen;
use crate::provider::google::resource::Resource;

/// The most pages of one listing. At 500 instances each that is a million instances.
const MOST_PAGES: usize = 2_000;

/// The pages of one listing, by their tokens: each is asked for once, and their number is bounded.
#[derive(Debug, Default)]
pub(super) struct Pages {
    tokens: HashSet<String>,
}

impl Pages {
    /// Notes the token of the page to ask for next.
    ///
    /// # Errors
    /// The page was asked for before, or there are too many: such a listing would never end.
    pub(super) fn follow(&mut self, token: &str) -> Result<(), String> {
        if !self.tokens.insert(token.to_owned()) {
            return Err("the API repeats a page".to_owned());
        }
        // The first page has no token.
        if self.tokens.len() >= MOST_PAGES {
            return Err(format!("the list has more than {MOST_PAGES} pages"));
        }
        Ok(())
    }
}

/// What a page consists of.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) instances: Vec<Instance<'static>>,
    /// Where the next page begins.
    pub(super) next: Option<String>,
    /// The parts of the project that could not be seen.
    pub(super) unseen: Unseen,
    /// What the API says of the first of them.
    pub(super) reason: Option<String>,
}

/// The field mask for all that is read of a page.
pub(super) fn fields() -> String {
    let instance = Resource::FIELDS;
    format!("items/*/instances({instance}),items/*/warning/code,nextPageToken,unreachables,warning/code")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(borrow)]
    items: Option<BTreeMap<String, Option<Scope<'a>>>>,
    next_page_token: Option<String>,
    unreachables: Option<Vec<String>>,
    warning: Option<Warning>,
}

#[derive(Deserialize)]
struct Scope<'a> {
    #[serde(borrow)]
    instances: Option<Vec<Resource<'a>>>,
    warning: Option<Warning>,
}

#[derive(Deserialize)]
pub(super) struct Warning {
    code: Option<String>,
}

impl Page {
    /// Reads an answer.
    pub(super) fn parse(answer: &[u8]) -> Result<Self, String> {
        let answer: Answer<'_> = serde_json::from_slice(answer)
            .map_err(|error| format!("the answer is no list of instances: {error}"))?;
        let mut page =
            Self { next: answer.next_page_token.filter(|token| !token.is_empty()), ..Self::default() };
        for name in answer.unreachables.into_iter().flatten() {
            page.is_blind(&name, format!("{name} cannot be reached"));
        }
        for (name, scope) in answer.items.unwrap_or_default() {
            let Some(scope) = scope else { continue };
            if let Some(code) = scope.warning.and_then(Warning::trouble) {
                page.is_blind(&name, format!("{name}: {code}"));
            }
            let instances = scope.instances.into_iter().flatten();
            page.instances.extend(instances.filter_map(Resource::into_instance).map(Instance::into_owned));
        }
        if let Some(code) = answer.warning.and_then(Warning::trouble) {
            // Where zones are named, this only says that there are some.
            if page.unseen.is_empty() {
                page.unseen.add_everything();
                page.reason.get_or_insert(code);
            }
        }
        Ok(page)
    }

    /// A part of the project could not be seen. Its name or URL says which zone or region it is, and where it does not,
    /// nothing of the project counts as seen.
    fn is_blind(&mut self, name: &str, reason: String) {
        match unseen_part(name) {
            Some(zone) => self.unseen.add_zone(zone),
            None => self.unseen.add_everything(),
        }
        self.reason.get_or_insert(reason);
    }
}

impl Warning {
    /// What is empty says so in a warning; any other one means that instances may be missing.
    pub(super) fn trouble(self) -> Option<String> {
        self.code.filter(|code| code != "NO_RESULTS_ON_PAGE")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::InstanceId;

    fn parse(answer: &str) -> Page {
        Page::parse(answer.as_bytes()).unwrap_or_else(|error| panic!("{answer}: {error}"))
    }

    #[test]
    fn a_listing_ends() {
        let mut pages = Pages::default();
        assert_eq!(pages.follow("a"), Ok(()));
        assert_eq!(pages.follow("b"), Ok(()));
        // A page that repeats any earlier one starts a circle, not only one that repeats the last.
        assert_eq!(pages.follow("a"), Err("the API repeats a page".to_owned()));

        let mut pages = Pages::default();
        let allowed = (0..10_000).take_while(|page| pages.follow(&page.to_string()).is_ok()).count();
        assert_eq!(allowed, MOST_PAGES - 1, "with the first page, which has no token, that is all");
    }

    #[test]
    fn instances_are_read_from_every_scope() {
        let page = parse(
            r#"{"kind": "compute#instanceAggregatedList", "nextPageToken": "Cg", "items": {
                "zones/b": {"instances": [{"id": "7", "zone": "b", "name": "n"}, {"status": "RUNNING"}, {"id": "8"}]},
                "zones/c": {"warning": {"code": "NO_RESULTS_ON_PAGE", "data": []}},
                "zones/d": {"instances": [{"id": 9, "labels": 1}], "warning": null},
                "zones/e": {"instances": null}, "zones/f": null}}"#,
        );
        let ids: Vec<_> =
            page.instances.iter().filter_map(|instance| instance.instance.id).map(InstanceId::get).collect();
        assert_eq!(ids, [7, 8, 9]);
        assert_eq!((page.next.as_deref(), page.reason), (Some("Cg"), None));
        assert!(page.unseen.is_empty());
    }

    #[test]
    fn what_cannot_be_reached_is_said() {
        let mut zone = Unseen::default();
        zone.add_zone("b");
        let mut everything = Unseen::default();
        everything.add_everything();
        for (answer, reason, unseen) in [
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
            let page = parse(answer);
            assert_eq!((page.reason.as_deref(), &page.unseen), (Some(reason), unseen), "{answer}");
        }
    }

    #[test]
    fn an_empty_page_is_a_page() {
        for answer in [
            "{}",
            r#"{"items": {}}"#,
            r#"{"items": null, "nextPageToken": "", "unreachables": [], "warning": {"code": "NO_RESULTS_ON_PAGE"}}"#,
        ] {
            let page = parse(answer);
            assert!(page.instances.is_empty() && page.next.is_none() && page.unseen.is_empty(), "{answer}");
        }
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for answer in [
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
            let error = Page::parse(answer.as_bytes()).expect_err(answer);
            assert!(error.starts_with("the answer is no list of instances: "), "{error}");
        }
    }
}
