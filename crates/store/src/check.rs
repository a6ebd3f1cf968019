//! Verifies a data directory that no server uses.
//!
//! Owns: reading every byte once and naming what is wrong. Never does: change or repair anything.

use crate::{
    Segment, StoreError,
    catalog::{Catalog, Contents, SegmentRow},
    live::segment_path,
    recover::{length_problem, lock, open_catalog, segment_files},
    shared::{Paths, chain},
    wal,
};
use serde::Serialize;
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

/// Something that a check met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckFinding {
    /// Whether events are damaged or lost. Else it is what the next start tidies away.
    pub damage: bool,
    /// The file.
    pub path: PathBuf,
    /// Bytes of the file, end exclusive.
    pub range: Option<(u64, u64)>,
    /// What is wrong.
    pub message: String,
}

/// What a check read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckSummary {
    /// Datasets in the catalog.
    pub n_datasets: usize,
    /// Segments in the catalog.
    pub n_segments: usize,
    /// Events in those that can be read.
    pub segment_rows: u64,
    /// Bytes of them.
    pub segment_bytes: u64,
    /// Write-ahead files read.
    pub wal_files: usize,
    /// Valid records in them.
    pub wal_records: u64,
    /// Events that the next start will replay.
    pub wal_rows: u64,
    /// Findings that are damage.
    pub n_damaged: usize,
}

/// Reads every byte of a data directory and reports what is wrong. Works read-only (it copies the catalog to a
/// temporary directory); fails with [`StoreError::Locked`] if a server uses the directory.
pub fn check(data_dir: &Path, report: &mut dyn FnMut(CheckFinding)) -> Result<CheckSummary, StoreError> {
    let paths = Paths::new(data_dir);
    // Also tells a wrong path from an empty directory.
    fs::read_dir(data_dir).map_err(|e| StoreError::io("open the data directory", data_dir, e))?;
    let _held = if paths.lock.exists() { Some(lock(&paths, false)?) } else { None };
    let mut run = Run { report, summary: CheckSummary::default() };
    let contents = run.catalog(&paths)?;
    run.segments(&paths, &contents)?;
    run.wal(&paths, &contents)?;
    Ok(run.summary)
}

struct Run<'a> {
    report: &'a mut dyn FnMut(CheckFinding),
    summary: CheckSummary,
}

impl Run<'_> {
    fn found(&mut self, damage: bool, path: &Path, range: Option<(u64, u64)>, message: String) {
        self.summary.n_damaged += usize::from(damage);
        (self.report)(CheckFinding { damage, path: path.to_path_buf(), range, message });
    }

    fn catalog(&mut self, paths: &Paths) -> Result<Contents, StoreError> {
        if !paths.catalog.exists() {
            let damage = !segment_files(&paths.segments)?.is_empty() || !wal::list(&paths.wal).unwrap_or_default().is_empty();
            self.found(damage, &paths.catalog, None, "catalog is missing".into());
            return Ok(Contents::default());
        }
        // SQLite writes when it opens a file that was in use; on a copy that does not matter.
        let copy = tempfile::tempdir().map_err(|e| StoreError::io("make a directory for a copy of", &paths.catalog, e))?;
        for suffix in ["", "-journal"] {
            let from = PathBuf::from(format!("{}{suffix}", paths.catalog.display()));
            match fs::copy(&from, copy.path().join(format!("catalog.sqlite{suffix}"))) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(StoreError::io("copy the catalog", &from, e)),
                _ => {}
            }
        }
        let contents = open_catalog(&copy.path().join("catalog.sqlite")).and_then(|mut catalog| {
            for line in catalog.integrity()? {
                self.found(true, &paths.catalog, None, format!("catalog is damaged: {line}"));
            }
            Ok(catalog.load()?)
        });
        match contents {
            Ok(contents) => {
                self.summary.n_datasets = contents.datasets.len();
                Ok(contents)
            }
            Err(StoreError::Catalog(e)) => {
                self.found(true, &paths.catalog, None, format!("catalog cannot be read: {}", chain(&e)));
                Ok(Contents::default())
            }
            Err(e) => Err(e),
        }
    }

    fn segments(&mut self, paths: &Paths, contents: &Contents) -> Result<(), StoreError> {
        let mut files = segment_files(&paths.segments)?;
        let datasets: BTreeSet<u64> = contents.datasets.iter().map(|d| d.id).collect();
        for row in &contents.segments {
            self.summary.n_segments += 1;
            let path = segment_path(&paths.segments, row.dataset, &row.id);
            if !datasets.contains(&row.dataset) {
                self.found(true, &path, None, format!("segment belongs to dataset {}, which is not in the catalog", row.dataset));
            }
            if let Some(message) = length_problem(row, files.remove(&path)) {
                self.found(true, &path, None, message);
            } else if let Err(message) = verify(&path, row) {
                self.found(true, &path, None, message);
            } else {
                self.summary.segment_rows += row.rows;
                self.summary.segment_bytes += row.bytes;
            }
        }
        for path in files.into_keys() {
            self.found(false, &path, None, "not in the catalog: the next start removes it".into());
        }
        Ok(())
    }

    fn wal(&mut self, paths: &Paths, contents: &Contents) -> Result<(), StoreError> {
        let mut rows = 0;
        let replay = wal::replay(&paths.wal, contents.flushed_sequence, &mut |record| {
            for (dataset, image) in record.images() {
                let segment = Segment::from_bytes(image.to_vec()).and_then(|s| s.verify().map(|()| s)).map_err(|e| chain(&e))?;
                if !contents.deleted.contains(&dataset) {
                    rows += segment.n_rows() as u64;
                }
            }
            Ok(())
        })?;
        self.summary.wal_files = replay.files.len();
        self.summary.wal_records = replay.n_valid;
        self.summary.wal_rows = rows;
        for f in replay.findings {
            self.found(f.damage, &f.path, f.range, f.message);
        }
        for (_, path) in wal::list(&paths.damaged).unwrap_or_default() {
            self.found(false, &path, None, "damaged file kept aside by an earlier start: delete it when it is no longer needed".into());
        }
        Ok(())
    }
}

/// Reads a whole segment and compares it with its row.
fn verify(path: &Path, row: &SegmentRow) -> Result<(), String> {
    let segment = Segment::open(path).map_err(|e| chain(&e))?;
    segment.verify().map_err(|e| chain(&e))?;
    if segment.n_rows() as u64 != row.rows {
        return Err(format!("segment has {} events, the catalog says {}", segment.n_rows(), row.rows));
    }
    if segment.times() != (row.min_time, row.max_time) {
        return Err(format!("segment covers {:?}, the catalog says {:?}", segment.times(), (row.min_time, row.max_time)));
    }
    Ok(())
}
