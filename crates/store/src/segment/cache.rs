//! Decoded dictionaries, kept across questions within a budget; the oldest are dropped first.
//!
//! Owns: the process-wide cache. Never does: hold what a question still uses back (callers hold an `Arc`).

use super::{Dict, SegmentError};
use hashbrown::HashMap;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Bytes of decoded dictionaries to keep, unless set otherwise.
pub const DICT_CACHE_BYTES_DEFAULT: usize = 512 << 20;

static BUDGET: AtomicUsize = AtomicUsize::new(DICT_CACHE_BYTES_DEFAULT);

/// Sets the bytes of decoded dictionaries that are kept.
pub fn set_dict_cache_bytes(bytes: usize) {
    BUDGET.store(bytes, Ordering::Relaxed);
}

#[derive(Default)]
struct Cache {
    dicts: HashMap<u64, HashMap<u32, (Arc<Dict>, usize)>>,
    order: VecDeque<(u64, u32)>,
    bytes: usize,
}

static CACHE: LazyLock<Mutex<Cache>> = LazyLock::new(Mutex::default);

impl Cache {
    fn remove(&mut self, segment: u64, column: u32) {
        if let Some(of_segment) = self.dicts.get_mut(&segment)
            && let Some((_, bytes)) = of_segment.remove(&column)
        {
            self.bytes -= bytes;
            if of_segment.is_empty() {
                self.dicts.remove(&segment);
            }
        }
    }
}

/// The dictionary if it is in memory.
pub(super) fn known(segment: u64, column: u32) -> Option<Arc<Dict>> {
    CACHE.lock().dicts.get(&segment)?.get(&column).map(|(d, _)| Arc::clone(d))
}

/// The dictionary, decoded with `read` if it is not in memory.
pub(super) fn dict(segment: u64, column: u32, read: impl FnOnce() -> Result<Dict, SegmentError>) -> Result<Arc<Dict>, SegmentError> {
    if let Some(dict) = known(segment, column) {
        return Ok(dict);
    }
    let dict = Arc::new(read()?);
    // Hashes come later and take 16 bytes an entry: count them in.
    let bytes = dict.memory() + 16 * dict.len() + 128;
    let mut cache = CACHE.lock();
    let budget = BUDGET.load(Ordering::Relaxed);
    if bytes <= budget / 2 {
        cache.remove(segment, column);
        cache.dicts.entry(segment).or_default().insert(column, (Arc::clone(&dict), bytes));
        cache.order.push_back((segment, column));
        cache.bytes += bytes;
        while cache.bytes > budget {
            let Some((s, c)) = cache.order.pop_front() else { break };
            cache.remove(s, c);
        }
        // Entries of closed segments stay in the queue: sweep them when they are the majority.
        let live: usize = cache.order.len();
        if live > 1024 && live > 4 * cache.dicts.values().map(HashMap::len).sum::<usize>() {
            let Cache { dicts, order, .. } = &mut *cache;
            order.retain(|(s, c)| dicts.get(s).is_some_and(|d| d.contains_key(c)));
        }
    }
    Ok(dict)
}

/// Drops what belongs to a segment that was closed.
pub(super) fn forget(segment: u64) {
    let mut cache = CACHE.lock();
    if let Some(of_segment) = cache.dicts.remove(&segment) {
        let bytes: usize = of_segment.values().map(|(_, b)| b).sum();
        cache.bytes -= bytes;
    }
}
