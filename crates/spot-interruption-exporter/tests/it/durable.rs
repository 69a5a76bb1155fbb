//! The durable state: it restores counts and instances, and damaged files are not used.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use exporter_common::durable::Commit as _;
use proptest::prelude::*;
use spot_interruption_exporter::attribution::Settings;
use spot_interruption_exporter::durable::store::{self, Batch, Opened, Store};
use spot_interruption_exporter::interruptions::RecentChanges;
use spot_interruption_exporter::ledger::Ledger;
use spot_interruption_exporter::provider::google::audit_log::InterruptionMethods;
use tempfile::TempDir;

use crate::fixture::*;
use crate::model::{Model, apply, history};

/// A temporary directory, in memory if possible, because disk latency does not matter here.
fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

fn open(directory: &Path, settings: &Settings, now: Instant) -> Opened<u32> {
    store::open(directory, settings, &mut InterruptionMethods::default().reasons().clone(), now).unwrap()
}

/// A fixture with durable state.
struct DurableFixture {
    directory: TempDir,
    fixture: Fixture,
    store: Option<Store>,
    total: Ledger,
}

impl DurableFixture {
    fn new() -> Self {
        let directory = directory();
        let mut fixture = Fixture::without_listing();
        let Opened { store, attribution, ledger, .. } =
            open(directory.path(), &fixture.settings, fixture.now);
        assert_eq!(ledger, Ledger::default());
        fixture.attribution = attribution;
        Self { directory, fixture, store: Some(store), total: Ledger::default() }
    }

    fn commit(&mut self) {
        let ledger = std::mem::take(&mut self.fixture.batch);
        self.total.add(&ledger);
        let changes = self.fixture.attribution.take_changes(self.fixture.now);
        self.store
            .as_mut()
            .unwrap()
            .commit(&Batch {
                ledger,
                changes,
                cursors: BTreeMap::new(),
                recent: RecentChanges::default(),
                now: self.fixture.now,
            })
            .unwrap();
    }

    /// Commits, closes the store and opens it again.
    fn restart(&mut self) {
        self.commit();
        self.store = None;
        let opened = open(self.directory.path(), &self.fixture.settings, self.fixture.now);
        assert_eq!(opened.ledger, self.total);
        self.store = Some(opened.store);
        self.fixture.attribution = opened.attribution;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Restarts within a history change nothing except that held messages are dropped.
    #[test]
    fn continues_unchanged_after_restarts(
        steps in history(true),
        ends in prop::collection::vec(prop_oneof![6 => Just(None), 2 => Just(Some(false)), 1 => Just(Some(true))], 80),
    ) {
        let mut durable = DurableFixture::new();
        let mut model = Model::default();
        for (number, (step, end)) in steps.iter().zip(ends).enumerate() {
            let mut actual = apply(&mut durable.fixture, step);
            let mut expected = model.apply(step);
            actual.sort();
            expected.sort();
            prop_assert_eq!(actual, expected, "step {}: {:?}", number, step);
            match end {
                None => {}
                Some(false) => durable.commit(),
                Some(true) => {
                    durable.restart();
                    model.restart();
                }
            }
            prop_assert_eq!(durable.fixture.known(), model.known.len(), "step {}: {:?}", number, step);
            prop_assert_eq!(durable.fixture.spot_running() as usize, model.running(), "step {}: {:?}", number, step);
        }
    }
}

/// A state of 500 instances, written in five commits.
fn written() -> DurableFixture {
    let mut durable = DurableFixture::new();
    for round in 0..5 {
        let names: Vec<String> = (0..100).map(|number| format!("n{round}-{number}")).collect();
        for (number, name) in names.iter().enumerate() {
            durable.fixture.list_one(&node(round * 100 + number as u64 + 1, name, "a"));
            if number % 2 == 0 {
                let interrupted = interruption(named(0, name));
                durable.fixture.deliver(name, logged(name, "op", interrupted));
            }
        }
        durable.fixture.advance(Duration::from_secs(1));
        durable.commit();
    }
    durable.store = None;
    assert_eq!(durable.total.total(), 250);
    durable
}

fn set_aside(directory: &Path) -> usize {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("state.redb.unusable-")).count()
}

/// What happened to a damaged file.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It was opened with all its data, because only unused bytes were damaged.
    Intact,
    /// It was set aside, and none of its data is used.
    SetAside,
}

impl DurableFixture {
    /// Opens a copy of the directory with a modified database.
    fn tampered(&self, tamper: impl FnOnce(&mut Vec<u8>)) -> Verdict {
        let copy = directory();
        for file in ["state.redb", "commits"] {
            fs::copy(self.directory.path().join(file), copy.path().join(file)).unwrap();
        }
        let path = copy.path().join("state.redb");
        let mut bytes = fs::read(&path).unwrap();
        tamper(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let opened = open(copy.path(), &self.fixture.settings, self.fixture.now);
        let known = opened.attribution.inventory().len();
        if set_aside(copy.path()) == 1 {
            assert_eq!((opened.ledger, known), (Ledger::default(), 0));
            Verdict::SetAside
        } else {
            assert_eq!((opened.ledger, known), (self.total.clone(), self.fixture.known()));
            Verdict::Intact
        }
    }
}

/// Returns a pseudo-random generator with a fixed seed.
fn numbers() -> impl FnMut(usize) -> usize {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    }
}

