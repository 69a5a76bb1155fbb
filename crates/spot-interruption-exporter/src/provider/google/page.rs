//! A page of a list of the Compute API: instances or operations, of all zones or of one.
//!
//! The structure of a response is parsed strictly: an unexpected response is an error, never an empty page. The items
//! define their own parsing.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::names::unseen_part;
use crate::inventory::Unseen;

/// Contents of a page.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// All zones in the page, with or without items.
    pub(super) zones: Vec<String>,
    /// Token of the next page.
    pub(super) next: Option<String>,
    /// Parts of the project that could not be listed.
    pub(super) unseen: Unseen,
    /// Description of the first of them.
    pub(super) reason: Option<String>,
}

/// An item of a page.
pub(super) trait Item: Sized {
    /// The item as the API encodes it.
    type Raw<'a>: Deserialize<'a>;

    /// Name of the items in errors.
    const PLURAL: &'static str;

    /// Converts an item. Returns `None` if the item is not needed.
    fn read(raw: Self::Raw<'_>) -> Option<Self>;
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageResponse<I> {
    items: Option<I>,
    next_page_token: Option<String>,
    unreachables: Option<Vec<String>>,
    warning: Option<Warning>,
}

/// The part of an aggregated response that belongs to one zone.
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

/// Parts of an aggregated response, by `zones/…`.
type Parts<R> = BTreeMap<String, Option<Part<R>>>;

impl<T: Item> Page<T> {
    /// Parses an aggregated response.
    ///
    /// # Errors
    /// Returns an error if the response has another structure.
    pub(super) fn aggregated(response: &[u8]) -> Result<Self, String> {
        Self::read(response, |page, parts: Parts<T::Raw<'_>>| {
            for (name, part) in parts {
                page.zones.extend(name.strip_prefix("zones/").map(str::to_owned));
                let Some(Part { items, warning }) = part else { continue };
                if let Some(code) = warning.and_then(Warning::problem_code) {
                    page.note_unseen(&name, format!("{name}: {code}"));
                }
                page.items.extend(items.into_iter().flatten().filter_map(T::read));
            }
        })
    }

    /// Parses the response for one zone.
    ///
    /// # Errors
    /// Returns an error if the response has another structure.
    pub(super) fn of_zone(response: &[u8]) -> Result<Self, String> {
        Self::read(response, |page, items: Vec<T::Raw<'_>>| {
            page.items.extend(items.into_iter().filter_map(T::read));
        })
    }

    fn read<'a, I: Deserialize<'a>>(
        response: &'a [u8],
        add: impl FnOnce(&mut Self, I),
    ) -> Result<Self, String> {
        let response: PageResponse<I> = serde_json::from_slice(response)
            .map_err(|error| format!("the response is not a list of {}: {error}", T::PLURAL))?;
        let mut page = Self {
            items: Vec::new(),
            zones: Vec::new(),
            next: response.next_page_token.filter(|token| !token.is_empty()),
            unseen: Unseen::default(),
            reason: None,
        };
        for name in response.unreachables.into_iter().flatten() {
            page.note_unseen(&name, format!("{name} cannot be reached"));
        }
        if let Some(items) = response.items {
            add(&mut page, items);
        }
        if let Some(code) = response.warning.and_then(Warning::problem_code)
            // If zones are named, this warning is only their summary.
            && page.unseen.is_empty()
        {
            page.unseen.add_everything();
            page.reason.get_or_insert(code);
        }
        Ok(page)
    }

    /// Notes that a part of the project could not be listed. If its name or URL contains no zone or region, the whole
    /// project counts as not listed.
    fn note_unseen(&mut self, name: &str, reason: String) {
        match unseen_part(name) {
            Some(zone) => self.unseen.add_zone(zone),
            None => self.unseen.add_everything(),
        }
        self.reason.get_or_insert(reason);
    }
}

impl Warning {
    /// Returns the code of a warning. The warning about empty results is ignored; any other means that items may be
    /// missing.
    fn problem_code(self) -> Option<String> {
        self.code.filter(|code| code != "NO_RESULTS_ON_PAGE")
    }
}
