//! Random histories: instances, the steps of a history, and their effect on the state machine.

use super::*;

/// Instances share three names, as in a managed instance group, and belong to one of two clusters or to none. A higher
/// number means a newer instance.
pub(super) const INSTANCES: usize = 9;
pub(super) const NAMES: [&str; 3] = ["n0", "n1", "n2"];
const CLUSTERS: [Option<&str>; 4] = [Some("a"), Some("b"), Some("a"), None];

pub(super) fn cluster_of(instance: usize) -> Option<&'static str> {
    CLUSTERS[instance % CLUSTERS.len()]
}

/// The parts of a reference to an instance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ReferenceForm {
    Full,
    NameOnly,
    IdOnly,
}

pub(super) fn refer(instance: usize, form: ReferenceForm) -> InstanceRef<'static> {
    let full = named(instance as u64 + 1, NAMES[instance % NAMES.len()]);
    match form {
        ReferenceForm::Full => full,
        ReferenceForm::NameOnly => InstanceRef { id: None, ..full },
        ReferenceForm::IdOnly => InstanceRef { name: None, ..full },
    }
}

pub(super) fn describe(
    instance: usize,
    form: ReferenceForm,
    timed: bool,
    running: bool,
) -> Instance<'static> {
    Instance {
        instance: refer(instance, form),
        cluster: cluster_of(instance).map(Into::into),
        spot: true,
        running,
        created_at: if timed { at(instance as i64 * 100) } else { None },
        ..Instance::default()
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Create {
        instance: usize,
        form: ReferenceForm,
        timed: bool,
        message: u8,
    },
    CreateUnlabelled {
        instance: usize,
        message: u8,
    },
    FinishCreation {
        instance: usize,
    },
    FailCreation {
        instance: usize,
    },
    /// Events with an odd number have an `insertId`, so all deliveries of an event agree.
    Interrupt {
        instance: usize,
        form: ReferenceForm,
        event: u8,
        message: u8,
    },
    BeginResync,
    Observe {
        instance: usize,
        running: bool,
    },
    FinishResync,
    /// Takes the next lookup. `None` finds nothing; `Some(n)` finds the n-th oldest instance with that name.
    LookUp {
        generation: Option<usize>,
    },
    Pass {
        seconds: u64,
    },
}

fn forms(with_names_only: bool) -> BoxedStrategy<ReferenceForm> {
    if with_names_only {
        prop_oneof![4 => Just(ReferenceForm::Full), 2 => Just(ReferenceForm::NameOnly), 1 => Just(ReferenceForm::IdOnly)].boxed()
    } else {
        prop_oneof![4 => Just(ReferenceForm::Full), 1 => Just(ReferenceForm::IdOnly)].boxed()
    }
}

/// Random histories. Creations may lack the instance's id, as hand-written entries do, if `creations_without_ids`.
pub(crate) fn history(creations_without_ids: bool) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..INSTANCES, forms(creations_without_ids), any::<bool>(), any::<u8>())
            .prop_map(|(instance, form, timed, message)| Step::Create { instance, form, timed, message }),
        1 => (0..INSTANCES, any::<u8>())
            .prop_map(|(instance, message)| Step::CreateUnlabelled { instance, message }),
        1 => (0..INSTANCES).prop_map(|instance| Step::FinishCreation { instance }),
        1 => (0..INSTANCES).prop_map(|instance| Step::FailCreation { instance }),
        9 => (0..INSTANCES, forms(true), 0..5_u8, 0..3_u8)
            .prop_map(|(instance, form, event, message)| Step::Interrupt { instance, form, event, message }),
        1 => Just(Step::BeginResync),
        3 => (0..INSTANCES, prop::bool::weighted(0.8))
            .prop_map(|(instance, running)| Step::Observe { instance, running }),
        1 => Just(Step::FinishResync),
        3 => prop::option::weighted(0.7, 0..3_usize).prop_map(|generation| Step::LookUp { generation }),
        3 => (1..40_u64).prop_map(|seconds| Step::Pass { seconds }),
        1 => (40..400_u64).prop_map(|seconds| Step::Pass { seconds }),
    ];
    prop::collection::vec(step, 1..80)
}

/// Returns the message id and log entry of an interruption, and the key that its duplicates share.
pub(super) fn interruption_entry(
    instance: usize,
    form: ReferenceForm,
    event: u8,
    message: u8,
) -> (String, Entry<'static>, String) {
    let insert_id = format!("{instance} {form:?} {event}");
    let message_id = format!("{insert_id} {message}");
    let entry = interruption(refer(instance, form));
    if event.is_multiple_of(2) {
        (message_id.clone(), entry, message_id)
    } else {
        (message_id, logged("insert", insert_id.clone().leak(), entry), insert_id)
    }
}

/// Applies a step, and returns the outcomes that it resolved.
pub(crate) fn apply(fixture: &mut Fixture, step: &Step) -> Outcomes {
    match *step {
        Step::Create { instance, form, timed, message } => {
            fixture.deliver(&message.to_string(), creation(describe(instance, form, timed, true)))
        }
        Step::CreateUnlabelled { instance, message } => fixture.deliver(
            &message.to_string(),
            entry(Event::UnlabelledCreation(refer(instance, ReferenceForm::Full))),
        ),
        Step::FinishCreation { instance } => {
            fixture.deliver("", entry(Event::CreationFinished(refer(instance, ReferenceForm::Full))))
        }
        Step::FailCreation { instance } => {
            fixture.deliver("", failure_on_demand(refer(instance, ReferenceForm::Full)))
        }
        Step::Interrupt { instance, form, event, message } => {
            let (message_id, entry, _) = interruption_entry(instance, form, event, message);
            fixture.deliver(&message_id, entry)
        }
        Step::BeginResync => {
            fixture.begin_listing();
            fixture.resolved()
        }
        Step::Observe { instance, running } => {
            fixture.list_one(&describe(instance, ReferenceForm::Full, true, running))
        }
        Step::FinishResync => {
            fixture.finish_listing();
            fixture.resolved()
        }
        Step::LookUp { generation } => {
            let Some(lookup) = fixture.lookup() else { return Outcomes::new() };
            let candidates = (0..INSTANCES).filter(|instance| {
                lookup.instance == NAMES[instance % NAMES.len()]
                    || lookup.instance == (instance + 1).to_string()
            });
            match generation.and_then(|generation| candidates.cycle().nth(generation)) {
                Some(found) => {
                    fixture.found(&lookup, &describe(found, ReferenceForm::Full, true, found % 2 == 0))
                }
                None => Outcomes::new(),
            }
        }
        Step::Pass { seconds } => fixture.advance(Duration::from_secs(seconds)),
    }
}
