//! Reads the write-ahead files after a stop of any kind.
//!
//! Owns: telling a torn end from damage, by sequence numbers. Never does: change a file.
//!
//! Sequence numbers have no gaps, and a batch is written only when the one before is synced. So when records are
//! missing, a later record whose batch started after them proves that they had been on disk: damage. Without such a
//! proof they belong to the last write, which was never acknowledged or is the newest end: a torn tail.

use super::{
    frame::{FILE_HEADER_BYTES, HeaderError, Record, scan},
    list,
    writer::ClosedFile,
};
use crate::{RecoveryFinding, StoreError};
use std::{
    ops::Range,
    path::{Path, PathBuf},
};

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// All files found.
    pub(crate) files: Vec<ClosedFile>,
    /// Highest number of a file.
    pub(crate) last_number: u64,
    /// Highest sequence number in use.
    pub(crate) last_sequence: u64,
    /// Valid records, also those that were flushed before.
    pub(crate) n_valid: u64,
    /// Records visited.
    pub(crate) n_replayed: u64,
    /// What was met.
    pub(crate) findings: Vec<RecoveryFinding>,
}

/// A run of missing records that nothing proves to be damage yet.
#[derive(Debug)]
struct Undecided {
    lost: (u64, u64),
    regions: Vec<(usize, Range<usize>)>,
}

struct Reader<'a> {
    out: Replay,
    flushed: u64,
    /// Next sequence number if nothing is missing.
    expected: Option<u64>,
    /// Invalid bytes since the last valid record: index of the file, range.
    pending: Vec<(usize, Range<usize>)>,
    undecided: Option<Undecided>,
    visit: &'a mut dyn FnMut(&Record<'_>) -> Result<(), String>,
}

/// Visits all records above `flushed` in order. What `visit` refuses counts as damage.
pub(crate) fn replay(dir: &Path, flushed: u64, visit: &mut dyn FnMut(&Record<'_>) -> Result<(), String>) -> Result<Replay, StoreError> {
    let files = list(dir).map_err(|e| StoreError::io("list the write-ahead directory", dir, e))?;
    let mut reader = Reader {
        out: Replay { last_sequence: flushed, ..Replay::default() },
        flushed,
        expected: None,
        pending: Vec::new(),
        undecided: None,
        visit,
    };
    for (number, path) in files {
        reader.file(number, path)?;
    }
    reader.finish();
    Ok(reader.out)
}

impl Reader<'_> {
    fn file(&mut self, number: u64, path: PathBuf) -> Result<(), StoreError> {
        let bytes = std::fs::read(&path).map_err(|e| StoreError::io("read write-ahead file", &path, e))?;
        let file = self.out.files.len();
        let found = scan(&bytes);
        if let Err(HeaderError::Newer(version)) = found.header {
            return Err(StoreError::NewerFormat { what: path.display().to_string(), version: version.into() });
        }
        self.out.last_number = number;
        self.out.files.push(ClosedFile { path, bytes: bytes.len() as u64, last_sequence: None, damaged: false });
        let mut regions = found.invalid.into_iter().peekable();
        if found.header.is_err() && !bytes.is_empty() {
            self.pending.push((file, 0..FILE_HEADER_BYTES.min(bytes.len())));
        }
        for record in found.records {
            while let Some(region) = regions.next_if(|r| r.start < record.range.start) {
                self.pending.push((file, region));
            }
            self.record(file, &record);
        }
        self.pending.extend(regions.map(|r| (file, r)));
        Ok(())
    }

    fn record(&mut self, file: usize, record: &Record<'_>) {
        self.out.n_valid += 1;
        let expected = self.expected.unwrap_or_else(|| record.sequence.min(self.flushed + 1));
        if record.sequence < expected {
            self.out.files[file].damaged = true;
            let message =
                format!("record {} comes after record {}: it was not read, the file is kept aside", record.sequence, expected - 1);
            self.found(true, file, Some(record.range.clone()), None, message);
            return;
        }
        self.decide(record.batch_first);
        let regions = std::mem::take(&mut self.pending);
        let lost = (expected.max(self.flushed + 1), record.sequence - 1);
        if lost.0 > lost.1 {
            for (f, region) in regions {
                self.found(false, f, Some(region), None, "bytes of a write that did not complete; no record is missing".into());
            }
        } else {
            self.undecided = Some(Undecided { lost, regions: if regions.is_empty() { vec![(file, 0..0)] } else { regions } });
            self.decide(record.batch_first);
        }
        self.expected = Some(record.sequence + 1);
        self.out.files[file].last_sequence = Some(record.sequence);
        self.out.last_sequence = self.out.last_sequence.max(record.sequence);
        if record.sequence > self.flushed {
            self.out.n_replayed += 1;
            if let Err(why) = (self.visit)(record) {
                self.out.files[file].damaged = true;
                let lost = Some((record.sequence, record.sequence));
                self.found(true, file, Some(record.range.clone()), lost, format!("record cannot be used: {why}; the file is kept aside"));
            }
        }
    }

    /// A batch that started after the missing records proves that they had been synced.
    fn decide(&mut self, batch_first: u64) {
        let Some(undecided) = self.undecided.take_if(|u| batch_first > u.lost.0) else { return };
        for (file, region) in undecided.regions {
            self.out.files[file].damaged = true;
            let range = (!region.is_empty()).then_some(region);
            let what = if range.is_some() { "damaged bytes" } else { "a file or part of it is gone before this one" };
            let message = format!("{what}: acknowledged records are lost; all others were read, the file is kept aside");
            self.found(true, file, range, Some(undecided.lost), message);
        }
    }

    fn finish(&mut self) {
        if let Some(undecided) = self.undecided.take() {
            for (file, region) in undecided.regions {
                let message = "bytes of the last write, which did not complete; its readable records were kept".into();
                self.found(false, file, Some(region), Some(undecided.lost), message);
            }
        }
        for (file, region) in std::mem::take(&mut self.pending) {
            self.found(false, file, Some(region), None, "torn end of the newest write: cut off".into());
        }
    }

    fn found(&mut self, damage: bool, file: usize, range: Option<Range<usize>>, lost_records: Option<(u64, u64)>, message: String) {
        let path = self.out.files[file].path.clone();
        let range = range.map(|r| (r.start as u64, r.end as u64));
        self.out.findings.push(RecoveryFinding { damage, path, range, lost_records, message });
    }
}
