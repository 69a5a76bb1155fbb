//! `integrations`: number of integrations of the account by type.

use std::fmt;

use super::{Collector, Families, Writer, parse, query};
use crate::schema::Amount;

pub(super) const COLLECTOR: Collector = Collector {
    name: "integrations",
    about: "Number of integrations by type",
    on_by_default: false,
    fixed: true,
    query: |_| query::<Data>("PrometheusExporter_Integrations"),
    parse: parse::<Data>,
};

#[derive(cynic::QueryFragment, Debug)]
#[cynic(graphql_type = "Query", schema_module = "crate::schema")]
struct Data {
    integrations_count: IntegrationsCount,
}

#[derive(cynic::QueryFragment, Debug)]
#[cynic(schema_module = "crate::schema")]
struct IntegrationsCount {
    aws: Amount,
    azure: Amount,
    #[cynic(rename = "azureDevOps")]
    azure_devops: Amount,
    backstage: Amount,
    bitbucket_cloud: Amount,
    bitbucket_datacenter: Amount,
    github: Amount,
    gitlab: Amount,
    service_now: Amount,
    slack: Amount,
    vcs_agent_pools: Amount,
    webhooks: Amount,
    ai: Amount,
}

impl Families for Data {
    fn write(&self, families: &mut Writer<'_, '_>) -> fmt::Result {
        let count = &self.integrations_count;
        let kinds = [
            ("aws", count.aws),
            ("azure", count.azure),
            ("azure_devops", count.azure_devops),
            ("backstage", count.backstage),
            ("bitbucket_cloud", count.bitbucket_cloud),
            ("bitbucket_datacenter", count.bitbucket_datacenter),
            ("github", count.github),
            ("gitlab", count.gitlab),
            ("service_now", count.service_now),
            ("slack", count.slack),
            ("vcs_agent_pools", count.vcs_agent_pools),
            ("webhooks", count.webhooks),
            ("ai", count.ai),
        ];
        families.gauges(
            "spacelift_integrations_count",
            "Integrations of the account by type",
            kinds.map(|(kind, number)| ([("integration", kind)], number.number())),
        )
    }
}
