//! Deletes segment files that are no longer live, once nothing reads them, and closes files when too many are open.
//!
//! Owns: the last moment of a file. Never does: decide that a segment is no longer live.

use crate::{live::SegmentFile, shared::Shared};
use std::sync::Arc;

impl Shared {
    /// Takes over segments that just left the catalog.
    pub(crate) fn doom(&self, files: impl Iterator<Item = Arc<SegmentFile>>) {
        self.doomed.lock().extend(files);
        self.collect_garbage();
    }

    /// Deletes doomed files that nothing reads; answers how many are left.
    pub(crate) fn collect_garbage(&self) -> usize {
        let mut doomed = self.doomed.lock();
        doomed.retain(|file| {
            // A snapshot holds the file from the moment it saw it, and the open segment as long as it reads.
            if Arc::strong_count(file) > 1 || !file.close_unless_read() {
                return true;
            }
            match self.disk().remove(&file.path) {
                Err(e) => e.kind() != std::io::ErrorKind::NotFound,
                Ok(()) => false,
            }
        });
        doomed.len()
    }

    /// Closes files that nothing reads if too many are open. The next reader opens them again.
    pub(crate) fn close_some(&self) {
        let files: Vec<Arc<SegmentFile>> = {
            let state = self.state.read();
            state.datasets.values().flat_map(|d| &d.segments).filter(|s| s.is_open()).map(Arc::clone).collect()
        };
        let mut excess = files.len().saturating_sub(self.options.open_segments_max);
        let mut oldest_first = files;
        oldest_first.sort_by_key(|f| f.row.max_time);
        for file in oldest_first {
            if excess == 0 {
                return;
            }
            excess -= usize::from(file.close_unless_read());
        }
    }
}
