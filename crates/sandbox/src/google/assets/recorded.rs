//! Operations of the API and recorded requests.

use std::{collections::HashMap, fmt};

use hyper::HeaderMap;
use tokio::time::Instant;

use crate::reply::{Overrides, Reply};

/// An operation of the API.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Operation {
    /// `searchAllResources`, any page.
    Search,
    /// One page of `searchAllResources`, counted from 1.
    Page(usize),
}

/// A request, recorded on arrival.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The operation; `None` for an unknown path.
    pub operation: Option<Operation>,
    /// The scope of the search: `folders/7`.
    pub scope: Option<String>,
    /// The path of the URL.
    pub path: String,
    /// The query parameters. The last value of a repeated parameter wins.
    pub query: HashMap<String, String>,
    /// The HTTP headers.
    pub headers: HeaderMap,
    /// The number of the connection, from zero. A restart resets it.
    pub connection: u64,
    /// The time of arrival.
    pub at: Instant,
}

impl Operation {
    /// The operation under which requests are counted: every search has exactly one first page.
    pub(super) fn counted(self) -> Self {
        match self {
            Self::Search => Self::Page(1),
            Self::Page(_) => self,
        }
    }

    /// Takes the next override of the operation. Overrides of a single page take precedence.
    pub(super) fn next_override(self, overrides: &mut Overrides<Self>) -> Option<Reply> {
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
