//! A committed data directory of version 1, which every later version must open.

use super::*;
use std::fs;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/format/v1/data-dir")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Two datasets, a sealed part and a part in the write-ahead log, a document, a deleted dataset.
fn fill(store: &Store) {
    store.append_blocking(vec![numbered("Web", 0..20), numbered("gone", 0..1)]).unwrap();
    store.put_document("marker", "web", "m1", &serde_json::json!({"message": "deploy"})).unwrap();
    store.delete_dataset("gone").unwrap();
    store.seal_now().unwrap();
    store.append_blocking(vec![numbered("web", 20..25), numbered("db/main", 25..27)]).unwrap();
}

#[test]
fn the_committed_directory_opens() {
    if std::env::var_os("WIDEYE_WRITE_FIXTURES").is_some() {
        let bed = Bed::new();
        let store = bed.open();
        fill(&store);
        drop(store);
        let _none = fs::remove_dir_all(fixture());
        copy(&bed.path(), &fixture());
    }
    let bed = Bed::new();
    copy(&fixture(), &bed.path());
    ::store::check(&bed.path(), &mut |f| panic!("{f:?}")).unwrap();
    for _ in 0..2 {
        let store = bed.open();
        let mut rows = expected("Web", 0..25);
        rows.extend(expected("db/main", 25..27));
        assert_eq!(all_rows(&store), rows);
        let marker = store.document("marker", "Web", "m1").unwrap().unwrap();
        assert_eq!(marker.body, serde_json::json!({"message": "deploy"}));
        assert!(store.stats().recovery.findings.is_empty());
        store.close().unwrap();
    }
}
