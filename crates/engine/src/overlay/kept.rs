//! Overlays that are kept between questions.
//!
//! Owns: a bounded number of bytes, the longest unused going first, all going with their segment. Never does: make one.

use hashbrown::HashMap;
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::{Arc, Weak};
use store::Segment;

#[derive(Debug)]
struct Entry {
    overlay: Arc<Segment>,
    /// Blocks that it covers.
    blocks: Range<usize>,
    /// The segment whose rows it has.
    of: Weak<Segment>,
    last_used: u64,
}

#[derive(Debug, Default)]
struct Inner {
    by_segment: HashMap<u64, HashMap<Arc<str>, Entry>>,
    bytes: usize,
    tick: u64,
}

/// Overlays by segment and key of the computed column.
#[derive(Debug)]
pub(crate) struct Kept {
    bytes_max: usize,
    inner: Mutex<Inner>,
}

/// What an entry takes beside its image.
const ENTRY_BYTES: usize = 512;

fn size(e: &Entry) -> usize {
    e.overlay.bytes().len() + ENTRY_BYTES
}

impl Kept {
    pub(crate) fn new(bytes_max: usize) -> Kept {
        Kept { bytes_max, inner: Mutex::default() }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.inner.lock().bytes
    }

    /// An overlay that covers these blocks.
    pub(crate) fn get(&self, segment: &Segment, key: &Arc<str>, blocks: &Range<usize>) -> Option<Arc<Segment>> {
        let mut inner = self.inner.lock();
        inner.tick += 1;
        let tick = inner.tick;
        let entry = inner.by_segment.get_mut(&segment.id())?.get_mut(key)?;
        entry.last_used = tick;
        (entry.blocks.start <= blocks.start && entry.blocks.end >= blocks.end).then(|| Arc::clone(&entry.overlay))
    }

    /// Keeps an overlay, in place of one of the same segment and key.
    pub(crate) fn put(&self, segment: &Arc<Segment>, key: &Arc<str>, blocks: Range<usize>, overlay: &Arc<Segment>) {
        let mut inner = self.inner.lock();
        inner.tick += 1;
        let entry = Entry { overlay: Arc::clone(overlay), blocks, of: Arc::downgrade(segment), last_used: inner.tick };
        inner.bytes += size(&entry);
        let old = inner.by_segment.entry(segment.id()).or_default().insert(Arc::clone(key), entry);
        inner.bytes -= old.map_or(0, |e| size(&e));
        if inner.bytes > self.bytes_max {
            inner.shrink(self.bytes_max - self.bytes_max / 8);
        }
    }

    /// Drops what segments left behind.
    pub(crate) fn sweep(&self) {
        let mut inner = self.inner.lock();
        let Inner { by_segment, bytes, .. } = &mut *inner;
        by_segment.retain(|_, entries| {
            entries.retain(|_, e| {
                let alive = e.of.strong_count() > 0;
                *bytes -= if alive { 0 } else { size(e) };
                alive
            });
            !entries.is_empty()
        });
    }
}

impl Inner {
    /// Drops the longest unused until no more than so many bytes are left.
    fn shrink(&mut self, bytes_max: usize) {
        let all = self.by_segment.iter().flat_map(|(s, entries)| entries.iter().map(move |(k, e)| (e.last_used, *s, Arc::clone(k))));
        let mut all: Vec<(u64, u64, Arc<str>)> = all.collect();
        all.sort_unstable();
        for (_, segment, key) in all {
            if self.bytes <= bytes_max {
                return;
            }
            let Some(entries) = self.by_segment.get_mut(&segment) else { continue };
            self.bytes -= entries.remove(&key).map_or(0, |e| size(&e));
            if entries.is_empty() {
                self.by_segment.remove(&segment);
            }
        }
    }
}
