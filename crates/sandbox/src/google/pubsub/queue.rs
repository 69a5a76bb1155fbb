//! The messages of a subscription and their leases, without IO.
//!
//! A message is either ready or leased to a client. Time is a parameter, and [`Queue::tick`] expires leases,
//! so that unused subscriptions need no timers.

mod streams;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use google_cloud_googleapis::pubsub::v1;
use rand::{
    RngExt as _, SeedableRng as _,
    distr::{Alphanumeric, SampleString as _},
    rngs::StdRng,
};
use tokio::time::Instant;
use tonic::Status;

use super::{counts::Counts, faults::Faults, settings::Settings, stream::Stream, wire};

/// The maximum number of messages in a response, and the size in bytes at which it is full.
const BATCH: usize = 1000;
const BATCH_BYTES: usize = 1 << 20;

/// A message that is not acknowledged.
struct Delivery {
    /// The encoded `PubsubMessage`.
    message: Bytes,
    /// The number of deliveries so far.
    attempts: u32,
    /// Whether the message was acknowledged and is delivered again as an injected duplicate.
    is_duplicate: bool,
}

struct Lease {
    delivery: Delivery,
    until: Instant,
    holder: Holder,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Holder {
    /// A client without a stream.
    Puller,
    Stream(u64),
}

pub(super) struct Queue {
    settings: Settings,
    /// The prefix of acknowledgement ids. The rest is the number of the lease.
    ack_id_prefix: String,
    ready: VecDeque<Delivery>,
    leases: HashMap<u64, Lease>,
    /// Deadlines of leases. Entries of leases that were extended or released are stale and ignored.
    deadlines: BinaryHeap<Reverse<(Instant, u64)>>,
    next_lease: u64,
    streams: HashMap<u64, Stream>,
    /// The stream that received messages last.
    last_served: Option<u64>,
    /// How many times all streams have been reset.
    resets: u64,
    is_deleted: bool,
    counts: Counts,
    rng: StdRng,
}

impl Queue {
    pub(super) fn new(subscription: &v1::Subscription, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            settings: Settings::new(subscription),
            ack_id_prefix: Alphanumeric.sample_string(&mut rng, 24),
            ready: VecDeque::new(),
            leases: HashMap::new(),
            deadlines: BinaryHeap::new(),
            next_lease: 0,
            streams: HashMap::new(),
            last_served: None,
            resets: 0,
            is_deleted: false,
            counts: Counts::default(),
            rng,
        }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts { outstanding: self.leases.len() as u64, streams: self.streams.len() as u64, ..self.counts }
    }

    pub(super) fn publish(&mut self, messages: &[Bytes]) {
        self.counts.published += messages.len() as u64;
        self.counts.unacked += messages.len() as u64;
        self.ready.extend(messages.iter().map(|message| Delivery {
            message: message.clone(),
            attempts: 0,
            is_duplicate: false,
        }));
    }

    /// Removes all messages and closes the streams.
    pub(super) fn delete(&mut self) {
        self.is_deleted = true;
        self.ready.clear();
        self.leases.clear();
        self.deadlines.clear();
        self.counts.unacked = 0;
    }

    pub(super) fn reset_streams(&mut self) {
        self.resets += 1;
    }

    /// Expires leases.
    pub(super) fn tick(&mut self, now: Instant) {
        while let Some(&Reverse((due, lease))) = self.deadlines.peek()
            && due <= now
        {
            self.deadlines.pop();
            if self.leases.get(&lease).is_some_and(|held| held.until == due) {
                self.counts.expired += 1;
                self.release(lease);
            }
        }
    }

    /// Returns the time of the next lease expiry.
    pub(super) fn next_deadline(&mut self) -> Option<Instant> {
        loop {
            let &Reverse((due, lease)) = self.deadlines.peek()?;
            if self.leases.get(&lease).is_some_and(|held| held.until == due) {
                return Some(due);
            }
            self.deadlines.pop();
        }
    }

