//! How far the operations of each scope are dealt with, so that a restart begins there.
//!
//! A scope's cursor moves to the end of a listing once every operation that was offered up to then has had its effect, in
//! the same commit as the last of these. What is still held is offered again after a restart.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use crate::inventory::Scope;

/// The listings of operations that are not dealt with.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    scopes: BTreeMap<Scope, VecDeque<Listing>>,
}

#[derive(Debug)]
struct Listing {
    number: u64,
    /// Operations without effect so far.
    outstanding: usize,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It goes on.
    Open,
    /// Up to when it had all operations; `None` for one that had a part of them.
    At(Option<Timestamp>),
}

impl Cursors {
    /// A listing offers so many operations.
    pub(super) fn offered(&mut self, scope: &Scope, number: u64, operations: usize) {
        self.listing(scope, number).outstanding += operations;
    }

    /// A listing has ended. Returns the cursor, if it moves.
    pub(super) fn ended(
        &mut self,
        scope: &Scope,
        number: u64,
        cursor: Option<Timestamp>,
    ) -> Option<Timestamp> {
        self.listing(scope, number).end = End::At(cursor);
        self.advance(scope)
    }

    /// An operation has had its effect. Returns the cursor, if it moves.
    pub(super) fn resolved(&mut self, scope: &Scope, number: u64) -> Option<Timestamp> {
        let listing = self.listing(scope, number);
        listing.outstanding = listing.outstanding.saturating_sub(1);
        self.advance(scope)
    }

    fn listing(&mut self, scope: &Scope, number: u64) -> &mut Listing {
        let listings = self.scopes.entry(scope.clone()).or_default();
        let index = listings.partition_point(|listing| listing.number < number);
        if listings.get(index).is_none_or(|listing| listing.number != number) {
            listings.insert(index, Listing { number, outstanding: 0, end: End::Open });
        }
        &mut listings[index]
    }

    fn advance(&mut self, scope: &Scope) -> Option<Timestamp> {
        let listings = self.scopes.get_mut(scope)?;
        let mut cursor = None;
        while let Some(Listing { outstanding: 0, end: End::At(end), .. }) = listings.front() {
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
    fn a_cursor_waits_for_what_was_offered_before_it() {
        let scope = Scope::project("p");
        let at = |second| Timestamp::from_second(second).ok();
        let mut cursors = Cursors::default();
        cursors.offered(&scope, 1, 2);
        assert_eq!(cursors.ended(&scope, 1, at(10)), None);
        assert_eq!(
            cursors.ended(&scope, 2, at(20)),
            None,
            "there was nothing new, but the first one is not done"
        );
        cursors.offered(&scope, 3, 1);
        assert_eq!(cursors.resolved(&scope, 1), None);
        assert_eq!(cursors.resolved(&scope, 1), at(20));
        assert_eq!(cursors.resolved(&scope, 3), None, "the listing goes on");
        assert_eq!(cursors.ended(&scope, 3, None), None, "it had a part of the operations");
        assert_eq!(cursors.ended(&scope, 4, at(40)), at(40));
        assert!(cursors.scopes.is_empty());
    }
}
