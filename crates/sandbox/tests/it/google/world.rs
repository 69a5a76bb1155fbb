//! Tests of the simulation of clusters.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, SystemTime},
};

use proptest::prelude::*;
use sandbox::google::{Event, Instance, Status, World};

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn start(seed: u64) -> World {
    World::new(seed, NOW + Duration::from_secs(1_700_000_000))
}

/// The instances by zone and name, as derived from events.
#[derive(Clone, Debug, Default)]
struct Observer {
    instances: BTreeMap<(String, String), Instance>,
    ids: HashSet<u64>,
    interruptions: BTreeMap<String, u64>,
    unattributed: u64,
}

impl Observer {
    fn new(world: &World) -> Self {
        let mut observer = Self::default();
        for instance in world.instances() {
            assert!(observer.ids.insert(instance.id), "a duplicate id");
            observer.instances.insert(key(instance), instance.clone());
        }
        observer
    }

    fn note(&mut self, events: Vec<Event>) -> Result<(), TestCaseError> {
        for event in events {
            match event {
                Event::Created(instance, _) => self.create(instance)?,
                Event::BulkCreated(instances, _) => {
                    prop_assert!(!instances.is_empty());
                    prop_assert!(instances.iter().all(|instance| instance.zone == instances[0].zone));
                    for instance in instances {
                        self.create(instance)?;
                    }
                }
                Event::Failed(instance, _) => {
                    prop_assert!(self.ids.insert(instance.id));
                    prop_assert!(!self.instances.contains_key(&key(&instance)));
                }
                Event::Preempted(instance) => {
                    let known = self.instances.get_mut(&key(&instance)).expect("the instance exists");
                    prop_assert_eq!(known.id, instance.id);
                    prop_assert_eq!(known.status, Status::Running);
                    prop_assert!(instance.provisioning.is_preemptible());
                    match instance.cluster() {
                        Some(cluster) => *self.interruptions.entry(cluster.to_owned()).or_default() += 1,
                        None => self.unattributed += 1,
                    }
                    *known = instance;
                }
                Event::Deleted(instance) => {
                    prop_assert_eq!(self.instances.remove(&key(&instance)), Some(instance));
                }
            }
        }
        Ok(())
    }

    fn create(&mut self, instance: Instance) -> Result<(), TestCaseError> {
        prop_assert!(self.ids.insert(instance.id), "a duplicate id");
        prop_assert_eq!(instance.status, Status::Running);
        prop_assert_eq!(self.instances.insert(key(&instance), instance), None);
        Ok(())
    }

    /// Compares the derived state with the world.
    fn check(&self, world: &World) -> Result<(), TestCaseError> {
        let truth = world.truth();
        let there: BTreeMap<_, _> =
            world.instances().map(|instance| (key(instance), instance.clone())).collect();
        prop_assert_eq!(there.len() as u64, truth.instances, "names are unique");
        prop_assert_eq!(&there, &self.instances);
        prop_assert_eq!(truth.unattributed, self.unattributed);
        for (cluster, count) in &truth.interruptions_by_cluster {
            prop_assert_eq!(*count, self.interruptions.get(cluster).copied().unwrap_or(0));
        }
        let spot = there.values().filter(|instance| {
            instance.status == Status::Running
                && instance.provisioning.is_preemptible()
                && instance.cluster().is_some()
        });
        prop_assert_eq!(truth.spot_by_cluster.values().sum::<u64>(), spot.count() as u64);
        Ok(())
    }
}

