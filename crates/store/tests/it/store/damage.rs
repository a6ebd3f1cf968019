//! Directories that someone or something damaged.

use super::*;
use ::store::{CheckFinding, check};
use std::fs;

fn findings(bed: &Bed) -> Vec<CheckFinding> {
    let mut found = Vec::new();
    let summary = check(&bed.path(), &mut |f| found.push(f)).unwrap();
    assert_eq!(summary.n_damaged, found.iter().filter(|f| f.damage).count());
    found
}

/// One file per append.
fn one_file_per_append(bed: &Bed) -> Store {
    Store::open(StoreOptions { wal_file_bytes: 1, ..bed.options() }).unwrap()
}

#[test]
fn a_damaged_end_of_the_newest_file_never_prevents_a_start() {
    let bed = Bed::new();
    let store = bed.open();
    for n in 0..4 {
        store.append_blocking(vec![numbered("d", n..n + 1)]).unwrap();
    }
    drop(store);
    let path = bed.files(".wal").pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    for cut in (0..bytes.len()).rev().step_by(5) {
        for garbage in [&b""[..], b"garbage", &[0; 100]] {
            let mut torn = bytes[..cut].to_vec();
            torn.extend(garbage);
            fs::write(&path, torn).unwrap();
            let store = bed.open();
            let found = numbers(&store, "d");
            assert_eq!(found, (0..found.len() as i64).collect::<Vec<_>>(), "a prefix");
            assert!(store.stats().recovery.findings.iter().all(|f| !f.damage));
        }
        assert!(findings(&bed).iter().all(|f| !f.damage));
    }
}

#[test]
fn damage_elsewhere_is_named_kept_aside_and_costs_nothing_else() {
    let bed = Bed::new();
    let store = one_file_per_append(&bed);
    for n in 0..3 {
        store.append_blocking(vec![numbered("d", n..n + 1)]).unwrap();
    }
    drop(store);
    let path = bed.files(".wal")[1].clone();
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 0xff;
    fs::write(&path, &bytes).unwrap();
    assert!(findings(&bed).iter().any(|f| f.damage && f.path == path && f.range.is_some()));
    let store = bed.open();
    let report = store.stats().recovery;
    let [finding] = &report.findings[..] else { panic!("{report:?}") };
    assert!(finding.damage && finding.path == path && finding.lost_records == Some((2, 2)));
    assert_eq!(finding.range, Some((32, bytes.len() as u64)));
    assert_eq!(numbers(&store, "d"), [0, 2]);
    store.append_blocking(vec![numbered("d", 3..4)]).unwrap();
    store.close().unwrap();
    drop(store);
    let aside = bed.files(".wal");
    assert_eq!(aside.len(), 1);
    assert!(aside[0].parent().unwrap().ends_with("wal/damaged"));
    assert_eq!(fs::read(&aside[0]).unwrap(), bytes);
    let store = bed.open();
    assert_eq!((numbers(&store, "d"), store.stats().recovery.findings), (vec![0, 2, 3], vec![]));
    drop(store);
    assert!(findings(&bed).iter().all(|f| !f.damage));
}

#[test]
fn a_missing_or_short_segment_is_named_and_never_skipped_in_silence() {
    for short in [false, true] {
        let bed = Bed::new();
        let store = bed.open();
        store.append_blocking(vec![numbered("d", 0..5), numbered("other", 0..2)]).unwrap();
        store.close().unwrap();
        drop(store);
        let path = bed.files(".seg").into_iter().find(|p| p.to_string_lossy().contains("/1/")).unwrap();
        if short {
            fs::write(&path, b"short").unwrap()
        } else {
            fs::remove_file(&path).unwrap()
        }
        assert!(findings(&bed).iter().any(|f| f.damage && f.path == path));
        let store = bed.open();
        assert!(store.stats().recovery.findings.iter().any(|f| f.damage && f.path == path));
        let failed = store.snapshot(&Scope::Dataset("d".into()), i64::MIN, i64::MAX).unwrap_err();
        assert_eq!(failed.kind(), model::ErrorKind::Data);
        assert_eq!(numbers(&store, "other"), [0, 1]);
    }
}

#[test]
fn check_finds_a_flipped_bit_in_a_segment() {
    let bed = Bed::new();
    let store = bed.open();
    store.append_blocking(vec![numbered("d", 0..50)]).unwrap();
    store.close().unwrap();
    drop(store);
    assert_eq!(findings(&bed), []);
    let path = bed.files(".seg").pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    for at in (8..bytes.len()).step_by(13) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        fs::write(&path, damaged).unwrap();
        // Padding that nothing reads may be damaged without harm.
        if findings(&bed).is_empty() {
            assert_eq!(numbers(&bed.open(), "d"), (0..50).collect::<Vec<_>>());
        }
    }
}

#[test]
fn check_changes_nothing_and_says_when_a_server_runs() {
    let bed = Bed::new();
    let store = bed.open();
    store.append_blocking(vec![numbered("d", 0..5)]).unwrap();
    store.seal_now().unwrap();
    store.append_blocking(vec![numbered("d", 5..7)]).unwrap();
    assert!(matches!(check(&bed.path(), &mut |_| ()), Err(StoreError::Locked { .. })));
    drop(store);
    let contents = || -> Vec<(PathBuf, Vec<u8>)> { bed.files("").into_iter().map(|p| (p.clone(), fs::read(p).unwrap())).collect() };
    let before = contents();
    let summary = check(&bed.path(), &mut |f| panic!("{f:?}")).unwrap();
    assert_eq!((summary.n_datasets, summary.n_segments, summary.segment_rows, summary.wal_rows), (1, 1, 5, 2));
    assert!(contents() == before);
    assert!(check(&bed.path().join("nothing"), &mut |_| ()).is_err());
}

#[test]
fn a_lost_catalog_does_not_cost_the_segments() {
    let bed = Bed::new();
    let store = bed.open();
    store.append_blocking(vec![numbered("d", 0..5)]).unwrap();
    store.close().unwrap();
    drop(store);
    let catalog = bed.path().join("catalog.sqlite");
    let bytes = fs::read(&catalog).unwrap();
    fs::remove_file(&catalog).unwrap();
    for _ in 0..2 {
        assert!(matches!(bed.try_open(), Err(StoreError::CatalogMissing { .. })));
    }
    assert_eq!(bed.files(".seg").len(), 1);
    fs::write(&catalog, bytes).unwrap();
    assert_eq!(numbers(&bed.open(), "d"), [0, 1, 2, 3, 4]);
}

#[test]
fn events_of_a_dataset_that_the_catalog_forgot_are_kept() {
    let bed = Bed::new();
    let store = bed.open();
    store.create_dataset("first").unwrap();
    store.close().unwrap();
    drop(store);
    let catalog = bed.path().join("catalog.sqlite");
    let old = fs::read(&catalog).unwrap();
    let store = bed.open();
    store.append_blocking(vec![numbered("second", 0..3)]).unwrap();
    drop(store);
    for suffix in ["-wal", "-shm"] {
        let _none = fs::remove_file(format!("{}{suffix}", catalog.display()));
    }
    fs::write(&catalog, old).unwrap();
    let store = bed.open();
    assert_eq!(numbers(&store, "recovered-2"), [0, 1, 2]);
    assert!(store.stats().recovery.findings.iter().any(|f| f.damage));
    store.append_blocking(vec![numbered("third", 0..1)]).unwrap();
    drop(store);
    assert_eq!(numbers(&bed.open(), "recovered-2"), [0, 1, 2]);
}
