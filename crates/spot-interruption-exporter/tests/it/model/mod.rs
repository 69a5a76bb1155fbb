//! Random histories, compared with a simple reference model and checked for invariants.

mod history;
mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use spot_interruption_exporter::event::{Entry, Event};
use spot_interruption_exporter::instance::{Instance, InstanceRef};

use self::history::{INSTANCES, NAMES, cluster_of, describe, interruption_entry, refer};
pub(crate) use self::history::{ReferenceForm, Step, apply, history};
pub(crate) use self::reference::Model;
use crate::fixture::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every token is resolved once. Every distinct interruption is counted once, for the cluster of its instance or as
    /// unattributed.
    #[test]
    fn counts_every_interruption_once_for_its_cluster(
        steps in history(false),
    ) {
        check_counts(&steps, false)?;
    }

    /// Instances known only by name are matched by name.
    #[test]
    fn counts_every_interruption_once_for_a_cluster_of_its_name(
        steps in history(true),
    ) {
        check_counts(&steps, true)?;
    }

    #[test]
    fn matches_the_reference_model(steps in history(true)) {
        let mut fixture = Fixture::without_listing();
        let mut model = Model::default();
        for (number, step) in steps.iter().enumerate() {
            let (mut actual, mut expected) = (apply(&mut fixture, step), model.apply(step));
            actual.sort();
            expected.sort();
            prop_assert_eq!(actual, expected, "step {}: {:?}", number, step);
            prop_assert_eq!(fixture.known(), model.known.len(), "step {}: {:?}", number, step);
            prop_assert_eq!(fixture.spot_running() as usize, model.running(), "step {}: {:?}", number, step);
        }
    }

    /// After a restart without durable state, unacknowledged messages are redelivered: those that were not resolved and
    /// those whose acknowledgement was lost. Events can be counted twice, but none is lost.
    #[test]
    fn a_restart_loses_no_interruption(
        runs in prop::collection::vec(history(true), 1..4),
        lost_acknowledgements in any::<u64>(),
    ) {
        let mut delivered = BTreeSet::new();
        let mut counted = BTreeSet::new();
        let mut unacknowledged: Vec<Step> = Vec::new();
        for (run, history) in runs.into_iter().enumerate() {
            let mut fixture = Fixture::without_listing();
            let mut open: BTreeMap<u32, Step> = BTreeMap::new();
            let mut resolved = Outcomes::new();
            for step in unacknowledged.drain(..).chain(history) {
                if let Some(key) = interruption_key(&step) {
                    delivered.insert(key);
                    open.insert(fixture.tokens() + 1, step.clone());
                }
                resolved.extend(apply(&mut fixture, &step));
            }
            for (token, outcome) in resolved {
                let Some(step) = open.get(&token) else { continue };
                if outcome.starts_with("counted") || outcome == "unattributed" {
                    counted.extend(interruption_key(step));
                }
                if lost_acknowledgements >> ((token as usize + run) % 64) & 1 == 0 {
                    open.remove(&token);
                }
            }
            unacknowledged.extend(open.into_values());
        }
        let mut fixture = Fixture::without_listing();
        let mut outcomes: Outcomes = unacknowledged.iter().flat_map(|step| apply(&mut fixture, step)).collect();
        outcomes.extend(fixture.advance(GRACE));
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
    let mut fixture = Fixture::with_window(Duration::from_secs(1_000_000));
    let mut delivered = BTreeMap::new();
    let mut distinct = BTreeSet::new();
    let mut outcomes = Outcomes::new();
    for step in steps {
        if let Step::Interrupt { instance, form, .. } = *step {
            delivered.insert(fixture.tokens() + 1, (instance, form));
        }
        distinct.extend(interruption_key(step));
        outcomes.extend(apply(&mut fixture, step));
    }
    outcomes.extend(fixture.advance(GRACE));

    let tokens: BTreeSet<u32> = outcomes.iter().map(|(token, _)| *token).collect();
    prop_assert_eq!(outcomes.len(), tokens.len(), "a token was resolved twice");
    prop_assert_eq!(tokens.len() as u32, fixture.tokens(), "a token was not resolved");

    let mut sum = 0;
    for (token, outcome) in &outcomes {
        let Some(&(instance, form)) = delivered.get(token) else { continue };
        if let Some(cluster) = outcome.strip_prefix("counted ") {
            sum += 1;
            let is_by_name = by_name || form == ReferenceForm::NameOnly;
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
