//! What can be asked, and what is remembered of a request.

use std::{collections::HashMap, fmt};

use hyper::HeaderMap;
use tokio::time::Instant;

use crate::reply::{Overrides, Reply};

/// What can be asked.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Operation {
    /// `searchAllResources`, whichever page.
    Search,
    /// One page of it, counted from 1.
    Page(usize),
}

/// A request, noted on arrival, however it was answered later.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// What was asked; none for a path that is not known here.
    pub operation: Option<Operation>,
    /// Where it was searched: `folders/7`.
    pub scope: Option<String>,
    /// The path.
    pub path: String,
    /// The query's parameters; of a repeated one the last value.
    pub query: HashMap<String, String>,
    /// The HTTP headers.
    pub headers: HeaderMap,
    /// The number of the connection, from zero; numbers start again with a restart.
    pub connection: u64,
    /// When it arrived.
    pub at: Instant,
}

impl Operation {
    /// Searches are counted by the page that each of them has.
    pub(super) fn counted(self) -> Self {
        match self {
            Self::Search => Self::Page(1),
            Self::Page(_) => self,
        }
    }

    /// What was prescribed for the operation; for a page, what was prescribed for just that goes first.
    pub(super) fn prescribed(self, overrides: &mut Overrides<Self>) -> Option<Reply> {
        overrides.take(&self).or_else(|| overrides.take(&Self::Search))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Search => f.write_str("search"),
            Self::Page(number) => write!(f, "page {number}"),
        }
    }
}
