//! The write-ahead log with opaque images: prefixes, damage, full disks, the committed format.

#[path = "../../tests/it/faulty.rs"]
mod faulty;

use super::{frame::*, *};
use crate::disk::{Disk, DiskFile, RealDisk};
use faulty::FaultyDisk;
use proptest::prelude::*;
use std::{fs, sync::Arc};

type Images = Vec<(u64, Vec<u8>)>;

/// What recovery gives back: sequence number, images.
type Recovered = Vec<(u64, Images)>;

fn read(dir: &Path, flushed: u64) -> (Recovered, Replay) {
    let mut records = Vec::new();
    let replay = replay(dir, flushed, &mut |r| {
        records.push((r.sequence, r.images().map(|(d, b)| (d, b.to_vec())).collect()));
        Ok(())
    })
    .unwrap();
    (records, replay)
}

fn open(dir: &Path, disk: Arc<dyn Disk>) -> Wal {
    open_with(dir, disk, 1 << 20)
}

fn open_with(dir: &Path, disk: Arc<dyn Disk>, file_bytes_max: u64) -> Wal {
    let replay = read(dir, 0).1;
    Wal::new(dir, &dir.join("damaged"), disk, 42, file_bytes_max, &replay)
}

fn append(wal: &mut Wal, batch: &[Images]) -> Result<(), AppendError> {
    wal.append(batch.iter().map(|g| g.iter().map(|(d, b)| (*d, b.as_slice())).collect()), 7)
}

fn images(n: u64) -> Images {
    vec![(n % 3, format!("image {n}").into_bytes()), (n, vec![n as u8; (n % 50) as usize])]
}

/// One batch per number of groups; answers the directory.
fn written(batches: &[u64]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut wal = open(dir.path(), Arc::new(RealDisk));
    let mut next = 1;
    for n in batches {
        append(&mut wal, &(next..next + n).map(images).collect::<Vec<_>>()).unwrap();
        next += n;
    }
    dir
}

fn expected(sequences: impl Iterator<Item = u64>) -> Recovered {
    sequences.map(|n| (n, images(n))).collect()
}

/// Where each record of the only file ends.
fn ends(dir: &Path) -> Vec<usize> {
    scan(&fs::read(file_path(dir, 1)).unwrap()).records.iter().map(|r| r.range.end).collect()
}

#[test]
fn what_was_written_is_read() {
    let dir = written(&[1, 3, 1]);
    let (records, replay) = read(dir.path(), 0);
    assert_eq!(records, expected(1..=5));
    assert!(replay.findings.is_empty());
    assert_eq!((replay.last_sequence, replay.last_number, replay.n_replayed), (5, 1, 5));
    let (records, replay) = read(dir.path(), 3);
    assert_eq!(records, expected(4..=5));
    assert_eq!((replay.n_valid, replay.n_replayed), (5, 2));
    assert!(replay.findings.is_empty());
}

#[test]
fn a_start_writes_nothing_and_goes_on_in_a_new_file() {
    let dir = written(&[2]);
    let mut wal = open(dir.path(), Arc::new(RealDisk));
    assert_eq!(list(dir.path()).unwrap().len(), 1);
    append(&mut wal, &[images(3)]).unwrap();
    assert_eq!(list(dir.path()).unwrap().len(), 2);
    assert_eq!(read(dir.path(), 0).0, expected(1..=3));
}

#[test]
fn files_go_when_their_records_are_flushed() {
    let dir = tempfile::tempdir().unwrap();
    let mut wal = open_with(dir.path(), Arc::new(RealDisk), 200);
    for n in 1..=20 {
        append(&mut wal, &[images(n)]).unwrap();
    }
    assert!(wal.size().0 > 3);
    wal.remove_flushed(10);
    let (records, replay) = read(dir.path(), 10);
    assert_eq!(records, expected(11..=20));
    assert!(replay.findings.is_empty(), "{:?}", replay.findings);
    assert_eq!(wal.rotate(), 20);
    wal.remove_flushed(20);
    assert!(list(dir.path()).unwrap().is_empty());
    // With all files gone the catalog's number carries on.
    append(&mut wal, &[images(21)]).unwrap();
    let (records, replay) = read(dir.path(), 20);
    assert_eq!((records, replay.findings), (expected(21..=21), vec![]));
}

