//! Rows of the landing page: state of the scopes, last events, and totals.

use std::sync::Arc;
use std::time::Instant;

use exporter_common::http::{Fact, ago};

use crate::metrics::{OwnMetrics, ScopeState};
use crate::source::Queue;
use crate::state::PipelineState;

/// Returns the rows. `subscriptions` are the queues that deliver messages, with their names. `has_operations` is true if
/// operations are listed.
pub(crate) fn facts<T>(
    state: &PipelineState<T>,
    metrics: &OwnMetrics,
    subscriptions: &[(Queue, Arc<str>)],
    has_operations: bool,
    now: Instant,
) -> Vec<Fact> {
    let mut facts = Vec::new();
    scopes(&mut facts, "Instances listed", "Instances", metrics.scopes.by_state());
    if has_operations {
        scopes(&mut facts, "Operations listed", "Operations", metrics.operations.by_state());
    }
    let age = |last: Option<Instant>| match last {
        Some(last) => ago(now.saturating_duration_since(last)),
        None => "none yet".to_owned(),
    };
    let last = &state.last;
    for (queue, subscription) in subscriptions {
        facts.push(Fact::new(format!("Last message of {subscription}"), age(last.taken(&[*queue]))));
    }
    let operations = [Queue::Operations, Queue::Reconciled];
    if !subscriptions.is_empty() {
        let queues: Vec<Queue> = subscriptions.iter().map(|(queue, _)| *queue).collect();
        facts.push(Fact::new("Last interruption by a message", age(last.interruption(&queues))));
    }
    if let Some(last) = last.interruption(&[Queue::Listed]) {
        facts.push(Fact::new("Last interruption without a warning", age(Some(last))));
    }
    if has_operations {
        facts.push(Fact::new("Last operation", age(last.taken(&operations))));
        facts.push(Fact::new("Last interruption by an operation", age(last.interruption(&operations))));
    }
    let (inventory, ledger) = (state.attribution.inventory(), &state.ledger);
    let running: u64 = inventory.spot_running().iter().copied().map(u64::from).sum();
    facts.push(Fact::new(
        "Instances known",
        format!("{}, spot instances running: {running}", inventory.len()),
    ));
    facts.push(Fact::new(
        "Interruptions counted",
        format!("{}, of no known cluster: {}", ledger.total(), ledger.unattributed),
    ));
    if has_operations && !subscriptions.is_empty() {
        let reconciled = ledger.reconciled();
        facts.push(Fact::new("Interruptions without a message", reconciled).problem_if(reconciled > 0));
    }
    let held = state.attribution.held_interruptions();
    facts.push(Fact::new("Interruptions held", held));
    facts
}

/// Adds the number of scopes in each state, and the names of scopes that are not complete.
fn scopes(facts: &mut Vec<Fact>, title: &'static str, what: &str, states: Vec<(ScopeState, usize, String)>) {
    let numbers = states.iter().map(|(state, number, _)| format!("{}: {number}", state.label()));
    let numbers: Vec<String> = numbers.collect();
    facts.push(Fact::new(title, format!("scopes {}", numbers.join(", "))));
    for (state, number, names) in states {
        if number > 0 && state != ScopeState::Complete {
            facts.push(Fact::new(format!("{what} {}", state.label()), names).problem_if(true));
        }
    }
}
