//! The messages of a queue and their visibility, without IO. Time is a parameter.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rand::{
    RngExt as _, SeedableRng as _,
    distr::{Alphanumeric, SampleString as _},
    rngs::StdRng,
};
use tokio::time::Instant;

use super::{
    faults::{QueueFaults, StaleReceipts},
    messages::{Message, Received, md5},
    receipt::Receipt,
};
use crate::aws::error::{AwsError, Result};

/// The longest time from a receive during which a message can stay invisible.
const LONGEST_INVISIBILITY: Duration = Duration::from_secs(12 * 60 * 60);

/// Counts of a queue.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct QueueCounts {
    /// Messages sent since the start, with injected duplicates.
    pub sent: u64,
    /// Messages that can be received now.
    pub visible: u64,
    /// Messages that were received and are neither deleted nor visible again.
    pub in_flight: u64,
    /// Messages deleted since the start.
    pub deleted: u64,
    /// Receives since the start, several of a message included.
    pub receives: u64,
    /// Visibility timeouts that expired since the start.
    pub expired: u64,
    /// Visibility timeouts that consumers extended or shortened since the start, including those set to zero.
    pub visibility_changes: u64,
    /// Deletions without effect (an injected fault).
    pub lost_deletes: u64,
}

/// The messages of a queue.
pub(super) struct QueueCore {
    /// Distinguishes the receipt handles of this queue.
    prefix: String,
    messages: HashMap<u64, Message>,
    /// Messages to receive next. Entries of messages that are deleted or in flight are stale, except injected
    /// duplicates.
    ready: VecDeque<Ready>,
    /// Ends of visibility timeouts. Entries of messages whose timeout has changed are stale.
    deadlines: BinaryHeap<Reverse<(Instant, u64)>>,
    next: u64,
    pub(super) counts: QueueCounts,
    pub(super) faults: QueueFaults,
    rng: StdRng,
}

struct Ready {
    message: u64,
    /// Whether the message is received even if it is in flight.
    is_duplicate: bool,
}

