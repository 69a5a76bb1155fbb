//! The data of a Spacelift account.
//!
//! The types correspond one to one to the GraphQL schema and derive its objects. Numbers are `i64` although
//! GraphQL's `Int` has 32 bits, so that tests can serve invalid values.

mod samples;

pub use async_graphql::ID;
use async_graphql::SimpleObject;
use serde::Serialize;

use crate::spacelift::guard;

/// All data of the simulated API.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Account {
    /// The pool operated by Spacelift; self-hosted installations have none.
    pub public_pool: Option<PublicWorkerPool>,
    /// The private pools.
    pub pools: Vec<WorkerPool>,
    /// The current billing period.
    pub usage: Usage,
    /// Licensed seats.
    pub seats: Seats,
    /// The retention of the audit trail in days.
    pub audit_trail_retention_days: i64,
    /// The retention of run logs in days.
    pub run_log_retention_days: i64,
    /// The number of integrations by product.
    pub integrations: IntegrationsCount,
    /// Statistics of stacks and runs.
    pub metrics: Option<Metrics>,
    /// The DORA metrics. They are the same for every requested range.
    pub dora: Option<MetricsRange>,
}

/// The worker pool operated by Spacelift.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct PublicWorkerPool {
    /// Workers with a run.
    pub busy_workers: i64,
    /// Intent projects that use the pool.
    pub intent_projects_count: i64,
    /// The maximum number of concurrent runs.
    pub parallelism: i64,
    /// Waiting runs.
    pub pending_runs: i64,
    /// Waiting runs that need only a free worker.
    pub schedulable_runs_count: i64,
    /// Stacks and modules that use the pool.
    pub users_count: i64,
}

/// A private worker pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct WorkerPool {
    /// Workers with a run.
    pub busy_workers: i64,
    /// The maximum number of concurrent drift detection runs; null for no limit.
    pub drift_detection_run_limit: Option<i64>,
    /// A ULID.
    pub id: ID,
    /// Intent projects that use the pool.
    pub intent_projects_count: i64,
    /// Whether the Kubernetes operator manages the workers.
    #[graphql(name = "managedByK8sController")]
    pub managed_by_k8s_controller: bool,
    /// The name, any text.
    pub name: String,
    /// The number of notifications.
    pub notification_count: i64,
    /// Waiting runs.
    pub pending_runs: i64,
    /// Waiting runs that need only a free worker.
    pub schedulable_runs_count: i64,
    /// Stacks and modules that use the pool.
    pub users_count: i64,
    /// The registered workers.
    pub workers: Vec<Worker>,
}

impl WorkerPool {
    /// Returns the number of drained workers.
    #[must_use]
    pub fn drained_workers(&self) -> usize {
        self.workers.iter().filter(|worker| worker.drained).count()
    }
}

/// A worker of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct Worker {
    /// Whether it accepts no new runs.
    pub drained: bool,
    /// A ULID.
    pub id: ID,
}

/// Usage of the current billing period.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct Usage {
    /// Included minutes.
    pub allowed_minutes: i64,
    /// Included seats.
    pub allowed_seats: i64,
    /// Unix seconds.
    pub billing_period_end: i64,
    /// Unix seconds.
    pub billing_period_start: i64,
    /// Minutes on private and public workers.
    pub used_minutes: i64,
    /// Minutes on private workers.
    pub used_private_minutes: i64,
    /// Minutes on the public pool.
    pub used_public_minutes: i64,
    /// Seats in use.
    pub used_seats: i64,
    /// Workers in use.
    pub used_workers: i64,
}

/// Licensed seats by type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct Seats {
    /// API keys.
    pub api_key: SeatUsage,
    /// Users.
    pub user: SeatUsage,
}

/// The seats of one type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct SeatUsage {
    /// Occupied seats.
    pub in_use: i64,
    /// Licensed seats.
    pub limit: i64,
}

