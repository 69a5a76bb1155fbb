//! A warning and the listing of the ended instance are one interruption, in every order and across restarts.

use std::time::Duration;

use spot_interruption_exporter::attribution::{Attribution, Outcome, Record, Settings};
use spot_interruption_exporter::dedup::HashKey;
use spot_interruption_exporter::event::{Entry, Event, InterruptionReason, Reasons};
use spot_interruption_exporter::instance::{Instance, InstanceId, InstanceRef};
use spot_interruption_exporter::inventory::{Moment, Scope, Unseen};

pub(super) const GRACE: Duration = Duration::from_secs(60);
const MEMORY: Duration = Duration::from_secs(75 * 60);
pub(super) const ACCOUNT: &str = "123456789012";
pub(super) const REGION: &str = "eu-central-1";

/// The state machine of an exporter for one region of an account.
struct Fixture {
    attribution: Attribution<u32>,
    now: std::time::Instant,
    warning: InterruptionReason,
    unannounced: InterruptionReason,
    tokens: u32,
    counted: Vec<InterruptionReason>,
    outcomes: Vec<&'static str>,
}

pub(super) fn settings() -> Settings {
    Settings {
        project: ACCOUNT.to_owned(),
        attribution_grace: GRACE,
        dedup_window: MEMORY,
        tombstone_ttl: MEMORY,
        fixed_scopes: vec![scope()],
        lateness: MEMORY,
    }
}

pub(super) fn scope() -> Scope {
    Scope::part(ACCOUNT, REGION)
}

fn reference() -> InstanceRef<'static> {
    InstanceRef {
        id: InstanceId::new(7),
        project: Some(ACCOUNT.into()),
        zone: Some(REGION.into()),
        name: Some("i-00000000000000007".into()),
    }
}

fn instance(running: bool) -> Instance<'static> {
    Instance {
        instance: InstanceRef { zone: Some("eu-central-1b".into()), ..reference() },
        cluster: Some("prod".into()),
        location: Some(REGION.into()),
        spot: true,
        running,
        ..Instance::default()
    }
}

impl Fixture {
    fn new() -> Self {
        let mut reasons = Reasons::default();
        let [warning, unannounced] =
            ["interruption_warning", "unannounced"].map(|label| reasons.labelled(label));
        let mut attribution = Attribution::new(settings());
        attribution.watch_operations();
        Self {
            attribution,
            now: std::time::Instant::now(),
            warning,
            unannounced,
            tokens: 0,
            counted: Vec::new(),
            outcomes: Vec::new(),
        }
    }

    fn entry(&self, reason: InterruptionReason) -> Entry<'static> {
        let event = Event::Interruption { instance: reference(), reason };
        Entry { insert_id: None, operation_id: Some("interruption".into()), timestamp: None, event }
    }

    /// Delivers the warning in a message with this id.
    fn warn(&mut self, message_id: &str) {
        self.tokens += 1;
        let entry = self.entry(self.warning);
        self.attribution.message(message_id, Ok(entry), self.tokens, self.now);
        self.commit();
    }

    /// Completes a listing in which the instance runs, or was taken back.
    fn list(&mut self, running: bool) {
        let moment = Moment { instant: self.now, timestamp: jiff::Timestamp::now() };
        self.attribution.begin_listing(&scope(), moment);
        self.attribution.list(&scope(), &instance(running), self.now);
        if !running {
            self.tokens += 1;
            let entry = self.entry(self.unannounced);
            self.attribution.operation(entry, true, self.tokens, self.now);
        }
        self.attribution.finish_listing(&scope(), &Unseen::default(), self.now);
        self.attribution.operations_received(self.now);
        self.commit();
    }

    fn advance(&mut self, time: Duration) {
        self.now += time;
        self.attribution.tick(self.now);
        self.commit();
    }

    fn commit(&mut self) {
        while let Some(resolved) = self.attribution.poll_resolved() {
            self.outcomes.push(resolved.outcome.label());
            if let Outcome::Counted(counted) = resolved.outcome {
                self.counted.push(counted.reason);
            }
        }
        let decided = self.attribution.decided(self.now);
        self.attribution.mark_safe(decided, self.now);
    }
}

