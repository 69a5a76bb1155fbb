//! The pools of the account.

use super::pool::{Demand, Fleet};

/// The name, demand, workers and number of stacks of each pool. The first one is public.
pub(super) const POOLS: [(&str, Demand, Fleet, usize); 6] = [
    ("public", demand(0.30, 0.9, 0.0, 16.0), Fleet::Slots(8), 30),
    ("production", demand(0.35, 0.7, 0.1, 20.0), Fleet::Elastic { least: 4, most: 14 }, 40),
    ("staging", demand(0.20, 0.8, 0.2, 14.0), Fleet::Elastic { least: 2, most: 8 }, 24),
    // Enough workers for the mean load but not for the busy half of the day.
    ("on-premises", demand(0.165, 1.0, 0.3, 15.0), Fleet::Machines(3), 18),
    // No runs arrive at night, and the last worker stops.
    ("ephemeral", demand(0.06, 2.0, 0.5, 12.0), Fleet::Elastic { least: 0, most: 6 }, 8),
    ("playground", demand(0.02, 0.5, 0.7, 10.0), Fleet::Machines(2), 5),
];
/// The mean number of busy workers over a day, public and private, as it follows from [`POOLS`].
pub(super) const MEAN_BUSY: (u32, u32) = (5, 13);

const fn demand(runs_per_second: f64, swing: f64, day_start: f64, mean_duration: f64) -> Demand {
    Demand { runs_per_second, swing, day_start, mean_duration }
}