/// The number of integrations by product.
#[allow(missing_docs, reason = "every field is the name of a product")]
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct IntegrationsCount {
    pub ai: i64,
    pub aws: i64,
    pub azure: i64,
    pub azure_dev_ops: i64,
    pub backstage: i64,
    pub bitbucket_cloud: i64,
    pub bitbucket_datacenter: i64,
    pub github: i64,
    pub gitlab: i64,
    pub service_now: i64,
    pub slack: i64,
    pub vcs_agent_pools: i64,
    pub webhooks: i64,
}

/// Statistics of stacks and runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct Metrics {
    /// Nanoseconds.
    pub average_run_duration: Vec<MetricPoint>,
    /// Resources.
    pub avg_stack_size_by_resource_count: Vec<MetricPoint>,
    /// The share of stacks with drift detection, 0 to 1.
    pub drift_detection_coverage: Vec<MetricPoint>,
    /// Whether a run has ever existed.
    pub has_runs: bool,
    /// Whether a stack exists.
    pub has_stacks: bool,
    /// The stacks with the most resources.
    pub largest_stacks: Vec<LargestStack>,
    /// Resources.
    pub max_stack_size_by_resource_count: Vec<MetricPoint>,
    /// Nanoseconds.
    pub median_run_duration: Vec<MetricPoint>,
    /// Runs that wait for approval.
    pub needs_approval_runs: Vec<MetricsRun>,
    /// Resources by drift state, which is the label.
    pub resources_count_by_drift: Vec<MetricPoint>,
    /// Resources by provider, which is the label.
    pub resources_count_by_vendor: Vec<MetricPoint>,
    /// Runs that need attention.
    pub runs_requiring_attention: Vec<MetricsRun>,
    /// Stacks by state, which is the label.
    #[graphql(guard = "guard::unless_partial_failure")]
    pub stacks_count_by_state: Vec<MetricPoint>,
    /// Scheduled drift detection.
    pub upcoming_drift_detection_schedules: Vec<DriftDetectionSchedule>,
}

/// DORA metrics of a time range.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct MetricsRange {
    /// Seconds.
    pub average_lead_time_for_changes_value: Vec<MetricPoint>,
    /// Seconds.
    pub average_time_to_recovery_value: Vec<MetricPoint>,
    /// The share of changes that failed, 0 to 1.
    pub change_failure_rate_value: Vec<MetricPoint>,
    /// Deployments per day.
    pub deployment_frequency_rate_value: Vec<MetricPoint>,
    /// Seconds.
    pub median_lead_time_for_changes_value: Vec<MetricPoint>,
    /// Seconds.
    pub median_time_to_recovery_value: Vec<MetricPoint>,
}

/// A value with labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct MetricPoint {
    /// One label in most lists, none in lists with a single point.
    pub labels: Vec<String>,
    /// In the unit of its list.
    pub value: f64,
}

impl MetricPoint {
    /// Returns a point with one label.
    pub fn labelled(label: impl Into<String>, value: f64) -> Self {
        Self { labels: vec![label.into()], value }
    }

    /// Returns a list with a single value.
    #[must_use]
    pub fn single(value: f64) -> Vec<Self> {
        vec![Self { labels: Vec::new(), value }]
    }
}

/// The id of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct MetricsRun {
    /// A ULID.
    pub id: ID,
}

/// A stack and its size.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct LargestStack {
    /// The number of managed resources.
    pub resources_count: i64,
    /// The stack.
    pub stack_tile: StackTile,
}

/// A scheduled drift detection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct DriftDetectionSchedule {
    /// The stack to check.
    pub stack_tile: StackTile,
}

/// A stack as shown in lists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct StackTile {
    /// The name, any text.
    pub name: String,
    /// The unique name.
    pub slug: String,
    /// The state, such as `FINISHED`.
    pub state: String,
}

impl StackTile {
    pub(super) fn new(name: impl Into<String>, slug: impl Into<String>, state: impl Into<String>) -> Self {
        Self { name: name.into(), slug: slug.into(), state: state.into() }
    }
}
