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
mod usage;
mod workerpools;

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, SystemTime};

use cynic::{Operation, QueryFragment, QueryVariables};
use exporter_common::metrics::{Number, gauge, gauges};
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::schema::Amount;

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
    pub(crate) ask: fn(&Moment) -> String,
    /// Reads the body of an answer.
    pub read: fn(&[u8]) -> Result<Answer, Failure>,
}

/// The answer to a collector's question.
pub type Answer = Box<dyn Families>;

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

/// The body of a GraphQL request with the name under which the API logs the operation. A document always
/// renders; should it not, the empty body makes the API say so.
fn body<F, V>(name: &str, operation: Operation<F, V>) -> String
where
    V: Serialize,
{
    let mut operation = operation;
    operation.operation_name = Some(name.to_owned().into());
    serde_json::to_string(&operation).unwrap_or_default()
}

/// A question without variables.
fn question<Q>(name: &str) -> String
where
    Q: QueryFragment<VariablesFields = ()>,
    Q::SchemaType: cynic::schema::QueryRoot,
{
    question_with::<Q, ()>(name, ())
}

/// A question with variables.
fn question_with<Q, V>(name: &str, variables: V) -> String
where
    Q: QueryFragment<VariablesFields = V::Fields>,
    Q::SchemaType: cynic::schema::QueryRoot,
    V: QueryVariables + Serialize,
{
    cynic::OperationBuilder::<Q, V>::query()
        .with_operation_name(name)
        .with_variables(variables)
        .build()
        .map(|operation| body(name, operation))
        .unwrap_or_default()
}

/// Reads an answer that holds `Q`.
fn answer<Q: Families + DeserializeOwned + 'static>(body: &[u8]) -> Result<Answer, Failure> {
    crate::client::read_data::<Q>(body).map(|data| Box::new(data) as Answer)
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

    /// A family with a series for each point, labelled with the point's first label. A point without a label
    /// is skipped, and so is one whose label was seen before.
    fn by_first_label(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        points: &[Point],
    ) -> fmt::Result {
        let mut seen = HashSet::new();
        let series = points.iter().filter_map(|point| {
            let value = point.labels.first()?.as_str();
            seen.insert(value).then(|| ([(label, value)], point.value.number()))
        });
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
