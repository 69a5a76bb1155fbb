//! The collectors: each asks one question of the API and turns the answer into families.
//!
//! To add one, write its file and name it in [`ALL`]; its flag, variable, key, health series and rows in the
//! README follow from that.

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

/// A collector: its name, its question and how its answer is read.
#[derive(Debug)]
pub struct Collector {
    /// The value of the `collector` label and the end of its flag.
    pub name: &'static str,
    /// What it brings, for `--help` and the README.
    pub about: &'static str,
    /// Whether it is on unless told otherwise.
    pub on_by_default: bool,
    /// Whether the question is the same in every scrape.
    pub(crate) fixed: bool,
    /// The JSON body of its request.
    pub(crate) ask: fn(&Moment) -> Result<String, DocumentError>,
    /// Reads the body of an answer.
    pub read: fn(&[u8]) -> Result<Answer, Failure>,
}

/// The answer to a collector's question.
pub type Answer = Arc<dyn Families>;

/// What a question may depend on.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The time of the scrape.
    pub now: SystemTime,
    /// How far back the DORA figures reach.
    pub dora_window: Duration,
}

/// An answer that can write itself as metric families.
pub trait Families: fmt::Debug + Send + Sync {
    /// Writes the families; one without series is left out.
    ///
    /// # Errors
    /// Those of the encoder.
    fn write(&self, families: &mut Writer<'_, '_>) -> fmt::Result;
}

/// The document of a collector cannot be built: a defect of the program, found before anything is sent.
#[derive(Debug, thiserror::Error)]
#[error("the GraphQL document {name} cannot be built: {reason}")]
pub struct DocumentError {
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// The body of a GraphQL request for `Q` without variables, with the name under which the API logs the operation.
fn question<Q>(name: &str) -> Result<String, DocumentError>
where
    Q: QueryFragment<VariablesFields = ()>,
    Q::SchemaType: cynic::schema::QueryRoot,
{
    question_with::<Q, ()>(name, ())
}

/// The same with variables.
fn question_with<Q, V>(name: &str, variables: V) -> Result<String, DocumentError>
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

/// Reads an answer that holds `Q`.
fn answer<Q: Families + DeserializeOwned + 'static>(body: &[u8]) -> Result<Answer, Failure> {
    graphql::read_data::<Q>(body).map(|data| Arc::new(data) as Answer)
}

/// Writes gauge families.
pub struct Writer<'a, 'e>(pub &'a mut DescriptorEncoder<'e>);

impl Writer<'_, '_> {
    /// A family of one series without labels, absent where there is no value.
    fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        value: impl Into<Option<Number>>,
    ) -> fmt::Result {
        gauge(self.0, name, help, value.into())
    }

    /// A family with a series for each pair of labels and value. Whatever the API repeats is for the caller to leave
    /// out: Prometheus refuses a series that stands twice.
    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &'static str,
        help: &'static str,
        series: impl IntoIterator<Item = (L, Number)>,
    ) -> fmt::Result {
        gauges(self.0, name, help, series)
    }

    /// A family with a series for each first label of the points, whose values are summed. A point without a label is
    /// skipped.
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

/// A point of a metric of the account: a value and the labels that say what it counts.
#[derive(cynic::QueryFragment, Debug)]
#[cynic(graphql_type = "MetricPoint", schema_module = "crate::schema")]
struct Point {
    value: Amount,
    labels: Vec<String>,
}

/// The value of a metric that is one number: its first point.
fn first(points: &[Point]) -> Option<Number> {
    points.first().map(|point| point.value.number())
}

/// Nanoseconds as seconds.
fn seconds(nanoseconds: Number) -> Number {
    Number(nanoseconds.0 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_can_be_built() {
        let moment = Moment { now: SystemTime::now(), dora_window: Duration::from_secs(60) };
        for collector in &ALL {
            let body = (collector.ask)(&moment).unwrap();
            assert!(body.contains("\"operationName\":\"PrometheusExporter_"), "{body}");
        }
    }
}
