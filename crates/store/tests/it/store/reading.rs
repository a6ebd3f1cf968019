//! What readers see: names, snapshots, pins, columns, documents, retention.

use super::*;
use ::store::{DatasetUpdate, Retention};
use model::ColumnKind;

#[test]
fn an_acknowledged_event_is_visible_and_survives_a_crash() {
    let bed = Bed::new();
    let store = bed.open();
    store.append_blocking(vec![numbered("Web", 0..3), numbered("db", 3..5)]).unwrap();
    let mut rows = expected("Web", 0..3);
    rows.extend(expected("db", 3..5));
    assert_eq!(all_rows(&store), rows);
    drop(store);
    let store = bed.open();
    assert_eq!(all_rows(&store), rows);
    assert_eq!((store.stats().recovery.replayed_records, store.stats().recovery.replayed_rows), (1, 5));
    assert!(store.stats().recovery.findings.is_empty());
    store.close().unwrap();
    assert!(bed.files(".wal").is_empty());
    let store = bed.open();
    assert_eq!(all_rows(&store), rows);
    assert_eq!(store.stats().recovery, ::store::RecoveryReport::default());
}

#[test]
fn appending_from_an_async_runtime() {
    let bed = Bed::new();
    let store = bed.open();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..50)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move { store.append(vec![numbered("d", n..n + 1)]).await.unwrap() })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(numbers(&store, "d"), (0..50).collect::<Vec<_>>());
    runtime.block_on(store.append(vec![])).unwrap();
}

#[test]
fn names_ignore_case_and_may_hold_anything() {
    let bed = Bed::new();
    let store = bed.open();
    for name in ["My Service", "a/b", "a+b", "Größe", "日本", "my service", "GRÖSSE", "GRÖßE", "x".repeat(255).as_str()] {
        store.append_blocking(vec![numbered(name, 0..1)]).unwrap();
    }
    let check = |store: &Store| {
        let names: Vec<(String, String, u64)> = store.datasets().into_iter().map(|d| (d.name, d.slug, d.n_rows)).collect();
        let of = |name: &str| names.iter().find(|(n, ..)| n == name).map(|(_, slug, rows)| (slug.as_str(), *rows));
        assert_eq!(names.len(), 7);
        assert_eq!(of("My Service"), Some(("my-service", 2)));
        assert_eq!((of("a/b"), of("a+b")), (Some(("a-b", 1)), Some(("a-b-2", 1))));
        assert_eq!((of("Größe"), of("日本")), (Some(("gr--e", 2)), Some(("--", 1))));
        assert_eq!(numbers(store, "MY-SERVICE"), [0, 0]);
        assert!(store.dataset("nothing").is_none());
    };
    check(&store);
    store.seal_now().unwrap();
    drop(store);
    check(&bed.open());
    let store = bed.open_again_refused();
    assert!(matches!(store, Err(StoreError::Locked { .. }) | Ok(_)));
}

impl Bed {
    /// Two stores on one directory: the second is refused while the first lives.
    fn open_again_refused(&self) -> Result<Store, StoreError> {
        let first = self.open();
        let second = self.try_open();
        assert!(matches!(&second, Err(StoreError::Locked { .. })));
        drop(first);
        second
    }
}

#[test]
fn a_name_must_be_one() {
    let bed = Bed::new();
    let store = bed.open();
    for name in ["", "  ", "x".repeat(256).as_str()] {
        let refused = store.append_blocking(vec![numbered("ok", 0..1), numbered(name, 0..1)]);
        assert_eq!(refused.unwrap_err().kind(), model::ErrorKind::Invalid);
    }
    assert_eq!(numbers(&store, "ok"), Vec::<i64>::new());
    let unknown = store.snapshot(&Scope::Dataset("no".into()), 0, 1);
    assert_eq!(unknown.unwrap_err().kind(), model::ErrorKind::NotFound);
}

#[test]
fn snapshots_are_pruned_by_time_and_newest_first() {
    let bed = Bed::new();
    let store = bed.open();
    for n in [10, 30, 20] {
        store.append_blocking(vec![numbered("d", n..n + 5)]).unwrap();
        if n == 30 {
            store.seal_now().unwrap();
        }
    }
    let times = |start: i64, end: i64| -> Vec<(i64, i64)> {
        let snapshot = store.snapshot(&Scope::Dataset("d".into()), NOON + start, NOON + end).unwrap();
        snapshot.segments.iter().map(|s| (s.times().0 - NOON, s.times().1 - NOON)).collect()
    };
    assert_eq!(times(0, 100), [(10, 34), (20, 24)]);
    assert_eq!(times(24, 25), [(10, 34), (20, 24)]);
    assert_eq!(times(25, 26), [(10, 34)]);
    assert_eq!(times(34, 35), [(10, 34)]);
    assert_eq!((times(35, 100), times(0, 10)), (vec![], vec![]));
}

