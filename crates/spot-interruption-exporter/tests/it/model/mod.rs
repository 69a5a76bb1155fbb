//! Random histories, against a model that does everything the slow and obvious way, and against what must hold
//! whatever happens.

mod history;
mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use spot_interruption_exporter::event::{Entry, Event};
use spot_interruption_exporter::instance::{Instance, InstanceRef};

pub(crate) use self::history::{Form, Step, apply, history};
use self::history::{INSTANCES, NAMES, cluster_of, describe, interruption_entry, refer};
pub(crate) use self::reference::Model;
use crate::world::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every token comes back once; every distinct interruption is counted once, for a cluster or for none; and
    /// none for a cluster that its instance never belonged to.
    #[test]
    fn every_interruption_counts_once_and_for_its_own_cluster(
        steps in history(false),
    ) {
        check_counts(&steps, false)?;
    }

    /// Where an instance is known by its name only, the name is all there is to go by.
    #[test]
    fn every_interruption_counts_once_and_for_a_cluster_of_its_name(
        steps in history(true),
    ) {
        check_counts(&steps, true)?;
    }

    #[test]
    fn the_state_machine_does_what_the_model_does(steps in history(true)) {
        let mut world = World::unseeded();
        let mut model = Model::default();
        for (number, step) in steps.iter().enumerate() {
            let (mut actual, mut expected) = (apply(&mut world, step), model.apply(step));
            actual.sort();
            expected.sort();
            prop_assert_eq!(actual, expected, "step {}: {:?}", number, step);
            prop_assert_eq!(world.known(), model.known.len(), "step {}: {:?}", number, step);
            prop_assert_eq!(world.spot_running() as usize, model.running(), "step {}: {:?}", number, step);
        }
    }

    /// A restart forgets everything and gets again what was not acknowledged, be it that it had not been resolved or
    /// that the acknowledgement was lost. Events can count twice then, but none is lost.
    #[test]
    fn a_restart_loses_nothing(
        lives in prop::collection::vec(history(true), 1..4),
        lost_acknowledgements in any::<u64>(),
    ) {
        let mut delivered = BTreeSet::new();
        let mut counted = BTreeSet::new();
        let mut unacknowledged: Vec<Step> = Vec::new();
        for (life, history) in lives.into_iter().enumerate() {
            let mut world = World::unseeded();
            let mut open: BTreeMap<u32, Step> = BTreeMap::new();
            let mut resolved = Words::new();
            for step in unacknowledged.drain(..).chain(history) {
                if let Some(key) = interruption_key(&step) {
                    delivered.insert(key);
                    open.insert(world.tokens() + 1, step.clone());
                }
                resolved.extend(apply(&mut world, &step));
            }
            for (token, outcome) in resolved {
                let Some(step) = open.get(&token) else { continue };
                if outcome.starts_with("counted") || outcome == "unattributed" {
                    counted.extend(interruption_key(step));
                }
                if lost_acknowledgements >> ((token as usize + life) % 64) & 1 == 0 {
                    open.remove(&token);
                }
            }
            unacknowledged.extend(open.into_values());
        }
        let mut world = World::unseeded();
        let mut outcomes: Words = unacknowledged.iter().flat_map(|step| apply(&mut world, step)).collect();
        outcomes.extend(world.pass(GRACE));
        prop_assert_eq!(outcomes.len(), unacknowledged.len());
        counted.extend(unacknowledged.iter().filter_map(interruption_key));
        prop_assert_eq!(counted, delivered);
    }
}

fn interruption_key(step: &Step) -> Option<String> {
    match *step {
        Step::Interrupt { instance, form, event, message } => {
            Some(interruption_entry(instance, form, event, message).2)
        }
        _ => None,
    }
}

fn check_counts(steps: &[Step], by_name: bool) -> Result<(), TestCaseError> {
    let mut world = World::with_window(Duration::from_secs(1_000_000));
    let mut delivered = BTreeMap::new();
    let mut distinct = BTreeSet::new();
    let mut outcomes = Words::new();
    for step in steps {
        if let Step::Interrupt { instance, form, .. } = *step {
            delivered.insert(world.tokens() + 1, (instance, form));
        }
        distinct.extend(interruption_key(step));
        outcomes.extend(apply(&mut world, step));
    }
    outcomes.extend(world.pass(GRACE));

    let tokens: BTreeSet<u32> = outcomes.iter().map(|(token, _)| *token).collect();
    prop_assert_eq!(outcomes.len(), tokens.len(), "a token came back twice");
    prop_assert_eq!(tokens.len() as u32, world.tokens(), "a token did not come back");

    let mut sum = 0;
    for (token, outcome) in &outcomes {
        let Some(&(instance, form)) = delivered.get(token) else { continue };
        if let Some(cluster) = outcome.strip_prefix("counted ") {
            sum += 1;
            let is_by_name = by_name || form == Form::NameOnly;
            let shares_name = |other: usize| other % NAMES.len() == instance % NAMES.len();
            let mut possible =
                (0..INSTANCES).filter(|other| *other == instance || (is_by_name && shares_name(*other)));
            prop_assert!(possible.any(|other| cluster_of(other) == Some(cluster)), "{token} {outcome}");
        } else if outcome == "unattributed" {
            sum += 1;
        } else {
            prop_assert_eq!(outcome, "duplicate");
        }
    }
    prop_assert_eq!(sum, distinct.len());
    Ok(())
}