#[test]
fn sets_aside_a_damaged_file_unless_its_data_is_intact() {
    let durable = written();
    let mut number = numbers();
    let mut set_aside = 0;
    for round in 0..200 {
        let verdict = durable.tampered(|bytes| match round % 2 {
            0 => bytes.truncate(number(bytes.len())),
            _ => {
                for _ in 0..=number(64) {
                    let index = number(bytes.len());
                    bytes[index] ^= 1 << number(8);
                }
            }
        });
        set_aside += usize::from(verdict == Verdict::SetAside);
    }
    assert!((100..200).contains(&set_aside), "{set_aside} of 200 were set aside");
}

/// The header contains the byte that selects the last commit.
#[test]
fn sets_aside_a_damaged_header_unless_its_data_is_intact() {
    let durable = written();
    let mut set_aside = 0;
    for bit in (0..64 * 8).chain((64 * 8..512 * 8).step_by(7)) {
        let verdict = durable.tampered(|bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        set_aside += usize::from(verdict == Verdict::SetAside);
    }
    assert!(set_aside > 100, "{set_aside} were set aside");
}

#[test]
fn sets_aside_a_file_that_is_not_a_database() {
    let durable = written();
    assert_eq!(durable.tampered(|bytes| *bytes = b"hello".to_vec()), Verdict::SetAside);
    assert_eq!(durable.tampered(Vec::clear), Verdict::SetAside);
}

/// A restored backup is a valid database, but not the last commit.
#[test]
fn sets_aside_an_older_copy() {
    let mut durable = DurableFixture::new();
    durable.restart();
    let path = durable.directory.path().join("state.redb");
    durable.store = None;
    let earlier = fs::read(&path).unwrap();
    durable.store =
        Some(open(durable.directory.path(), &durable.fixture.settings, durable.fixture.now).store);
    durable.commit();
    durable.store = None;
    assert_eq!(durable.tampered(|_| {}), Verdict::Intact);
    assert_eq!(durable.tampered(|bytes| *bytes = earlier), Verdict::SetAside);
}

#[test]
fn rejects_the_state_of_another_project() {
    let durable = written();
    let settings = Settings { project: "other".to_owned(), ..durable.fixture.settings.clone() };
    let mut reasons = InterruptionMethods::default().reasons().clone();
    let opened = store::open::<u32>(durable.directory.path(), &settings, &mut reasons, durable.fixture.now);
    let error = opened.unwrap_err().to_string();
    assert!(error.contains("holds the state of project mock-project; allowed is"), "{error}");
    assert_eq!(set_aside(durable.directory.path()), 0);
}

#[test]
fn keeps_at_most_three_files_set_aside() {
    let durable = written();
    let path = durable.directory.path();
    for second in 1..=5 {
        fs::write(path.join(format!("state.redb.unusable-{second}")), "").unwrap();
    }
    fs::write(path.join("state.redb"), "hello").unwrap();
    open(path, &durable.fixture.settings, durable.fixture.now);
    assert_eq!(set_aside(path), 3);
    assert!(path.join("state.redb.unusable-5").exists() && !path.join("state.redb.unusable-3").exists());
}

/// Expired entries free space for new ones.
#[test]
fn reuses_the_space_of_expired_entries() {
    let mut durable = DurableFixture::new();
    let instances: Vec<String> = (0..200).map(|number| format!("n{number}")).collect();
    for (number, name) in instances.iter().enumerate() {
        durable.fixture.list_one(&node(number as u64 + 1, name, "a"));
    }
    let mut sizes = Vec::new();
    for round in 0..60 {
        for number in 0..1_000 {
            let id = format!("{round}-{number}");
            let interrupted = interruption(named(number % 200 + 1, &instances[number as usize % 200]));
            durable.fixture.deliver(&id, logged(&id, &id, interrupted));
        }
        durable.fixture.advance(WINDOW / 5);
        durable.commit();
        sizes.push(durable.store.as_ref().unwrap().size());
    }
    let (early, late) = sizes.split_at(20);
    assert!(early.iter().max() >= late.iter().max(), "{sizes:?}");
    assert!(sizes[59] < 4 * 1024 * 1024, "{sizes:?}");
}

/// `fixtures/state-0.1.0` was written by version 0.1.0: `n1` of cluster `a` and `n4` of `c` were interrupted by id, `n3`
/// of `a` by name, `n2` of `b` is running, and one interruption was unattributed.
#[test]
fn opens_the_state_of_version_0_1_0() {
    let directory = directory();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/state-0.1.0");
    for file in ["state.redb", "commits"] {
        fs::copy(fixture.join(file), directory.path().join(file)).unwrap();
    }
    let mut fixture = Fixture::without_listing();
    let Opened { store, attribution, ledger, .. } = open(directory.path(), &fixture.settings, fixture.now);
    assert_eq!(set_aside(directory.path()), 0);
    assert_eq!((ledger.total(), ledger.unattributed), (4, 1));
    fixture.attribution = attribution;
    let mut durable = DurableFixture { directory, fixture, store: Some(store), total: ledger };
    assert_eq!(durable.fixture.clusters(), ["a", "b", "c"]);
    assert_eq!((durable.fixture.known(), durable.fixture.spot_running()), (4, 1));

    // Counted events are recognised by their message ids.
    let redelivered = logged("e2", "op-2", interruption(named(1, "n1")));
    assert_eq!(durable.fixture.deliver("21", redelivered), outcomes(&[(1, "duplicate")]));
    let entry = logged("e5", "op-5", interruption(named(2, "n2")));
    assert_eq!(durable.fixture.deliver("24", entry), outcomes(&[(2, "counted b")]));
    durable.restart();
    assert_eq!((durable.total.total(), durable.fixture.spot_running()), (5, 0));
    durable.fixture.advance(TOMBSTONE);
    assert_eq!(durable.fixture.known(), 0);
}
