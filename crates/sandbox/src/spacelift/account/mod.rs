//! What a Spacelift account holds, as plain data.
//!
//! The types mirror the GraphQL schema one to one, which is why they derive its objects: there is no second
//! set of types to keep in step. Numbers are `i64` although GraphQL's `Int` has 32 bits, so that a test can
//! also serve what an honest API never would.

mod samples;

pub use async_graphql::ID;
use async_graphql::SimpleObject;
use serde::Serialize;

use crate::spacelift::guard;

/// Everything that the simulated API can be asked about.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Account {
    /// The pool that Spacelift runs; self-hosted installations have none.
    pub public_pool: Option<PublicWorkerPool>,
    /// The pools that the account runs itself.
    pub pools: Vec<WorkerPool>,
    /// The present billing period.
    pub usage: Usage,
    /// Licensed seats.
    pub seats: Seats,
    /// How many days the audit trail is kept.
    pub audit_trail_retention_days: i64,
    /// How many days the logs of runs are kept.
    pub run_log_retention_days: i64,
    /// Configured integrations by kind.
    pub integrations: IntegrationsCount,
    /// Figures about stacks and runs.
    pub metrics: Option<Metrics>,
    /// The DORA figures, the same for every window that is asked for.
    pub dora: Option<MetricsRange>,
}

/// The pool that Spacelift runs for its customers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct PublicWorkerPool {
    /// Workers that run something.
    pub busy_workers: i64,
    /// Intent projects that use the pool.
    pub intent_projects_count: i64,
    /// How many runs may be executed at once.
    pub parallelism: i64,
    /// Runs that wait.
    pub pending_runs: i64,
    /// Waiting runs that nothing but a free worker holds back.
    pub schedulable_runs_count: i64,
    /// Stacks and modules that use the pool.
    pub users_count: i64,
}

/// A pool of the account's own workers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct WorkerPool {
    /// Workers that run something.
    pub busy_workers: i64,
    /// The most drift detection runs at once; null where no limit was configured.
    pub drift_detection_run_limit: Option<i64>,
    /// A ULID.
    pub id: ID,
    /// Intent projects that use the pool.
    pub intent_projects_count: i64,
    /// Whether the Kubernetes operator manages the workers.
    #[graphql(name = "managedByK8sController")]
    pub managed_by_k8s_controller: bool,
    /// The name that somebody chose, any text.
    pub name: String,
    /// Notifications that the pool shows.
    pub notification_count: i64,
    /// Runs that wait.
    pub pending_runs: i64,
    /// Waiting runs that nothing but a free worker holds back.
    pub schedulable_runs_count: i64,
    /// Stacks and modules that use the pool.
    pub users_count: i64,
    /// The workers that are registered.
    pub workers: Vec<Worker>,
}

impl WorkerPool {
    /// How many of the workers take no new runs.
    #[must_use]
    pub fn drained_workers(&self) -> usize {
        self.workers.iter().filter(|worker| worker.drained).count()
    }
}

/// One worker of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct Worker {
    /// Whether it takes no new runs.
    pub drained: bool,
    /// A ULID.
    pub id: ID,
}

/// What the present billing period has used so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct Usage {
    /// Minutes that the plan includes.
    pub allowed_minutes: i64,
    /// Seats that the plan includes.
    pub allowed_seats: i64,
    /// Unix seconds.
    pub billing_period_end: i64,
    /// Unix seconds.
    pub billing_period_start: i64,
    /// Minutes on private and public workers together.
    pub used_minutes: i64,
    /// Minutes on the account's own workers.
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
    /// People.
    pub user: SeatUsage,
}

/// The seats of one type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct SeatUsage {
    /// Seats that are taken.
    pub in_use: i64,
    /// Seats that there are.
    pub limit: i64,
}

/// Configured integrations by kind.
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

/// Figures about stacks and runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct Metrics {
    /// Nanoseconds.
    pub average_run_duration: Vec<MetricPoint>,
    /// Resources.
    pub avg_stack_size_by_resource_count: Vec<MetricPoint>,
    /// The share of stacks with drift detection, 0 to 1.
    pub drift_detection_coverage: Vec<MetricPoint>,
    /// Whether there ever was a run.
    pub has_runs: bool,
    /// Whether there is a stack.
    pub has_stacks: bool,
    /// The stacks with most resources.
    pub largest_stacks: Vec<LargestStack>,
    /// Resources.
    pub max_stack_size_by_resource_count: Vec<MetricPoint>,
    /// Nanoseconds.
    pub median_run_duration: Vec<MetricPoint>,
    /// Runs that wait for somebody's approval.
    pub needs_approval_runs: Vec<MetricsRun>,
    /// Resources, labelled with whether they drifted.
    pub resources_count_by_drift: Vec<MetricPoint>,
    /// Resources, labelled with the provider's vendor.
    pub resources_count_by_vendor: Vec<MetricPoint>,
    /// Runs that somebody should look at.
    pub runs_requiring_attention: Vec<MetricsRun>,
    /// Stacks, labelled with their state.
    #[graphql(guard = "guard::unless_partial_failure")]
    pub stacks_count_by_state: Vec<MetricPoint>,
    /// Drift detection that is due soon.
    pub upcoming_drift_detection_schedules: Vec<DriftDetectionSchedule>,
}

/// The DORA figures of a window of time.
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

/// A value and what distinguishes it from its siblings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct MetricPoint {
    /// Usually one label, none where the list has a single point.
    pub labels: Vec<String>,
    /// In the unit of the list that holds the point.
    pub value: f64,
}

impl MetricPoint {
    /// A point with one label.
    pub fn labelled(label: impl Into<String>, value: f64) -> Self {
        Self { labels: vec![label.into()], value }
    }

    /// The list of a figure that has just one value.
    #[must_use]
    pub fn single(value: f64) -> Vec<Self> {
        vec![Self { labels: Vec::new(), value }]
    }
}

/// A run, reduced to its identity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct MetricsRun {
    /// A ULID.
    pub id: ID,
}

/// A stack among the largest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct LargestStack {
    /// How many resources it manages.
    pub resources_count: i64,
    /// Which stack it is.
    pub stack_tile: StackTile,
}

/// Drift detection that is due soon.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct DriftDetectionSchedule {
    /// The stack to be examined.
    pub stack_tile: StackTile,
}

/// What a list shows of a stack.
#[derive(Clone, Debug, Default, PartialEq, Serialize, SimpleObject)]
pub struct StackTile {
    /// The name that somebody chose, any text.
    pub name: String,
    /// The stack's identity.
    pub slug: String,
    /// The stack's state, such as `FINISHED`.
    pub state: String,
}

impl StackTile {
    pub(super) fn new(name: impl Into<String>, slug: impl Into<String>, state: impl Into<String>) -> Self {
        Self { name: name.into(), slug: slug.into(), state: state.into() }
    }
}
