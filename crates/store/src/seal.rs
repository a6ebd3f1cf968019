//! Memtable to segments: freeze, merge, write, commit, swap.
//!
//! Owns: when to seal, and that every event moves exactly once. Never does: give up; a failed seal is tried again
//! with the same events, which stay readable and in the write-ahead log.

use crate::{
    Segment, StoreError,
    catalog::{SealCommit, SegmentRow},
    live::{SegmentFile, segment_path},
    segment,
    shared::Shared,
};
use model::{NS_PER_SECOND, TimeNs};
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// Sealing waits this much longer per dataset with events, as each costs a file and two syncs.
const AGE_PER_DATASET_NS: i64 = 50_000_000;
/// But not longer than this.
const AGE_MAX_NS: i64 = 600 * NS_PER_SECOND;
/// Seal when write-ahead files take this many times `seal_bytes` (many tiny requests), to bound recovery.
const WAL_FACTOR: u64 = 4;

/// A segment that is written and not live yet.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) row: SegmentRow,
    pub(crate) segment: Arc<Segment>,
}

impl Shared {
    /// Whether there is reason to seal now.
    pub(crate) fn seal_due(&self, now: TimeNs) -> bool {
        let options = &self.options;
        let state = self.state.read();
        if state.frozen_upto.is_some() || self.seal_soon.load(Relaxed) {
            return true;
        }
        let Some(since) = state.active_since else { return false };
        if state.active_bytes >= options.seal_bytes || self.wal_bytes.load(Relaxed) >= WAL_FACTOR * options.seal_bytes as u64 {
            return true;
        }
        let idle_ns = i64::from(options.seal_idle_ms) * 1_000_000;
        if state.active_bytes >= options.seal_idle_bytes && now - state.last_write >= idle_ns {
            return true;
        }
        let age_ns = i64::from(options.seal_age_seconds) * NS_PER_SECOND;
        if now - since < age_ns {
            return false;
        }
        let n_dirty = state.datasets.values().filter(|d| d.memtable.pieces().next().is_some()).count() as i64;
        now - since >= (age_ns + AGE_PER_DATASET_NS * (n_dirty - 1)).min(AGE_MAX_NS)
    }

    /// Whether anything waits to be sealed.
    pub(crate) fn has_unsealed(&self) -> bool {
        let state = self.state.read();
        state.frozen_upto.is_some() || state.active_since.is_some()
    }

    /// Seals what is in the memtable, or what an earlier seal left; answers whether there was anything.
    pub(crate) fn seal(&self) -> Result<bool, StoreError> {
        let _turn = self.seal_turn.lock();
        self.seal_soon.store(false, Relaxed);
        let Some(upto) = self.freeze() else { return Ok(false) };
        let result = self.seal_frozen(upto);
        self.note("seal", &result);
        let counter = if result.is_ok() { &self.counters.seals } else { &self.counters.seal_failures };
        counter.fetch_add(1, Relaxed);
        result.map(|()| true)
    }

    /// Draws the line: records up to the answered number are frozen, later ones go to a new file.
    fn freeze(&self) -> Option<u64> {
        let mut wal = self.wal.lock();
        let mut state = self.state.write();
        if state.frozen_upto.is_none() {
            let upto = wal.rotate();
            if upto == state.flushed {
                wal.remove_flushed(upto);
                self.wal_bytes.store(wal.size().1, Relaxed);
                return None;
            }
            state.freeze(upto);
        }
        state.frozen_upto
    }

    fn seal_frozen(&self, upto: u64) -> Result<(), StoreError> {
        let mut written = Vec::new();
        let result = self.write_frozen(&mut written).and_then(|()| self.commit_seal(upto, &mut written));
        if result.is_err() {
            // Not known to the catalog: no start would keep them.
            for w in written {
                self.remove_unused(&w.row);
            }
        }
        result
    }

    fn write_frozen(&self, written: &mut Vec<Written>) -> Result<(), StoreError> {
        let frozen: Vec<(u64, Vec<Arc<Segment>>)> = {
            let state = self.state.read();
            state.datasets.iter().map(|(id, d)| (*id, d.memtable.frozen().to_vec())).filter(|(_, pieces)| !pieces.is_empty()).collect()
        };
        for (dataset, pieces) in frozen {
            for group in groups(&pieces, self.options.segment_rows_max, self.options.merge_bytes_max) {
                let rows = group.iter().map(|p| p.n_rows()).sum();
                // Also when it is only one: images in memory are not compressed.
                let image = segment::merge(group).map_err(|source| StoreError::Segment { path: "(memory)".into(), source })?;
                written.push(self.write_segment(dataset, &image, rows, group)?);
            }
        }
        Ok(())
    }

