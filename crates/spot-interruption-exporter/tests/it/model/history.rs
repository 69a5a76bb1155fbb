//! Random histories: instances, the steps of a history, and their effect on the state machine.

use super::*;

/// Instances share three names in turn, as those of a managed instance group do, and belong to two clusters or to
/// none. The later ones are the newer ones.
pub(super) const INSTANCES: usize = 9;
pub(super) const NAMES: [&str; 3] = ["n0", "n1", "n2"];
const CLUSTERS: [Option<&str>; 4] = [Some("a"), Some("b"), Some("a"), None];

pub(super) fn cluster_of(instance: usize) -> Option<&'static str> {
    CLUSTERS[instance % CLUSTERS.len()]
}

/// How a source refers to an instance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Form {
    Full,
    NameOnly,
    IdOnly,
}

pub(super) fn refer(instance: usize, form: Form) -> InstanceRef<'static> {
    let full = named(instance as u64 + 1, NAMES[instance % NAMES.len()]);
    match form {
        Form::Full => full,
        Form::NameOnly => InstanceRef { id: None, ..full },
        Form::IdOnly => InstanceRef { name: None, ..full },
    }
}

pub(super) fn describe(instance: usize, form: Form, timed: bool, running: bool) -> Instance<'static> {
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
        form: Form,
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
    /// Whether the event has an `insertId` follows from its number, so that all its deliveries agree.
    Interrupt {
        instance: usize,
        form: Form,
        event: u8,
        message: u8,
    },
    BeginResync,
    Observe {
        instance: usize,
        running: bool,
    },
    FinishResync,
    /// Ask the next question and, unless nothing is found, answer with the instance of that name that is this many
    /// generations from the oldest.
    LookUp {
        generation: Option<usize>,
    },
    Pass {
        seconds: u64,
    },
}

fn forms(with_names_only: bool) -> BoxedStrategy<Form> {
    if with_names_only {
        prop_oneof![4 => Just(Form::Full), 2 => Just(Form::NameOnly), 1 => Just(Form::IdOnly)].boxed()
    } else {
        prop_oneof![4 => Just(Form::Full), 1 => Just(Form::IdOnly)].boxed()
    }
}

/// Histories in which instances become known with their ids, or also, as hand-made ones do, without.
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

/// The log entry of an interruption, and what makes it the same event as another.
pub(super) fn interruption_entry(
    instance: usize,
    form: Form,
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

/// Does a step to the world, and returns what came of it with the number of the token that it used, if any.
pub(crate) fn apply(world: &mut World, step: &Step) -> Words {
    match *step {
        Step::Create { instance, form, timed, message } => {
            world.deliver(&message.to_string(), creation(describe(instance, form, timed, true)))
        }
        Step::CreateUnlabelled { instance, message } => {
            world.deliver(&message.to_string(), entry(Event::UnlabelledCreation(refer(instance, Form::Full))))
        }
        Step::FinishCreation { instance } => {
            world.deliver("", entry(Event::CreationFinished(refer(instance, Form::Full))))
        }
        Step::FailCreation { instance } => world.deliver("", failure_on_demand(refer(instance, Form::Full))),
        Step::Interrupt { instance, form, event, message } => {
            let (message_id, entry, _) = interruption_entry(instance, form, event, message);
            world.deliver(&message_id, entry)
        }
        Step::BeginResync => {
            world.begin_resync();
            world.resolved()
        }
        Step::Observe { instance, running } => world.observe(&describe(instance, Form::Full, true, running)),
        Step::FinishResync => {
            world.finish_resync();
            world.resolved()
        }
        Step::LookUp { generation } => {
            let Some(lookup) = world.lookup() else { return Words::new() };
            let asked = (0..INSTANCES).filter(|instance| {
                lookup.instance == NAMES[instance % NAMES.len()]
                    || lookup.instance == (instance + 1).to_string()
            });
            match generation.and_then(|generation| asked.cycle().nth(generation)) {
                Some(found) => world.found(&lookup, &describe(found, Form::Full, true, found % 2 == 0)),
                None => Words::new(),
            }
        }
        Step::Pass { seconds } => world.pass(Duration::from_secs(seconds)),
    }
}
