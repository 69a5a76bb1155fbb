//! Sample accounts.

use rand::{SeedableRng as _, rngs::StdRng};

use super::{
    Account, DriftDetectionSchedule, IntegrationsCount, LargestStack, MetricPoint, Metrics, MetricsRange,
    MetricsRun, PublicWorkerPool, SeatUsage, Seats, StackTile, Usage, Worker, WorkerPool,
};
use crate::spacelift::ulid::ulid;

/// Names that break an exposition if they are not escaped.
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
    /// Returns an account with data in all fields, including a pool without workers and a fully drained pool.
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

    /// Returns a new account: no nulls, but empty lists and zeros.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            public_pool: Some(PublicWorkerPool::default()),
            metrics: Some(Metrics::default()),
            dora: Some(MetricsRange::default()),
            ..Self::default()
        }
    }

    /// Returns [`Account::rich`] without a public pool, like a self-hosted installation.
    #[must_use]
    pub fn self_hosted() -> Self {
        let mut account = Self { public_pool: None, ..Self::rich() };
        account.usage.used_minutes -= account.usage.used_public_minutes;
        account.usage.used_public_minutes = 0;
        account
    }

    /// Returns an account with difficult characters in names and states. One point has no label, one has two.
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

    /// Returns [`Account::rich`] with other pools.
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