#[test]
fn a_snapshot_keeps_what_it_reads_until_it_goes() {
    let bed = Bed::new();
    let store = bed.open();
    for n in 0..8 {
        store.append_blocking(vec![numbered("d", n..n + 1)]).unwrap();
        store.seal_now().unwrap();
    }
    let rows = all_rows(&store);
    let held = snapshot(&store, &Scope::All);
    assert_eq!(bed.files(".seg").len(), 8);
    assert!(store.compact_now().unwrap() > 0);
    assert_eq!(all_rows(&store), rows);
    assert_eq!(bed.files(".seg").len(), 9, "inputs are still read");
    assert_eq!(store.stats().doomed_segments, 8);
    assert_eq!(rows_of(&held), rows);
    // The pin is on the segment, also without the snapshot.
    let one = Arc::clone(&held.segments[0]);
    drop(held);
    store.compact_now().unwrap();
    assert_eq!(bed.files(".seg").len(), 2);
    assert_eq!(one.n_rows(), 1);
    one.verify().unwrap();
    drop(one);
    store.compact_now().unwrap();
    assert_eq!((bed.files(".seg").len(), store.stats().n_segments, store.stats().doomed_segments), (1, 1, 0));
}

#[test]
fn many_small_writes_are_coalesced_in_memory() {
    let bed = Bed::new();
    let store = Store::open(StoreOptions { background: true, ..bed.options() }).unwrap();
    for n in 0..400 {
        store.append_blocking(vec![numbered("d", n..n + 1)]).unwrap();
    }
    // The thread may lag behind, but not for ever.
    while store.stats().memtable_pieces > 100 {
        std::thread::yield_now();
    }
    assert_eq!(numbers(&store, "d"), (0..400).collect::<Vec<_>>());
    assert!(store.stats().coalesces > 0);
    store.seal_now().unwrap();
    assert_eq!((store.stats().memtable_bytes, store.stats().memtable_pieces), (0, 0));
    assert_eq!(numbers(&store, "d"), (0..400).collect::<Vec<_>>());
}

#[test]
fn the_memtable_is_sealed_when_it_is_old_or_idle() {
    static TIME: AtomicI64 = AtomicI64::new(NOON);
    let bed = Bed::new();
    let options = StoreOptions { background: true, clock: || TIME.load(Relaxed), ..bed.options() };
    let store = Store::open(options.clone()).unwrap();
    let wait_for = |store: &Store, seals: u64| {
        while store.stats().seals < seals {
            std::thread::yield_now();
        }
        assert_eq!(store.stats().seals, seals);
    };
    store.append_blocking(vec![numbered("d", 0..1)]).unwrap();
    TIME.fetch_add(29 * 1_000_000_000, Relaxed);
    store.append_blocking(vec![numbered("d", 1..2)]).unwrap();
    assert_eq!(store.stats().seals, 0);
    TIME.fetch_add(1_000_000_000, Relaxed);
    wait_for(&store, 1);
    drop(store);
    let store = Store::open(StoreOptions { seal_idle_bytes: 1, ..options.clone() }).unwrap();
    store.append_blocking(vec![numbered("d", 2..3)]).unwrap();
    TIME.fetch_add(2_000_000_000, Relaxed);
    wait_for(&store, 1);
    drop(store);
    let store = Store::open(StoreOptions { seal_bytes: 1, ..options }).unwrap();
    store.append_blocking(vec![numbered("d", 3..4)]).unwrap();
    wait_for(&store, 1);
    assert_eq!(numbers(&store, "d"), [0, 1, 2, 3]);
}

#[test]
fn compaction_rewrites_each_event_a_few_times_at_most() {
    let bed = Bed::new();
    let store = Store::open(StoreOptions { segment_rows_max: 1 << 20, ..bed.options() }).unwrap();
    for n in 0..64 {
        store.append_blocking(vec![numbered("d", n * 16..(n + 1) * 16)]).unwrap();
        store.seal_now().unwrap();
        store.compact_now().unwrap();
    }
    let stats = store.stats();
    assert_eq!((stats.segment_rows, stats.n_segments), (1024, 1));
    assert_eq!(stats.compaction_rows, 3 * 1024, "once per tier: 16 to 64 to 256 to 1024");
}

