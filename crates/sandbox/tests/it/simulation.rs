//! Tests of the simulated account: consistency and variety.

use std::{collections::HashSet, time::Duration};

use proptest::prelude::*;
use sandbox::spacelift::{Account, MetricPoint, SimulatedAccount, Spacelift};

/// A time in 2025 with a fraction of a second.
const NOW: Duration = Duration::from_millis(1_757_500_000_123);
const BILLING_PERIOD: u64 = 30 * 24 * 60 * 60;
const DAY: Duration = Duration::from_secs(300);

fn sum(points: &[MetricPoint]) -> f64 {
    points.iter().map(|point| point.value).sum()
}

fn check(account: &Account) -> Result<(), TestCaseError> {
    let public = account.public_pool.as_ref().expect("a public pool");
    prop_assert!((0..=public.parallelism).contains(&public.busy_workers), "{:?}", public);
    prop_assert!((0..=public.pending_runs).contains(&public.schedulable_runs_count), "{:?}", public);
    // Runs do not wait while a worker is free.
    prop_assert!(
        public.schedulable_runs_count == 0 || public.busy_workers == public.parallelism,
        "{:?}",
        public
    );

    for pool in &account.pools {
        let workers = pool.workers.len() as i64;
        let drained = pool.drained_workers() as i64;
        prop_assert!((0..=workers).contains(&pool.busy_workers), "{:?}", pool);
        prop_assert!((0..=pool.pending_runs).contains(&pool.schedulable_runs_count), "{:?}", pool);
        prop_assert!(
            pool.schedulable_runs_count == 0 || pool.busy_workers >= workers - drained,
            "{:?}",
            pool
        );
    }
    let ids: Vec<_> = account.pools.iter().flat_map(|pool| &pool.workers).map(|worker| &worker.id).collect();
    prop_assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());

    let usage = &account.usage;
    prop_assert_eq!(usage.used_minutes, usage.used_private_minutes + usage.used_public_minutes);
    prop_assert_eq!(usage.billing_period_end, usage.billing_period_start + BILLING_PERIOD as i64);
    prop_assert_eq!(
        usage.used_workers,
        account.pools.iter().map(|pool| pool.workers.len() as i64).sum::<i64>()
    );
    prop_assert!(usage.used_seats <= usage.allowed_seats);

    let metrics = account.metrics.as_ref().expect("metrics");
    let users = public.users_count + account.pools.iter().map(|pool| pool.users_count).sum::<i64>();
    prop_assert_eq!(sum(&metrics.stacks_count_by_state), users as f64);
    prop_assert_eq!(sum(&metrics.resources_count_by_drift), sum(&metrics.resources_count_by_vendor));
    prop_assert!(metrics.resources_count_by_drift.iter().all(|point| point.value >= 0.0));
    prop_assert!(metrics.runs_requiring_attention.len() >= metrics.needs_approval_runs.len());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn stays_consistent(
        seed: u64,
        // Often shortly before the end of a billing period, so that the period ends during the test.
        left in prop_oneof![0..400_u64, 0..BILLING_PERIOD],
        steps in prop::collection::vec(1..20_000_u64, 1..60),
    ) {
        let now = Duration::from_secs(680 * BILLING_PERIOD - left);
        let mut account = SimulatedAccount::new(seed, now);
        let mut before = account.snapshot();
        check(&before)?;
        for millis in steps {
            account.advance(Duration::from_millis(millis));
            let after = account.snapshot();
            check(&after)?;
            let (old, new) = (&before.usage, &after.usage);
            prop_assert!(new.billing_period_start >= old.billing_period_start);
            if new.billing_period_start == old.billing_period_start {
                prop_assert!(new.used_private_minutes >= old.used_private_minutes);
                prop_assert!(new.used_public_minutes >= old.used_public_minutes);
            }
            before = after;
        }
    }

    #[test]
    fn is_deterministic(seed: u64, steps in prop::collection::vec(0..5_000_u64, 0..40)) {
        let mut in_steps = SimulatedAccount::new(seed, NOW);
        for millis in &steps {
            in_steps.advance(Duration::from_millis(*millis));
        }
        let mut in_one_step = SimulatedAccount::new(seed, NOW);
        in_one_step.advance(Duration::from_millis(steps.iter().sum()));
        prop_assert_eq!(in_steps.snapshot(), in_one_step.snapshot());
    }
}

