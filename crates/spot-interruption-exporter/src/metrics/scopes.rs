//! State of the scopes' listings: numbers for metrics, names for the landing page.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::own::StateLabel;
use crate::inventory::Scope;

/// Maximum number of scope names remembered for a state.
const NAMED: usize = 10;

/// Result of the last listing of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeState {
    /// The whole scope was listed.
    Complete,
    /// Some parts of the scope could not be listed.
    Partial,
    /// The listing failed.
    Failing,
    /// The exporter lacks the permission to list.
    Off,
}

impl ScopeState {
    const ALL: [Self; 4] = [Self::Complete, Self::Partial, Self::Failing, Self::Off];

    /// Value of the label `state`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Failing => "failing",
            Self::Off => "off",
        }
    }
}

/// Number of scopes by state.
#[derive(Debug, Clone)]
pub(crate) struct ScopeStates {
    /// States that can occur.
    states: &'static [ScopeState],
    gauge: Family<StateLabel, Gauge>,
    /// By provider.
    last: Arc<Mutex<BTreeMap<&'static str, ScopeSummary>>>,
}

/// Number of scopes by state, at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ScopeSummary([ScopesInState; ScopeState::ALL.len()]);

/// The scopes in one state.
#[derive(Debug, Clone, Default, PartialEq)]
struct ScopesInState {
    number: usize,
    /// Names of the first scopes.
    named: Vec<Scope>,
}

impl ScopeStates {
    /// States of instance listings.
    pub(super) fn of_instances() -> Self {
        Self::new(&[ScopeState::Complete, ScopeState::Partial, ScopeState::Failing])
    }

    /// States of operations listings.
    pub(super) fn of_operations() -> Self {
        Self::new(&ScopeState::ALL)
    }

    fn new(states: &'static [ScopeState]) -> Self {
        let gauge = Family::default();
        for state in states {
            drop(gauge.get_or_create(&StateLabel { state: state.label() }));
        }
        Self { states, gauge, last: Arc::default() }
    }

    /// The gauge to register.
    pub(super) fn gauge(&self) -> Family<StateLabel, Gauge> {
        self.gauge.clone()
    }

    /// Sets the state of each scope of a provider that was listed so far. Returns the summary of these scopes.
    pub(crate) fn set<'a>(
        &self,
        provider: &'static str,
        scopes: impl Iterator<Item = (&'a Scope, ScopeState)>,
    ) -> ScopeSummary {
        let mut summary = ScopeSummary::default();
        for (scope, state) in scopes {
            let ScopesInState { number, named } = &mut summary.0[state as usize];
            *number += 1;
            if named.len() < NAMED && state != ScopeState::Complete {
                named.push(scope.clone());
            }
        }
        let mut last = self.lock();
        last.insert(provider, summary.clone());
        for state in self.states {
            let number: usize = last.values().map(|summary| summary.number(*state)).sum();
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            self.gauge.get_or_create(&StateLabel { state: state.label() }).set(number);
        }
        summary
    }

    /// Returns for each state the number of scopes and their names.
    pub(crate) fn by_state(&self) -> Vec<(ScopeState, usize, String)> {
        let last = self.lock();
        let mut sum = ScopeSummary::default();
        for summary in last.values() {
            sum.add(summary);
        }
        self.states.iter().map(|state| (*state, sum.number(*state), sum.names(*state))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, ScopeSummary>> {
        // A poisoned lock is safe to use: each update is one assignment.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ScopeSummary {
    fn add(&mut self, other: &Self) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            own.number += other.number;
            own.named.extend(other.named.iter().take(NAMED.saturating_sub(own.named.len())).cloned());
        }
    }

    /// Number of scopes in a state.
    pub(crate) fn number(&self, state: ScopeState) -> usize {
        self.0[state as usize].number
    }

    /// Names of the first scopes in a state, and the number of others.
    fn names(&self, state: ScopeState) -> String {
        let ScopesInState { number, named } = &self.0[state as usize];
        let mut names: Vec<String> = named.iter().map(ToString::to_string).collect();
        let others = number - named.len();
        if others > 0 {
            names.push(format!("and {others} more"));
        }
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_at_most_ten_scopes() {
        let states = ScopeStates::of_instances();
        let scopes: Vec<Scope> =
            (10..22).map(|number| Scope::project(format!("p{number}").as_str())).collect();
        let complete = Scope::project("good");
        let all = scopes.iter().map(|scope| (scope, ScopeState::Failing));
        let summary = states.set("a", all.chain([(&complete, ScopeState::Complete)]));
        assert_eq!(summary.number(ScopeState::Failing), 12);
        let named: Vec<String> = (10..20).map(|number| format!("p{number}")).collect();
        let expected = format!("{}, and 2 more", named.join(", "));
        let by_state = states.by_state();
        assert_eq!(by_state.len(), 3, "instance listings are never off");
        assert_eq!(by_state[2], (ScopeState::Failing, 12, expected));
        assert_eq!(states.gauge.get_or_create(&StateLabel { state: "failing" }).get(), 12);
        states.set("a", [(&complete, ScopeState::Complete)].into_iter());
        assert_eq!(states.by_state()[2], (ScopeState::Failing, 0, String::new()));
    }
}
