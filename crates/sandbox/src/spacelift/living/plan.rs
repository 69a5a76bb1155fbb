//! The pools of the account.

use super::pool::{Demand, Fleet};

/// Name, demand, workers and number of stacks of each pool; the first is the public one.
pub(super) const POOLS: [(&str, Demand, Fleet, usize); 6] = [
    ("public", demand(0.30, 0.9, 0.0, 16.0), Fleet::Slots(8), 30),
    ("production", demand(0.35, 0.7, 0.1, 20.0), Fleet::Elastic { least: 4, most: 14 }, 40),
    ("staging", demand(0.20, 0.8, 0.2, 14.0), Fleet::Elastic { least: 2, most: 8 }, 24),
    // Just enough workers for the whole day, far too few for its busy half.
    ("on-premises", demand(0.165, 1.0, 0.3, 15.0), Fleet::Machines(3), 18),
    // Nobody works here at night, when the last worker leaves.
    ("ephemeral", demand(0.06, 2.0, 0.5, 12.0), Fleet::Elastic { least: 0, most: 6 }, 8),
    ("playground", demand(0.02, 0.5, 0.7, 10.0), Fleet::Machines(2), 5),
];
/// How many workers are busy on the mean of the day, public and private: what [`POOLS`] amounts to.
pub(super) const MEAN_BUSY: (u32, u32) = (5, 13);

const fn demand(runs_per_second: f64, swing: f64, morning: f64, mean_duration: f64) -> Demand {
    Demand { runs_per_second, swing, morning, mean_duration }
}
