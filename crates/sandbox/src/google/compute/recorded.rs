//! Operations of the API and recorded requests.

use std::{collections::HashMap, fmt};

use hyper::HeaderMap;
use tokio::time::Instant;

use crate::reply::{Overrides, Reply};

/// An operation of the API.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Operation {
    /// `instances.aggregatedList`, any page.
    List,
    /// One page of `instances.aggregatedList`, counted from 1.
    Page(usize),
    /// `instances.get`.
    Get,
    /// `globalOperations.aggregatedList`, any page.
    Operations,
    /// One page of `globalOperations.aggregatedList`, counted from 1.
    OperationsPage(usize),
    /// `zoneOperations.list`, any page and zone.
    ZoneOperations,
    /// One page of `zoneOperations.list`, counted from 1.
    ZoneOperationsPage(usize),
}

impl Operation {
    /// The operation under which requests are counted: every list has exactly one first page.
    pub(super) fn counted(self) -> Self {
        match self {
            Self::List => Self::Page(1),
            Self::Operations => Self::OperationsPage(1),
            Self::ZoneOperations => Self::ZoneOperationsPage(1),
            Self::Page(_) | Self::Get | Self::OperationsPage(_) | Self::ZoneOperationsPage(_) => self,
        }
    }

    /// Takes the next override of the operation. Overrides of a single page take precedence.
    pub(super) fn next_override(self, overrides: &mut Overrides<Self>) -> Option<Reply> {
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

/// A request, recorded on arrival.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The operation; `None` for an unknown path.
    pub operation: Option<Operation>,
    /// The id of the project; for an unknown project, its name in the path.
    pub project: Option<String>,
    /// The path of the URL.
    pub path: String,
    /// The query parameters.
    pub query: HashMap<String, String>,
    /// The HTTP headers.
    pub headers: HeaderMap,
    /// The number of the connection, from zero. A restart resets it.
    pub connection: u64,
    /// The time of arrival.
    pub at: Instant,
}
