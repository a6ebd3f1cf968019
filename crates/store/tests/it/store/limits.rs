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

#[test]
fn events_with_too_many_columns_are_refused_alone() {
    let bed = Bed::new();
    let store = with_limits(&bed, Limits { dataset_columns_max: 10, ..Limits::default() });
    let batch = events::batch(&[wide(0, 6), wide(6, 20), wide(4, 10), wide(9, 11), wide(0, 10)]);
    assert!(matches!(
        store.append_blocking(vec![Write { dataset: "d".into(), batch: batch.clone() }]),
        Err(StoreError::TooManyColumns { limit: 10, .. })
    ));
    assert_eq!(store.refuse_columns("e", batch.clone()).unwrap().1, [1, 3], "the refused request took no room elsewhere");
    let (rest, refused) = store.refuse_columns("d", batch).unwrap();
    assert_eq!((rest.n_rows, refused), (3, vec![1, 3]));
    store.append_blocking(vec![Write { dataset: "d".into(), batch: rest }]).unwrap();
    assert_eq!(store.dataset("d").unwrap().n_columns, 10);
    assert_eq!(store.dataset("d").unwrap().n_rows, 3);
    let (rest, refused) = store.refuse_columns("D", events::batch(&[wide(10, 11)])).unwrap();
    assert_eq!((rest.n_rows, refused), (0, vec![0]));
    store.append_blocking(vec![Write { dataset: "d".into(), batch: rest }]).unwrap();
    // The limit holds after a restart, in the log as in segments.
    for _ in 0..2 {
        drop(store.clone());
        store.seal_now().unwrap();
    }
    drop(store);
    let store = with_limits(&bed, Limits { dataset_columns_max: 10, ..Limits::default() });
    assert_eq!(store.refuse_columns("d", events::batch(&[wide(0, 10), wide(3, 11)])).unwrap().1, [1]);
}

#[test]
fn a_flood_of_new_keys_ends_at_the_limit() {
    let bed = Bed::new();
    let store = bed.open();
    let max = Limits::default().dataset_columns_max;
    let (mut kept, mut refused) = (0, 0);
    for round in 0..20 {
        let events: Vec<Event> = (0..10).map(|i| wide((round * 10 + i) * 1_000, (round * 10 + i + 1) * 1_000)).collect();
        let (rest, rows) = store.refuse_columns("flood", events::batch(&events)).unwrap();
        kept += rest.n_rows;
        refused += rows.len();
        store.append_blocking(vec![Write { dataset: "flood".into(), batch: rest }]).unwrap();
    }
    assert_eq!((kept, refused), (max / 1_000, 200 - max / 1_000));
    assert_eq!(store.dataset("flood").unwrap().n_columns, max);
    // No harm to others, nor to events without new keys.
    store.append_blocking(vec![numbered("other", 0..3), write("flood", &[wide(0, 1_000)])]).unwrap();
    store.seal_now().unwrap();
    drop(store);
    let store = bed.open();
    assert_eq!(store.dataset("flood").unwrap().n_columns, max);
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
