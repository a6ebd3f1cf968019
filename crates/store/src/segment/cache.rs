//! Decoded dictionaries, kept across questions within a budget.
//!
//! A question over all columns decodes more than fits. If the oldest went first, the next one like it would find nothing:
//! what it needs first went last. So newcomers pass through a small queue, in which a question under way finds them again,
//! and then stay only if they were asked for more often of late than what would have to go (W-TinyLFU: Einziger, Friedman
//! and Manes, 2017). Of a scan that is twice the budget, half is found again.
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

/// Bytes of decoded dictionaries that are kept now.
#[must_use]
pub fn dict_cache_bytes() -> usize {
    CACHE.lock().bytes()
}

static CACHE: LazyLock<Mutex<Cache<Arc<Dict>>>> = LazyLock::new(Mutex::default);

/// One part in so many of the budget is for newcomers.
const NEW_SHARE: usize = 8;

type Key = (u64, u32);

/// Keys in the order in which they go. Those of closed segments stay until they come up, or are the majority.
#[derive(Default)]
struct Queue {
    keys: VecDeque<Key>,
    bytes: usize,
}

struct Entry<T> {
    value: T,
    bytes: usize,
    is_new: bool,
}

struct Cache<T> {
    entries: HashMap<u64, HashMap<u32, Entry<T>>>,
    new: Queue,
    stayed: Queue,
    often: Frequency,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Cache { entries: HashMap::new(), new: Queue::default(), stayed: Queue::default(), often: Frequency::default() }
    }
}

impl<T: Clone> Cache<T> {
    fn bytes(&self) -> usize {
        self.new.bytes + self.stayed.bytes
    }

    fn peek(&self, key: Key) -> Option<T> {
        self.entries.get(&key.0)?.get(&key.1).map(|e| e.value.clone())
    }

    /// The same, counted as asked for.
    fn get(&mut self, key: Key) -> Option<T> {
        self.often.add(key, self.new.keys.len() + self.stayed.keys.len());
        self.peek(key)
    }

    fn entry(&mut self, key: Key) -> Option<&mut Entry<T>> {
        self.entries.get_mut(&key.0)?.get_mut(&key.1)
    }

    fn put(&mut self, key: Key, value: T, bytes: usize, budget: usize) {
        self.remove(key);
        if bytes > budget / 2 {
            return;
        }
        self.entries.entry(key.0).or_default().insert(key.1, Entry { value, bytes, is_new: true });
        self.new.keys.push_back(key);
        self.new.bytes += bytes;
        // What has just come stays in the queue, however large it is.
        while self.new.bytes > budget / NEW_SHARE && self.new.keys.len() > 1 {
            let Some(next) = self.new.keys.pop_front() else { break };
            self.settle(next, budget);
        }
        while self.bytes() > budget {
            let Some(next) = self.stayed.keys.pop_front() else { break };
            if self.entry(next).is_some_and(|e| !e.is_new) {
                self.remove(next);
            }
        }
        self.sweep();
    }

    /// Lets a newcomer stay, in place of what is asked for less often, or go.
    fn settle(&mut self, key: Key, budget: usize) {
        let often = self.often.of(key);
        let room = budget - budget / NEW_SHARE;
        let Some(bytes) = self.entry(key).filter(|e| e.is_new).map(|e| e.bytes) else { return };
        while self.stayed.bytes + bytes > room {
            let Some(next) = self.stayed.keys.pop_front() else { break };
            if self.entry(next).is_none_or(|e| e.is_new) {
                continue;
            }
            if stays(self.often.of(next), often) {
                self.stayed.keys.push_back(next);
                self.remove(key);
                return;
            }
            self.remove(next);
        }
        if let Some(entry) = self.entry(key) {
            entry.is_new = false;
            self.new.bytes -= bytes;
            self.stayed.bytes += bytes;
            self.stayed.keys.push_back(key);
        }
    }

    fn remove(&mut self, key: Key) {
        let Some(of_segment) = self.entries.get_mut(&key.0) else { return };
        if let Some(entry) = of_segment.remove(&key.1) {
            self.queue(entry.is_new).bytes -= entry.bytes;
        }
        if self.entries.get(&key.0).is_some_and(HashMap::is_empty) {
            self.entries.remove(&key.0);
        }
    }

    fn queue(&mut self, is_new: bool) -> &mut Queue {
        if is_new { &mut self.new } else { &mut self.stayed }
    }

    fn forget(&mut self, segment: u64) {
        for entry in self.entries.remove(&segment).into_iter().flat_map(HashMap::into_values) {
            self.queue(entry.is_new).bytes -= entry.bytes;
        }
    }

    /// Drops the keys of closed segments from the queues when they are the majority.
    fn sweep(&mut self) {
        let queued = self.new.keys.len() + self.stayed.keys.len();
        if queued > 1024 && queued > 4 * self.entries.values().map(HashMap::len).sum::<usize>() {
            let entries = &self.entries;
            let lives = |(segment, column): &Key| entries.get(segment).is_some_and(|s| s.contains_key(column));
            self.new.keys.retain(lives);
            self.stayed.keys.retain(lives);
        }
    }
}