    /// One transaction, then memory follows while nobody else can change the catalog.
    fn commit_seal(&self, upto: u64, written: &mut Vec<Written>) -> Result<(), StoreError> {
        let mut catalog = self.catalog.lock();
        let mut commit = SealCommit { flushed_sequence: upto, ..SealCommit::default() };
        {
            let state = self.state.read();
            // Datasets may have been deleted meanwhile.
            written.retain(|w| {
                let live = state.datasets.contains_key(&w.row.dataset);
                if !live {
                    self.remove_unused(&w.row);
                }
                live
            });
            for w in &*written {
                commit.segments.push(w.row.clone());
                if let Some(d) = state.datasets.get(&w.row.dataset) {
                    commit.columns.extend(d.columns.lock().rows(w.row.dataset, &w.segment));
                }
            }
            let at = |(id, d): (&u64, &crate::state::Dataset)| {
                d.row.last_written_at.filter(|_| !d.memtable.frozen().is_empty()).map(|at| (*id, at))
            };
            commit.last_written_at = state.datasets.iter().filter_map(at).collect();
        }
        self.change(&mut catalog, |c| c.commit_seal(&commit))?;
        let mut state = self.state.write();
        let freed: usize = state.datasets.values_mut().map(|d| d.memtable.drop_frozen()).sum();
        for w in written.drain(..) {
            if let Some(dataset) = state.datasets.get_mut(&w.row.dataset) {
                dataset.segments.push(Arc::new(SegmentFile::new(&self.paths.segments, w.row, Some(w.segment))));
            }
        }
        state.frozen_upto = None;
        state.flushed = upto;
        drop((state, catalog));
        self.release(freed);
        let mut wal = self.wal.lock();
        wal.remove_flushed(upto);
        self.wal_bytes.store(wal.size().1, Relaxed);
        Ok(())
    }

    /// Writes the image of a segment with so many rows, made of these, so that it survives a crash, and opens it. It is not live yet.
    pub(crate) fn write_segment(&self, dataset: u64, image: &[u8], rows: usize, inputs: &[Arc<Segment>]) -> Result<Written, StoreError> {
        let mut id = self.new_id();
        while segment_path(&self.paths.segments, dataset, &id).exists() {
            // Only with a fixed seed and a clock that stands still; but a live file must never be written over.
            id = self.new_id();
        }
        let path = segment_path(&self.paths.segments, dataset, &id);
        let temporary = path.with_extension("seg.tmp");
        let result = self.try_write_segment(dataset, id, image, rows, inputs);
        if result.is_err() {
            let _gone = (self.disk().remove(&temporary), self.disk().remove(&path));
        }
        result
    }

    fn try_write_segment(
        &self,
        dataset: u64,
        id: String,
        image: &[u8],
        rows: usize,
        inputs: &[Arc<Segment>],
    ) -> Result<Written, StoreError> {
        let disk = self.disk();
        let path = segment_path(&self.paths.segments, dataset, &id);
        let temporary = path.with_extension("seg.tmp");
        let dir = self.paths.segments.join(dataset.to_string());
        if !self.durable_dirs.lock().contains(&dataset) {
            disk.create_dir(&dir).map_err(|e| StoreError::io("make directory", &dir, e))?;
            disk.sync_dir(&self.paths.segments).map_err(|e| StoreError::io("sync directory", &self.paths.segments, e))?;
            self.durable_dirs.lock().insert(dataset);
        }
        let mut file = disk.create(&temporary).map_err(|e| StoreError::io("create segment", &temporary, e))?;
        file.append(image).map_err(|e| StoreError::io("write segment", &temporary, e))?;
        file.sync().map_err(|e| StoreError::io("sync segment", &temporary, e))?;
        disk.rename(&temporary, &path).map_err(|e| StoreError::io("rename segment", &path, e))?;
        disk.sync_dir(&dir).map_err(|e| StoreError::io("sync directory", &dir, e))?;
        let segment = Segment::open(&path).map_err(|source| StoreError::Segment { path, source })?.made_of(inputs);
        if segment.n_rows() != rows {
            return Err(StoreError::RowsDiffer { expected: rows, found: segment.n_rows() });
        }
        let (min_time, max_time) = segment.times();
        let (bytes, raw_bytes) = (image.len() as u64, segment.raw_bytes());
        let row = SegmentRow { id, dataset, rows: rows as u64, bytes, raw_bytes, min_time, max_time };
        Ok(Written { row, segment: Arc::new(segment) })
    }

    /// Removes a segment file that never went live. If that fails, the next start does it.
    pub(crate) fn remove_unused(&self, row: &SegmentRow) {
        let _gone = self.disk().remove(&segment_path(&self.paths.segments, row.dataset, &row.id));
    }
}

/// Cuts a list of images into runs, each within the limits unless a single image is larger.
fn groups(pieces: &[Arc<Segment>], rows_max: usize, raw_bytes_max: u64) -> Vec<&[Arc<Segment>]> {
    let mut out = Vec::new();
    let (mut start, mut rows, mut bytes) = (0, 0, 0);
    for (i, piece) in pieces.iter().enumerate() {
        let (n, b) = (piece.n_rows(), piece.raw_bytes());
        if i > start && (rows + n > rows_max || bytes + b > raw_bytes_max) {
            out.push(&pieces[start..i]);
            (start, rows, bytes) = (i, 0, 0);
        }
        rows += n;
        bytes += b;
    }
    if start < pieces.len() {
        out.push(&pieces[start..]);
    }
    out
}
