//! The store as a whole, against a list of events in memory.
//!
//! Owns: the harness (temporary directory, faulty disk, the list). Never does: look inside the store.

mod damage;
mod faults;
mod format;
mod limits;
mod random;
mod reading;

use crate::{
    events::{self, Event, NOON, Rng},
    faulty::FaultyDisk,
};
use ::store::{Scope, Snapshot, Store, StoreError, StoreOptions, Write};
use model::{TimeNs, Value};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

static TICKS: AtomicI64 = AtomicI64::new(0);

/// A clock that moves a little with every look.
pub(crate) fn clock() -> TimeNs {
    NOON + TICKS.fetch_add(1_000, Relaxed)
}

/// An event with a number of its own.
pub(crate) fn event(n: i64) -> Event {
    let fields = [("n".to_owned(), Value::Int(n)), ("name".to_owned(), Value::Str(format!("event {}", n % 7)))];
    Event { time_ns: NOON + n, sample_rate: 1.0, fields: BTreeMap::from(fields) }
}

pub(crate) fn write(dataset: &str, events: &[Event]) -> Write {
    Write { dataset: dataset.into(), batch: events::batch(events), fitted: false }
}

pub(crate) fn numbered(dataset: &str, numbers: impl Iterator<Item = i64>) -> Write {
    write(dataset, &numbers.map(event).collect::<Vec<_>>())
}

/// Everything that a snapshot holds, as text, in a fixed order.
pub(crate) fn rows_of(snapshot: &Snapshot) -> Vec<String> {
    let mut rows = Vec::new();
    assert_eq!(snapshot.segments.len(), snapshot.datasets.len());
    for (segment, dataset) in snapshot.segments.iter().zip(&snapshot.datasets) {
        for row in 0..segment.n_rows() {
            let mut fields = BTreeMap::new();
            let (time_ns, sample_rate) = segment.row(row, &mut |name, value| drop(fields.insert(name.to_owned(), value))).unwrap();
            rows.push(text(dataset, &Event { time_ns, sample_rate, fields }));
        }
    }
    rows.sort();
    rows
}

/// Compares long lists without printing them whole.
#[track_caller]
pub(crate) fn same(found: &[String], expected: &[String]) {
    let first = found.iter().zip(expected).position(|(a, b)| a != b);
    assert!(
        found == expected,
        "found {}, expected {}, first difference at {first:?}: {:?}",
        found.len(),
        expected.len(),
        first.map(|i| (&found[i], &expected[i])),
    );
}

pub(crate) fn text(dataset: &str, event: &Event) -> String {
    // Segments keep the two zeros as one value.
    format!("{dataset} {event:?}").replace("Float(-0.0)", "Float(0.0)")
}

pub(crate) fn snapshot(store: &Store, scope: &Scope) -> Snapshot {
    store.snapshot(scope, i64::MIN, i64::MAX).unwrap()
}

pub(crate) fn all_rows(store: &Store) -> Vec<String> {
    rows_of(&snapshot(store, &Scope::All))
}

pub(crate) fn expected(dataset: &str, numbers: impl Iterator<Item = i64>) -> Vec<String> {
    let mut rows: Vec<String> = numbers.map(|n| text(dataset, &event(n))).collect();
    rows.sort();
    rows
}

/// The numbers of events of a dataset, ascending.
pub(crate) fn numbers(store: &Store, dataset: &str) -> Vec<i64> {
    let snapshot = snapshot(store, &Scope::Dataset(dataset.into()));
    let mut found = Vec::new();
    for segment in &snapshot.segments {
        for row in 0..segment.n_rows() {
            let mut number = None;
            segment
                .row(row, &mut |name, value| {
                    if let ("n", Value::Int(n)) = (name, value) {
                        number = Some(n)
                    }
                })
                .unwrap();
            found.extend(number);
        }
    }
    found.sort_unstable();
    found
}

/// A data directory that goes away, and a disk that can fail.
pub(crate) struct Bed {
    dir: tempfile::TempDir,
    below: PathBuf,
    pub(crate) disk: FaultyDisk,
}

impl Bed {
    pub(crate) fn new() -> Bed {
        Bed { dir: tempfile::tempdir().unwrap(), below: PathBuf::new(), disk: FaultyDisk::default() }
    }

    /// The data directory is not there yet, nor is the one above it.
    pub(crate) fn new_below() -> Bed {
        let bed = Bed::new();
        Bed { below: "new/data".into(), ..bed }
    }

    /// The data directory.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join(&self.below)
    }

    /// Nothing happens unless asked; small limits, so that little data meets all of them.
    pub(crate) fn options(&self) -> StoreOptions {
        StoreOptions {
            seed: 7,
            segment_rows_max: 64,
            wal_file_bytes: 4 << 10,
            background: false,
            disk: Arc::new(self.disk.clone()),
            ..StoreOptions::new(self.path(), clock)
        }
    }

    pub(crate) fn open(&self) -> Store {
        Store::open(self.options()).unwrap()
    }

    pub(crate) fn try_open(&self) -> Result<Store, StoreError> {
        Store::open(self.options())
    }

    /// All files of a kind below the directory.
    pub(crate) fn files(&self, ending: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(&self.path(), &mut found);
        found.retain(|p| p.to_string_lossy().ends_with(ending));
        found.sort();
        found
    }
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
}

/// Runs `case` for many seeds and says how to run the one that failed again.
pub(crate) fn for_seeds(test: &str, cases: u64, case: impl Fn(&mut Rng)) {
    let env = |name: &str, default: u64| std::env::var(name).ok().map_or(default, |text| text.parse().unwrap());
    let first = env("WIDEYE_STORE_SEED", 1);
    for seed in first..first + env("WIDEYE_STORE_CASES", cases) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&mut Rng::new(seed))));
        if let Err(panic) = outcome {
            eprintln!("again: WIDEYE_STORE_SEED={seed} WIDEYE_STORE_CASES=1 cargo test -p store --test it {test}");
            std::panic::resume_unwind(panic);
        }
    }
}
