//! What a Spacelift account holds, as plain data.
//!
//! The types mirror the GraphQL schema one to one, which is why they derive its objects: there is no second
//! set of types to keep in step. Numbers are `i64` although GraphQL's `Int` has 32 bits, so that a test can
//! also serve what an honest API never would.

pub use async_graphql::ID;
use async_graphql::SimpleObject;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::Serialize;

use super::schema;

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
    #[graphql(guard = "schema::unless_partial_failure")]
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

/// The names that somebody, somewhere, has given to a pool: each breaks a label that is not escaped.
const HOSTILE_NAMES: [&str; 11] = [
    "says \"quoted\"",
    r"back\slash and \n that is none",
    "two\nlines\r\nor three",
    "tab\tstop",
    "🚀 émoji 👩‍👩‍👧‍👦",
    "\u{202e}right to left \u{5e9}\u{5dc}\u{5d5}\u{5dd}",
    "combining e\u{301} a\u{30a}\u{323}",
    "",
    "} 1 # HELP injected",
    "{a=\"b\"},c='d'",
    " \u{feff}\u{a0}spaces ",
];

impl Account {
    /// An account that has some of everything, including a pool without workers and a fully drained one.
    #[must_use]
    pub fn rich() -> Self {
        let mut rng = StdRng::seed_from_u64(0);
        let mut pool = |name: &str, workers: usize, drained: usize, busy: i64, pending: i64| WorkerPool {
            busy_workers: busy,
            id: ulid(&mut rng),
            name: name.to_owned(),
            pending_runs: pending,
            schedulable_runs_count: pending / 2,
            users_count: 3 + busy,
            workers: (0..workers).map(|n| Worker { drained: n < drained, id: ulid(&mut rng) }).collect(),
            ..WorkerPool::default()
        };
        let pools = vec![
            WorkerPool {
                drift_detection_run_limit: Some(5),
                intent_projects_count: 2,
                notification_count: 1,
                ..pool("production", 6, 2, 4, 5)
            },
            WorkerPool { managed_by_k8s_controller: true, ..pool("staging", 3, 0, 1, 0) },
            WorkerPool { drift_detection_run_limit: Some(0), ..pool("retired", 2, 2, 0, 0) },
            pool("scaled to zero", 0, 0, 0, 12),
        ];
        let tile = |slug: &str, state: &str| StackTile::new(slug.replace('-', " "), slug, state);
        let mut runs = |count: usize| (0..count).map(|_| MetricsRun { id: ulid(&mut rng) }).collect();

        Self {
            public_pool: Some(PublicWorkerPool {
                busy_workers: 3,
                intent_projects_count: 1,
                parallelism: 10,
                pending_runs: 2,
                schedulable_runs_count: 1,
                users_count: 40,
            }),
            pools,
            usage: Usage {
                allowed_minutes: 50_000,
                allowed_seats: 60,
                billing_period_end: 1_754_678_400,
                billing_period_start: 1_752_000_000,
                used_minutes: 13_023,
                used_private_minutes: 12_345,
                used_public_minutes: 678,
                used_seats: 42,
                used_workers: 11,
            },
            seats: Seats {
                api_key: SeatUsage { in_use: 7, limit: 20 },
                user: SeatUsage { in_use: 42, limit: 60 },
            },
            audit_trail_retention_days: 90,
            run_log_retention_days: 30,
            integrations: IntegrationsCount {
                ai: 1,
                aws: 12,
                azure: 2,
                azure_dev_ops: 1,
                backstage: 1,
                bitbucket_cloud: 0,
                bitbucket_datacenter: 0,
                github: 3,
                gitlab: 1,
                service_now: 0,
                slack: 2,
                vcs_agent_pools: 1,
                webhooks: 9,
            },
            metrics: Some(Metrics {
                average_run_duration: MetricPoint::single(187_000_000_000.0),
                avg_stack_size_by_resource_count: MetricPoint::single(23.5),
                drift_detection_coverage: MetricPoint::single(0.64),
                has_runs: true,
                has_stacks: true,
                largest_stacks: vec![
                    LargestStack { resources_count: 812, stack_tile: tile("core-network", "FINISHED") },
                    LargestStack { resources_count: 377, stack_tile: tile("data-platform", "FAILED") },
                ],
                max_stack_size_by_resource_count: MetricPoint::single(812.0),
                median_run_duration: MetricPoint::single(142_000_000_000.0),
                needs_approval_runs: runs(3),
                resources_count_by_drift: vec![
                    MetricPoint::labelled("IN_SYNC", 1902.0),
                    MetricPoint::labelled("DRIFTED", 14.0),
                ],
                resources_count_by_vendor: vec![
                    MetricPoint::labelled("hashicorp/aws", 1500.0),
                    MetricPoint::labelled("hashicorp/google", 416.0),
                ],
                runs_requiring_attention: runs(5),
                stacks_count_by_state: vec![
                    MetricPoint::labelled("FINISHED", 128.0),
                    MetricPoint::labelled("FAILED", 7.0),
                    MetricPoint::labelled("UNCONFIRMED", 3.0),
                ],
                upcoming_drift_detection_schedules: vec![
                    DriftDetectionSchedule { stack_tile: tile("core-network", "FINISHED") },
                    DriftDetectionSchedule { stack_tile: tile("edge-dns", "FINISHED") },
                ],
            }),
            dora: Some(MetricsRange {
                average_lead_time_for_changes_value: MetricPoint::single(5400.0),
                average_time_to_recovery_value: MetricPoint::single(2700.0),
                change_failure_rate_value: MetricPoint::single(0.08),
                deployment_frequency_rate_value: MetricPoint::single(14.5),
                median_lead_time_for_changes_value: MetricPoint::single(3600.0),
                median_time_to_recovery_value: MetricPoint::single(1800.0),
            }),
        }
    }

