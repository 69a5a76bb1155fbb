//! Interruptions that are told of by messages, by the provider's operations, by both or by neither.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use spot_interruption_exporter::attribution::OPERATION_LATENESS;
use spot_interruption_exporter::event::{Entry, Event};
use spot_interruption_exporter::instance::InstanceRef;

use crate::world::*;

const MINUTE: Duration = Duration::from_secs(60);

/// The operation of an interruption.
fn operation(id: u64, name: &str, operation: &str) -> Entry<'static> {
    let owned = node(id, name, "a").into_owned().instance;
    Entry { operation_id: Some(operation.to_owned().into()), ..interruption(owned) }
}

/// The message of the same.
fn message<'a>(instance: InstanceRef<'a>, operation: &'a str) -> Entry<'a> {
    logged("i", operation, interruption(instance))
}

impl World {
    /// Offers an operation with a token of its own.
    fn offer(&mut self, entry: Entry<'static>, wait: bool) -> Words {
        let token = self.next_token();
        self.attribution.operation(entry, wait, token, self.now);
        self.resolved()
    }
}

/// A world with one known node, whose operations are listed.
fn watched() -> World {
    let mut world = World::new();
    world.attribution.watch_operations();
    world.resync(&[node(1, "n", "a")]);
    world
}

#[test]
fn an_operation_counts_when_its_message_does_not_come() {
    let mut world = watched();
    assert_eq!(world.offer(operation(1, "n", "op"), true), words(&[]));
    assert_eq!(world.pass(GRACE - Duration::from_secs(1)), words(&[]));
    assert_eq!(world.pass(Duration::from_secs(1)), words(&[(1, "counted a")]));
}

#[test]
fn a_message_that_comes_in_time_counts_and_its_operation_does_not() {
    let mut world = watched();
    world.offer(operation(1, "n", "op"), true);
    assert_eq!(world.deliver("m", message(named(1, "n"), "op")), words(&[(2, "counted a")]));
    assert_eq!(world.pass(GRACE), words(&[(1, "duplicate")]));
}

#[test]
fn a_message_that_comes_days_after_its_operation_counted_is_a_duplicate() {
    for form in [
        named(1, "n"),
        InstanceRef { id: None, ..named(1, "n") },
        InstanceRef { zone: None, name: None, ..named(1, "n") },
    ] {
        let mut world = watched();
        assert_eq!(world.offer(operation(1, "n", "op"), false), words(&[(1, "counted a")]));
        world.pass(Duration::from_secs(3 * 24 * 60 * 60));
        assert_eq!(world.deliver("m", message(form, "op")), words(&[(2, "duplicate")]));
        assert_eq!(world.deliver("m2", message(named(1, "n"), "other")), words(&[]), "it is unknown by now");
    }
}

#[test]
fn an_operation_that_is_offered_long_after_its_message_is_a_duplicate() {
    let mut world = watched();
    world.deliver("m", message(named(1, "n"), "op"));
    // Nothing was listed since, however long that is.
    world.pass(2 * WINDOW + TOMBSTONE);
    assert_eq!(world.offer(operation(1, "n", "op"), false), words(&[(2, "duplicate")]));
    // It was offered. So it is forgotten, once that is long ago.
    world.attribution.operations_offered(world.now);
    world.pass(2 * OPERATION_LATENESS);
    world.attribution.operations_offered(world.now);
    world.pass(Duration::ZERO);
    world.resync(&[node(1, "n", "a")]);
    assert_eq!(world.offer(operation(1, "n", "op"), false), words(&[(3, "counted a")]));
}

#[test]
fn an_operation_of_an_unknown_instance_waits_with_its_message() {
    let mut world = watched();
    assert_eq!(world.deliver("m", message(named(2, "n2"), "op")), words(&[]));
    assert_eq!(world.offer(operation(2, "n2", "op"), false), words(&[]));
    let settled = world.deliver("c", creation(node(2, "n2", "b")));
    assert_eq!(settled, words(&[(3, "added"), (1, "counted b"), (2, "duplicate")]));
}

#[test]
fn a_creation_by_operation_is_looked_up() {
    let mut world = watched();
    let created = entry(Event::UnlabelledCreation(named(2, "n2")));
    world.offer(Entry { operation_id: Some("insert".into()), ..created }, false);
    let lookup = world.lookup().unwrap();
    assert_eq!(lookup.instance, "n2");
    assert_eq!(world.found(&lookup, &node(2, "n2", "b")), words(&[(1, "added")]));
    assert_eq!(world.known(), 2);
}

