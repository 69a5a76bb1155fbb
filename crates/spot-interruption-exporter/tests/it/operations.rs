//! Interruptions that are reported by messages, by Compute Engine's operations, by both or by neither.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use spot_interruption_exporter::attribution::OPERATION_LATENESS;
use spot_interruption_exporter::event::{Entry, Event};
use spot_interruption_exporter::instance::InstanceRef;

use crate::fixture::*;

const MINUTE: Duration = Duration::from_secs(60);

/// An operation that reports an interruption.
fn operation(id: u64, name: &str, operation: &str) -> Entry<'static> {
    let owned = node(id, name, "a").into_owned().instance;
    Entry { operation_id: Some(operation.to_owned().into()), ..interruption(owned) }
}

/// A message that reports the interruption of the same operation.
fn message<'a>(instance: InstanceRef<'a>, operation: &'a str) -> Entry<'a> {
    logged("i", operation, interruption(instance))
}

impl Fixture {
    /// Passes an operation to the state machine with the next token.
    fn receive_operation(&mut self, entry: Entry<'static>, wait: bool) -> Outcomes {
        let token = self.next_token();
        self.attribution.operation(entry, wait, token, self.now);
        self.resolved()
    }
}

/// A fixture with one known node and operations enabled.
fn with_operations() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.attribution.watch_operations();
    fixture.list_all(&[node(1, "n", "a")]);
    fixture
}

#[test]
fn counts_an_operation_without_a_message() {
    let mut fixture = with_operations();
    assert_eq!(fixture.receive_operation(operation(1, "n", "op"), true), outcomes(&[]));
    assert_eq!(fixture.advance(GRACE - Duration::from_secs(1)), outcomes(&[]));
    assert_eq!(fixture.advance(Duration::from_secs(1)), outcomes(&[(1, "counted a")]));
}

#[test]
fn counts_the_message_and_not_its_operation() {
    let mut fixture = with_operations();
    fixture.receive_operation(operation(1, "n", "op"), true);
    assert_eq!(fixture.deliver("m", message(named(1, "n"), "op")), outcomes(&[(2, "counted a")]));
    assert_eq!(fixture.advance(GRACE), outcomes(&[(1, "duplicate")]));
}

#[test]
fn a_message_days_after_its_counted_operation_is_a_duplicate() {
    for form in [
        named(1, "n"),
        InstanceRef { id: None, ..named(1, "n") },
        InstanceRef { zone: None, name: None, ..named(1, "n") },
    ] {
        let mut fixture = with_operations();
        assert_eq!(fixture.receive_operation(operation(1, "n", "op"), false), outcomes(&[(1, "counted a")]));
        fixture.advance(Duration::from_secs(3 * 24 * 60 * 60));
        assert_eq!(fixture.deliver("m", message(form, "op")), outcomes(&[(2, "duplicate")]));
        assert_eq!(
            fixture.deliver("m2", message(named(1, "n"), "other")),
            outcomes(&[]),
            "the instance is no longer known"
        );
    }
}

#[test]
fn an_operation_received_long_after_its_message_is_a_duplicate() {
    let mut fixture = with_operations();
    fixture.deliver("m", message(named(1, "n"), "op"));
    // No operations listing was made since, so the event is kept.
    fixture.advance(2 * WINDOW + TOMBSTONE);
    assert_eq!(fixture.receive_operation(operation(1, "n", "op"), false), outcomes(&[(2, "duplicate")]));
    // After the operation was received, the event expires.
    fixture.attribution.operations_received(fixture.now);
    fixture.advance(2 * OPERATION_LATENESS);
    fixture.attribution.operations_received(fixture.now);
    fixture.advance(Duration::ZERO);
    fixture.list_all(&[node(1, "n", "a")]);
    assert_eq!(fixture.receive_operation(operation(1, "n", "op"), false), outcomes(&[(3, "counted a")]));
}

#[test]
fn holds_an_operation_of_an_unknown_instance_with_its_message() {
    let mut fixture = with_operations();
    assert_eq!(fixture.deliver("m", message(named(2, "n2"), "op")), outcomes(&[]));
    assert_eq!(fixture.receive_operation(operation(2, "n2", "op"), false), outcomes(&[]));
    let settled = fixture.deliver("c", creation(node(2, "n2", "b")));
    assert_eq!(settled, outcomes(&[(3, "added"), (1, "counted b"), (2, "duplicate")]));
}

