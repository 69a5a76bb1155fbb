//! Answers that a test prescribes for one operation.

use std::{
    borrow::Borrow,
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    http::{endless, json, status, truncated},
    server::Answer,
};

/// What happens to a request instead of the usual.
#[derive(Clone, Debug)]
pub enum Reply {
    /// HTTP 200 with this JSON text, whatever it is.
    Json(String),
    /// An HTTP answer of any kind.
    Status {
        /// The status code; one that HTTP does not know becomes 500.
        code: u16,
        /// Header names and values.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// HTTP 200 with any bytes, such as compressed ones.
    Bytes {
        /// Header names and values.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// The usual answer, this much later.
    Delay(Duration),
    /// The usual answer, once the test allows it.
    Hold(Hold),
    /// The connection is reset (TCP RST).
    Reset,
    /// An answer that announces more bytes than it has, then the end of the connection.
    Truncated,
    /// An answer that does not end until the client gives up.
    Endless,
}

impl Reply {
    /// An HTTP answer without headers or body.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self::Status { code, headers: Vec::new(), body: String::new() }
    }

    /// An answer in GraphQL's form with `data: null` and one error.
    #[must_use]
    pub fn graphql_error(message: &str) -> Self {
        Self::Json(serde_json::json!({ "data": null, "errors": [{ "message": message }] }).to_string())
    }

    /// Limits the reply to the next `count` requests.
    #[must_use]
    pub fn times(self, count: usize) -> Override {
        Override { reply: self, times: Some(count) }
    }

    /// Limits the reply to the next request.
    #[must_use]
    pub fn once(self) -> Override {
        self.times(1)
    }

    /// The answer, or none if it is to be the usual one.
    pub(crate) async fn give(self) -> Option<Answer> {
        match self {
            Self::Json(body) => Some(Answer::Response(json(body))),
            Self::Status { code, headers, body } => Some(Answer::Response(status(code, &headers, body))),
            Self::Bytes { headers, body } => Some(Answer::Response(status(200, &headers, body))),
            Self::Delay(delay) => {
                tokio::time::sleep(delay).await;
                None
            }
            Self::Hold(hold) => {
                hold.pass().await;
                None
            }
            Self::Reset => Some(Answer::Reset),
            Self::Truncated => Some(Answer::Response(truncated())),
            Self::Endless => Some(Answer::Response(endless())),
        }
    }
}

/// A [`Reply`] and how often it is given.
#[derive(Clone, Debug)]
pub struct Override {
    reply: Reply,
    /// For ever if absent.
    times: Option<usize>,
}

impl From<Reply> for Override {
    fn from(reply: Reply) -> Self {
        Self { reply, times: None }
    }
}

/// Lets a test keep requests waiting. Clones are handles to the same hold.
#[derive(Clone, Debug, Default)]
pub struct Hold(watch::Sender<HoldState>);

#[derive(Debug, Default)]
struct HoldState {
    arrived: usize,
    released: bool,
}

impl Hold {
    /// A hold that nothing has reached yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until `count` requests have arrived, counted from the start.
    pub async fn arrived(&self, count: usize) {
        self.until(|state| state.arrived >= count).await;
    }

    /// Lets through whoever waits or comes later.
    pub fn release(&self) {
        self.0.send_modify(|state| state.released = true);
    }

    async fn pass(&self) {
        self.0.send_modify(|state| state.arrived += 1);
        self.until(|state| state.released).await;
    }

    async fn until(&self, condition: impl FnMut(&HoldState) -> bool) {
        // An error would mean that the sender is gone, but `self` holds it.
        let _ = self.0.subscribe().wait_for(condition).await;
    }
}

/// The overrides in force, by operation.
pub(crate) struct Overrides<K>(HashMap<K, Prescribed>);

#[derive(Default)]
struct Prescribed {
    /// Given first, in the order in which they were prescribed.
    counted: VecDeque<(Reply, usize)>,
    /// Given when no counted one is left.
    standing: Option<Reply>,
}

impl<K> Default for Overrides<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Overrides<K> {
    pub(crate) fn add(&mut self, operation: K, Override { reply, times }: Override) {
        let prescribed = self.0.entry(operation).or_default();
        match times {
            None => prescribed.standing = Some(reply),
            Some(0) => {}
            Some(times) => prescribed.counted.push_back((reply, times)),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The reply to one request of an operation; a counted one is used up by this.
    pub(crate) fn take<Q>(&mut self, operation: &Q) -> Option<Reply>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let prescribed = self.0.get_mut(operation)?;
        let Some((reply, left)) = prescribed.counted.front_mut() else {
            return prescribed.standing.clone();
        };
        *left -= 1;
        if *left > 0 {
            return Some(reply.clone());
        }
        prescribed.counted.pop_front().map(|(reply, _)| reply)
    }
}