/// Whether what was asked for so often stays, although a newcomer was asked for this often. The newcomer was asked for just now,
/// and once or twice more than what stands at a later place of the same scan: that is no reason.
fn stays(often: u8, newcomer: u8) -> bool {
    u16::from(often) * 5 / 4 + 2 >= u16::from(newcomer)
}

/// How often keys were asked for of late, about: keys that share their counters seem more frequent.
struct Frequency {
    counters: Vec<u8>,
    /// Since the counters were halved.
    n_added: usize,
}

impl Default for Frequency {
    fn default() -> Self {
        Frequency { counters: vec![0; COUNTERS], n_added: 0 }
    }
}

const COUNTERS: usize = 1 << 16;
/// The counters are halved when each entry was asked for so many times, on average.
const HALVED_AFTER: usize = 8;
const HALVED_AFTER_MIN: usize = 1024;

impl Frequency {
    fn places(key: Key) -> [usize; 2] {
        let x = (key.0 ^ u64::from(key.1).rotate_left(40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let x = (x ^ x >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        [(x >> 48) as usize, (x >> 24) as usize % COUNTERS]
    }

    fn add(&mut self, key: Key, n_entries: usize) {
        for place in Self::places(key) {
            self.counters[place] = self.counters[place].saturating_add(1);
        }
        self.n_added += 1;
        if self.n_added > (HALVED_AFTER * n_entries).max(HALVED_AFTER_MIN) {
            self.counters.iter_mut().for_each(|c| *c /= 2);
            self.n_added = 0;
        }
    }

    fn of(&self, key: Key) -> u8 {
        Self::places(key).map(|place| self.counters[place]).into_iter().min().unwrap_or(0)
    }
}

/// The dictionary if it is in memory.
pub(super) fn known(segment: u64, column: u32) -> Option<Arc<Dict>> {
    CACHE.lock().peek((segment, column))
}

/// The dictionary, decoded with `read` if it is not in memory.
pub(super) fn dict(segment: u64, column: u32, read: impl FnOnce() -> Result<Dict, SegmentError>) -> Result<Arc<Dict>, SegmentError> {
    if let Some(dict) = CACHE.lock().get((segment, column)) {
        return Ok(dict);
    }
    let dict = Arc::new(read()?);
    // Hashes come later and take 16 bytes an entry: count them in.
    let bytes = dict.memory() + 16 * dict.len() + 128;
    CACHE.lock().put((segment, column), Arc::clone(&dict), bytes, BUDGET.load(Ordering::Relaxed));
    Ok(dict)
}

/// Drops what belongs to a segment that was closed.
pub(super) fn forget(segment: u64) {
    CACHE.lock().forget(segment);
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: usize = 800;

    /// Asks for a value of 10 bytes; whether it was there.
    fn ask(cache: &mut Cache<u32>, key: Key) -> bool {
        if let Some(value) = cache.get(key) {
            assert_eq!(value, key.1);
            return true;
        }
        cache.put(key, key.1, 10, BUDGET);
        assert!(cache.bytes() <= BUDGET);
        false
    }

    fn held(cache: &Cache<u32>) -> usize {
        cache.entries.values().flat_map(HashMap::values).map(|e| e.bytes).sum()
    }

    #[test]
    fn a_scan_of_twice_the_budget_finds_nearly_half_again() {
        let mut cache = Cache::default();
        for round in 0..20 {
            let found = (0..160).filter(|i| ask(&mut cache, (i % 4, *i as u32))).count();
            assert!(round == 0 || found >= 60, "{found} in round {round}");
            assert_eq!(held(&cache), cache.bytes());
        }
    }

    #[test]
    fn what_came_last_is_found_again_at_once() {
        let mut cache = Cache::default();
        for i in 0..1_000 {
            assert!(!ask(&mut cache, (i, 7)));
            assert!(ask(&mut cache, (i, 7)));
        }
    }

    #[test]
    fn what_is_asked_for_now_takes_the_place_of_what_was_asked_for_once() {
        let mut cache = Cache::default();
        for _ in 0..100 {
            (0..80).for_each(|i| _ = ask(&mut cache, (1, i)));
        }
        let mut rounds = 0;
        while (0..60).filter(|i| ask(&mut cache, (2, *i))).count() < 60 {
            rounds += 1;
            assert!(rounds < 60, "the old ones stay for ever");
        }
    }

    #[test]
    fn closed_segments_leave_nothing() {
        let mut cache = Cache::default();
        for segment in 0..500 {
            (0..50).for_each(|i| _ = ask(&mut cache, (segment, i)));
            cache.forget(segment);
            assert_eq!((cache.bytes(), held(&cache)), (0, 0));
        }
        ask(&mut cache, (0, 0));
        assert!(cache.new.keys.len() + cache.stayed.keys.len() < 2_000);
    }

    #[test]
    fn what_is_larger_than_half_of_the_budget_is_not_kept() {
        let mut cache = Cache::default();
        cache.put((0, 0), 1, BUDGET / 2 + 1, BUDGET);
        assert!(cache.get((0, 0)).is_none());
        cache.put((0, 0), 1, BUDGET / 2, BUDGET);
        assert_eq!(cache.get((0, 0)), Some(1));
        // In the way of others it goes, and the budget holds.
        (0..200).for_each(|i| _ = ask(&mut cache, (1, i)));
        assert!(cache.bytes() <= BUDGET && held(&cache) == cache.bytes());
    }
}
