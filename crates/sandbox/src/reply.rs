//! Replies that tests set for an operation.

use std::{
    borrow::Borrow,
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    http::{endless, json, status, truncated},
    server::ServerAction,
};

/// What the server does instead of its normal response.
#[derive(Clone, Debug)]
pub enum Reply {
    /// HTTP 200 with this text as JSON, valid or not.
    Json(String),
    /// Any HTTP response.
    Status {
        /// The status code; an invalid one becomes 500.
        code: u16,
        /// Header names and values.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// HTTP 200 with any body, such as a compressed one.
    Bytes {
        /// Header names and values.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// The normal response after a delay.
    Delay(Duration),
    /// The normal response after the test releases the request.
    Hold(Hold),
    /// Resets the connection (TCP RST).
    Reset,
    /// Closes the connection in the middle of a response that is shorter than its `Content-Length`.
    Truncated,
    /// A response that never ends.
    Endless,
}

impl Reply {
    /// Returns an HTTP response without headers and body.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self::Status { code, headers: Vec::new(), body: String::new() }
    }

    /// Returns a GraphQL response with `data: null` and one error.
    #[must_use]
    pub fn graphql_error(message: &str) -> Self {
        Self::Json(serde_json::json!({ "data": null, "errors": [{ "message": message }] }).to_string())
    }

    /// Uses the reply for the next `count` requests.
    #[must_use]
    pub fn times(self, count: usize) -> Override {
        Override { reply: self, times: Some(count) }
    }

    /// Uses the reply for the next request.
    #[must_use]
    pub fn once(self) -> Override {
        self.times(1)
    }

    /// Returns the response; `None` for the normal one.
    pub(crate) async fn apply(self) -> Option<ServerAction> {
        match self {
            Self::Json(body) => Some(ServerAction::Respond(json(body))),
            Self::Status { code, headers, body } => Some(ServerAction::Respond(status(code, &headers, body))),
            Self::Bytes { headers, body } => Some(ServerAction::Respond(status(200, &headers, body))),
            Self::Delay(delay) => {
                tokio::time::sleep(delay).await;
                None
            }
            Self::Hold(hold) => {
                hold.pass().await;
                None
            }
            Self::Reset => Some(ServerAction::Reset),
            Self::Truncated => Some(ServerAction::Respond(truncated())),
            Self::Endless => Some(ServerAction::Respond(endless())),
        }
    }
}

/// A [`Reply`] with the number of its uses.
#[derive(Clone, Debug)]
pub struct Override {
    reply: Reply,
    /// Unlimited if `None`.
    times: Option<usize>,
}

impl From<Reply> for Override {
    fn from(reply: Reply) -> Self {
        Self { reply, times: None }
    }
}

/// Blocks requests until the test releases them. Clones share the same state.
#[derive(Clone, Debug, Default)]
pub struct Hold(watch::Sender<HoldState>);

#[derive(Debug, Default)]
struct HoldState {
    arrived: usize,
    released: bool,
}

impl Hold {
    /// Returns a hold without waiting requests.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until `count` requests have arrived, counted from the start.
    pub async fn arrived(&self, count: usize) {
        self.until(|state| state.arrived >= count).await;
    }

    /// Releases all waiting and future requests.
    pub fn release(&self) {
        self.0.send_modify(|state| state.released = true);
    }

    async fn pass(&self) {
        self.0.send_modify(|state| state.arrived += 1);
        self.until(|state| state.released).await;
    }

    async fn until(&self, condition: impl FnMut(&HoldState) -> bool) {
        // It fails only if the sender is dropped, but `self` owns it.
        let _ = self.0.subscribe().wait_for(condition).await;
    }
}

/// The active overrides by operation.
pub(crate) struct Overrides<K>(HashMap<K, OperationOverrides>);

#[derive(Default)]
struct OperationOverrides {
    /// Used first, in the order of insertion.
    counted: VecDeque<(Reply, usize)>,
    /// Used after the counted replies.
    standing: Option<Reply>,
}

impl<K> Default for Overrides<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Overrides<K> {
    pub(crate) fn add(&mut self, operation: K, Override { reply, times }: Override) {
        let overrides = self.0.entry(operation).or_default();
        match times {
            None => overrides.standing = Some(reply),
            Some(0) => {}
            Some(times) => overrides.counted.push_back((reply, times)),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Removes the replies to an operation.
    pub(crate) fn remove<Q>(&mut self, operation: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.remove(operation);
    }

    /// Takes the reply to a request. It uses up a counted reply.
    pub(crate) fn take<Q>(&mut self, operation: &Q) -> Option<Reply>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let overrides = self.0.get_mut(operation)?;
        let Some((reply, left)) = overrides.counted.front_mut() else {
            return overrides.standing.clone();
        };
        *left -= 1;
        if *left > 0 {
            return Some(reply.clone());
        }
        overrides.counted.pop_front().map(|(reply, _)| reply)
    }
}