#[test]
fn an_empty_and_a_zeroed_end_are_torn_tails() {
    for zeros in [0, 1, 7, 48, 4096] {
        let dir = written(&[1, 1]);
        let path = file_path(dir.path(), 1);
        let mut bytes = fs::read(&path).unwrap();
        let end = bytes.len() as u64;
        bytes.resize(bytes.len() + zeros, 0);
        fs::write(&path, bytes).unwrap();
        fs::write(file_path(dir.path(), 2), b"").unwrap();
        let (records, replay) = read(dir.path(), 0);
        assert_eq!(records, expected(1..=2));
        assert!(replay.findings.iter().all(|f| !f.damage && f.range == Some((end, end + zeros as u64))));
        assert_eq!(replay.findings.len(), usize::from(zeros > 0));
    }
}

#[test]
fn a_torn_end_stays_harmless_after_the_next_start() {
    let dir = written(&[1, 1, 1]);
    let path = file_path(dir.path(), 1);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    let mut wal = open(dir.path(), Arc::new(RealDisk));
    for n in 3..=5 {
        append(&mut wal, &[images(n)]).unwrap();
    }
    let (records, replay) = read(dir.path(), 0);
    assert_eq!(records, expected(1..=5));
    assert!(replay.findings.iter().all(|f| !f.damage && f.lost_records.is_none()), "{:?}", replay.findings);
}

