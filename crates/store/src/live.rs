//! A live segment file: what the catalog knows of it, and the open file once someone asked for it.
//!
//! Owns: opening late, keeping open, knowing whether anyone reads. Never does: delete (gc.rs does).

use crate::{Segment, StoreError, catalog::SegmentRow};
use model::TimeNs;
use parking_lot::Mutex;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// A sealed segment.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    pub(crate) row: SegmentRow,
    pub(crate) path: PathBuf,
    open: Mutex<Option<Arc<Segment>>>,
}

/// Where a segment lies.
pub(crate) fn segment_path(segments_dir: &Path, dataset: u64, id: &str) -> PathBuf {
    segments_dir.join(dataset.to_string()).join(format!("{id}.seg"))
}

impl SegmentFile {
    pub(crate) fn new(segments_dir: &Path, row: SegmentRow, open: Option<Arc<Segment>>) -> SegmentFile {
        SegmentFile { path: segment_path(segments_dir, row.dataset, &row.id), row, open: Mutex::new(open) }
    }

    /// The open file; it stays open.
    pub(crate) fn get(&self) -> Result<Arc<Segment>, StoreError> {
        let mut open = self.open.lock();
        if let Some(segment) = &*open {
            return Ok(Arc::clone(segment));
        }
        let segment = Segment::open(&self.path).map_err(|source| StoreError::Segment { path: self.path.clone(), source })?;
        if segment.n_rows() as u64 != self.row.rows {
            return Err(StoreError::RowsDiffer { expected: self.row.rows as usize, found: segment.n_rows() });
        }
        let segment = Arc::new(segment);
        *open = Some(Arc::clone(&segment));
        Ok(segment)
    }

    /// Whether events of [start, end) may be in it.
    pub(crate) fn overlaps(&self, start: TimeNs, end: TimeNs) -> bool {
        self.row.max_time >= start && self.row.min_time < end
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.lock().is_some()
    }

    /// Closes the file unless someone reads it; answers whether it is closed.
    pub(crate) fn close_unless_read(&self) -> bool {
        let mut open = self.open.lock();
        if open.as_ref().is_some_and(|s| Arc::strong_count(s) > 1) {
            return false;
        }
        *open = None;
        true
    }
}
