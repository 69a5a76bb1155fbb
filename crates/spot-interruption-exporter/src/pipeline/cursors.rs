//! The time up to which the operations of each scope are processed, so that a restart continues there.
//!
//! A scope's cursor moves to the end of a listing when every operation received until then has had its effect, in the
//! same commit as the last of them. Operations that are still held are listed again after a restart.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use crate::inventory::Scope;

/// The operations listings that are not fully processed.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    scopes: BTreeMap<Scope, VecDeque<Listing>>,
}

#[derive(Debug)]
struct Listing {
    number: u64,
    /// Operations without effect so far.
    outstanding: usize,
    end: ListingEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListingEnd {
    /// The listing is still running.
    Open,
    /// The time up to which the listing was complete; `None` for a partial listing.
    At(Option<Timestamp>),
}

impl Cursors {
    /// Notes operations received from a listing.
    pub(super) fn received(&mut self, scope: &Scope, number: u64, operations: usize) {
        self.listing(scope, number).outstanding += operations;
    }

    /// Notes the end of a listing. Returns the new cursor, if it moves.
    pub(super) fn finished(
        &mut self,
        scope: &Scope,
        number: u64,
        cursor: Option<Timestamp>,
    ) -> Option<Timestamp> {
        self.listing(scope, number).end = ListingEnd::At(cursor);
        self.advance(scope)
    }

    /// Notes that an operation has had its effect. Returns the new cursor, if it moves.
    pub(super) fn resolved(&mut self, scope: &Scope, number: u64) -> Option<Timestamp> {
        let listing = self.listing(scope, number);
        listing.outstanding = listing.outstanding.saturating_sub(1);
        self.advance(scope)
    }

    fn listing(&mut self, scope: &Scope, number: u64) -> &mut Listing {
        let listings = self.scopes.entry(scope.clone()).or_default();
        let index = listings.partition_point(|listing| listing.number < number);
        if listings.get(index).is_none_or(|listing| listing.number != number) {
            listings.insert(index, Listing { number, outstanding: 0, end: ListingEnd::Open });
        }
        &mut listings[index]
    }

    fn advance(&mut self, scope: &Scope) -> Option<Timestamp> {
        let listings = self.scopes.get_mut(scope)?;
        let mut cursor = None;
        while let Some(Listing { outstanding: 0, end: ListingEnd::At(end), .. }) = listings.front() {
            cursor = cursor.max(*end);
            listings.pop_front();
        }
        if listings.is_empty() {
            self.scopes.remove(scope);
        }
        cursor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_waits_for_earlier_operations() {
        let scope = Scope::project("p");
        let at = |second| Timestamp::from_second(second).ok();
        let mut cursors = Cursors::default();
        cursors.received(&scope, 1, 2);
        assert_eq!(cursors.finished(&scope, 1, at(10)), None);
        assert_eq!(
            cursors.finished(&scope, 2, at(20)),
            None,
            "nothing was new, but the first listing is not processed"
        );
        cursors.received(&scope, 3, 1);
        assert_eq!(cursors.resolved(&scope, 1), None);
        assert_eq!(cursors.resolved(&scope, 1), at(20));
        assert_eq!(cursors.resolved(&scope, 3), None, "the listing is still running");
        assert_eq!(cursors.finished(&scope, 3, None), None, "the listing was partial");
        assert_eq!(cursors.finished(&scope, 4, at(40)), at(40));
        assert!(cursors.scopes.is_empty());
    }
}
