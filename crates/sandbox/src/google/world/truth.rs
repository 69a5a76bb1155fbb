//! Expected results of an exporter.

use std::collections::BTreeMap;

/// The results that an exporter should report.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Truth {
    /// Interruptions since the start, by cluster name.
    pub interruptions_by_cluster: BTreeMap<String, u64>,
    /// Interruptions of instances without a cluster.
    pub unattributed: u64,
    /// Running spot instances by cluster name, for all clusters.
    pub spot_by_cluster: BTreeMap<String, u64>,
    /// All existing instances, running or not, with or without a cluster.
    pub instances: u64,
}

impl Truth {
    /// Adds the results of another project. Clusters with the same name are added up.
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