impl QueueCore {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            prefix: Alphanumeric.sample_string(&mut rng, 16),
            messages: HashMap::new(),
            ready: VecDeque::new(),
            deadlines: BinaryHeap::new(),
            next: 0,
            counts: QueueCounts::default(),
            faults: QueueFaults::default(),
            rng,
        }
    }

    /// Adds a message. Returns its id.
    pub(super) fn send(&mut self, body: &str, sent: SystemTime) -> String {
        let (body, md5) = (Arc::<str>::from(body), md5(body));
        let copies = if self.chance(self.faults.duplicate_sends) { 2 } else { 1 };
        let mut id = String::new();
        for _ in 0..copies {
            let message = Message::new(Arc::clone(&body), Arc::clone(&md5), sent, &mut self.rng);
            id.clone_from(&message.id);
            let number = self.next;
            self.next += 1;
            self.messages.insert(number, message);
            self.ready.push_back(Ready { message: number, is_duplicate: false });
            self.counts.sent += 1;
            self.counts.visible += 1;
        }
        id
    }

    /// Makes the messages visible whose timeout has expired.
    pub(super) fn tick(&mut self, now: Instant) {
        while let Some(&Reverse((due, number))) = self.deadlines.peek()
            && due <= now
        {
            self.deadlines.pop();
            if self.messages.get(&number).is_some_and(|message| message.hidden_until == Some(due)) {
                self.counts.expired += 1;
                self.show(number);
            }
        }
    }

    /// Makes all messages in flight visible.
    pub(super) fn expire_all(&mut self) {
        let mut hidden: Vec<u64> = self
            .messages
            .iter()
            .filter(|(_, message)| message.hidden_until.is_some())
            .map(|(number, _)| *number)
            .collect();
        hidden.sort_unstable();
        for number in hidden {
            self.counts.expired += 1;
            self.show(number);
        }
    }

    /// Returns the time at which the next message becomes visible.
    pub(super) fn next_deadline(&mut self) -> Option<Instant> {
        loop {
            let &Reverse((due, number)) = self.deadlines.peek()?;
            if self.messages.get(&number).is_some_and(|message| message.hidden_until == Some(due)) {
                return Some(due);
            }
            self.deadlines.pop();
        }
    }

    /// Receives up to `most` visible messages and hides them for the timeout.
    pub(super) fn receive(
        &mut self,
        most: usize,
        timeout: Duration,
        now: Instant,
        time: SystemTime,
    ) -> Vec<Received> {
        let (mut received, mut numbers) = (Vec::new(), Vec::new());
        while received.len() < most
            && let Some(number) = self.take_ready()
        {
            let Some(message) = self.messages.get_mut(&number) else { continue };
            message.receives += 1;
            message.first_received.get_or_insert(time);
            message.received_at = Some(now);
            let handle = Receipt { message: number, receive: message.receives }.handle(&self.prefix);
            received.push(Received { message: message.clone(), handle });
            numbers.push(number);
            self.counts.receives += 1;
        }
        // Afterwards, because a response contains a message once even if it stays visible.
        for number in numbers {
            self.hide(number, timeout, now);
            if self.chance(self.faults.duplicate_receives) {
                self.ready.push_back(Ready { message: number, is_duplicate: true });
            }
        }
        received
    }

    /// Deletes a message by a receipt handle. The deletion of a deleted message succeeds.
    pub(super) fn delete(&mut self, handle: &str) -> Result<()> {
        let Some(number) = self.find(handle)? else { return Ok(()) };
        if self.chance(self.faults.lost_deletes) {
            self.counts.lost_deletes += 1;
            return Ok(());
        }
        if let Some(message) = self.messages.remove(&number) {
            self.counts.deleted += 1;
            match message.hidden_until {
                Some(_) => self.counts.in_flight -= 1,
                None => self.counts.visible -= 1,
            }
        }
        Ok(())
    }

    /// Changes the visibility timeout of a message in flight, counted from now. Zero makes it visible.
    pub(super) fn change_visibility(&mut self, handle: &str, timeout: Duration, now: Instant) -> Result<()> {
        self.tick(now);
        let Some(number) = self.find(handle)? else { return Ok(()) };
        let Some(message) = self.messages.get(&number).filter(|message| message.hidden_until.is_some())
        else {
            return Err(AwsError::new("MessageNotInflight", "The specified message isn't in flight."));
        };
        if message.received_at.is_some_and(|received| now + timeout > received + LONGEST_INVISIBILITY) {
            return Err(AwsError::new(
                "InvalidParameterValue",
                "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]",
            ));
        }
        self.counts.visibility_changes += 1;
        if timeout.is_zero() {
            self.show(number);
        } else {
            self.hide(number, timeout, now);
        }
        Ok(())
    }

    /// Returns the code of the failure of a batch entry, if it is to fail.
    pub(super) fn entry_failure(&mut self) -> Option<AwsError> {
        self.faults.failed_entries = self.faults.failed_entries.checked_sub(1)?;
        let code = match self.faults.failed_entries_code.as_str() {
            "" => "InternalError",
            code => code,
        };
        Some(AwsError::of_code(code))
    }

    /// Returns the bodies of all messages, in the order in which they were sent.
    pub(super) fn bodies(&self) -> Vec<Arc<str>> {
        let mut numbers: Vec<_> = self.messages.keys().copied().collect();
        numbers.sort_unstable();
        numbers.iter().map(|number| Arc::clone(&self.messages[number].body)).collect()
    }

    /// Removes all messages.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.ready.clear();
        self.deadlines.clear();
        (self.counts.visible, self.counts.in_flight) = (0, 0);
    }

    /// Returns the number of the message of a handle; `None` if the request has no effect.
    fn find(&self, handle: &str) -> Result<Option<u64>> {
        let receipt = Receipt::parse(handle, &self.prefix).filter(|receipt| receipt.message < self.next);
        let invalid = || {
            AwsError::of_code("ReceiptHandleIsInvalid")
                .message(format!("The input receipt handle \"{handle}\" is not a valid receipt handle."))
        };
        let receipt = receipt.ok_or_else(invalid)?;
        let Some(message) = self.messages.get(&receipt.message) else { return Ok(None) };
        if message.receives == receipt.receive {
            return Ok(Some(receipt.message));
        }
        match self.faults.stale_receipts {
            StaleReceipts::Accept => Ok(Some(receipt.message)),
            StaleReceipts::Ignore => Ok(None),
            StaleReceipts::Reject => Err(invalid()),
        }
    }

    fn take_ready(&mut self) -> Option<u64> {
        loop {
            let Ready { message, is_duplicate } = if self.faults.reorder > 1 && self.ready.len() > 1 {
                let index = self.rng.random_range(0..self.faults.reorder.min(self.ready.len()));
                self.ready.swap_remove_front(index)?
            } else {
                self.ready.pop_front()?
            };
            if self.messages.get(&message).is_some_and(|found| is_duplicate || found.hidden_until.is_none()) {
                return Some(message);
            }
        }
    }

    fn hide(&mut self, number: u64, timeout: Duration, now: Instant) {
        let Some(message) = self.messages.get_mut(&number) else { return };
        if timeout.is_zero() {
            self.show(number);
            return;
        }
        if message.hidden_until.is_none() {
            self.counts.visible -= 1;
            self.counts.in_flight += 1;
        }
        message.hidden_until = Some(now + timeout);
        self.deadlines.push(Reverse((now + timeout, number)));
        self.remove_stale_deadlines();
    }

    fn show(&mut self, number: u64) {
        let Some(message) = self.messages.get_mut(&number) else { return };
        if message.hidden_until.take().is_some() {
            self.counts.in_flight -= 1;
            self.counts.visible += 1;
        }
        self.ready.push_back(Ready { message: number, is_duplicate: false });
    }

    /// Removes stale deadlines. Most messages are deleted long before their deadline.
    fn remove_stale_deadlines(&mut self) {
        if self.deadlines.len() > 2 * self.messages.len() + 1024 {
            let messages = &self.messages;
            self.deadlines.retain(|Reverse((due, number))| {
                messages.get(number).is_some_and(|message| message.hidden_until == Some(*due))
            });
        }
    }

    fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.rng.random_bool(probability.min(1.0))
    }
}
