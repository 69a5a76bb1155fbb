//! The initial clusters and node pools.

use crate::google::instance::Provisioning::{self, Preemptible, Spot, Standard};

/// The initial resources of a project.
pub(super) struct Plan {
    pub(super) clusters: &'static [ClusterPlan],
    /// Pools that belong to no cluster.
    pub(super) standalone: &'static [PoolPlan],
}

/// The plan of the first project.
pub(super) const FIRST: Plan = Plan { clusters: CLUSTERS, standalone: STANDALONE };

/// The plan of every other project.
pub(super) const OTHER: Plan = Plan { clusters: OTHER_CLUSTERS, standalone: &[] };

/// A cluster and its pools.
pub(super) struct ClusterPlan {
    pub(super) name: &'static str,
    pub(super) location: &'static str,
    pub(super) pools: &'static [PoolPlan],
}

/// A pool of identical instances.
#[derive(Debug)]
pub(super) struct PoolPlan {
    pub(super) name: &'static str,
    pub(super) machine_type: &'static str,
    pub(super) provisioning: Provisioning,
    pub(super) zones: &'static [&'static str],
    /// The minimum and maximum number of instances over a day.
    pub(super) size: (usize, usize),
    /// The start of the pool's day, as a fraction of a day.
    pub(super) day_start: f64,
    pub(super) created_by: CreatedBy,
}

/// How the instances of a pool are created.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum CreatedBy {
    /// By a managed instance group, one instance per request. Most preempted instances are recreated with the
    /// same name.
    Group,
    /// Like `Group`, through the beta API.
    BetaGroup,
    /// By bulk requests.
    Bulk,
    /// By Karpenter.
    Karpenter,
    /// By a script, without Kubernetes labels.
    Script,
}

const CLUSTERS: &[ClusterPlan] = &[
    ClusterPlan {
        name: "shop-production",
        location: "europe-west1",
        pools: &[
            pool("default-pool", "e2-standard-4", Standard, EUROPE_WEST1, (6, 6), 0.0, CreatedBy::Group),
            pool("spot-general", "n2-standard-8", Spot, EUROPE_WEST1, (30, 60), 0.1, CreatedBy::Group),
            pool("spot-memory", "n2d-highmem-8", Spot, EUROPE_WEST1, (10, 20), 0.2, CreatedBy::BetaGroup),
        ],
    },
    ClusterPlan {
        name: "shop-staging",
        location: "europe-west1",
        pools: &[pool("spot-general", "e2-standard-4", Spot, EUROPE_WEST1, (6, 24), 0.2, CreatedBy::Group)],
    },
    ClusterPlan {
        name: "analytics",
        location: "us-central1",
        pools: &[
            pool("default-pool", "e2-standard-4", Standard, US_CENTRAL1, (3, 3), 0.0, CreatedBy::Group),
            pool("spot-batch", "c3-standard-22", Spot, US_CENTRAL1, (0, 80), 0.5, CreatedBy::Bulk),
        ],
    },
    ClusterPlan {
        name: "ml-training",
        location: "us-central1-a",
        pools: &[pool("spot-gpu", "a2-highgpu-1g", Spot, &["us-central1-a"], (2, 16), 0.6, CreatedBy::Group)],
    },
    // Clusters in different locations may have the same name.
    ClusterPlan {
        name: "edge",
        location: "europe-west4",
        pools: &[pool("spot", "t2d-standard-4", Spot, EUROPE_WEST4, (8, 16), 0.1, CreatedBy::Karpenter)],
    },
    ClusterPlan {
        name: "edge",
        location: "asia-southeast1",
        pools: &[
            pool("spot", "t2d-standard-4", Spot, ASIA_SOUTHEAST1, (8, 16), 0.8, CreatedBy::Karpenter),
            pool("legacy", "n1-standard-4", Preemptible, ASIA_SOUTHEAST1, (4, 6), 0.8, CreatedBy::Group),
        ],
    },
];

const STANDALONE: &[PoolPlan] = &[
    pool("bastion", "e2-micro", Standard, &["europe-west1-b"], (1, 1), 0.0, CreatedBy::Script),
    pool("render", "c3-standard-22", Spot, US_CENTRAL1, (4, 12), 0.3, CreatedBy::Script),
];

const OTHER_CLUSTERS: &[ClusterPlan] = &[
    ClusterPlan {
        name: "payments",
        location: "europe-west1",
        pools: &[
            pool("default-pool", "e2-standard-4", Standard, EUROPE_WEST1, (3, 3), 0.0, CreatedBy::Group),
            pool("spot-general", "n2-standard-8", Spot, EUROPE_WEST1, (8, 20), 0.4, CreatedBy::Group),
        ],
    },
    // Clusters in different projects may have the same name.
    ClusterPlan {
        name: "shop-staging",
        location: "europe-west1",
        pools: &[pool("spot-general", "e2-standard-4", Spot, EUROPE_WEST1, (4, 8), 0.7, CreatedBy::Bulk)],
    },
];

const EUROPE_WEST1: &[&str] = &["europe-west1-b", "europe-west1-c", "europe-west1-d"];
const EUROPE_WEST4: &[&str] = &["europe-west4-a", "europe-west4-b", "europe-west4-c"];
const US_CENTRAL1: &[&str] = &["us-central1-a", "us-central1-b", "us-central1-c", "us-central1-f"];
const ASIA_SOUTHEAST1: &[&str] = &["asia-southeast1-a", "asia-southeast1-b", "asia-southeast1-c"];

/// Returns the preemptions per hour of an instance by machine type, in an average zone. The rates are higher
/// than real ones, so that some preemptions happen within a minute.
pub(super) fn preemptions_per_hour(machine_type: &str) -> f64 {
    match machine_type.split('-').next() {
        Some("e2") => 4.0,
        Some("t2d") => 8.0,
        Some("n1" | "n2") => 14.0,
        Some("n2d") => 11.0,
        Some("c3") => 24.0,
        _ => 40.0,
    }
}

/// Returns the factor of a zone's preemption rate.
pub(super) fn zone_factor(zone: &str) -> f64 {
    match zone.as_bytes().last() {
        Some(b'a') => 0.7,
        Some(b'b') => 0.4,
        Some(b'c') => 1.0,
        _ => 2.0,
    }
}

const fn pool(
    name: &'static str,
    machine_type: &'static str,
    provisioning: Provisioning,
    zones: &'static [&'static str],
    size: (usize, usize),
    day_start: f64,
    created_by: CreatedBy,
) -> PoolPlan {
    PoolPlan { name, machine_type, provisioning, zones, size, day_start, created_by }
}
