//! The initial clusters and node pools.

use crate::aws::names::{ACCOUNT, OTHER_ACCOUNT};

/// A pool of instances.
#[derive(Debug)]
pub(super) struct PoolPlan {
    pub(super) account: &'static str,
    /// The name of the cluster; `None` for instances without a cluster.
    pub(super) cluster: Option<&'static str>,
    pub(super) name: &'static str,
    pub(super) managed_by: ManagedBy,
    pub(super) is_spot: bool,
    pub(super) instance_types: &'static [&'static str],
    pub(super) zones: &'static [&'static str],
    /// The minimum and maximum number of instances over a day.
    pub(super) size: (usize, usize),
    /// The start of the pool's day, as a fraction of a day.
    pub(super) day_start: f64,
}

/// What creates the instances of a pool and reacts to warnings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ManagedBy {
    /// A managed node group of EKS. EC2 terminates instances after the warning.
    NodeGroup,
    /// Karpenter, which terminates instances after the warning itself.
    Karpenter,
    /// EKS Auto Mode: like Karpenter, with instances that AWS hides.
    AutoMode,
    /// kops. EC2 terminates instances after the warning.
    Kops,
    /// A script, without tags of Kubernetes.
    Script,
}

use ManagedBy::{AutoMode, Karpenter, Kops, NodeGroup, Script};

const EU: &[&str] = &["eu-central-1a", "eu-central-1b", "eu-central-1c"];
const US: &[&str] = &["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d"];

const GENERAL: &[&str] = &["m5.xlarge", "m6i.xlarge", "m7i.xlarge"];
const COMPUTE: &[&str] = &["c5.4xlarge", "c6i.4xlarge", "c7g.4xlarge"];

#[rustfmt::skip]
pub(super) const POOLS: &[PoolPlan] = &[
    pool(ACCOUNT, Some("shop-production"), "system", NodeGroup, false, &["m6i.large"], EU, (3, 3), 0.0),
    pool(ACCOUNT, Some("shop-production"), "spot-general", NodeGroup, true, GENERAL, EU, (20, 45), 0.1),
    pool(ACCOUNT, Some("shop-production"), "spot-memory", Karpenter, true, &["r6i.2xlarge", "r5.2xlarge"], EU, (8, 16), 0.3),
    pool(ACCOUNT, Some("shop-staging"), "default", Karpenter, true, GENERAL, EU, (6, 20), 0.2),
    pool(ACCOUNT, Some("auto"), "general-purpose", AutoMode, true, &["c6g.large", "m6g.large"], EU, (5, 12), 0.5),
    pool(ACCOUNT, Some("analytics"), "batch", Karpenter, true, COMPUTE, US, (0, 60), 0.5),
    pool(ACCOUNT, Some("legacy.example.com"), "nodes", Kops, true, &["t3.xlarge"], US, (6, 10), 0.7),
    pool(OTHER_ACCOUNT, Some("payments"), "spot", NodeGroup, true, &["m6i.2xlarge"], EU, (8, 16), 0.4),
    // Clusters in different accounts may have the same name.
    pool(OTHER_ACCOUNT, Some("shop-staging"), "default", Karpenter, true, GENERAL, US, (4, 10), 0.6),
    pool(ACCOUNT, None, "bastion", Script, false, &["t3.micro"], EU, (1, 1), 0.0),
    pool(ACCOUNT, None, "render", Script, true, &["c5.9xlarge"], EU, (4, 10), 0.8),
];

/// Returns the interruptions per hour of an instance in an average zone. The rates are higher than real ones, so
/// that some interruptions happen within a minute.
pub(super) fn interruptions_per_hour(instance_type: &str) -> f64 {
    match instance_type.split('.').next() {
        Some("t3") => 4.0,
        Some("m5" | "r5") => 8.0,
        Some("m6i" | "r6i" | "m6g" | "c6g") => 12.0,
        Some("c5" | "c6i") => 20.0,
        _ => 30.0,
    }
}

/// Returns the factor of a zone's interruption rate.
pub(super) fn zone_factor(zone: &str) -> f64 {
    match zone.as_bytes().last() {
        Some(b'a') => 0.4,
        Some(b'b') => 1.0,
        _ => 2.0,
    }
}

#[allow(clippy::too_many_arguments, reason = "a row of a table")]
const fn pool(
    account: &'static str,
    cluster: Option<&'static str>,
    name: &'static str,
    managed_by: ManagedBy,
    is_spot: bool,
    instance_types: &'static [&'static str],
    zones: &'static [&'static str],
    size: (usize, usize),
    day_start: f64,
) -> PoolPlan {
    PoolPlan { account, cluster, name, managed_by, is_spot, instance_types, zones, size, day_start }
}
