//! Expected results of an exporter.

use std::collections::{BTreeMap, VecDeque};

use super::event::WorldEvent;
use crate::aws::ec2::{Instance, StateReason};

/// The maximum number of interruptions in the list. It bounds the memory of a sandbox that runs for weeks.
const CAPACITY: usize = 10_000;

/// The results that an exporter should report.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Truth {
    /// Interruptions since the start by cluster name, for all clusters. Clusters with the same name in different
    /// accounts are added up.
    pub interruptions_by_cluster: BTreeMap<String, u64>,
    /// Interruptions of instances without a cluster.
    pub unattributed: u64,
    /// Interruptions since the start by reason: `interruption_warning` or `unannounced`.
    pub interruptions_by_reason: BTreeMap<String, u64>,
    /// Interruptions since the start by account id.
    pub interruptions_by_account: BTreeMap<String, u64>,
    /// The last 10,000 interruptions, oldest first.
    pub interruptions: VecDeque<Interruption>,
    /// Running spot instances without a warning by cluster name, for all clusters.
    pub spot_by_cluster: BTreeMap<String, u64>,
    /// Running instances, on demand or spot, with or without a cluster.
    pub instances: u64,
}

/// An interruption of a spot instance.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interruption {
    /// The account id.
    pub account: String,
    /// The region.
    pub region: String,
    /// The name of the cluster; `None` for an instance without a cluster.
    pub cluster: Option<String>,
    /// The instance id.
    pub instance: String,
    /// The availability zone.
    pub zone: String,
    /// The instance type.
    pub instance_type: String,
    /// `interruption_warning` or `unannounced`.
    pub reason: &'static str,
}

impl Truth {
    /// Returns the results without interruptions and instances.
    pub(super) fn of_clusters<'a>(clusters: impl IntoIterator<Item = &'a str>) -> Self {
        let zeros: BTreeMap<String, u64> =
            clusters.into_iter().map(|cluster| (cluster.to_owned(), 0)).collect();
        Self { interruptions_by_cluster: zeros.clone(), spot_by_cluster: zeros, ..Self::default() }
    }

    /// Counts the interruptions among events.
    pub(super) fn note(&mut self, events: &[WorldEvent]) {
        for event in events {
            match event {
                WorldEvent::Warned(instance) => self.count(instance, "interruption_warning"),
                WorldEvent::Terminated { instance, was_warned: false } if is_taken(instance) => {
                    self.count(instance, "unannounced");
                }
                WorldEvent::Launched(_)
                | WorldEvent::RebalanceRecommended(_)
                | WorldEvent::Terminated { .. }
                | WorldEvent::Forgotten(_) => {}
            }
        }
    }

    fn count(&mut self, instance: &Instance, reason: &'static str) {
        let cluster = cluster(instance);
        match &cluster {
            Some(cluster) => *self.interruptions_by_cluster.entry(cluster.clone()).or_default() += 1,
            None => self.unattributed += 1,
        }
        *self.interruptions_by_reason.entry(reason.to_owned()).or_default() += 1;
        *self.interruptions_by_account.entry(instance.account.clone()).or_default() += 1;
        if self.interruptions.len() == CAPACITY {
            self.interruptions.pop_front();
        }
        self.interruptions.push_back(Interruption {
            account: instance.account.clone(),
            region: instance.region().to_owned(),
            cluster,
            instance: instance.id.clone(),
            zone: instance.zone.clone(),
            instance_type: instance.instance_type.clone(),
            reason,
        });
    }
}

/// Returns whether EC2 took the instance.
fn is_taken(instance: &Instance) -> bool {
    instance.reason.as_ref().is_some_and(|reason| reason.code == StateReason::SpotTermination.code())
}

/// Returns the cluster of an instance by the tags that the simulation uses.
fn cluster(instance: &Instance) -> Option<String> {
    ["aws:eks:cluster-name", "KubernetesCluster"].iter().find_map(|key| instance.tags.get(*key)).cloned()
}
