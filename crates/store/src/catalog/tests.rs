//! The catalog on its own.

use super::*;
use std::path::Path;

fn open(dir: &Path) -> SqliteCatalog {
    SqliteCatalog::open(&dir.join("catalog.sqlite")).unwrap()
}

fn dataset(name: &str) -> DatasetRow {
    DatasetRow {
        id: 0,
        name: name.into(),
        slug: name.to_lowercase(),
        description: String::new(),
        expand_json_depth: 0,
        retention: Retention { age_seconds: Some(u64::MAX), bytes: None },
        created_at: 7,
        last_written_at: None,
    }
}

fn segment(id: &str, dataset: u64) -> SegmentRow {
    SegmentRow { id: id.into(), dataset, rows: 10, bytes: 100, raw_bytes: 300, min_time: -5, max_time: 5 }
}

fn column(dataset: u64, name: &str, count: u64) -> ColumnRow {
    ColumnRow { dataset, name: name.into(), kind: ColumnKind::Int, count, first_seen: 1, last_seen: 2 }
}

#[test]
fn everything_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let mut c = open(dir.path());
    assert!(c.load().unwrap().is_new);
    let id = c.create_dataset(&dataset("Web")).unwrap();
    let commit = SealCommit {
        segments: vec![segment("a", id), segment("b", id)],
        columns: vec![column(id, "x", 20)],
        last_written_at: vec![(id, 99)],
        flushed_sequence: 42,
    };
    c.commit_seal(&commit).unwrap();
    c.commit_seal(&SealCommit {
        segments: vec![segment("c", id)],
        columns: vec![column(id, "x", 5)],
        flushed_sequence: 43,
        ..Default::default()
    })
    .unwrap();
    drop(c);
    let mut c = open(dir.path());
    let contents = c.load().unwrap();
    assert!(!contents.is_new);
    assert_eq!(contents.flushed_sequence, 43);
    assert_eq!(contents.segments, [segment("a", id), segment("b", id), segment("c", id)]);
    assert_eq!(contents.columns, [column(id, "x", 25)]);
    let mut expected = dataset("Web");
    (expected.id, expected.last_written_at, expected.retention.age_seconds) = (id, Some(99), Some(i64::MAX as u64));
    assert_eq!(contents.datasets, [expected]);
}

#[test]
fn a_replacement_fails_as_a_whole_if_an_input_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut c = open(dir.path());
    let id = c.create_dataset(&dataset("d")).unwrap();
    c.commit_seal(&SealCommit { segments: vec![segment("a", id), segment("b", id)], ..Default::default() }).unwrap();
    let gone = c.replace_segments(&["a".into(), "z".into()], &segment("n", id));
    assert!(matches!(gone, Err(CatalogError::NotLive { id }) if id == "z"));
    assert_eq!(c.load().unwrap().segments, [segment("a", id), segment("b", id)]);
    c.replace_segments(&["a".into(), "b".into()], &segment("n", id)).unwrap();
    assert_eq!(c.load().unwrap().segments, [segment("n", id)]);
}

#[test]
fn dropping_segments_takes_their_columns_along() {
    let dir = tempfile::tempdir().unwrap();
    let mut c = open(dir.path());
    let id = c.create_dataset(&dataset("d")).unwrap();
    let columns = vec![column(id, "both", 20), column(id, "old", 10)];
    c.commit_seal(&SealCommit { segments: vec![segment("a", id), segment("b", id)], columns, ..Default::default() }).unwrap();
    c.drop_segments(&["a".into()], &[column(id, "both", 10), column(id, "old", 10)]).unwrap();
    assert_eq!(c.load().unwrap().columns, [column(id, "both", 10)]);
}

#[test]
fn a_deleted_dataset_leaves_only_its_id() {
    let dir = tempfile::tempdir().unwrap();
    let mut c = open(dir.path());
    let id = c.create_dataset(&dataset("d")).unwrap();
    c.commit_seal(&SealCommit { segments: vec![segment("a", id)], columns: vec![column(id, "x", 1)], ..Default::default() }).unwrap();
    let mark = Document { dataset: "d".into(), id: "1".into(), updated_at: 1, body: serde_json::json!({"b": 1, "a": [null]}) };
    c.put_document("marker", &mark).unwrap();
    c.put_document("marker", &Document { dataset: String::new(), ..mark.clone() }).unwrap();
    assert_eq!(c.documents("marker", Some("d"), Some("1")).unwrap(), [mark]);
    c.delete_dataset(id, 5).unwrap();
    let contents = c.load().unwrap();
    assert!(contents.datasets.is_empty() && contents.segments.is_empty() && contents.columns.is_empty());
    assert!(contents.deleted.contains(&id));
    assert_eq!(c.documents("marker", None, None).unwrap().len(), 1);
    assert!(c.delete_document("marker", "", "1").unwrap());
    assert!(!c.delete_document("marker", "", "1").unwrap());
    // The name is free again, the id is not.
    assert!(c.create_dataset(&dataset("d")).unwrap() > id);
}

#[test]
fn a_full_disk_changes_nothing_and_passes() {
    let dir = tempfile::tempdir().unwrap();
    let mut c = open(dir.path());
    let id = c.create_dataset(&dataset("d")).unwrap();
    c.commit_seal(&SealCommit { segments: vec![segment("a", id)], flushed_sequence: 1, ..Default::default() }).unwrap();
    let before = c.load().unwrap();
    c.cap_pages(0);
    let big = Document { dataset: "d".into(), id: "1".into(), updated_at: 1, body: "x".repeat(1 << 20).into() };
    assert!(matches!(c.put_document("k", &big), Err(CatalogError::Full)));
    let columns = (0..20_000).map(|i| column(id, &format!("column-{i}"), 1)).collect();
    let seal = SealCommit { segments: vec![segment("b", id)], columns, flushed_sequence: 2, ..Default::default() };
    assert!(matches!(c.commit_seal(&seal), Err(CatalogError::Full)));
    assert_eq!(c.load().unwrap(), before);
    assert_eq!(c.integrity().unwrap(), Vec::<String>::new());
    c.cap_pages(-1);
    c.commit_seal(&seal).unwrap();
    drop(c);
    assert_eq!(open(dir.path()).load().unwrap().flushed_sequence, 2);
}

#[test]
fn a_file_that_is_no_catalog_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("catalog.sqlite"), vec![b'x'; 10_000]).unwrap();
    assert!(matches!(SqliteCatalog::open(&dir.path().join("catalog.sqlite")), Err(CatalogError::Damaged { .. })));
}
