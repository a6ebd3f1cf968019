//! A live segment file: what the catalog knows of it, and the open file once someone asked for it.
//!
//! Owns: opening late and keeping open. Never does: delete (gc does, when nothing pins it).

use crate::{Segment, StoreError};
use model::TimeNs;
use parking_lot::Mutex;
use std::{path::PathBuf, sync::Arc};

/// A sealed segment.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    pub(crate) id: String,
    pub(crate) path: PathBuf,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) min_time: TimeNs,
    pub(crate) max_time: TimeNs,
    open: Mutex<Option<Arc<Segment>>>,
}

impl SegmentFile {
    pub(crate) fn get(&self) -> Result<Arc<Segment>, StoreError> {
        let mut open = self.open.lock();
        if let Some(segment) = &*open {
            return Ok(Arc::clone(segment));
        }
        let segment = Arc::new(Segment::open(&self.path).map_err(|source| StoreError::Segment { path: self.path.clone(), source })?);
        *open = Some(Arc::clone(&segment));
        Ok(segment)
    }
}