#[test]
fn damage_before_synced_records_is_named_and_the_rest_is_read() {
    let dir = written(&[1, 1, 1, 1]);
    let path = file_path(dir.path(), 1);
    let ends = ends(dir.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes[ends[0] + 60] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (records, replay) = read(dir.path(), 0);
    assert_eq!(records, expected([1, 3, 4].into_iter()));
    let [f] = &replay.findings[..] else { panic!("{:?}", replay.findings) };
    assert_eq!((f.damage, &f.path, f.range, f.lost_records), (true, &path, Some((ends[0] as u64, ends[1] as u64)), Some((2, 2))));
    // Sealed, the file is kept aside, not removed.
    let mut wal = open(dir.path(), Arc::new(RealDisk));
    assert!(wal.has_damage());
    wal.remove_flushed(4);
    assert!(!path.exists());
    assert_eq!(fs::read(dir.path().join("damaged/00000001.wal")).unwrap(), bytes);
    // What is flushed is not missed.
    assert!(read(dir.path(), 4).1.findings.is_empty());
}

#[test]
fn damage_to_flushed_records_is_no_damage() {
    let dir = written(&[1, 1, 1]);
    let path = file_path(dir.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[FILE_HEADER_BYTES + 50] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (records, replay) = read(dir.path(), 1);
    assert_eq!(records, expected(2..=3));
    assert!(replay.findings.iter().all(|f| !f.damage));
}

#[test]
fn a_missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut wal = open_with(dir.path(), Arc::new(RealDisk), 1);
    for n in 1..=3 {
        append(&mut wal, &[images(n)]).unwrap();
    }
    fs::remove_file(file_path(dir.path(), 2)).unwrap();
    let (records, replay) = read(dir.path(), 0);
    assert_eq!(records, expected([1, 3].into_iter()));
    assert_eq!(replay.findings.iter().map(|f| (f.damage, f.lost_records)).collect::<Vec<_>>(), [(true, Some((2, 2)))]);
}

#[test]
fn a_write_that_came_through_in_part_is_no_damage() {
    // The second and third record share a write. Only the third reached the disk before the power went.
    let dir = written(&[1, 2]);
    let path = file_path(dir.path(), 1);
    let ends = ends(dir.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes[ends[0]..ends[0] + 16].fill(0);
    fs::write(&path, &bytes).unwrap();
    let (records, replay) = read(dir.path(), 0);
    assert_eq!(records, expected([1, 3].into_iter()));
    assert_eq!(replay.findings.iter().map(|f| (f.damage, f.lost_records)).collect::<Vec<_>>(), [(false, Some((2, 2)))]);
    assert_eq!(replay.last_sequence, 3);
}

#[test]
fn a_damaged_file_header_costs_no_record() {
    let dir = written(&[1, 1]);
    let path = file_path(dir.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[..FILE_HEADER_BYTES].fill(b'x');
    fs::write(&path, &bytes).unwrap();
    assert_eq!(read(dir.path(), 0).0, expected(1..=2));
}

#[test]
fn a_later_version_is_refused_and_left_alone() {
    let dir = written(&[1]);
    let path = file_path(dir.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 2;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..32]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let refused = replay(dir.path(), 0, &mut |_| Ok(()));
    assert!(matches!(refused, Err(crate::StoreError::NewerFormat { version: 2, .. })));
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn bytes_that_senders_chose_never_pass_for_a_record() {
    let mut forged = Vec::new();
    let head = RecordHeader { salt: 1, sequence: 3, batch_first: 3, written_at: 0 };
    encode_record(head, &[(1, b"forged")], &mut forged);
    let dir = tempfile::tempdir().unwrap();
    let mut wal = open(dir.path(), Arc::new(RealDisk));
    append(&mut wal, &[images(1)]).unwrap();
    append(&mut wal, &[vec![(1, forged)]]).unwrap();
    let path = file_path(dir.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    let start = ends(dir.path())[0];
    bytes[start + 8] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (records, replay) = read(dir.path(), 0);
    assert_eq!(records, expected(1..=1));
    assert!(replay.findings.iter().all(|f| !f.damage));
}

#[test]
fn a_refused_record_is_damage_and_keeps_its_file() {
    let dir = written(&[1, 1]);
    let replay = replay(dir.path(), 0, &mut |r| if r.sequence == 1 { Err("no image".into()) } else { Ok(()) }).unwrap();
    assert!(replay.files[0].damaged);
    assert_eq!(replay.findings[0].lost_records, Some((1, 1)));
}

#[test]
fn nothing_of_a_refused_write_comes_back() {
    // Room for any number of bytes of the second batch, from none to all but one.
    let whole = {
        let dir = written(&[1, 3]);
        let ends = ends(dir.path());
        ends[3] - ends[0]
    };
    for room in (0..whole).step_by(7).chain([whole - 1]) {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let mut wal = open(dir.path(), Arc::new(disk.clone()));
        append(&mut wal, &[images(1)]).unwrap();
        disk.faults().room = Some(room as u64);
        let batch: Vec<Images> = (2..=4).map(images).collect();
        assert_eq!(append(&mut wal, &batch), Err(AppendError::Full));
        assert_eq!(append(&mut wal, &batch), Err(AppendError::Full));
        // A crash here, and the loss of all that is not synced.
        disk.lose_power(&mut |_| 0);
        assert_eq!(read(dir.path(), 0).0, expected(1..=1));
        disk.faults().room = None;
        append(&mut wal, &[images(2)]).unwrap();
        let (records, replay) = read(dir.path(), 0);
        assert_eq!((records, replay.findings), (expected(1..=2), vec![]));
    }
}

#[test]
fn a_refused_first_write_leaves_no_file_in_the_way() {
    let dir = written(&[1]);
    let disk = FaultyDisk::default();
    let mut wal = open(dir.path(), Arc::new(disk.clone()));
    for room in [0, 10, 40, 90] {
        disk.faults().room = Some(room);
        assert_eq!(append(&mut wal, &[images(2)]), Err(AppendError::Full));
        assert_eq!(read(dir.path(), 0).0, expected(1..=1));
    }
    disk.faults().room = None;
    disk.faults().fail_write = true;
    assert_eq!(append(&mut wal, &[images(2)]), Err(AppendError::Io("input/output error".into())));
    disk.faults().fail_write = false;
    append(&mut wal, &[images(2)]).unwrap();
    assert_eq!(read(dir.path(), 0).0, expected(1..=2));
    assert_eq!(list(dir.path()).unwrap().len(), 2);
}

#[test]
fn what_is_not_known_to_be_on_disk_ends_the_log() {
    for truncate in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let mut wal = open(dir.path(), Arc::new(disk.clone()));
        append(&mut wal, &[images(1)]).unwrap();
        disk.faults().fail_sync = !truncate;
        disk.faults().fail_truncate = truncate;
        disk.faults().fail_write = truncate;
        assert!(matches!(append(&mut wal, &[images(2)]), Err(AppendError::Fatal(_))));
        *disk.faults() = faulty::Faults::default();
        assert!(matches!(append(&mut wal, &[images(2)]), Err(AppendError::Fatal(_))));
    }
}

/// The committed file must open for ever, and today's writer must still write exactly these bytes.
#[test]
fn the_committed_file_opens() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/format/v1/00000001.wal");
    let dir = written(&[1, 2]);
    let today = fs::read(file_path(dir.path(), 1)).unwrap();
    if std::env::var_os("WIDEYE_WRITE_FIXTURES").is_some() {
        fs::create_dir_all(fixture.parent().unwrap()).unwrap();
        fs::write(&fixture, &today).unwrap();
    }
    let committed = fs::read(&fixture).unwrap();
    assert!(committed == today, "the writer changed: that needs a new format version and a new fixture beside the old one");
    let copy = tempfile::tempdir().unwrap();
    fs::copy(&fixture, file_path(copy.path(), 1)).unwrap();
    let (records, replay) = read(copy.path(), 0);
    assert_eq!((records, replay.findings), (expected(1..=3), vec![]));
}

fn any_images() -> impl Strategy<Value = Images> {
    prop::collection::vec((0u64..5, prop::collection::vec(any::<u8>(), 0..200)), 1..4)
}

fn any_batches() -> impl Strategy<Value = Vec<Vec<Images>>> {
    prop::collection::vec(prop::collection::vec(any_images(), 1..4), 1..8)
}

/// Appends all batches; answers all groups with their batch, and where the records of the last file end.
fn fill(dir: &Path, batches: &[Vec<Images>], file_bytes_max: u64) -> Vec<(usize, Images)> {
    let mut wal = open_with(dir, Arc::new(RealDisk), file_bytes_max);
    for batch in batches {
        append(&mut wal, batch).unwrap();
    }
    batches.iter().enumerate().flat_map(|(i, b)| b.iter().map(move |g| (i, g.clone()))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Cut anywhere, with anything after the cut: exactly the records before it, and no talk of damage.
    #[test]
    fn any_torn_end_gives_a_prefix(batches in any_batches(), cut in any::<prop::sample::Index>(), tail in prop::collection::vec(any::<u8>(), 0..300)) {
        let dir = tempfile::tempdir().unwrap();
        let groups = fill(dir.path(), &batches, 600);
        let (_, newest) = list(dir.path()).unwrap().pop().unwrap();
        let bytes = fs::read(&newest).unwrap();
        let cut = cut.index(bytes.len() + 1);
        let lost = scan(&bytes).records.iter().filter(|r| r.range.end > cut).count();
        let mut torn = bytes[..cut].to_vec();
        torn.extend(&tail);
        // Padding is not content: a record is whole without it.
        let whole_without_padding = scan(&torn).records.len();
        prop_assert!(whole_without_padding + lost >= scan(&bytes).records.len());
        fs::write(&newest, &torn).unwrap();
        let (records, replay) = read(dir.path(), 0);
        let n = groups.len() - (scan(&bytes).records.len() - whole_without_padding);
        let prefix: Recovered = groups[..n].iter().enumerate().map(|(i, (_, g))| (i as u64 + 1, g.clone())).collect();
        prop_assert_eq!(records, prefix);
        prop_assert!(replay.findings.iter().all(|f| !f.damage), "{:?}", replay.findings);
    }

    /// One damaged byte anywhere: at most the record that holds it is lost, and that is named unless the record may
    /// belong to a write that was never acknowledged.
    #[test]
    fn any_damaged_byte_loses_at_most_its_record_and_is_named(batches in any_batches(), at in any::<prop::sample::Index>(), file in any::<prop::sample::Index>(), flip in 1u8..=255) {
        let dir = tempfile::tempdir().unwrap();
        let groups = fill(dir.path(), &batches, 600);
        let files = list(dir.path()).unwrap();
        let path = &files[file.index(files.len())].1;
        let mut bytes = fs::read(path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let hit = scan(&fs::read(path).unwrap()).records.iter().find(|r| r.range.contains(&at)).map(|r| r.sequence);
        fs::write(path, &bytes).unwrap();
        let (records, replay) = read(dir.path(), 0);
        let all: Recovered = groups.iter().enumerate().map(|(i, (_, g))| (i as u64 + 1, g.clone())).collect();
        let missing: Vec<u64> = all.iter().map(|(s, _)| *s).filter(|s| !records.iter().any(|(r, _)| r == s)).collect();
        prop_assert!(records.iter().all(|r| all.contains(r)));
        prop_assert!(missing.is_empty() || missing == [hit.unwrap_or(0)]);
        let last_batch = batches.len() - 1;
        for lost in &missing {
            let synced = groups[*lost as usize - 1].0 < last_batch;
            let named = replay.findings.iter().any(|f| f.damage && f.lost_records == Some((*lost, *lost)) && f.range.is_some_and(|(a, b)| a <= at as u64 && (at as u64) < b));
            prop_assert_eq!(named, synced, "{:?}", replay.findings);
        }
        if missing.is_empty() {
            prop_assert!(replay.findings.iter().all(|f| !f.damage));
        }
        // Whatever was met, the log goes on and the next start reads the same and the new.
        let mut wal = open_with(dir.path(), Arc::new(RealDisk), 600);
        append(&mut wal, &[images(1)]).unwrap();
        prop_assert_eq!(read(dir.path(), 0).0.len(), records.len() + 1);
    }

    /// The machine dies at any operation, with any part of what was not synced lost: acknowledged records are all
    /// there, refused ones are not, and those that got no answer are there or not.
    #[test]
    fn power_loss_at_any_operation(batches in any_batches(), die in 0u64..40, full in prop::option::of(0u64..2000), seed in any::<u64>()) {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let mut wal = open_with(dir.path(), Arc::new(disk.clone()), 600);
        disk.faults().operations = Some(die);
        disk.faults().room = full;
        let mut acknowledged: Vec<Images> = Vec::new();
        let mut open_question = Vec::new();
        for batch in &batches {
            match append(&mut wal, batch) {
                Ok(()) => acknowledged.extend(batch.iter().cloned()),
                Err(AppendError::Fatal(_)) => { open_question = batch.clone(); break }
                Err(_) => {}
            }
        }
        drop(wal);
        let mut state = seed | 1;
        disk.lose_power(&mut |n| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        });
        let (records, replay) = read(dir.path(), 0);
        let found: Vec<Images> = records.into_iter().map(|(_, g)| g).collect();
        prop_assert!(found.len() >= acknowledged.len());
        prop_assert_eq!(&found[..acknowledged.len()], &acknowledged[..]);
        prop_assert!(found[acknowledged.len()..].iter().all(|g| open_question.contains(g)));
        prop_assert!(replay.findings.iter().all(|f| !f.damage), "{:?}", replay.findings);
    }
}
