//! Disks that fill up or fail, and machines that die.

use super::*;
use model::ErrorKind;

#[test]
fn a_full_disk_refuses_writes_serves_readers_and_passes() {
    let bed = Bed::new();
    let store = bed.open();
    store.append_blocking(vec![numbered("d", 0..5)]).unwrap();
    bed.disk.faults().room = Some(100);
    for name in ["d", "new"] {
        let refused = store.append_blocking(vec![numbered(name, 5..9)]).unwrap_err();
        assert!(matches!(refused, StoreError::DiskFull), "{refused}");
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
    }
    assert!(store.stats().disk_full);
    assert!(matches!(store.seal_now(), Err(StoreError::DiskFull)));
    assert!(store.stats().last_failure.is_some());
    assert!(matches!(store.put_document("k", "", "1", &serde_json::json!(1)), Err(StoreError::DiskFull)));
    assert_eq!(all_rows(&store), expected("d", 0..5));
    // Still full after a crash: the start works, and nothing that was refused is there.
    drop(store);
    let store = bed.open();
    assert_eq!(all_rows(&store), expected("d", 0..5));
    assert!(store.append_blocking(vec![numbered("d", 5..9)]).is_err());
    store.close().unwrap();
    drop(store);
    let store = bed.open();
    assert_eq!(all_rows(&store), expected("d", 0..5));
    bed.disk.faults().room = None;
    store.append_blocking(vec![numbered("d", 5..9)]).unwrap();
    store.seal_now().unwrap();
    assert!(!store.stats().disk_full && store.stats().last_failure.is_none());
    assert_eq!(all_rows(&store), expected("d", 0..9));
    assert_eq!(bed.files(".seg").len(), 1, "what failed seals wrote is gone");
    assert!(bed.files(".tmp").is_empty() && bed.files(".wal").is_empty());
}

#[test]
fn background_sealing_goes_on_when_there_is_room_again() {
    let bed = Bed::new();
    let store = Store::open(StoreOptions { background: true, seal_bytes: 1, ..bed.options() }).unwrap();
    bed.disk.faults().room = Some(8_000);
    let mut n = 0;
    while store.append_blocking(vec![numbered("d", n..n + 1)]).is_ok() {
        n += 1;
    }
    assert!(n > 0);
    bed.disk.faults().room = None;
    while store.stats().memtable_rows > 0 {
        std::thread::yield_now();
    }
    assert_eq!(numbers(&store, "d"), (0..n).collect::<Vec<_>>());
}

#[test]
fn a_failed_sync_ends_the_process_without_an_answer() {
    let bed = Bed::new();
    let store = bed.open();
    store.append_blocking(vec![numbered("d", 0..1)]).unwrap();
    bed.disk.faults().fail_sync = true;
    assert!(matches!(store.append_blocking(vec![numbered("d", 1..2)]), Err(StoreError::Closed)));
    let said = bed.disk.faults().fatal.clone();
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("cannot sync the write-ahead log"), "{said:?}");
    drop(store);
    *bed.disk.faults() = Default::default();
    assert_eq!(numbers(&bed.open(), "d")[0], 0);
}

/// What a run of random operations is known to have stored.
#[derive(Default)]
struct Ledger {
    acknowledged: Vec<String>,
    /// No answer came: may be there, as a whole or not at all.
    unanswered: Vec<Vec<String>>,
}

fn operations(store: &Store, rng: &mut Rng, n: usize, next: &mut i64, ledger: &mut Ledger) {
    for _ in 0..n {
        match rng.below(10) {
            0 => drop(store.seal_now()),
            1 => drop(store.compact_now()),
            _ => {
                let mut writes = Vec::new();
                let mut rows = Vec::new();
                for name in ["a", "b", "c"] {
                    if rng.chance(0.5) {
                        let count = rng.between(1, 20);
                        writes.push(numbered(name, *next..*next + count));
                        rows.extend((*next..*next + count).map(|n| text(name, &event(n))));
                        *next += count;
                    }
                }
                match store.append_blocking(writes) {
                    Ok(()) => ledger.acknowledged.extend(rows),
                    // The writer went away in the middle of it.
                    Err(StoreError::Closed) => ledger.unanswered.push(rows),
                    Err(_) => {}
                }
            }
        }
    }
}

/// The machine dies at any operation of the disk, again and again; sometimes the disk is full as well. Nothing
/// acknowledged is lost, nothing appears twice, nothing refused appears.
#[test]
fn death_at_any_moment_loses_nothing() {
    for_seeds("death_at_any_moment_loses_nothing", 20, |rng| {
        let bed = Bed::new_below();
        let (mut next, mut ledger) = (0, Ledger::default());
        for _ in 0..4 {
            if rng.chance(0.3) {
                // Already while it starts.
                bed.disk.faults().operations = Some(rng.next() % 8);
                drop(bed.try_open());
                *bed.disk.faults() = Default::default();
            }
            let store = bed.open();
            bed.disk.faults().room = rng.chance(0.4).then(|| rng.next() % 20_000);
            bed.disk.faults().operations = Some(rng.next() % 150);
            operations(&store, rng, 20, &mut next, &mut ledger);
            if rng.chance(0.2) {
                drop(store.close());
            }
            drop(store);
            bed.disk.lose_power(&mut |n| rng.next() % n);
            *bed.disk.faults() = Default::default();

            let store = bed.open();
            let found = all_rows(&store);
            let mut known = ledger.acknowledged.clone();
            for rows in &ledger.unanswered {
                let n = rows.iter().filter(|r| found.binary_search(r).is_ok()).count();
                assert!(n == 0 || n == rows.len(), "a request is kept whole or not at all");
                if n > 0 {
                    known.extend(rows.iter().cloned());
                }
            }
            known.sort();
            same(&found, &known);
            assert!(store.stats().recovery.findings.iter().all(|f| !f.damage), "{:?}", store.stats().recovery);
            ledger.acknowledged = known;
            ledger.unanswered.clear();
            if rng.chance(0.5) {
                store.seal_now().unwrap();
                assert_eq!(store.stats().memtable_bytes, 0);
                assert!(bed.files(".wal").is_empty());
            }
            store.compact_now().unwrap();
            same(&all_rows(&store), &ledger.acknowledged);
            let n_live = store.stats().n_segments;
            assert_eq!((bed.files(".seg").len(), bed.files(".tmp").len()), (n_live, 0), "no file is forgotten");
            drop(store);
            let summary = ::store::check(&bed.path(), &mut |f| assert!(!f.damage, "{f:?}")).unwrap();
            assert_eq!((summary.n_segments, summary.n_damaged), (n_live, 0));
            assert_eq!(summary.segment_rows + summary.wal_rows, ledger.acknowledged.len() as u64);
        }
    });
}
