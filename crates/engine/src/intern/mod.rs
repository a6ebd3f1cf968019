//! Group values become small numbers that mean the same in every segment, thread and question.
//!
//! Owns: the identity of values, and the numbers. Never does: read blocks, decide what is kept.

mod bulk;
mod key;

pub(crate) use bulk::{Sorted, Values};
pub(crate) use key::{Key, id_bits, id_text, mix};

use crate::Cell;
use crate::run::parallel;
use bulk::{Bulk, sort_by_shard};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use key::TEXT;
use parking_lot::{Mutex, MutexGuard};
use std::sync::OnceLock;

const SHARD_BITS: u32 = 5;
pub(crate) const SHARDS: usize = 1 << SHARD_BITS;

/// Values that came one by one.
#[derive(Debug, Default)]
struct Shard {
    /// Numbers by hash.
    table: HashTable<u32>,
    /// Whether those of the bulk are in the table.
    has_bulk: bool,
    tags: Vec<u8>,
    bits: Vec<u128>,
    /// Ends of the texts in `texts`; what is no text is empty there.
    ends: Vec<u64>,
    texts: Vec<u8>,
}

impl Shard {
    fn key(&self, at: usize) -> Key {
        Key { tag: self.tags[at], bits: self.bits[at] }
    }

    fn text(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.texts[start..self.ends[at] as usize]
    }

    fn bytes(&self) -> usize {
        self.table.capacity() * 5 + self.tags.capacity() * 25 + self.texts.capacity()
    }

    /// Takes in a value that is not there yet.
    fn push(&mut self, key: Key, text: &[u8]) {
        self.tags.push(key.tag);
        self.bits.push(key.bits);
        if key.tag == TEXT {
            self.texts.extend_from_slice(text);
        }
        self.ends.push(self.texts.len() as u64);
    }
}

/// Which shard a hash belongs to; its low and its highest bits are left to the tables.
fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

/// Numbers for values. First come those of the bulk, then those of the shards in turn: dense but for a few per cent of
/// holes.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    /// Comes, if at all, before any other value.
    bulk: OnceLock<Bulk>,
    shards: [Mutex<Shard>; SHARDS],
    /// Held while the bulk is put into the tables; whether it is.
    tabled: Mutex<bool>,
}

/// Buffers of [`Interner::intern_all`].
#[derive(Debug, Default)]
pub(crate) struct InternBuffers {
    order: Vec<u32>,
    hashes: Vec<u64>,
}

/// Values that are looked for together: their places in memory are asked for at once, and waited for once.
const WAVE: usize = 32;

/// A shard to look for values in.
struct Open<'a> {
    which: usize,
    shard: MutexGuard<'a, Shard>,
    bulk: Option<&'a Bulk>,
}

impl Open<'_> {
    /// The number of a value, new or known.
    #[inline]
    fn intern<'t>(&mut self, hash: u64, key: Key, text: impl Fn() -> &'t [u8]) -> u32 {
        let (first, which) = (self.bulk.map_or(0, Bulk::len), self.which as u32);
        let Shard { table, tags, bits, .. } = &mut *self.shard;
        let key_in_shard = |at: Option<u32>| {
            let at = (at.unwrap_or_default() >> SHARD_BITS) as usize;
            Key { tag: tags[at], bits: bits[at] }
        };
        let is_same = |number: &u32| match (number.checked_sub(first), self.bulk) {
            (None, Some(bulk)) => bulk.entry(*number).is(key, &text),
            (at, _) => key_in_shard(at) == key,
        };
        let hash_of = |number: &u32| match (number.checked_sub(first), self.bulk) {
            (None, Some(bulk)) => bulk.key(*number).hash(),
            (at, _) => key_in_shard(at).hash(),
        };
        let number = first + ((tags.len() as u32) << SHARD_BITS | which);
        match table.entry(hash, is_same, hash_of) {
            Entry::Occupied(known) => return *known.get(),
            Entry::Vacant(free) => free.insert(number),
        };
        self.shard.push(key, text());
        number
    }

    /// Calls `found` with position and number of many values, new or known.
    fn intern_each<'t>(
        &mut self,
        mut values: impl Iterator<Item = (usize, u64, Key)>,
        text: impl Fn(usize) -> &'t [u8],
        mut found: impl FnMut(usize, u32),
    ) {
        let Some(bulk) = self.bulk else {
            return values.for_each(|(at, hash, key)| found(at, self.intern(hash, key, || text(at))));
        };
        let mut wave: Vec<(usize, u64, Key)> = Vec::with_capacity(WAVE);
        let mut likely = [None; WAVE];
        loop {
            wave.clear();
            wave.extend(values.by_ref().take(WAVE));
            if wave.is_empty() {
                return;
            }
            // No step of one value waits for another's.
            for ((_, hash, _), likely) in wave.iter().zip(&mut likely) {
                *likely = self.shard.table.find(*hash, |_| true).copied();
            }
            let known = |number: u32| (number < bulk.len()).then(|| bulk.entry(number));
            let mut entries = [None; WAVE];
            for (likely, entry) in likely.iter().zip(&mut entries).take(wave.len()) {
                *entry = likely.and_then(known);
            }
            for (((at, hash, key), likely), entry) in wave.iter().zip(likely).zip(entries) {
                let number = match (likely, entry) {
                    (Some(number), Some(entry)) if entry.is(*key, || text(*at)) => number,
                    _ => self.intern(*hash, *key, || text(*at)),
                };
                found(*at, number);
            }
        }
    }
}

