//! What can be asked, and what is remembered of a request.

use std::{collections::HashMap, fmt};

use hyper::HeaderMap;
use tokio::time::Instant;

/// What can be asked.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Operation {
    /// `instances.aggregatedList`, whichever page.
    List,
    /// One page of it, counted from 1.
    Page(usize),
    /// `instances.get`.
    Get,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List => f.write_str("list"),
            Self::Page(number) => write!(f, "page {number}"),
            Self::Get => f.write_str("get"),
        }
    }
}

/// A request, noted on arrival, however it was answered later.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// What was asked; none for a path that Compute Engine does not have here.
    pub operation: Option<Operation>,
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
