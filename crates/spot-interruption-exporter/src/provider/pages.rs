//! Page tokens of a listing.

use std::collections::HashSet;

/// Maximum number of pages in a listing. With 500 instances per page, that is a million instances.
const MAX_PAGES: usize = 2_000;

/// The page tokens of a listing. Each page is requested once, and their number is limited.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    tokens: HashSet<String>,
}

impl Pages {
    /// Notes the token of the next page.
    ///
    /// # Errors
    /// Returns an error if the page was requested before or if there are too many pages: the listing would not end.
    pub(crate) fn follow(&mut self, token: &str) -> Result<(), String> {
        if !self.tokens.insert(token.to_owned()) {
            return Err("the API repeats a page".to_owned());
        }
        // The first page has no token.
        if self.tokens.len() >= MAX_PAGES {
            return Err(format!("the list has more than {MAX_PAGES} pages"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_endless_listings() {
        let mut pages = Pages::default();
        assert_eq!(pages.follow("a"), Ok(()));
        assert_eq!(pages.follow("b"), Ok(()));
        // A page that repeats any earlier page starts a cycle.
        assert_eq!(pages.follow("a"), Err("the API repeats a page".to_owned()));

        let mut pages = Pages::default();
        let allowed = (0..10_000).take_while(|page| pages.follow(&page.to_string()).is_ok()).count();
        assert_eq!(allowed, MAX_PAGES - 1, "the first page has no token");
    }
}