impl Interner {
    /// Numbers all values of some lists, none of them in two; answers the number of the first of each list. If there are
    /// numbers already the lists come back.
    pub(crate) fn intern_bulk(&self, lists: Vec<Values>) -> Result<&[u32], Vec<Values>> {
        // Nobody has one, so nobody gives out a number meanwhile.
        let shards: Vec<MutexGuard<'_, Shard>> = self.shards.iter().map(Mutex::lock).collect();
        if self.bulk.get().is_some() || shards.iter().any(|s| !s.tags.is_empty()) {
            return Err(lists);
        }
        Ok(&self.bulk.get_or_init(|| Bulk::new(lists)).firsts)
    }

    /// Makes the values of the bulk known to the tables, if they are not.
    pub(crate) fn table_bulk(&self, threads: usize) {
        let mut tabled = self.tabled.lock();
        let Some(bulk) = self.bulk.get().filter(|_| !*tabled) else { return };
        let sorted = parallel(threads, bulk.lists.len(), |i| Sorted::new(&bulk.lists[i]));
        parallel(threads, SHARDS, |which| {
            let mut shard = self.shards[which].lock();
            // All have room, and half as many to come: to grow, hashes of all of them would have to be computed again.
            let n: usize = sorted.iter().map(|s| s.of(which).len()).sum();
            shard.table.reserve(n + n / 2, |_| 0);
            for (sorted, first) in sorted.iter().zip(&bulk.firsts) {
                for (key, at) in sorted.of(which) {
                    let hash = key.hash();
                    shard.table.insert_unique(hash, first + at, |_| hash);
                }
            }
            shard.has_bulk = true;
        });
        *tabled = true;
    }