    /// Leases up to `max` messages to a client without a stream.
    pub(super) fn pull(&mut self, now: Instant, max: usize, faults: &Faults) -> Vec<wire::ReceivedMessage> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while taken.len() < max.min(BATCH) && bytes < BATCH_BYTES {
            let Some(received) = self.lease(now, Holder::Puller, self.settings.lease, faults) else { break };
            bytes += received.message.len();
            taken.push(received);
        }
        taken
    }

    /// Acknowledges messages. Returns the ids of expired leases, or an error if an id was never issued.
    pub(super) fn acknowledge(
        &mut self,
        now: Instant,
        ack_ids: &[String],
        faults: &Faults,
    ) -> Result<Vec<String>, Status> {
        let leases = self.parse(ack_ids)?;
        self.tick(now);
        let mut invalid = Vec::new();
        for (lease, ack_id) in leases.into_iter().zip(ack_ids) {
            if !self.leases.contains_key(&lease) {
                invalid.push(ack_id.clone());
            } else if faults.lost_acks > 0.0 && self.rng.random_bool(faults.lost_acks.min(1.0)) {
                self.counts.lost_acks += 1;
            } else if let Some(mut delivery) = self.end_lease(lease) {
                if delivery.is_duplicate {
                    continue;
                }
                self.counts.acked += 1;
                self.counts.unacked -= 1;
                if faults.duplicates > 0.0 && self.rng.random_bool(faults.duplicates.min(1.0)) {
                    delivery.is_duplicate = true;
                    self.ready.push_back(delivery);
                }
            }
        }
        Ok(invalid)
    }

    /// Changes the leases to `seconds` from now; zero releases them. Returns as
    /// [`acknowledge`](Self::acknowledge).
    pub(super) fn modify(
        &mut self,
        now: Instant,
        ack_ids: &[String],
        seconds: i32,
        faults: &Faults,
    ) -> Result<Vec<String>, Status> {
        let extension = match u64::try_from(seconds) {
            Ok(seconds @ 0..=600) => limited(Duration::from_secs(seconds), faults),
            _ => {
                return Err(Status::invalid_argument(format!(
                    "Invalid ack deadline given (ack_deadline_secs={seconds}). The ack deadline must be \
                     between 0 and 600 seconds."
                )));
            }
        };
        let leases = self.parse(ack_ids)?;
        self.tick(now);
        let mut invalid = Vec::new();
        for (lease, ack_id) in leases.into_iter().zip(ack_ids) {
            if !self.leases.contains_key(&lease) {
                invalid.push(ack_id.clone());
            } else if extension.is_zero() {
                self.counts.nacked += 1;
                self.release(lease);
            } else if let Some(held) = self.leases.get_mut(&lease) {
                held.until = now + extension;
                self.deadlines.push(Reverse((held.until, lease)));
            }
        }
        self.remove_stale_deadlines();
        Ok(invalid)
    }

    pub(super) fn is_exactly_once(&self) -> bool {
        self.settings.is_exactly_once
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.is_deleted
    }

    fn lease(
        &mut self,
        now: Instant,
        holder: Holder,
        lease: Duration,
        faults: &Faults,
    ) -> Option<wire::ReceivedMessage> {
        let mut delivery = if faults.reorder > 1 && self.ready.len() > 1 {
            let index = self.rng.random_range(0..faults.reorder.min(self.ready.len()));
            self.ready.swap_remove_front(index)?
        } else {
            self.ready.pop_front()?
        };
        if delivery.attempts > 0 {
            self.counts.redeliveries += 1;
        }
        delivery.attempts += 1;
        self.counts.deliveries += 1;
        let received = wire::ReceivedMessage {
            ack_id: format!("{}{:x}", self.ack_id_prefix, self.next_lease),
            message: delivery.message.clone(),
            // Google counts attempts only for subscriptions with dead letters.
            delivery_attempt: match self.settings.max_attempts {
                Some(_) => i32::try_from(delivery.attempts).unwrap_or(i32::MAX),
                None => 0,
            },
        };
        self.add_lease(delivery, now + limited(lease, faults), holder);
        Some(received)
    }

    fn add_lease(&mut self, delivery: Delivery, until: Instant, holder: Holder) {
        let lease = self.next_lease;
        self.next_lease += 1;
        self.leases.insert(lease, Lease { delivery, until, holder });
        self.deadlines.push(Reverse((until, lease)));
        self.remove_stale_deadlines();
    }

    /// Removes stale deadlines. Most leases are released long before their deadline.
    fn remove_stale_deadlines(&mut self) {
        if self.deadlines.len() > 2 * self.leases.len() + 1024 {
            let leases = &self.leases;
            self.deadlines
                .retain(|Reverse((due, lease))| leases.get(lease).is_some_and(|held| held.until == *due));
        }
    }

    fn end_lease(&mut self, lease: u64) -> Option<Delivery> {
        let Lease { delivery, holder, .. } = self.leases.remove(&lease)?;
        if let Holder::Stream(number) = holder
            && let Some(stream) = self.streams.get_mut(&number)
        {
            stream.messages -= 1;
            stream.bytes -= delivery.message.len() as u64;
        }
        Some(delivery)
    }

    /// Releases a lease: the message is ready again or, after its last attempt, a dead letter.
    fn release(&mut self, lease: u64) {
        let Some(delivery) = self.end_lease(lease) else { return };
        let is_last = self.settings.max_attempts.is_some_and(|most| delivery.attempts >= most);
        if !is_last {
            self.ready.push_back(delivery);
        } else if !delivery.is_duplicate {
            self.counts.dead_lettered += 1;
            self.counts.unacked -= 1;
        }
    }

    /// Returns the numbers of leases by their acknowledgement ids.
    fn parse(&self, ack_ids: &[String]) -> Result<Vec<u64>, Status> {
        if ack_ids.is_empty() {
            return Err(Status::invalid_argument("No ack ids specified."));
        }
        let parse = |ack_id: &String| {
            let number = ack_id.strip_prefix(&self.ack_id_prefix)?;
            u64::from_str_radix(number, 16).ok().filter(|number| *number < self.next_lease)
        };
        ack_ids
            .iter()
            .map(|ack_id| {
                parse(ack_id).ok_or_else(|| {
                    Status::invalid_argument(format!(
                        "You have passed an invalid ack ID to the service (ack_id={ack_id})."
                    ))
                })
            })
            .collect()
    }
}

fn limited(lease: Duration, faults: &Faults) -> Duration {
    faults.max_lease.map_or(lease, |most| lease.min(most))
}
