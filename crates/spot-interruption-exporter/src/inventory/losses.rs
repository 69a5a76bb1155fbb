//! The losses of interrupted instances, in a compact form because a burst can interrupt most instances.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZeroI64;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{InstanceKey, Loss, RecordedLoss};
use crate::event::InterruptionReason;
use crate::timeline::shrunk_capacity;

/// The losses by instance.
#[derive(Debug, Default)]
pub(super) struct Losses {
    losses: HashMap<InstanceKey, CompactLoss, BuildHasherDefault<KeyHasher>>,
    /// Origin of the stored monotonic times: the time of the first loss.
    epoch: Option<Instant>,
}

/// A [`RecordedLoss`] in 32 bytes. Its event time has a precision of one microsecond, as in the durable state.
#[derive(Debug)]
struct CompactLoss {
    /// Microseconds since 1970.
    at: Option<NonZeroI64>,
    /// Nanoseconds since the epoch.
    received_at: u64,
    /// Nanoseconds since the epoch.
    until: u64,
    reason: Option<InterruptionReason>,
}

impl Losses {
    /// Returns the loss of an instance.
    pub(super) fn get(&self, key: InstanceKey) -> Option<RecordedLoss> {
        let CompactLoss { at, received_at, until, reason } = *self.losses.get(&key)?;
        let epoch = self.epoch?;
        let at = at.and_then(|time| Timestamp::from_microsecond(time.get()).ok());
        Some(RecordedLoss {
            loss: Loss { reason, at },
            received_at: epoch + Duration::from_nanos(received_at),
            until: epoch + Duration::from_nanos(until),
        })
    }

    /// Stores the loss of an instance, in place of an earlier one.
    pub(super) fn insert(&mut self, key: InstanceKey, recorded: RecordedLoss) {
        let RecordedLoss { loss: Loss { reason, at }, received_at, until } = recorded;
        let epoch = *self.epoch.get_or_insert(received_at);
        let since_epoch = |moment: Instant| {
            // 584 years fit.
            u64::try_from(moment.saturating_duration_since(epoch).as_nanos()).unwrap_or(u64::MAX)
        };
        let loss = CompactLoss {
            at: at.and_then(|at| NonZeroI64::new(at.as_microsecond())),
            received_at: since_epoch(received_at),
            until: since_epoch(until),
            reason,
        };
        self.losses.insert(key, loss);
    }

    /// Removes the loss of an instance, and frees memory after a burst.
    pub(super) fn remove(&mut self, key: InstanceKey) {
        self.losses.remove(&key);
        if let Some(capacity) = shrunk_capacity(self.losses.capacity(), self.losses.len()) {
            self.losses.shrink_to(capacity);
        }
    }
}

/// Hasher for instance keys. The inventory assigns the keys, so nobody can construct collisions.
#[derive(Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    /// Required by the trait, but unused: the keys are `u32`.
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(byte.into());
        }
    }

    fn write_u32(&mut self, key: u32) {
        // 2^64 divided by the golden ratio: spreads consecutive keys over all bits.
        self.0 = (self.0 ^ u64::from(key)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Reasons;

    #[test]
    fn compact_loss_takes_32_bytes() {
        assert_eq!(size_of::<CompactLoss>(), 32);
    }

    #[test]
    fn returns_what_was_inserted() {
        let (now, mut losses) = (Instant::now(), Losses::default());
        let reason = Some(Reasons::default().labelled("preempted"));
        let at = Timestamp::from_microsecond(1_694_860_951_325_309).ok();
        for (key, seconds) in [(1, 0), (2, 1), (3, 1_000_000)] {
            let received_at = now + Duration::from_secs(seconds);
            let until = received_at + Duration::from_nanos(600_000_000_001);
            let recorded = RecordedLoss { loss: Loss { reason, at }, received_at, until };
            losses.insert(key, recorded);
            assert_eq!(losses.get(key), Some(recorded));
        }
        let unknown = RecordedLoss { loss: Loss { reason: None, at: None }, received_at: now, until: now };
        losses.insert(1, unknown);
        assert_eq!(losses.get(1), Some(unknown));
        losses.remove(1);
        assert_eq!(losses.get(1), None);
    }

    #[test]
    fn frees_memory_after_a_burst() {
        let (now, mut losses) = (Instant::now(), Losses::default());
        let recorded = RecordedLoss { loss: Loss { reason: None, at: None }, received_at: now, until: now };
        for key in 0..100_000 {
            losses.insert(key, recorded);
        }
        for key in 0..100_000 {
            losses.remove(key);
        }
        assert!(losses.losses.capacity() <= 4_096, "{}", losses.losses.capacity());
    }
}
