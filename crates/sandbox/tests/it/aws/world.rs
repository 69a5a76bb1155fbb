//! Tests of the simulation of clusters.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use proptest::prelude::*;
use sandbox::aws::{
    ACCOUNT, Aws, Instance, InstanceState, OTHER_ACCOUNT, OTHER_REGION, OTHER_ROLE, QUEUE, StateReason,
    Truth, World, WorldEvent,
};
use serde_json::{Value, json};

use super::client::{Client, bodies, elements, handles};

fn start(seed: u64) -> World {
    World::new(seed, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
}

/// The state that an exporter derives from events.
#[derive(Debug, Default)]
struct Observer {
    instances: BTreeMap<String, Instance>,
    warned: BTreeSet<String>,
    interruptions: BTreeMap<String, u64>,
    unannounced: u64,
    unattributed: u64,
}

impl Observer {
    fn new(world: &World) -> Self {
        let instances = world.instances().map(|instance| (instance.id.clone(), instance.clone()));
        Self { instances: instances.collect(), ..Self::default() }
    }

    fn note(&mut self, events: Vec<WorldEvent>) -> Result<(), TestCaseError> {
        for event in events {
            match event {
                WorldEvent::Launched(instance) => {
                    prop_assert_eq!(instance.state, InstanceState::Running);
                    prop_assert_eq!(instance.id.len(), 19);
                    prop_assert!(
                        self.instances.insert(instance.id.clone(), instance).is_none(),
                        "a reused id"
                    );
                }
                WorldEvent::RebalanceRecommended(instance) => {
                    prop_assert!(self.instances[&instance.id].is_running_spot());
                }
                WorldEvent::Warned(instance) => {
                    prop_assert!(self.instances[&instance.id].is_running_spot());
                    prop_assert!(self.warned.insert(instance.id.clone()), "warned twice");
                    self.count(&instance);
                }
                WorldEvent::Terminated { instance, was_warned } => {
                    let reason = &instance.reason.as_ref().unwrap().code;
                    prop_assert_eq!(was_warned, self.warned.contains(&instance.id));
                    if reason == StateReason::SpotTermination.code() && !was_warned {
                        self.unannounced += 1;
                        self.count(&instance);
                    } else if !was_warned {
                        prop_assert_eq!(reason.as_str(), "Client.UserInitiatedShutdown");
                    }
                    let known = self.instances.insert(instance.id.clone(), instance).unwrap();
                    prop_assert_eq!(known.state, InstanceState::Running);
                }
                WorldEvent::Forgotten(instance) => {
                    prop_assert_eq!(instance.state, InstanceState::Terminated);
                    prop_assert_eq!(self.instances.remove(&instance.id), Some(instance));
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, instance: &Instance) {
        match cluster(instance) {
            Some(cluster) => *self.interruptions.entry(cluster).or_default() += 1,
            None => self.unattributed += 1,
        }
    }

    fn check(&self, world: &World) -> Result<(), TestCaseError> {
        let truth = world.truth();
        let existing: BTreeMap<_, _> =
            world.instances().map(|instance| (instance.id.clone(), instance.clone())).collect();
        prop_assert_eq!(&existing, &self.instances);
        prop_assert_eq!(truth.unattributed, self.unattributed);
        for (cluster, count) in &truth.interruptions_by_cluster {
            prop_assert_eq!(*count, self.interruptions.get(cluster).copied().unwrap_or(0));
        }
        let reason = |name: &str| truth.interruptions_by_reason.get(name).copied().unwrap_or(0);
        prop_assert_eq!(reason("unannounced"), self.unannounced);
        prop_assert_eq!(reason("interruption_warning"), self.warned.len() as u64);
        let total = truth.interruptions_by_cluster.values().sum::<u64>() + truth.unattributed;
        prop_assert_eq!(total, truth.interruptions_by_account.values().sum::<u64>());
        prop_assert_eq!(total.min(10_000), truth.interruptions.len() as u64);
        let spot = existing.values().filter(|instance| {
            instance.is_running_spot() && !self.warned.contains(&instance.id) && cluster(instance).is_some()
        });
        prop_assert_eq!(truth.spot_by_cluster.values().sum::<u64>(), spot.count() as u64);
        let running = existing.values().filter(|instance| instance.state == InstanceState::Running).count();
        prop_assert_eq!(truth.instances, running as u64);
        Ok(())
    }
}

fn cluster(instance: &Instance) -> Option<String> {
    ["aws:eks:cluster-name", "KubernetesCluster"].iter().find_map(|key| instance.tags.get(*key)).cloned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn events_describe_all_changes(
        seed: u64,
        steps in prop::collection::vec((1..20_000_u64, prop::option::weighted(0.1, 0.0..=1.0_f64)), 1..30),
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
    fn is_deterministic(seed: u64, steps in prop::collection::vec(0..5_000_u64, 0..30)) {
        let mut in_steps = start(seed);
        let mut events: Vec<WorldEvent> = Vec::new();
        for millis in &steps {
            events.extend(in_steps.advance(Duration::from_millis(*millis)));
        }
        let mut in_one_step = start(seed);
        prop_assert_eq!(events, in_one_step.advance(Duration::from_millis(steps.iter().sum())));
        prop_assert_eq!(in_steps.truth(), in_one_step.truth());
    }
}

/// Watches two simulated days for each seed.
#[test]
fn changes_are_frequent_and_varied() {
    for seed in 0..3 {
        let mut world = start(seed);
        assert!(world.truth().instances > 60);
        let events = world.advance(Duration::from_secs(600));
        let count = |kind: fn(&WorldEvent) -> bool| events.iter().filter(|event| kind(event)).count();
        let reason = |event: &WorldEvent, code: StateReason, warned: bool| {
            matches!(event, WorldEvent::Terminated { instance, was_warned }
                if *was_warned == warned && instance.reason.as_ref().unwrap().code == code.code())
        };
        let ended = |code: StateReason, warned: bool| {
            events.iter().filter(|event| reason(event, code, warned)).count()
        };
        let seen = [
            count(|event| matches!(event, WorldEvent::Launched(_))),
            count(|event| matches!(event, WorldEvent::RebalanceRecommended(_))),
            count(|event| matches!(event, WorldEvent::Warned(_))),
            ended(StateReason::SpotTermination, true),
            ended(StateReason::UserShutdown, true),
            ended(StateReason::SpotTermination, false),
            ended(StateReason::UserShutdown, false),
        ];
        assert!(seen.iter().all(|count| *count >= 10), "seed {seed}: {seen:?}");
        let truth = world.truth();
        assert!(truth.interruptions_by_cluster.values().all(|count| *count > 0), "{truth:?}");
        assert!(truth.unattributed > 0);
        assert_eq!(truth.interruptions_by_account.keys().collect::<Vec<_>>(), [ACCOUNT, OTHER_ACCOUNT]);
        let forgotten = world.advance(Duration::from_secs(3600));
        assert!(forgotten.iter().any(|event| matches!(event, WorldEvent::Forgotten(_))));
    }
}

#[test]
fn a_burst_interrupts_its_share_of_the_spot_instances() {
    let mut world = start(1);
    let spot: u64 = world.truth().spot_by_cluster.values().sum();
    assert!(world.burst(0.0).is_empty());
    world.burst(1.0);
    let truth = world.truth();
    assert_eq!(truth.interruptions_by_cluster.values().sum::<u64>(), spot);
    assert_eq!(truth.spot_by_cluster.values().sum::<u64>(), 0);
    assert!(world.burst(1.0).is_empty(), "an instance is interrupted once");
    world.advance(Duration::from_secs(60));
    assert!(world.truth().spot_by_cluster.values().sum::<u64>() > spot / 3, "instances are replaced");
}

#[test]
fn scales_the_node_pools() {
    assert!(World::with_scale(1, SystemTime::now(), 20).truth().instances > 20 * 60);
    let mut empty = World::with_scale(1, SystemTime::now(), 0);
    assert_eq!(empty.truth().instances, 0);
    assert!(empty.advance(Duration::from_secs(600)).is_empty());
}

/// Reads everything from the services, like an exporter, and counts as AWS.md says.
#[tokio::test]
async fn services_show_the_truth() {
    let aws = Aws::builder().simulated().seed(3).start().await.unwrap();
    let before = aws.truth();
    assert_eq!(before.interruptions.len(), 0);
    aws.advance(Duration::from_secs(240));
    aws.burst(0.1);
    aws.advance(Duration::from_secs(30));
    let truth = aws.truth();

    let client = Client::new(&aws);
    let parameters = [("RoleArn", OTHER_ROLE), ("RoleSessionName", "sie")];
    let reply = client.sts("AssumeRole", &parameters).await.ok();
    let token = reply.element("SessionToken");
    let other =
        client.clone().key(&reply.element("AccessKeyId"), &reply.element("SecretAccessKey"), Some(&token));

    let mut interrupted = BTreeMap::<String, &str>::new();
    for region in ["eu-central-1", OTHER_REGION] {
        let queue = aws.find_queue(ACCOUNT, region, QUEUE).unwrap();
        let here = client.clone().region(region);
        loop {
            let messages = here.receive(json!({ "MaxNumberOfMessages": 10 })).await;
            if messages.is_empty() {
                break;
            }
            here.delete_batch(&handles(&messages)).await;
            for body in bodies(&messages) {
                let event: Value = serde_json::from_str(&body).unwrap();
                assert_eq!(event["region"], region);
                if event["detail-type"] == "EC2 Spot Instance Interruption Warning" {
                    let id = event["detail"]["instance-id"].as_str().unwrap().to_owned();
                    interrupted.insert(id, "interruption_warning");
                }
            }
        }
        assert_eq!(queue.visible() + queue.in_flight(), 0);
        for client in [&here, &other.clone().region(region)] {
            let spot = [
                ("IncludeManagedResources", "true"),
                ("Filter.1.Name", "instance-lifecycle"),
                ("Filter.1.Value.1", "spot"),
            ];
            let reply = client.describe(&spot).await.ok();
            for instance in elements(reply.text(), "instancesSet") {
                let id = elements(instance, "instanceId")[0].to_owned();
                if instance.contains("<stateReason><code>Server.SpotInstanceTermination</code>") {
                    interrupted.entry(id).or_insert("unannounced");
                }
            }
        }
    }
    let expected: BTreeMap<String, &str> = truth
        .interruptions
        .iter()
        .map(|interruption| (interruption.instance.clone(), interruption.reason))
        .collect();
    assert_eq!(interrupted, expected);
    assert!(expected.values().any(|reason| *reason == "unannounced"), "{expected:?}");
}

#[tokio::test]
async fn the_world_follows_the_clock() {
    let aws = Aws::builder().simulated().seed(1).speed(600.0).start().await.unwrap();
    aws.queue().wait_until(|counts| counts.sent > 0).await;
    aws.set_speed(0.0);
    assert_ne!(aws.truth(), Truth::default());
    let empty = Aws::builder().start().await.unwrap();
    assert_eq!(empty.truth(), Truth::default());
    assert!(empty.advance(Duration::from_secs(600)).is_empty() && empty.burst(1.0).is_empty());
}