    /// An account on its first day: nothing is null, every list is empty, every number zero.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            public_pool: Some(PublicWorkerPool::default()),
            metrics: Some(Metrics::default()),
            dora: Some(MetricsRange::default()),
            ..Self::default()
        }
    }

    /// A self-hosted installation: like [`Account::rich`] without a public pool.
    #[must_use]
    pub fn self_hosted() -> Self {
        let mut account = Self { public_pool: None, ..Self::rich() };
        account.usage.used_minutes -= account.usage.used_public_minutes;
        account.usage.used_public_minutes = 0;
        account
    }

    /// An account whose names and states hold whatever text can hold. One point has no label, one has two.
    #[must_use]
    pub fn hostile() -> Self {
        let very_long = "very long ".repeat(1000);
        let names: Vec<&str> = HOSTILE_NAMES.into_iter().chain([very_long.as_str()]).collect();
        let points = || names.iter().zip(1_u8..).map(|(name, n)| MetricPoint::labelled(*name, n.into()));
        let tiles = || names.iter().map(|name| StackTile::new(*name, *name, *name));
        let unusual = [
            MetricPoint { labels: Vec::new(), value: 100.0 },
            MetricPoint { labels: vec!["first".to_owned(), "second".to_owned()], value: 101.0 },
        ];

        let mut account = Self::with_pools(names.len(), 2);
        for (pool, name) in account.pools.iter_mut().zip(&names) {
            pool.name = (*name).to_owned();
        }
        account.metrics = Some(Metrics {
            largest_stacks: tiles()
                .map(|stack_tile| LargestStack { resources_count: 1, stack_tile })
                .collect(),
            resources_count_by_drift: points().collect(),
            resources_count_by_vendor: points().collect(),
            stacks_count_by_state: points().chain(unusual).collect(),
            upcoming_drift_detection_schedules: tiles()
                .map(|stack_tile| DriftDetectionSchedule { stack_tile })
                .collect(),
            ..Metrics::default()
        });
        account
    }

    /// An account of a given size, otherwise like [`Account::rich`].
    #[must_use]
    pub fn with_pools(pools: usize, workers_per_pool: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(0);
        let pools = (0..pools)
            .map(|number| WorkerPool {
                busy_workers: i64::try_from(number % (workers_per_pool + 1)).unwrap_or_default(),
                id: ulid(&mut rng),
                name: format!("pool-{number}"),
                pending_runs: i64::try_from(number % 7).unwrap_or_default(),
                workers: (0..workers_per_pool)
                    .map(|n| Worker { drained: n % 8 == 7, id: ulid(&mut rng) })
                    .collect(),
                ..WorkerPool::default()
            })
            .collect();
        Self { pools, ..Self::rich() }
    }
}

/// An identity in the form that Spacelift gives them: 26 characters of Crockford's base 32.
pub(super) fn ulid(rng: &mut StdRng) -> ID {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    // The leading part of a ULID is a time; this one lies in 2025, the rest is chance.
    let random = (0..22).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
    ID("01K5".chars().chain(random).collect())
}
