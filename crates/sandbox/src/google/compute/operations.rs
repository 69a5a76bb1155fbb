//! The operations of a project and their delayed appearance in lists.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, SystemTime},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::Instant;

use super::zone_operation::ZoneOperation;

/// How long operations are listed after their insertion.
const RETENTION: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// The maximum number of operations in a list, over all of its pages.
const LISTED: usize = 5_000;
/// The maximum number of stored operations. It bounds the memory of a sandbox that runs for weeks.
const KEPT: usize = 100_000;

/// The operations, sorted by zone and name, which is the order of lists.
pub(super) struct Operations {
    operations: BTreeMap<(String, String), Stored>,
    /// Keys of the operations, oldest first.
    by_age: VecDeque<(String, String)>,
    /// The minimum and maximum delay before operations appear in lists.
    late: (Duration, Duration),
    /// Zones whose operations are unreachable although their instances are not.
    pub(super) unreachable: BTreeSet<String>,
    rng: StdRng,
}

struct Stored {
    operation: ZoneOperation,
    /// When the operation appears in lists.
    appears: Instant,
}

/// A page of operations.
pub(super) struct OperationPage<'a> {
    pub(super) operations: Vec<&'a ZoneOperation>,
    pub(super) is_last: bool,
}

impl Default for Operations {
    fn default() -> Self {
        Self {
            operations: BTreeMap::new(),
            by_age: VecDeque::new(),
            late: (Duration::ZERO, Duration::ZERO),
            unreachable: BTreeSet::new(),
            rng: StdRng::seed_from_u64(0),
        }
    }
}

impl Operations {
    /// Adds an operation or replaces the operation with the same zone and name.
    pub(super) fn insert(&mut self, operation: ZoneOperation) {
        let (least, most) = self.late;
        let late = least + most.saturating_sub(least).mul_f64(self.rng.random::<f64>());
        let appears = Instant::now() + late;
        let key = (operation.zone.clone(), operation.name.clone());
        if self.operations.insert(key.clone(), Stored { operation, appears }).is_none() {
            self.by_age.push_back(key);
        }
        if self.by_age.len() > KEPT
            && let Some(oldest) = self.by_age.pop_front()
        {
            self.operations.remove(&oldest);
        }
    }

    pub(super) fn clear(&mut self) {
        self.operations.clear();
        self.by_age.clear();
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &ZoneOperation> {
        self.by_age.iter().filter_map(|key| self.operations.get(key)).map(|stored| &stored.operation)
    }

    pub(super) fn set_late(&mut self, least: Duration, most: Duration) {
        self.late = (least, most);
    }

    /// Returns up to `count` listed operations that follow a zone and name: those of one zone, or of all
    /// reachable zones.
    pub(super) fn page(
        &self,
        zone: Option<&str>,
        after: Option<&(String, String)>,
        count: usize,
        is_unreachable: impl Fn(&str) -> bool,
        matches: impl Fn(&ZoneOperation) -> bool,
    ) -> OperationPage<'_> {
        let now = Instant::now();
        let oldest = SystemTime::now().checked_sub(RETENTION);
        let is_after = |key: &(String, String)| after.is_none_or(|after| key > after);
        let mut operations = self
            .operations
            .iter()
            .filter(|((its_zone, _), stored)| {
                zone.is_none_or(|zone| zone == its_zone)
                    && !is_unreachable(its_zone)
                    && stored.appears <= now
                    && oldest.is_none_or(|oldest| stored.operation.inserted > oldest)
                    && matches(&stored.operation)
            })
            // Operations beyond the limit are on no page.
            .take(LISTED)
            .filter(|(key, _)| is_after(key))
            .map(|(_, stored)| &stored.operation);
        let page = operations.by_ref().take(count).collect();
        OperationPage { operations: page, is_last: operations.next().is_none() }
    }

    /// Returns whether the zone has operations.
    pub(super) fn has_zone(&self, zone: &str) -> bool {
        let from = (zone.to_owned(), String::new());
        self.operations.range(from..).next().is_some_and(|((its_zone, _), _)| its_zone == zone)
    }
}