#[test]
fn a_warning_and_the_end_are_counted_once_in_every_order() {
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Warn,
        WarnAgain,
        ListEnded,
        Wait,
    }
    use Step::{ListEnded, Wait, Warn, WarnAgain};
    for (steps, expected) in [
        (&[Warn, ListEnded, Wait][..], "warning"),
        (&[Warn, WarnAgain, ListEnded, Wait, ListEnded, Wait], "warning"),
        // The warning arrives within the grace.
        (&[ListEnded, Warn, Wait], "warning"),
        (&[ListEnded, Wait, Warn, Wait, WarnAgain], "unannounced"),
        (&[ListEnded, ListEnded, Wait, ListEnded, Wait], "unannounced"),
        (&[Warn, Wait, WarnAgain, Wait], "warning"),
    ] {
        // An instance that becomes known only after the grace of its warning is unattributed.
        let waits_first = matches!(steps, [Warn, Wait, ..]);
        for is_known in if waits_first { &[true][..] } else { &[true, false] } {
            let mut fixture = Fixture::new();
            if *is_known {
                fixture.list(true);
            }
            for step in steps {
                match step {
                    Warn => fixture.warn("first"),
                    WarnAgain => fixture.warn("second"),
                    ListEnded => fixture.list(false),
                    Wait => fixture.advance(GRACE),
                }
            }
            fixture.list(false);
            fixture.advance(GRACE);
            let expected = if expected == "warning" { fixture.warning } else { fixture.unannounced };
            assert_eq!(fixture.counted, [expected], "{steps:?}, known: {is_known}: {:?}", fixture.outcomes);
        }
    }
}

#[test]
fn the_end_is_recognized_for_as_long_as_it_is_listed() {
    let mut fixture = Fixture::new();
    fixture.list(true);
    fixture.warn("first");
    // EC2 lists an ended instance for up to an hour.
    for _ in 0..13 {
        fixture.advance(Duration::from_secs(5 * 60));
        fixture.list(false);
    }
    fixture.advance(GRACE);
    assert_eq!(fixture.counted, [fixture.warning]);
}

#[test]
fn a_warning_two_weeks_late_is_a_duplicate_of_the_end() {
    let mut fixture = Fixture::new();
    fixture.list(true);
    fixture.list(false);
    fixture.advance(GRACE);
    fixture.advance(Duration::from_secs(13 * 24 * 60 * 60));
    fixture.warn("late");
    fixture.advance(GRACE);
    assert_eq!(fixture.counted, [fixture.unannounced]);
}

#[test]
fn listings_of_a_region_remove_only_its_instances() {
    let mut fixture = Fixture::new();
    let other = Scope::part(ACCOUNT, "us-east-1");
    let attribution = &mut fixture.attribution;
    let mut settings = settings();
    settings.fixed_scopes.push(other.clone());
    *attribution = Attribution::new(settings);
    fixture.list(true);
    for _ in 0..3 {
        let moment = Moment { instant: fixture.now, timestamp: jiff::Timestamp::now() };
        fixture.attribution.begin_listing(&other, moment);
        assert_eq!(fixture.attribution.finish_listing(&other, &Unseen::default(), fixture.now), 0);
    }
    assert_eq!(fixture.attribution.inventory().len(), 1);
    for gone in [0, 1] {
        let moment = Moment { instant: fixture.now, timestamp: jiff::Timestamp::now() };
        fixture.attribution.begin_listing(&scope(), moment);
        assert_eq!(fixture.attribution.finish_listing(&scope(), &Unseen::default(), fixture.now), gone);
    }
    assert!(fixture.attribution.inventory().is_empty());
}

#[test]
fn the_initial_listing_is_done_when_every_region_was_tried() {
    let mut settings = settings();
    settings.project = "example-project".to_owned();
    let mut attribution =
        Attribution::<()>::restore(settings, Record::empty(HashKey(1, 2)), std::time::Instant::now())
            .unwrap();
    let now = std::time::Instant::now();
    attribution.set_scopes([Scope::project("example-project"), Scope::project("other")], false, now);
    for (scope, is_done) in
        [(Scope::project("example-project"), false), (scope(), false), (Scope::project("other"), true)]
    {
        attribution.fail_listing(&scope);
        assert_eq!(attribution.is_initial_listing_done(), is_done, "{scope}");
    }
}
