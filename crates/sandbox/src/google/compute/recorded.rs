//! What can be asked, and what is remembered of a request.

use std::{collections::HashMap, fmt};

use hyper::HeaderMap;
use tokio::time::Instant;

use crate::reply::{Overrides, Reply};

/// What can be asked.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Operation {
    /// `instances.aggregatedList`, whichever page.
    List,
    /// One page of it, counted from 1.
    Page(usize),
    /// `instances.get`.
    Get,
    /// `globalOperations.aggregatedList`, whichever page.
    Operations,
    /// One page of it, counted from 1.
    OperationsPage(usize),
    /// `zoneOperations.list`, whichever page and zone.
    ZoneOperations,
    /// One page of it, counted from 1.
    ZoneOperationsPage(usize),
}

impl Operation {
    /// Lists are counted by the page that each of them has.
    pub(super) fn counted(self) -> Self {
        match self {
            Self::List => Self::Page(1),
            Self::Operations => Self::OperationsPage(1),
            Self::ZoneOperations => Self::ZoneOperationsPage(1),
            Self::Page(_) | Self::Get | Self::OperationsPage(_) | Self::ZoneOperationsPage(_) => self,
        }
    }

    /// What was prescribed for the operation; for a page, what was prescribed for just that goes first.
    pub(super) fn prescribed(self, overrides: &mut Overrides<Self>) -> Option<Reply> {
        overrides.take(&self).or_else(|| match self {
            Self::Page(_) => overrides.take(&Self::List),
            Self::OperationsPage(_) => overrides.take(&Self::Operations),
            Self::ZoneOperationsPage(_) => overrides.take(&Self::ZoneOperations),
            Self::List | Self::Get | Self::Operations | Self::ZoneOperations => None,
        })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List => f.write_str("list"),
            Self::Page(number) => write!(f, "page {number}"),
            Self::Get => f.write_str("get"),
            Self::Operations => f.write_str("operations"),
            Self::OperationsPage(number) => write!(f, "operations page {number}"),
            Self::ZoneOperations => f.write_str("zone operations"),
            Self::ZoneOperationsPage(number) => write!(f, "zone operations page {number}"),
        }
    }
}

/// A request, noted on arrival, however it was answered later.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// What was asked; none for a path that Compute Engine does not have here.
    pub operation: Option<Operation>,
    /// The id of the project, or what the path has in its place.
    pub project: Option<String>,
    /// The path.
    pub path: String,
    /// The query's parameters.
    pub query: HashMap<String, String>,
    /// The HTTP headers.
    pub headers: HeaderMap,
    /// The number of the connection, from zero; numbers start again with a restart.
    pub connection: u64,
    /// When it arrived.
    pub at: Instant,
}