#[test]
fn columns_are_counted_by_kind_in_memory_and_on_disk() {
    let bed = Bed::new();
    let store = bed.open();
    let status = |value: Value| Event { time_ns: NOON, sample_rate: 1.0, fields: BTreeMap::from([("status".to_owned(), value)]) };
    let check = |store: &Store, ints: u64, strs: u64| {
        let columns = store.columns(&Scope::Dataset("d".into())).unwrap();
        let kinds: Vec<_> = columns.iter().map(|c| (c.name.as_str(), c.kinds.clone())).collect();
        assert_eq!(kinds, [("status", vec![(ColumnKind::Str, strs), (ColumnKind::Int, ints)])]);
        assert_eq!(columns, store.columns(&Scope::All).unwrap());
        assert!(columns[0].first_seen >= NOON && columns[0].last_seen >= columns[0].first_seen);
        assert!(store.has_column(&Scope::All, "status") && !store.has_column(&Scope::Dataset("d".into()), "n"));
        assert_eq!(store.dataset("d").unwrap().n_columns, 1);
    };
    store.append_blocking(vec![write("d", &[status(Value::Int(500)), status(Value::Str("500".into()))])]).unwrap();
    check(&store, 1, 1);
    store.seal_now().unwrap();
    check(&store, 1, 1);
    store.append_blocking(vec![write("d", &[status(Value::Int(200))])]).unwrap();
    check(&store, 2, 1);
    drop(store);
    let store = bed.open();
    check(&store, 2, 1);
    store.close().unwrap();
    drop(store);
    check(&bed.open(), 2, 1);
}

#[test]
fn retention_drops_whole_segments_and_their_columns() {
    let bed = Bed::new();
    let store = bed.open();
    let day = 86_400 * 1_000_000_000;
    for (age_days, column) in [(10, "old"), (1, "new")] {
        let fields = BTreeMap::from([(column.to_owned(), Value::Int(1)), ("n".to_owned(), Value::Int(age_days))]);
        store.append_blocking(vec![write("d", &[Event { time_ns: NOON - age_days * day, sample_rate: 1.0, fields }])]).unwrap();
        store.seal_now().unwrap();
    }
    assert_eq!(store.retain_now().unwrap(), 0, "nothing goes unless asked for");
    let retention = Retention { age_seconds: Some(5 * 86_400), bytes: None };
    let info = store.update_dataset("D", DatasetUpdate { retention: Some(retention), ..Default::default() }).unwrap();
    assert_eq!(info.retention, retention);
    assert_eq!(store.retain_now().unwrap(), 1);
    assert_eq!(numbers(&store, "d"), [1]);
    let names = |store: &Store| store.columns(&Scope::All).unwrap().into_iter().map(|c| c.name).collect::<Vec<_>>();
    assert_eq!(names(&store), ["n", "new"]);
    assert_eq!(bed.files(".seg").len(), 1);
    drop(store);
    let store = bed.open();
    assert_eq!((names(&store), store.dataset("d").unwrap().retention), (vec!["n".into(), "new".into()], retention));
    let none = Retention { age_seconds: None, bytes: Some(1) };
    store.update_dataset("d", DatasetUpdate { retention: Some(none), ..Default::default() }).unwrap();
    assert_eq!(store.retain_now().unwrap(), 1);
    assert_eq!((numbers(&store, "d"), names(&store)), (vec![], vec![]));
}