    fn open(&self, which: usize) -> Open<'_> {
        loop {
            let shard = self.shards[which].lock();
            let bulk = self.bulk.get();
            if bulk.is_none() || shard.has_bulk {
                return Open { which, shard, bulk };
            }
            drop(shard);
            self.table_bulk(1);
        }
    }

    /// The number of a value, new or known. `text` is asked for texts only.
    pub(crate) fn intern<'t>(&self, key: Key, text: impl Fn() -> &'t str) -> u32 {
        let hash = key.hash();
        self.open(shard_of(hash)).intern(hash, key, || text().as_bytes())
    }

    /// Numbers those values of some lists that belong to one shard; calls `found` with list, position and number.
    pub(crate) fn intern_shard<'l>(
        &self,
        which: usize,
        lists: impl Iterator<Item = (&'l Values, &'l Sorted)>,
        mut found: impl FnMut(usize, usize, u32),
    ) {
        let mut open = self.open(which);
        for (l, (values, sorted)) in lists.enumerate() {
            let of_shard = sorted.of(which).map(|(key, at)| (at as usize, key.hash(), key));
            open.intern_each(of_shard, |at| values.text(at), |at, number| found(l, at, number));
        }
    }

    /// Calls `found` with position and number of many values; shard by shard, so that each lock is taken once and its
    /// table stays in the CPU's cache.
    pub(crate) fn intern_all<'t>(
        &self,
        n: usize,
        key: impl Fn(usize) -> Key,
        text: impl Fn(usize) -> &'t [u8],
        buffers: &mut InternBuffers,
        mut found: impl FnMut(usize, u32),
    ) {
        let InternBuffers { order, hashes } = buffers;
        let ends = sort_by_shard(n, &key, hashes, order);
        for which in 0..SHARDS {
            let members = &order[ends[which] as usize..ends[which + 1] as usize];
            if members.is_empty() {
                continue;
            }
            let values = members.iter().map(|i| *i as usize).map(|i| (i, hashes[i], key(i)));
            self.open(which).intern_each(values, &text, &mut found);
        }
    }

    /// Calls `f` with key and text of a number.
    fn with<T>(&self, number: u32, f: impl FnOnce(Key, &[u8]) -> T) -> T {
        let bulk = self.bulk.get();
        match (number.checked_sub(bulk.map_or(0, Bulk::len)), bulk) {
            (None, Some(bulk)) => f(bulk.key(number), bulk.text(number)),
            (at, _) => {
                let at = at.unwrap_or_default();
                let shard = self.shards[at as usize % SHARDS].lock();
                let at = (at >> SHARD_BITS) as usize;
                f(shard.key(at), shard.text(at))
            }
        }
    }

    /// The hash of a number's value.
    pub(crate) fn hash(&self, number: u32) -> u64 {
        self.with(number, |key, _| key.hash())
    }

    /// The number of another interner's value.
    pub(crate) fn carry(&self, from: &Interner, number: u32) -> u32 {
        let (key, text) = from.with(number, |key, text| (key, text.to_vec()));
        let hash = key.hash();
        self.open(shard_of(hash)).intern(hash, key, || &text)
    }

    /// The value of a number.
    pub(crate) fn value(&self, number: u32) -> Cell {
        self.with(number, Key::cell)
    }

    /// All numbers are below this, until more are given out.
    pub(crate) fn bound(&self) -> usize {
        let in_shards = self.shards.iter().map(|s| s.lock().tags.len()).max().unwrap_or(0) << SHARD_BITS;
        self.bulk.get().map_or(0, Bulk::len) as usize + in_shards
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bulk.get().map_or(0, Bulk::bytes) + self.shards.iter().map(|s| s.lock().bytes()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::segment::Texts;

    #[test]
    fn values_keep_their_number_and_come_back() {
        let interner = Interner::default();
        let text = "0123456789abcdef";
        let cells = [
            (Key::bool(false), Cell::Bool(false)),
            (Key::int(-1), Cell::Int(-1)),
            (Key::float(5.0), Cell::Int(5)),
            (Key::float(0.5), Cell::Float(0.5)),
            (Key::text("x"), Cell::Str("x".into())),
            (Key::text(""), Cell::Str("".into())),
            (Key::text(text), Cell::Str(text.into())),
            (Key::text("00000000-0000-0000-0000-00000000000a"), Cell::Str("00000000-0000-0000-0000-00000000000a".into())),
        ];
        let ids: Vec<u32> = cells.iter().map(|(k, c)| interner.intern(*k, || if let Cell::Str(s) = c { s } else { "" })).collect();
        for ((key, cell), id) in cells.iter().zip(&ids) {
            assert_eq!(interner.intern(*key, || unreachable!()), *id);
            assert_eq!(interner.value(*id), *cell);
            assert!((*id as usize) < interner.bound());
        }
        assert_eq!(interner.intern(Key::int(5), || unreachable!()), ids[2]);
        assert_ne!(Key::int(1), Key::bool(true));
        let mut all = vec![0; cells.len()];
        interner.intern_all(cells.len(), |i| cells[i].0, |_| unreachable!(), &mut InternBuffers::default(), |i, id| all[i] = id);
        assert_eq!(all, ids);
    }

    #[test]
    fn values_taken_in_together_are_found_again() {
        let text = |i: usize| format!("value {i}");
        let list = |from: usize, to: usize| {
            let mut texts = Texts::default();
            (from..to).for_each(|i| texts.push(text(i).as_bytes()));
            Values::Texts(texts)
        };
        let interner = Interner::default();
        assert_eq!(interner.intern_bulk(vec![list(0, 700), list(700, 1500)]).unwrap(), [0, 700]);
        assert_eq!(interner.bound(), 1500);
        let is_value = |i: usize, number: u32| {
            assert_eq!(interner.value(number), Cell::Str(text(i).into()));
            assert_eq!(interner.hash(number), Key::text(&text(i)).hash());
        };
        (0..1500).for_each(|i| is_value(i, i as u32));
        // Half of the next are known; there is one bulk only.
        let more = interner.intern_bulk(vec![list(1000, 2000)]).unwrap_err();
        let sorted = Sorted::new(&more[0]);
        let mut numbers = vec![0; 1000];
        for shard in 0..SHARDS {
            interner.intern_shard(shard, more.iter().zip([&sorted]), |_, i, number| numbers[i] = number);
        }
        for (i, number) in numbers.iter().enumerate() {
            is_value(1000 + i, *number);
            assert_eq!(*number < 1500, i < 500);
            assert!((*number as usize) < interner.bound());
            let text = text(1000 + i);
            assert_eq!(interner.intern(Key::text(&text), || &text), *number);
        }
        let other = Interner::default();
        let ids = Values::Ids(Key::text("0123456789abcdef").tag, [0x0123_4567_89ab_cdef, 7].into());
        assert_eq!(other.intern_bulk(vec![list(0, 0), ids]).unwrap(), [0, 0]);
        assert_eq!(other.value(0), Cell::Str("0123456789abcdef".into()));
        assert_eq!(other.intern(Key::text("0000000000000007"), || unreachable!()), 1);
        for number in [numbers[0], numbers[999]] {
            let carried = other.carry(&interner, number);
            assert_eq!(other.value(carried), interner.value(number));
        }
        let mut all: Vec<u32> = (0..1000).map(|n| numbers[n]).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 1000);
    }
}