fn key(instance: &Instance) -> (String, String) {
    (instance.zone.clone(), instance.name.clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn events_describe_all_changes(
        seed: u64,
        steps in prop::collection::vec((1..20_000_u64, prop::option::weighted(0.1, 0.0..=1.0_f64)), 1..40),
    ) {
        let mut world = start(seed);
        let mut observer = Observer::new(&world);
        observer.check(&world)?;
        for (millis, burst) in steps {
            observer.note(world.advance(Duration::from_millis(millis)))?;
            if let Some(share) = burst {
                observer.note(world.burst(share))?;
            }
            observer.check(&world)?;
        }
    }

    #[test]
    fn is_deterministic(seed: u64, steps in prop::collection::vec(0..5_000_u64, 0..40)) {
        let mut in_steps = start(seed);
        let mut events: Vec<Event> = Vec::new();
        for millis in &steps {
            events.extend(in_steps.advance(Duration::from_millis(*millis)));
        }
        let mut in_one_step = start(seed);
        prop_assert_eq!(events, in_one_step.advance(Duration::from_millis(steps.iter().sum())));
        prop_assert_eq!(in_steps.truth(), in_one_step.truth());
    }
}

/// Watches four simulated days for each seed.
#[test]
fn changes_are_frequent_and_varied() {
    for seed in 0..4 {
        let mut world = start(seed);
        let first = world.truth();
        assert!(first.instances > 100, "{first:?}");
        assert!(first.interruptions_by_cluster.len() >= 5);

        let mut names = HashMap::<(String, String), u64>::new();
        let (mut created, mut bulks, mut failed, mut reused) = (0, 0, 0, 0);
        let (mut per_step, mut by_zone) = (Vec::new(), BTreeMap::<String, u64>::new());
        for _ in 0..600 {
            let events = world.advance(Duration::from_secs(2));
            let mut interruptions = 0;
            for event in events {
                match event {
                    Event::Created(instance, _) => {
                        created += 1;
                        reused += u64::from(names.insert(key(&instance), instance.id).is_some());
                    }
                    Event::BulkCreated(..) => bulks += 1,
                    Event::Failed(..) => failed += 1,
                    Event::Preempted(instance) => {
                        interruptions += 1;
                        names.insert(key(&instance), instance.id);
                        *by_zone.entry(instance.zone).or_default() += 1;
                    }
                    Event::Deleted(_) => {}
                }
            }
            per_step.push(interruptions);
        }
        let truth = world.truth();
        let seen = format!(
            "seed {seed}: {created} created, {reused} with a reused name, {bulks} bulks, {failed} failed, \
             {by_zone:?}, {truth:?}"
        );
        assert!(truth.interruptions_by_cluster.values().all(|count| *count > 0), "{seen}");
        assert!(truth.unattributed > 0, "{seen}");
        assert!(created > 100 && reused > 10 && bulks > 10 && failed > 3, "{seen}");
        assert!(by_zone["europe-west1-d"] > by_zone["europe-west1-b"], "{seen}");
        let busiest = per_step.iter().max().unwrap();
        assert!(*busiest >= 4, "no surge: {seen}");
        let total: u64 = per_step.iter().sum();
        assert!((100..2000).contains(&total), "{total} interruptions: {seen}");
        for minute in per_step.chunks_exact(30) {
            assert!(minute.iter().sum::<u64>() > 0, "no interruption for a minute: {seen}");
        }
    }
}

#[test]
fn a_burst_preempts_its_share_of_the_spot_instances() {
    let mut world = start(1);
    let spot: u64 = world.truth().spot_by_cluster.values().sum();
    assert!(world.burst(0.0).is_empty());
    let preempted = world.burst(1.0);
    let is_terminated =
        |event: &Event| matches!(event, Event::Preempted(instance) if instance.status == Status::Terminated);
    assert!(preempted.iter().all(is_terminated));
    assert!(world.burst(1.0).is_empty(), "a preempted instance is preempted once");
    let truth = world.truth();
    assert_eq!(truth.interruptions_by_cluster.values().sum::<u64>(), spot);
    assert_eq!(truth.spot_by_cluster.values().sum::<u64>(), 0);
    world.advance(Duration::from_secs(60));
    assert!(world.truth().spot_by_cluster.values().sum::<u64>() > spot / 3, "instances are recreated");
}

#[test]
fn scales_the_node_pools() {
    let large = World::with_scale(1, NOW, 20);
    assert!(large.truth().instances > 20 * 100);
    let mut empty = World::with_scale(1, NOW + Duration::from_secs(10_000), 0);
    assert_eq!(empty.truth().instances, 0);
    assert!(empty.advance(Duration::from_secs(600)).is_empty());
}
