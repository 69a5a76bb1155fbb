//! The operations that there are, and which of them can be seen yet.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, SystemTime},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::Instant;

use super::zone_operation::ZoneOperation;

/// How long operations are listed.
const RETENTION: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// How many operations one list has at most, all of its pages together.
const LISTED: usize = 5_000;
/// How many operations are kept; a sandbox may run for weeks.
const KEPT: usize = 100_000;

/// The operations in the order in which they are listed: by zone and name.
pub(super) struct Operations {
    operations: BTreeMap<(String, String), Stored>,
    /// The same, oldest first.
    by_age: VecDeque<(String, String)>,
    /// How late operations appear, at least and at most.
    late: (Duration, Duration),
    /// Zones whose operations cannot be told although their instances can.
    pub(super) unreachable: BTreeSet<String>,
    rng: StdRng,
}

struct Stored {
    operation: ZoneOperation,
    /// When it appears in lists.
    appears: Instant,
}

/// Some of the operations, and whether there are more.
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
    /// Adds an operation in the place of the one with the same zone and name.
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

    /// Up to `count` operations that are to be listed and come after a zone and name. They are those of one zone or of
    /// all that are not unreachable.
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
            // What is over the limit is on no page.
            .take(LISTED)
            .filter(|(key, _)| is_after(key))
            .map(|(_, stored)| &stored.operation);
        let page = operations.by_ref().take(count).collect();
        OperationPage { operations: page, is_last: operations.next().is_none() }
    }

    /// Whether there is anything of a zone.
    pub(super) fn has_zone(&self, zone: &str) -> bool {
        let from = (zone.to_owned(), String::new());
        self.operations.range(from..).next().is_some_and(|((its_zone, _), _)| its_zone == zone)
    }
}
