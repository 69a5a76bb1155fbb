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

impl Truth {
    /// Adds what there is in another project. Clusters of one name are counted together.
    pub fn add(&mut self, other: &Self) {
        let Self { interruptions_by_cluster, unattributed, spot_by_cluster, instances } = other;
        for (cluster, count) in interruptions_by_cluster {
            *self.interruptions_by_cluster.entry(cluster.clone()).or_default() += count;
        }
        for (cluster, count) in spot_by_cluster {
            *self.spot_by_cluster.entry(cluster.clone()).or_default() += count;
        }
        self.unattributed += unattributed;
        self.instances += instances;
    }
}
