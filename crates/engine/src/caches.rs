//! What the engine keeps between questions, within a byte budget.
//!
//! Segments never change, so neither do the tables made from them. Owns: tables from codes to numbers, and when something
//! is dropped. Never does: read blocks.

use crate::intern::Interner;
use crate::overlay::Kept;
use crate::partial::{MIDDLE_BYTES_MAX, Occupancy, Pieces};
use crate::scan::Buffers;
use hashbrown::HashMap;
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use store::Segment;

/// Events in a piece of an answer, on average at least: with fewer, reading them is as fast as adding up pieces.
const CHUNK_ROWS: u64 = 8_192;

/// From the codes of a dictionary (or the offsets of small integers) to numbers, filled as needed.
#[derive(Debug)]
pub(crate) struct CodeMap {
    /// Numbers plus 1; 0: none yet. Memory that comes zeroed is not touched before it is needed.
    ids: Box<[AtomicU32]>,
    /// A question numbered what it met.
    met: AtomicBool,
    /// Number of codes that occur, once all of those are numbered.
    complete: OnceLock<usize>,
}

impl CodeMap {
    pub(crate) fn new(n: usize) -> CodeMap {
        let ids = vec![0; n].into_iter().map(AtomicU32::new).collect();
        CodeMap { ids, met: AtomicBool::new(false), complete: OnceLock::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The number of a code, if it has one.
    pub(crate) fn get(&self, code: usize) -> Option<u32> {
        self.ids[code].load(Ordering::Relaxed).checked_sub(1)
    }

    pub(crate) fn set(&self, code: usize, id: u32) {
        self.ids[code].store(id + 1, Ordering::Relaxed);
    }

    /// Puts others in the place of the numbers of some codes.
    pub(crate) fn renumber(&self, codes: Range<usize>, number: impl Fn(u32) -> u32) {
        for code in codes {
            if let Some(id) = self.get(code) {
                self.set(code, number(id));
            }
        }
    }

    /// Says that a question numbers what it meets; whether none did before.
    pub(crate) fn meet(&self) -> bool {
        !self.met.swap(true, Ordering::Relaxed)
    }

    /// Says that all codes that occur are numbered.
    pub(crate) fn complete(&self, n: usize) {
        self.complete.get_or_init(|| n);
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.complete.get().is_some()
    }

    pub(crate) fn n_complete(&self) -> usize {
        self.complete.get().copied().unwrap_or(self.ids.len())
    }
}

/// Buffers of threads (some MB each) that are kept between questions.
const BUFFERS_KEPT: usize = 4;

/// The map of a segment's column, for as long as the segment lives.
type SegmentMap = (Weak<Segment>, Arc<CodeMap>);

/// The numbers of one column.
#[derive(Debug, Default)]
pub(crate) struct ColumnIds {
    pub(crate) interner: Interner,
    /// By segment and column of it.
    maps: Mutex<HashMap<(u64, u32), SegmentMap>>,
    last_used: AtomicU64,
    /// Maps came since the last sweep.
    grown: AtomicBool,
    /// Bytes of the maps as of the last sweep.
    map_bytes: AtomicUsize,
}

impl ColumnIds {
    /// The map for a column of a segment.
    pub(crate) fn map(&self, segment: &Arc<Segment>, column: u32, len: usize) -> Arc<CodeMap> {
        let mut maps = self.maps.lock();
        let (_, map) = maps.entry((segment.id(), column)).or_insert_with(|| {
            self.grown.store(true, Ordering::Relaxed);
            (Arc::downgrade(segment), Arc::new(CodeMap::new(len)))
        });
        if map.len() != len {
            *map = Arc::new(CodeMap::new(len));
        }
        Arc::clone(map)
    }

    /// Takes in the map of a column of a segment, in the place of one that may be there.
    pub(crate) fn keep_map(&self, segment: &Arc<Segment>, column: u32, map: CodeMap) {
        self.grown.store(true, Ordering::Relaxed);
        self.maps.lock().insert((segment.id(), column), (Arc::downgrade(segment), Arc::new(map)));
    }

    /// Drops the maps of segments that are gone, if new ones came; answers the bytes that stay.
    fn sweep(&self) -> usize {
        if self.grown.swap(false, Ordering::Relaxed) {
            let mut maps = self.maps.lock();
            maps.retain(|_, (segment, _)| segment.strong_count() > 0);
            self.map_bytes.store(maps.values().map(|(_, m)| m.len() * 4 + 96).sum(), Ordering::Relaxed);
        }
        self.map_bytes.load(Ordering::Relaxed) + self.interner.bytes()
    }
}

/// What the engine keeps between questions: numbers of group values, values of calculated fields, pieces of answers, and
/// buffers.
#[derive(Debug)]
pub struct Caches {
    bytes_max: usize,
    /// Events in a piece of an answer, on average at least.
    pub(crate) chunk_rows: u64,
    /// Bytes of long pieces up to which all of them are kept as one, too.
    pub(crate) middle_bytes_max: usize,
    pub(crate) pieces: Pieces,
    pub(crate) occupancy: Occupancy,
    bytes: AtomicUsize,
    columns: Mutex<HashMap<Arc<str>, Arc<ColumnIds>>>,
    tick: AtomicU64,
    pub(crate) overlays: Kept,
    buffers: Mutex<Vec<Buffers>>,
}

impl Default for Caches {
    fn default() -> Caches {
        Caches::new(256 << 20)
    }
}

impl Caches {
    /// Caches of at most this many bytes between questions.
    #[must_use]
    pub fn new(bytes_max: usize) -> Caches {
        Caches {
            bytes_max,
            chunk_rows: CHUNK_ROWS,
            middle_bytes_max: MIDDLE_BYTES_MAX,
            pieces: Pieces::default(),
            occupancy: Occupancy::default(),
            bytes: AtomicUsize::new(0),
            columns: Mutex::default(),
            tick: AtomicU64::new(0),
            overlays: Kept::new(bytes_max / 2),
            buffers: Mutex::default(),
        }
    }

    /// The same with another size of pieces: a piece of an answer is kept for so many events, on average at least.
    #[must_use]
    pub fn with_chunk_rows(self, chunk_rows: u64) -> Caches {
        Caches { chunk_rows, ..self }
    }

    /// Bytes that are kept between questions, as of the last question.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Pieces of answers that had to be made, ever.
    #[must_use]
    pub fn pieces_made(&self) -> u64 {
        self.pieces.made()
    }

    /// Buffers of an earlier thread, or new ones.
    pub(crate) fn take_buffers(&self) -> Buffers {
        self.buffers.lock().pop().unwrap_or_default()
    }

    /// Keeps buffers for a later thread.
    pub(crate) fn keep_buffers(&self, buffers: Buffers) {
        let mut kept = self.buffers.lock();
        if kept.len() < BUFFERS_KEPT {
            kept.push(buffers);
        }
    }

    /// The numbers of a column.
    pub(crate) fn column(&self, name: &str) -> Arc<ColumnIds> {
        let tick = self.tick.fetch_add(1, Ordering::Relaxed);
        let mut columns = self.columns.lock();
        let ids = columns.entry_ref(name).or_default();
        ids.last_used.store(tick, Ordering::Relaxed);
        Arc::clone(ids)
    }

    /// After a question: drops what segments left behind, and the columns used longest ago if there is too much.
    pub(crate) fn tidy(&self) {
        self.overlays.sweep();
        let of_overlays = self.overlays.bytes();
        let bytes_max = self.bytes_max - of_overlays.min(self.bytes_max);
        let mut columns = self.columns.lock();
        let mut sizes: Vec<(u64, usize, Arc<str>)> =
            columns.iter().map(|(name, ids)| (ids.last_used.load(Ordering::Relaxed), ids.sweep(), Arc::clone(name))).collect();
        let mut total: usize = sizes.iter().map(|(_, bytes, _)| bytes).sum();
        // Pieces get what is left, but at least half of it all.
        let mut pieces = self.pieces.tidy(bytes_max.saturating_sub(total).max(bytes_max / 2), |_| false);
        if self.occupancy.bytes() > bytes_max / 16 {
            self.occupancy.clear();
        }
        total += pieces + self.occupancy.bytes();
        if total > bytes_max {
            sizes.sort_unstable();
            for (_, bytes, name) in sizes {
                columns.remove(&name);
                total -= bytes;
                if total <= bytes_max {
                    break;
                }
            }
            total -= pieces;
            let known = |ids: &Arc<ColumnIds>| columns.values().any(|c| Arc::ptr_eq(c, ids));
            pieces = self.pieces.tidy(bytes_max, |ids| !known(ids));
            total += pieces;
        }
        self.bytes.store(total + of_overlays, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intern::Key;

    #[test]
    fn the_oldest_columns_go_when_there_are_too_many_bytes() {
        let caches = Caches::new(100_000);
        for name in ["a", "b"] {
            let ids = caches.column(name);
            for i in 0..1_500 {
                ids.interner.intern(Key::int(i), || "");
            }
        }
        caches.tidy();
        assert!(caches.bytes() > 0 && caches.bytes() <= 100_000, "{}", caches.bytes());
        assert!(caches.column("b").interner.bound() > 0);
        assert_eq!(caches.column("a").interner.bound(), 0);
    }
}
