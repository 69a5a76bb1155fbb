//! What an exporter is compared with.

use std::collections::BTreeMap;

/// What an exporter should have found out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Truth {
    /// Interruptions since the beginning, by the name of the cluster.
    pub interruptions_by_cluster: BTreeMap<String, u64>,
    /// Interruptions of instances that belong to no cluster.
    pub unattributed: u64,
    /// Spot VMs that run now, by the name of the cluster. Every cluster is there.
    pub spot_by_cluster: BTreeMap<String, u64>,
    /// Instances that exist now, running or not, in a cluster or not.
    pub instances: u64,
}