#[test]
fn a_new_billing_period_starts_from_zero() {
    let mut account = SimulatedAccount::new(1, Duration::from_secs(680 * BILLING_PERIOD - 10));
    let before = account.snapshot().usage;
    assert!(before.used_minutes > 500_000);
    account.advance(Duration::from_secs(20));
    let after = account.snapshot().usage;
    assert_eq!(after.billing_period_start, before.billing_period_end);
    assert!(after.used_minutes < 10);
}

/// Looks at the account every five seconds for four simulated days.
#[test]
fn changes_are_frequent_and_varied() {
    for seed in 0..5 {
        let mut account = SimulatedAccount::new(seed, NOW);
        let mut accounts = vec![account.snapshot()];
        for _ in 0..4 * DAY.as_secs() / 5 {
            account.advance(Duration::from_secs(5));
            accounts.push(account.snapshot());
        }

        let seen = |wanted: &dyn Fn(&Account) -> bool| {
            accounts.iter().filter(|account| wanted(account)).count() as f64 / accounts.len() as f64
        };
        let overloaded = seen(&|account| account.pools.iter().any(|pool| pool.pending_runs >= 10));
        let without_workers = seen(&|account| account.pools.iter().any(|pool| pool.workers.is_empty()));
        let draining = seen(&|account| account.pools.iter().any(|pool| pool.drained_workers() > 0));
        let waiting = seen(&|account| account.public_pool.as_ref().is_some_and(|pool| pool.pending_runs > 0));
        let failing = seen(&|account| {
            let metrics = account.metrics.as_ref().unwrap();
            metrics.stacks_count_by_state.iter().any(|point| point.labels == ["FAILED"])
        });
        let drifted: HashSet<_> = accounts
            .iter()
            .map(|account| account.metrics.as_ref().unwrap().resources_count_by_drift[1].value as u32)
            .collect();
        let seen = format!(
            "seed {seed}: overloaded {overloaded}, without_workers {without_workers}, draining {draining}, waiting {waiting}, \
             failing {failing}, drifted {drifted:?}"
        );
        for pool in 0..accounts[0].pools.len() {
            let name = &accounts[0].pools[pool].name;
            assert!(
                accounts.iter().any(|account| account.pools[pool].pending_runs == 0),
                "{name} always has waiting runs"
            );
        }
        assert!((0.1..0.9).contains(&overloaded), "{seen}");
        assert!((0.1..0.9).contains(&without_workers), "{seen}");
        assert!((0.1..1.0).contains(&draining), "{seen}");
        assert!((0.05..0.9).contains(&waiting), "{seen}");
        assert!(failing > 0.5, "{seen}");
        assert!(drifted.len() > 5, "{seen}");

        for minute in accounts.chunks_exact(12) {
            let busy: HashSet<i64> =
                minute.iter().map(|a| a.pools.iter().map(|pool| pool.busy_workers).sum()).collect();
            assert!(busy.len() > 1, "no change for a minute");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn advances_with_the_clock() {
    let spacelift = Spacelift::builder().simulated(1, 10.0).start().await.unwrap();
    let before = spacelift.account();
    tokio::time::advance(Duration::from_secs(6)).await;
    let after = spacelift.account();
    assert!(after.usage.used_minutes > before.usage.used_minutes);
    assert_ne!(after.pools, before.pools);
    assert_eq!(spacelift.account(), after, "time passes only by the clock");
}
