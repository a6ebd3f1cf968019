//! Limits: memory, columns, datasets.

use super::*;
use model::{ErrorKind, Limits};

fn with_limits(bed: &Bed, limits: Limits) -> Store {
    Store::open(StoreOptions { limits, ..bed.options() }).unwrap()
}

/// Columns `from..to`, one event.
fn wide(from: usize, to: usize) -> Event {
    let fields = (from..to).map(|i| (format!("column {i}"), Value::Int(i as i64))).collect();
    Event { time_ns: NOON, sample_rate: 1.0, fields }
}

#[test]
fn too_much_memory_is_refused_until_it_is_sealed() {
    let bed = Bed::new();
    let store = with_limits(&bed, Limits { memtable_bytes_max: 20_000, ..Limits::default() });
    let mut acknowledged = 0;
    let refused = loop {
        match store.append_blocking(vec![numbered("d", acknowledged..acknowledged + 1)]) {
            Ok(()) => acknowledged += 1,
            Err(e) => break e,
        }
    };
    assert!(acknowledged > 3);
    assert_eq!(refused.kind(), ErrorKind::Exhausted);
    assert!(store.stats().memtable_bytes <= 20_000);
    assert_eq!(store.stats().append_failures, 1);
    assert_eq!(numbers(&store, "d"), (0..acknowledged).collect::<Vec<_>>());
    store.seal_now().unwrap();
    assert_eq!(store.stats().memtable_bytes, 0);
    // A request above the limit is kept if it comes alone.
    store.append_blocking(vec![numbered("d", acknowledged..30_000)]).unwrap();
    assert_eq!(store.append_blocking(vec![numbered("d", 0..1)]).unwrap_err().kind(), ErrorKind::Exhausted);
    drop(store);
    assert_eq!(numbers(&bed.open(), "d"), (0..30_000).collect::<Vec<_>>());
}

/// Distinct names, and events with fields in the overflow.
fn columns(store: &Store, dataset: &str) -> (usize, u64) {
    let info = store.dataset(dataset).unwrap();
    (info.n_columns, info.overflow_events)
}

#[test]
fn fields_beyond_the_limit_of_columns_overflow() {
    let bed = Bed::new();
    let limits = Limits { dataset_columns_max: 10, ..Limits::default() };
    let store = with_limits(&bed, limits.clone());
    let batch = events::batch(&[wide(10, 16), wide(16, 30), wide(14, 20), wide(19, 21), wide(10, 20)]);
    let (fitted, overflow) = store.fit_columns("d", batch.clone()).unwrap();
    assert_eq!((fitted.n_rows, overflow.events, overflow.fields, overflow.first), (5, 2, 11, true));
    // Whoever did not ask gets the same.
    store.append_blocking(vec![Write { dataset: "d".into(), batch, fitted: false }]).unwrap();
    store.append_blocking(vec![Write { dataset: "d".into(), batch: fitted, fitted: true }]).unwrap();
    assert_eq!(columns(&store, "d"), (11, 4));
    assert_eq!(store.dataset("d").unwrap().n_rows, 10);
    assert_eq!(store.stats().overflow_fields, 22);
    // The limit holds after a restart, in the log as in segments.
    drop(store);
    let store = with_limits(&bed, limits.clone());
    assert_eq!(columns(&store, "d"), (11, 4));
    store.seal_now().unwrap();
    drop(store);
    let store = with_limits(&bed, limits);
    let (_, overflow) = store.fit_columns("d", events::batch(&[wide(10, 20), wide(13, 21)])).unwrap();
    assert_eq!((overflow.events, overflow.fields), (1, 1));
}

#[test]
fn a_flood_of_new_keys_ends_at_the_limit() {
    let bed = Bed::new();
    let store = bed.open();
    let max = Limits::default().dataset_columns_max;
    for round in 0..20 {
        let events: Vec<Event> = (0..10).map(|i| wide((round * 10 + i) * 1_000, (round * 10 + i + 1) * 1_000)).collect();
        store.append_blocking(vec![write("flood", &events)]).unwrap();
    }
    assert_eq!(columns(&store, "flood"), (max + 1, (200 - max / 1_000) as u64));
    // No harm to others, nor to events without new keys.
    store.append_blocking(vec![numbered("other", 0..3), write("flood", &[wide(0, 1_000)])]).unwrap();
    store.seal_now().unwrap();
    drop(store);
    let store = bed.open();
    assert_eq!(columns(&store, "flood"), (max + 1, (200 - max / 1_000) as u64));
    assert_eq!(store.dataset("flood").unwrap().n_rows, 201);
    assert_eq!(numbers(&store, "other"), [0, 1, 2]);
}

#[test]
fn datasets_are_limited() {
    let bed = Bed::new();
    let store = with_limits(&bed, Limits { datasets_max: 2, ..Limits::default() });
    store.append_blocking(vec![numbered("a", 0..1), numbered("b", 0..1)]).unwrap();
    assert_eq!(store.append_blocking(vec![numbered("c", 0..1)]).unwrap_err().kind(), ErrorKind::Invalid);
    store.delete_dataset("a").unwrap();
    store.append_blocking(vec![numbered("c", 0..1)]).unwrap();
}
