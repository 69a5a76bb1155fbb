//! The collectors: each has one GraphQL query and converts the response to metric families.
//!
//! To add a collector, write its file and add it to [`ALL`]. Its flag, variable, key, health metrics and README rows are
//! derived from that.

mod aggregates;
mod attention;
mod dora;
mod integrations;
mod limits;
mod pools;
mod publicworkerpool;
mod stacks;
mod sums;
mod usage;
mod workerpools;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cynic::{QueryFragment, QueryVariables};
use exporter_common::metrics::{Number, gauge, gauges};
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::graphql;
use crate::schema::Amount;
use sums::sums;

/// Every collector, in the order of the README.
pub static ALL: [Collector; 10] = [
    publicworkerpool::COLLECTOR,
    workerpools::COLLECTOR,
    usage::COLLECTOR,
    aggregates::COLLECTOR,
    pools::COLLECTOR,
    limits::COLLECTOR,
    integrations::COLLECTOR,
    stacks::COLLECTOR,
    attention::COLLECTOR,
    dora::COLLECTOR,
];

/// A collector: one GraphQL query and the metrics in its response.
#[derive(Debug)]
pub struct Collector {
    /// The value of the `collector` label and the end of its flag.
    pub name: &'static str,
    /// Its metrics in one line, for `--help` and the README.
    pub about: &'static str,
    /// Whether it is enabled by default.
    pub on_by_default: bool,
    /// Whether its query is the same in every scrape.
    pub(crate) fixed: bool,
    /// Returns the JSON body of its request.
    pub(crate) query: fn(&QueryContext) -> Result<String, DocumentError>,
    /// Parses the body of a response.
    pub parse: fn(&[u8]) -> Result<CollectorData, Failure>,
}

/// The parsed response to a collector's query.
pub type CollectorData = Arc<dyn Families>;

/// The values that a query may depend on.
#[derive(Debug, Clone, Copy)]
pub struct QueryContext {
    /// The time of the scrape.
    pub now: SystemTime,
    /// The length of the time window of the DORA metrics.
    pub dora_window: Duration,
}

/// Data that can be written as metric families.
pub trait Families: fmt::Debug + Send + Sync {
    /// Writes the families. A family without series is omitted.
    ///
    /// # Errors
    /// Returns the errors of the encoder.
    fn write(&self, families: &mut Writer<'_, '_>) -> fmt::Result;
}

/// The GraphQL document of a collector cannot be built. This is a bug, found before any request is sent.
#[derive(Debug, thiserror::Error)]
#[error("the GraphQL document {name} cannot be built: {reason}")]
pub struct DocumentError {
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// Returns the body of a GraphQL request for `Q` without variables. `name` is the operation name, which Spacelift logs.
fn query<Q>(name: &str) -> Result<String, DocumentError>
where
    Q: QueryFragment<VariablesFields = ()>,
    Q::SchemaType: cynic::schema::QueryRoot,
{
    query_with::<Q, ()>(name, ())
}

/// Like [`query`], with variables.
fn query_with<Q, V>(name: &str, variables: V) -> Result<String, DocumentError>
where
    Q: QueryFragment<VariablesFields = V::Fields>,
    Q::SchemaType: cynic::schema::QueryRoot,
    V: QueryVariables + Serialize,
{
    let failed = |reason: String| DocumentError { name: name.to_owned(), reason };
    let mut operation = cynic::OperationBuilder::<Q, V>::query()
        .with_operation_name(name)
        .with_variables(variables)
        .build()
        .map_err(|error| failed(error.to_string()))?;
    operation.operation_name = Some(name.to_owned().into());
    serde_json::to_string(&operation).map_err(|error| failed(error.to_string()))
}

/// Parses a response with the data `Q`.
fn parse<Q: Families + DeserializeOwned + 'static>(body: &[u8]) -> Result<CollectorData, Failure> {
    graphql::read_data::<Q>(body).map(|data| Arc::new(data) as CollectorData)
}

/// Writes gauge families.
pub struct Writer<'a, 'e>(pub &'a mut DescriptorEncoder<'e>);

impl Writer<'_, '_> {
    /// Writes a family with one series without labels, or nothing if there is no value.
    fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        value: impl Into<Option<Number>>,
    ) -> fmt::Result {
        gauge(self.0, name, help, value.into())
    }

    /// Writes a family with one series for each pair of labels and value. The caller removes duplicates, because
    /// Prometheus rejects an exposition with two identical series.
    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &'static str,
        help: &'static str,
        series: impl IntoIterator<Item = (L, Number)>,
    ) -> fmt::Result {
        gauges(self.0, name, help, series)
    }

    /// Writes a family with one series for each first label of the points, with the sum of their values. Points without
    /// labels are skipped.
    fn by_first_label(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        points: &[Point],
    ) -> fmt::Result {
        let values = points.iter().filter_map(|point| Some((point.labels.first()?.as_str(), point.value.0)));
        let series = sums(values).into_iter().map(|(value, sum)| ([(label, value)], Number(sum)));
        self.gauges(name, help, series)
    }
}

/// A data point of an account metric: a value and its labels.
#[derive(cynic::QueryFragment, Debug)]
#[cynic(graphql_type = "MetricPoint", schema_module = "crate::schema")]
struct Point {
    value: Amount,
    labels: Vec<String>,
}

/// Returns the first data point, for metrics that have only one.
fn first(points: &[Point]) -> Option<Number> {
    points.first().map(|point| point.value.number())
}

/// Converts nanoseconds to seconds.
fn seconds(nanoseconds: Number) -> Number {
    Number(nanoseconds.0 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_can_be_built() {
        let context = QueryContext { now: SystemTime::now(), dora_window: Duration::from_secs(60) };
        for collector in &ALL {
            let body = (collector.query)(&context).unwrap();
            assert!(body.contains("\"operationName\":\"PrometheusExporter_"), "{body}");
        }
    }
}