#[derive(Debug, Clone)]
enum Step {
    /// A preemption happens. Its operation appears so many minutes later, and its message is delivered after so many.
    Happen {
        appears: Option<u64>,
        delivered: Vec<u64>,
    },
    /// The operations are listed.
    List {
        wait: bool,
    },
    /// As after a restart without what was offered: what the last listing had is offered again.
    ListAgain {
        wait: bool,
    },
    Pass {
        minutes: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (prop::option::weighted(0.8, 0..9_u64), prop::collection::vec(0..9_u64, 0..3))
            .prop_map(|(appears, delivered)| Step::Happen { appears, delivered }),
        3 => any::<bool>().prop_map(|wait| Step::List { wait }),
        1 => any::<bool>().prop_map(|wait| Step::ListAgain { wait }),
        4 => (1..8_u64).prop_map(|minutes| Step::Pass { minutes }),
        1 => (20..200_u64).prop_map(|minutes| Step::Pass { minutes }),
    ];
    prop::collection::vec(step, 1..60)
}

#[derive(Debug)]
struct Preemption {
    at: u64,
    /// When its operation appears.
    appears: Option<u64>,
    is_offered: bool,
    is_told: bool,
}

#[derive(Debug, Default)]
struct History {
    now: u64,
    last_listing: u64,
    preemptions: Vec<Preemption>,
    /// Messages that are to be delivered, by the minute.
    messages: BTreeMap<(u64, usize, u64), ()>,
}

impl History {
    /// Passes minute by minute and delivers what is due.
    fn pass(&mut self, world: &mut World, minutes: u64) {
        for _ in 0..minutes {
            self.now += 1;
            world.pass(MINUTE);
            let due = self.messages.split_off(&(self.now + 1, 0, 0));
            for (_, number, copy) in std::mem::replace(&mut self.messages, due).into_keys() {
                self.preemptions[number].is_told = true;
                let id = format!("m{number}");
                let name = format!("n{number}");
                let operation = format!("op{number}");
                let instance = named(number as u64 + 1, &name);
                // One of two has the name only.
                let instance =
                    if number.is_multiple_of(2) { InstanceRef { id: None, ..instance } } else { instance };
                let _ = copy;
                world.deliver(&id, message(instance, &operation));
            }
        }
    }

    fn list(&mut self, world: &mut World, wait: bool, again: bool) {
        let since = self.last_listing.saturating_sub(OPERATION_LATENESS.as_secs() / 60);
        for (number, preemption) in self.preemptions.iter_mut().enumerate() {
            let is_there = preemption.appears.is_some_and(|appears| appears <= self.now);
            if is_there && preemption.at >= since && (again || !preemption.is_offered) {
                preemption.is_offered = true;
                let name = format!("n{number}");
                world.offer(operation(number as u64 + 1, &name, &format!("op{number}")), wait);
            }
        }
        self.last_listing = self.now;
        world.attribution.operations_offered(world.now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Messages and operations in any order, each of them late, lost or repeated: each preemption that was told of at
    /// all counts once.
    #[test]
    fn every_preemption_counts_once_however_it_was_told(steps in steps()) {
        let mut world = World::new();
        world.attribution.watch_operations();
        let mut history = History::default();
        for step in &steps {
            match step {
                Step::Happen { appears, delivered } => {
                    let number = history.preemptions.len();
                    let name = format!("n{number}");
                    if number % 3 > 0 {
                        world.deliver(&format!("c{number}"), creation(node(number as u64 + 1, &name, "a")));
                    }
                    for (copy, minutes) in delivered.iter().enumerate() {
                        history.messages.insert((history.now + 1 + minutes, number, copy as u64), ());
                    }
                    let (at, appears) = (history.now, appears.map(|minutes| history.now + minutes));
                    history.preemptions.push(Preemption { at, appears, is_offered: false, is_told: false });
                }
                Step::List { wait } => history.list(&mut world, *wait, false),
                Step::ListAgain { wait } => history.list(&mut world, *wait, true),
                Step::Pass { minutes } => history.pass(&mut world, *minutes),
            }
        }
        history.pass(&mut world, 20);
        let told = history.preemptions.iter().filter(|it| it.is_told || it.is_offered).count() as u64;
        prop_assert_eq!(world.batch.total(), told);
    }
}