#[test]
fn looks_up_an_instance_created_by_an_operation() {
    let mut fixture = with_operations();
    let created = entry(Event::UnlabelledCreation(named(2, "n2")));
    fixture.receive_operation(Entry { operation_id: Some("insert".into()), ..created }, false);
    let lookup = fixture.lookup().unwrap();
    assert_eq!(lookup.instance, "n2");
    assert_eq!(fixture.found(&lookup, &node(2, "n2", "b")), outcomes(&[(1, "added")]));
    assert_eq!(fixture.known(), 2);
}

#[derive(Debug, Clone)]
enum Step {
    /// A preemption. Its operation appears after `appears` minutes; its message is delivered after each of `delivered`
    /// minutes.
    Preempt {
        appears: Option<u64>,
        delivered: Vec<u64>,
    },
    /// An operations listing.
    List {
        wait: bool,
    },
    /// An operations listing after a restart, which reports operations of the last listing again.
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
            .prop_map(|(appears, delivered)| Step::Preempt { appears, delivered }),
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
    /// The minute in which its operation appears.
    appears: Option<u64>,
    by_operation: bool,
    by_message: bool,
}

#[derive(Debug, Default)]
struct History {
    now: u64,
    last_listing: u64,
    preemptions: Vec<Preemption>,
    /// Messages to be delivered: minute, preemption and copy.
    messages: BTreeMap<(u64, usize, u64), ()>,
}

impl History {
    /// Advances minute by minute and delivers the messages that are due.
    fn pass(&mut self, fixture: &mut Fixture, minutes: u64) {
        for _ in 0..minutes {
            self.now += 1;
            fixture.advance(MINUTE);
            let due = self.messages.split_off(&(self.now + 1, 0, 0));
            for (_, number, copy) in std::mem::replace(&mut self.messages, due).into_keys() {
                self.preemptions[number].by_message = true;
                let id = format!("m{number}");
                let name = format!("n{number}");
                let operation = format!("op{number}");
                let instance = named(number as u64 + 1, &name);
                // Every second message has no instance id.
                let instance =
                    if number.is_multiple_of(2) { InstanceRef { id: None, ..instance } } else { instance };
                let _ = copy;
                fixture.deliver(&id, message(instance, &operation));
            }
        }
    }

    fn list(&mut self, fixture: &mut Fixture, wait: bool, again: bool) {
        let since = self.last_listing.saturating_sub(OPERATION_LATENESS.as_secs() / 60);
        for (number, preemption) in self.preemptions.iter_mut().enumerate() {
            let has_appeared = preemption.appears.is_some_and(|appears| appears <= self.now);
            if has_appeared && preemption.at >= since && (again || !preemption.by_operation) {
                preemption.by_operation = true;
                let name = format!("n{number}");
                fixture.receive_operation(operation(number as u64 + 1, &name, &format!("op{number}")), wait);
            }
        }
        self.last_listing = self.now;
        fixture.attribution.operations_received(fixture.now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Messages and operations in any order, each of them late, lost or repeated: each preemption that was reported at
    /// least once is counted once.
    #[test]
    fn counts_every_reported_preemption_once(steps in steps()) {
        let mut fixture = Fixture::new();
        fixture.attribution.watch_operations();
        let mut history = History::default();
        for step in &steps {
            match step {
                Step::Preempt { appears, delivered } => {
                    let number = history.preemptions.len();
                    let name = format!("n{number}");
                    if number % 3 > 0 {
                        fixture.deliver(&format!("c{number}"), creation(node(number as u64 + 1, &name, "a")));
                    }
                    for (copy, minutes) in delivered.iter().enumerate() {
                        history.messages.insert((history.now + 1 + minutes, number, copy as u64), ());
                    }
                    let (at, appears) = (history.now, appears.map(|minutes| history.now + minutes));
                    history.preemptions.push(Preemption { at, appears, by_operation: false, by_message: false });
                }
                Step::List { wait } => history.list(&mut fixture, *wait, false),
                Step::ListAgain { wait } => history.list(&mut fixture, *wait, true),
                Step::Pass { minutes } => history.pass(&mut fixture, *minutes),
            }
        }
        history.pass(&mut fixture, 20);
        let reported = history.preemptions.iter().filter(|it| it.by_message || it.by_operation).count() as u64;
        prop_assert_eq!(fixture.batch.total(), reported);
    }
}
