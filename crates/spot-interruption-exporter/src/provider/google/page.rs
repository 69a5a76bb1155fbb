//! A page of a list of the Compute API, whatever it lists: instances or operations, of all zones or of one.
//!
//! The frame of an answer is read strictly - a page that is not what the API gives is an error, never an empty page.
//! How what is listed is read is for those who list it.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;

use super::names::unseen_part;
use crate::inventory::Unseen;

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
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// Every zone that the page names, with items or without.
    pub(super) zones: Vec<String>,
    /// Where the next page begins.
    pub(super) next: Option<String>,
    /// The parts of the project that could not be seen.
    pub(super) unseen: Unseen,
    /// What the API says of the first of them.
    pub(super) reason: Option<String>,
}

/// What can be read of a page's items.
pub(super) trait Item: Sized {
    /// As the API writes it.
    type Raw<'a>: Deserialize<'a>;

    /// What a list of these is called, in errors.
    const PLURAL: &'static str;

    /// `None` for one that says nothing here.
    fn read(raw: Self::Raw<'_>) -> Option<Self>;
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<I> {
    items: Option<I>,
    next_page_token: Option<String>,
    unreachables: Option<Vec<String>>,
    warning: Option<Warning>,
}

/// The part of an answer about all zones that is about one.
#[derive(Deserialize)]
struct Part<R> {
    #[serde(alias = "instances", alias = "operations")]
    items: Option<Vec<R>>,
    warning: Option<Warning>,
}

#[derive(Deserialize)]
struct Warning {
    code: Option<String>,
}

/// A page of all zones, by `zones/…`.
type Parts<R> = BTreeMap<String, Option<Part<R>>>;

impl<T: Item> Page<T> {
    /// Reads an answer about all zones.
    ///
    /// # Errors
    /// It is no such answer.
    pub(super) fn aggregated(answer: &[u8]) -> Result<Self, String> {
        Self::read(answer, |page, parts: Parts<T::Raw<'_>>| {
            for (name, part) in parts {
                page.zones.extend(name.strip_prefix("zones/").map(str::to_owned));
                let Some(Part { items, warning }) = part else { continue };
                if let Some(code) = warning.and_then(Warning::trouble) {
                    page.is_blind(&name, format!("{name}: {code}"));
                }
                page.items.extend(items.into_iter().flatten().filter_map(T::read));
            }
        })
    }

    /// Reads an answer about one zone.
    ///
    /// # Errors
    /// It is no such answer.
    pub(super) fn of_zone(answer: &[u8]) -> Result<Self, String> {
        Self::read(answer, |page, items: Vec<T::Raw<'_>>| {
            page.items.extend(items.into_iter().filter_map(T::read));
        })
    }

    fn read<'a, I: Deserialize<'a>>(
        answer: &'a [u8],
        add: impl FnOnce(&mut Self, I),
    ) -> Result<Self, String> {
        let answer: Answer<I> = serde_json::from_slice(answer)
            .map_err(|error| format!("the answer is no list of {}: {error}", T::PLURAL))?;
        let mut page = Self {
            items: Vec::new(),
            zones: Vec::new(),
            next: answer.next_page_token.filter(|token| !token.is_empty()),
            unseen: Unseen::default(),
            reason: None,
        };
        for name in answer.unreachables.into_iter().flatten() {
            page.is_blind(&name, format!("{name} cannot be reached"));
        }
        if let Some(items) = answer.items {
            add(&mut page, items);
        }
        if let Some(code) = answer.warning.and_then(Warning::trouble)
            // Where zones are named, this only says that there are some.
            && page.unseen.is_empty()
        {
            page.unseen.add_everything();
            page.reason.get_or_insert(code);
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
    /// What is empty says so in a warning; any other one means that items may be missing.
    fn trouble(self) -> Option<String> {
        self.code.filter(|code| code != "NO_RESULTS_ON_PAGE")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