#[test]
fn a_deleted_dataset_is_gone_from_memory_disk_and_log() {
    let bed = Bed::new();
    let store = bed.open();
    store.append_blocking(vec![numbered("a", 0..3), numbered("b", 0..2)]).unwrap();
    store.seal_now().unwrap();
    store.append_blocking(vec![numbered("a", 3..6), numbered("b", 2..4)]).unwrap();
    store.put_document("marker", "A", "1", &serde_json::json!({"x": 1})).unwrap();
    store.delete_dataset("A").unwrap();
    assert!(store.delete_dataset("a").is_err());
    assert_eq!(all_rows(&store), expected("b", 0..4));
    assert!(store.documents_of_kind("marker").unwrap().is_empty());
    // A new one of the same name starts empty, also after a replay of the old one's records.
    store.append_blocking(vec![numbered("a", 100..101)]).unwrap();
    drop(store);
    let store = bed.open();
    assert_eq!((numbers(&store, "a"), numbers(&store, "b")), (vec![100], vec![0, 1, 2, 3]));
    store.seal_now().unwrap();
    assert_eq!(store.stats().memtable_bytes, 0);
    assert!(bed.files(".wal").is_empty());
    assert_eq!(bed.files(".seg").len(), 3);
    // With nothing left to seal the log goes all the same.
    store.append_blocking(vec![numbered("c", 0..1)]).unwrap();
    store.delete_dataset("c").unwrap();
    store.seal_now().unwrap();
    assert!(bed.files(".wal").is_empty());
}

#[test]
fn documents_are_kept_by_kind_dataset_and_id() {
    let bed = Bed::new();
    let store = bed.open();
    store.create_dataset("My Data").unwrap();
    let body = serde_json::json!({"z": 1, "a": {"big": 9_007_199_254_740_993_i64, "f": 0.1}});
    store.put_document("query", "My Data", "q1", &body).unwrap();
    store.put_document("query", "", "q1", &serde_json::json!(null)).unwrap();
    store.put_document("query", "my-data", "q1", &body).unwrap();
    drop(store);
    let store = bed.open();
    let found = store.document("query", "MY DATA", "q1").unwrap().unwrap();
    assert_eq!((found.dataset.as_str(), &found.body), ("my-data", &body));
    assert_eq!(found.body.to_string(), body.to_string(), "keys keep their order");
    assert_eq!(store.documents("query", "").unwrap().len(), 1);
    assert_eq!(store.documents_of_kind("query").unwrap().len(), 2);
    let homes = |id| store.documents_by_id("query", id).unwrap().into_iter().map(|d| d.dataset).collect::<Vec<_>>();
    assert_eq!((homes("q1"), homes("q2")), (vec![String::new(), "my-data".to_owned()], vec![]));
    assert!(store.delete_document("query", "my data", "q1").unwrap());
    assert!(store.document("query", "My Data", "q1").unwrap().is_none());
}

#[test]
fn a_closed_store_refuses_writes_and_leaves_the_directory() {
    let bed = Bed::new();
    let store = bed.open();
    store.append_blocking(vec![numbered("d", 0..3)]).unwrap();
    store.close().unwrap();
    store.close().unwrap();
    assert!(matches!(store.append_blocking(vec![numbered("d", 3..4)]), Err(StoreError::Closed)));
    assert!(matches!(store.create_dataset("e"), Err(StoreError::Closed)));
    let other = bed.open();
    assert_eq!(numbers(&other, "d"), [0, 1, 2]);
}

#[test]
fn readers_and_writers_together_see_each_event_once() {
    let bed = Bed::new();
    let options = StoreOptions { background: true, seal_bytes: 64 << 10, segment_rows_max: 512, ..bed.options() };
    let store = Store::open(options).unwrap();
    let per_writer = 300;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|w| {
                let store = store.clone();
                scope.spawn(move || {
                    let name = if w % 2 == 0 { "even" } else { "odd" };
                    for i in 0..per_writer {
                        let n = w * per_writer + i;
                        store.append_blocking(vec![numbered(name, n..n + 1)]).unwrap();
                        if i % 50 == 49 {
                            let seen = numbers(&store, name);
                            let mine = seen.iter().filter(|m| **m / per_writer == w).count() as i64;
                            assert_eq!(mine, i + 1, "what was acknowledged is seen, once");
                        }
                    }
                })
            })
            .collect();
        let compactor = store.clone();
        scope.spawn(move || {
            let mut last = 0;
            while !writers.iter().all(|w| w.is_finished()) {
                compactor.seal_now().unwrap();
                compactor.compact_now().unwrap();
                let rows = snapshot(&compactor, &Scope::All).segments.iter().map(|s| s.n_rows()).sum::<usize>();
                assert!(rows >= last);
                last = rows;
            }
        });
    });
    let mut found = numbers(&store, "even");
    found.extend(numbers(&store, "odd"));
    found.sort_unstable();
    assert_eq!(found, (0..4 * per_writer).collect::<Vec<_>>());
    drop(store);
    assert_eq!(all_rows(&bed.open()).len(), 4 * per_writer as usize);
}
