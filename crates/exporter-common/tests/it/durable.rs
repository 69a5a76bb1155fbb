//! Durable state as any exporter has it: here it counts visits of an account.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use exporter_common::durable::{
    Batch, Clock, Commit, Journal, NUMBERS, OpenError, StateMetrics, Store, StoreError, Tables, number,
};
use exporter_common::metrics::{Format, encode};
use exporter_common::readiness::Readiness;
use prometheus_client::registry::Registry;
use redb::{ReadableTable, WriteTransaction};

const VISITS: &str = "visits";

#[derive(Debug)]
struct Visits;

#[derive(Debug)]
struct More(u64, Instant);

impl Batch for More {
    fn moment(&self) -> Instant {
        self.1
    }

    fn renew(&mut self, now: Instant) {
        self.1 = now;
    }
}

impl Tables for Visits {
    const VERSION: u64 = 1;
    const OWNER: &'static str = "account";
    const AFTER_RESET: &'static str = "visits are counted from zero";
    type Batch = More;

    fn create(transaction: &WriteTransaction) -> Result<(), StoreError> {
        transaction.open_table(NUMBERS)?.insert(VISITS, 0)?;
        Ok(())
    }

    fn write(&self, transaction: &WriteTransaction, batch: &More, _: &Clock) -> Result<(), StoreError> {
        let mut numbers = transaction.open_table(NUMBERS)?;
        let before = numbers.get(VISITS)?.map_or(0, |row| row.value());
        numbers.insert(VISITS, before + batch.0)?;
        Ok(())
    }
}

/// The store, its visits, and its clock.
type Opened = (Store<Visits>, (u64, Clock));

fn open(directory: &Path, account: &str, now: Instant) -> Result<Opened, OpenError> {
    Store::open(directory, account, now, |transaction, clock| {
        Ok((Visits, (number(transaction, VISITS)?, *clock)))
    })
}

#[test]
fn what_was_committed_is_there_again() {
    let directory = tempfile::tempdir().unwrap();
    let now = Instant::now();
    let (mut store, (visits, _)) = open(directory.path(), "acme", now).unwrap();
    assert_eq!(visits, 0);
    store.commit(&More(2, now)).unwrap();
    store.commit(&More(3, now)).unwrap();
    let refused = open(directory.path(), "acme", now).unwrap_err();
    assert!(refused.to_string().contains("is in use by another process"), "{refused}");
    drop(store);
    let (_, (visits, _)) = open(directory.path(), "acme", now).unwrap();
    assert_eq!(visits, 5);
}

#[test]
fn the_clock_stands_still_while_the_process_is_down() {
    let directory = tempfile::tempdir().unwrap();
    let now = Instant::now();
    let (mut store, (_, clock)) = open(directory.path(), "acme", now).unwrap();
    let ten = now + Duration::from_secs(10);
    store.commit(&More(1, ten)).unwrap();
    drop(store);
    let written = clock.reading(ten + Duration::from_secs(60));
    let later = now + Duration::from_secs(100_000);
    let (_, (_, clock)) = open(directory.path(), "acme", later).unwrap();
    assert_eq!(clock.moment(written), Some(later + Duration::from_secs(60)));
}

#[test]
fn the_owner_is_called_by_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path(), "acme", Instant::now()).unwrap());
    let error = open(directory.path(), "other", Instant::now()).unwrap_err().to_string();
    assert!(error.contains("holds the state of account acme; allowed is"), "{error}");
}

/// Such as a tool that looks at it: what is written to the file goes on to be written to it.
#[test]
fn a_database_that_another_process_has_open_is_not_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path(), "acme", Instant::now()).unwrap());
    let path = directory.path().join("state.redb");
    let held = File::options().read(true).write(true).open(&path).unwrap();
    held.try_lock().unwrap();
    let error = open(directory.path(), "acme", Instant::now()).unwrap_err();
    assert!(matches!(error, OpenError::InUse(_)), "{error}");
    drop(held);
    assert!(path.exists());
    open(directory.path(), "acme", Instant::now()).unwrap();
}

/// A disk that is full at first.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<Vec<u64>>>);

impl Commit for Disk {
    type Batch = More;

    fn commit(&mut self, batch: &More) -> Result<(), StoreError> {
        let mut attempts = self.0.lock().unwrap();
        attempts.push(batch.0);
        if attempts.len() <= 2 { Err(StoreError::Record("no room".to_owned())) } else { Ok(()) }
    }

    fn size(&self) -> u64 {
        7
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_failed_is_tried_again_before_another() {
    let (disk, readiness, metrics) = (Disk::default(), Readiness::default(), StateMetrics::default());
    let mut registry = Registry::default();
    metrics.register(&mut registry, "my_exporter");
    let mut journal = Journal::new(disk.clone(), readiness.condition("state", "not open yet"), metrics);
    let mut gathered = vec![3, 2, 1];
    for attempt in 1..=4 {
        let next = journal.next_commit(!gathered.is_empty()).unwrap();
        tokio::time::sleep_until(next).await;
        journal.start_if_due(|now| gathered.pop().map(|visits| (More(visits, now), visits)));
        assert!(!journal.is_idle());
        let committed = journal.committed().await;
        let safe = committed.map(|(batch, waited)| (batch.0, waited));
        assert_eq!(safe, [None, None, Some((1, 1)), Some((2, 2))][attempt - 1], "attempt {attempt}");
        let missing = readiness.missing();
        assert_eq!(
            missing.as_deref(),
            (attempt < 3).then_some("durable state: its content is invalid: no room")
        );
    }
    let mut safe = Vec::new();
    let is_safe = journal.finish(
        |now| gathered.pop().map(|visits| (More(visits, now), visits)),
        |batch, waited| safe.push((batch.0, waited)),
    );
    assert!(is_safe.await);
    assert_eq!(safe, [(3, 3)]);
    assert_eq!(*disk.0.lock().unwrap(), [1, 1, 1, 2, 3]);
    let text = String::from_utf8(encode(Format::Text, &[&registry], 0).unwrap()).unwrap();
    for line in [
        "my_exporter_state_errors_total 2",
        "my_exporter_state_commit_duration_seconds_count 3",
        "my_exporter_state_size_bytes 7",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}
