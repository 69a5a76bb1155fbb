//! Labels from the tags of an instance.
//!
//! EKS, Karpenter, eksctl and kops mark their nodes with different tags. The lists of keys can be configured, which makes
//! the exporter useful for spot fleets without Kubernetes too.

use std::borrow::Cow;

/// Default keys of tags with the name of the cluster, the first match counts. `*` stands for the name in the key itself:
/// the tag's value is then `owned` or `shared`.
pub(super) const CLUSTER_TAGS: [&str; 5] = [
    "aws:eks:cluster-name",
    "eks:cluster-name",
    "eks:eks-cluster-name",
    "kubernetes.io/cluster/*",
    "KubernetesCluster",
];

/// Default keys of tags with the name of the node pool, the first match counts.
pub(super) const NODE_POOL_TAGS: [&str; 5] = [
    "karpenter.sh/nodepool",
    "eks:nodegroup-name",
    "alpha.eksctl.io/nodegroup-name",
    "kops.k8s.io/instancegroup",
    "aws:autoscaling:groupName",
];

/// The keys of the tags with cluster and node pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagKeys {
    cluster: Vec<String>,
    node_pool: Vec<String>,
}

/// A tag: key and value.
pub(super) type Tag<'a> = (Cow<'a, str>, Cow<'a, str>);

impl Default for TagKeys {
    fn default() -> Self {
        let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        Self { cluster: owned(&CLUSTER_TAGS), node_pool: owned(&NODE_POOL_TAGS) }
    }
}

impl TagKeys {
    pub(super) fn new(cluster: Vec<String>, node_pool: Vec<String>) -> Self {
        Self { cluster, node_pool }
    }

    /// The cluster of an instance with these tags.
    pub(super) fn cluster<'a>(&self, tags: &'a [Tag<'_>]) -> Option<&'a str> {
        self.cluster.iter().find_map(|key| find(tags, key))
    }

    /// The node pool of an instance with these tags.
    pub(super) fn node_pool<'a>(&self, tags: &'a [Tag<'_>]) -> Option<&'a str> {
        self.node_pool.iter().find_map(|key| find(tags, key))
    }
}

/// Returns the value of a tag, or the part of the key in place of `*` if exactly one key matches.
fn find<'a>(tags: &'a [Tag<'_>], key: &str) -> Option<&'a str> {
    let Some((prefix, suffix)) = key.split_once('*') else {
        let value = tags.iter().find_map(|(name, value)| (**name == *key).then_some(&**value));
        return value.filter(|value| !value.is_empty());
    };
    let mut names = tags
        .iter()
        .filter(|(_, value)| ["owned", "shared"].contains(&&**value))
        .filter_map(|(name, _)| name.strip_prefix(prefix)?.strip_suffix(suffix))
        .filter(|name| !name.is_empty());
    // An instance that is shared by several clusters is a node of none of them in particular.
    names.next().filter(|_| names.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags<'a>(tags: &[(&'a str, &'a str)]) -> Vec<Tag<'a>> {
        tags.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    #[test]
    fn finds_cluster_and_node_pool_of_each_tool() {
        let keys = TagKeys::default();
        for (of, cluster, node_pool) in [
            (tags(&[("eks:cluster-name", "a"), ("eks:nodegroup-name", "n")]), Some("a"), Some("n")),
            (tags(&[("eks:cluster-name", "b"), ("aws:eks:cluster-name", "a")]), Some("a"), None),
            (
                tags(&[("kubernetes.io/cluster/a", "owned"), ("karpenter.sh/nodepool", "n"), ("Name", "x")]),
                Some("a"),
                Some("n"),
            ),
            (tags(&[("KubernetesCluster", "a"), ("kops.k8s.io/instancegroup", "n")]), Some("a"), Some("n")),
            (
                tags(&[("kubernetes.io/cluster/a", "owned"), ("kubernetes.io/cluster/b", "shared")]),
                None,
                None,
            ),
            (tags(&[("kubernetes.io/cluster/a", "no")]), None, None),
            (tags(&[("kubernetes.io/cluster/", "owned"), ("eks:cluster-name", "")]), None, None),
            (tags(&[("aws:autoscaling:groupName", "n")]), None, Some("n")),
            (tags(&[]), None, None),
        ] {
            assert_eq!((keys.cluster(&of), keys.node_pool(&of)), (cluster, node_pool), "{of:?}");
        }
    }

    #[test]
    fn configured_keys_replace_the_defaults() {
        let keys = TagKeys::new(vec!["aws:ecs:clusterName".to_owned()], Vec::new());
        let of =
            tags(&[("aws:ecs:clusterName", "e"), ("eks:cluster-name", "a"), ("eks:nodegroup-name", "n")]);
        assert_eq!((keys.cluster(&of), keys.node_pool(&of)), (Some("e"), None));
    }
}
