//! Group values become small numbers that mean the same in every segment, thread and question.
//!
//! Owns: the identity of values, the numbers, and the per-segment tables from code to number, kept between questions
//! within a byte budget (segments never change, so neither do the tables). Never does: read blocks.

use crate::Cell;
use crate::overlay::Kept;
use crate::partial::{MIDDLE_BYTES_MAX, Occupancy, Pieces};
use hashbrown::{HashMap, HashTable};
use model::{ColumnKind, IdKind, Value, hash128, write_id};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use store::Segment;

/// Events in a piece of an answer, on average at least: with fewer, reading them is as fast as adding up pieces.
const CHUNK_ROWS: u64 = 8_192;

/// What makes two cells the same value. Text is known by its hash, everything else by its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) tag: u8,
    pub(crate) bits: u128,
}

const BOOL: u8 = 1;
const INT: u8 = 2;
const FLOAT: u8 = 3;
const TEXT: u8 = 4;
const HEX8: u8 = 5;
const HEX16: u8 = 6;
const UUID: u8 = 7;

impl Key {
    pub(crate) fn bool(b: bool) -> Key {
        Key { tag: BOOL, bits: u128::from(b) }
    }

    pub(crate) fn int(i: i64) -> Key {
        Key { tag: INT, bits: u128::from(i as u64) }
    }

    /// 5 and 5.0 are one value.
    pub(crate) fn float(f: f64) -> Key {
        match Value::Float(f).canonical() {
            Value::Int(i) => Key::int(i),
            _ => Key { tag: FLOAT, bits: u128::from(f.to_bits()) },
        }
    }

    pub(crate) fn text_hash(hash: u128) -> Key {
        Key { tag: TEXT, bits: hash }
    }

    /// An id by its raw bits as `Segment::read_ids` answers them.
    pub(crate) fn id(kind: ColumnKind, bits: u128) -> Key {
        let tag = match kind {
            ColumnKind::Hex8 => HEX8,
            ColumnKind::Hex16 => HEX16,
            _ => UUID,
        };
        Key { tag, bits }
    }

    /// A text, whatever it looks like.
    pub(crate) fn text(text: &str) -> Key {
        match model::parse_id(text.as_bytes()) {
            Some((kind, raw)) => Key::id(kind.into(), id_bits(kind, &raw)),
            None => Key::text_hash(hash128(text.as_bytes())),
        }
    }

    /// 64 bits: the id itself if it has no more, else a hash.
    pub(crate) fn short(self) -> u64 {
        if self.tag == HEX8 { self.bits as u64 } else { self.hash() }
    }

    pub(crate) fn hash(self) -> u64 {
        let (low, high) = (self.bits as u64, (self.bits >> 64) as u64);
        mix(low ^ high.rotate_left(29) ^ (u64::from(self.tag) << 59))
    }
}

/// Spreads the bits of a number over all 64.
pub(crate) fn mix(x: u64) -> u64 {
    let m = u128::from(x ^ 0x9e37_79b9_7f4a_7c15) * u128::from(0xd6e8_feb8_6659_fd93_u64);
    ((m >> 64) as u64) ^ m as u64
}

/// The raw bytes of an id as one number, as `Segment::read_ids` answers it.
pub(crate) fn id_bits(kind: IdKind, raw: &[u8; 16]) -> u128 {
    let all = u128::from_be_bytes(*raw);
    if kind == IdKind::Hex8 { all >> 64 } else { all }
}

/// The text of an id.
pub(crate) fn id_text(kind: IdKind, bits: u128, out: &mut String) {
    let raw = if kind == IdKind::Hex8 { bits << 64 } else { bits }.to_be_bytes();
    write_id(kind, &raw, out);
}

const SHARD_BITS: u32 = 5;
pub(crate) const SHARDS: usize = 1 << SHARD_BITS;

#[derive(Debug, Default)]
struct Shard {
    /// Positions by hash, of the first `n_tabled` values: the others are put in when a value is looked for.
    table: HashTable<u32>,
    n_tabled: usize,
    tags: Vec<u8>,
    bits: Vec<u128>,
    /// Ends of the texts in `texts`; what is no text is empty there.
    ends: Vec<u64>,
    texts: Vec<u8>,
}

impl Shard {
    fn key(&self, at: u32) -> Key {
        Key { tag: self.tags[at as usize], bits: self.bits[at as usize] }
    }

    fn text(&self, at: u32) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends[at as usize - 1] as usize };
        &self.texts[start..self.ends[at as usize] as usize]
    }

    fn bytes(&self) -> usize {
        self.table.capacity() * 5 + self.tags.capacity() * 25 + self.texts.capacity()
    }
}

impl Shard {
    /// The position of a value, new or known.
    fn intern<'t>(&mut self, hash: u64, key: Key, text: impl FnOnce() -> &'t [u8]) -> u32 {
        if self.n_tabled < self.tags.len() {
            self.fill_table();
        }
        let Shard { table, tags, bits, .. } = self;
        if let Some(&at) = table.find(hash, |&i| bits[i as usize] == key.bits && tags[i as usize] == key.tag) {
            return at;
        }
        let at = self.push(key, text);
        let Shard { table, tags, bits, .. } = self;
        table.insert_unique(hash, at, |&i| Key { tag: tags[i as usize], bits: bits[i as usize] }.hash());
        self.n_tabled += 1;
        at
    }

    /// Takes in a value that is not there yet.
    fn push<'t>(&mut self, key: Key, text: impl FnOnce() -> &'t [u8]) -> u32 {
        self.tags.push(key.tag);
        self.bits.push(key.bits);
        if key.tag == TEXT {
            self.texts.extend_from_slice(text());
        }
        self.ends.push(self.texts.len() as u64);
        self.tags.len() as u32 - 1
    }

    #[cold]
    fn fill_table(&mut self) {
        let Shard { table, n_tabled, tags, bits, .. } = self;
        let hash = |at: u32| Key { tag: tags[at as usize], bits: bits[at as usize] }.hash();
        table.reserve(tags.len() - *n_tabled, |&at| hash(at));
        for at in *n_tabled as u32..tags.len() as u32 {
            table.insert_unique(hash(at), at, |&at| hash(at));
        }
        *n_tabled = tags.len();
    }
}

/// Different values, sorted by the shard that each belongs to.
#[derive(Debug)]
pub(crate) struct Sorted {
    /// Positions in the order in which the values came.
    order: Vec<u32>,
    starts: [u32; SHARDS + 1],
    tags: Vec<u8>,
    bits: Vec<u128>,
    ends: Vec<u32>,
    texts: Vec<u8>,
}

impl Sorted {
    pub(crate) fn new<'t>(keys: &[Key], text: impl Fn(usize) -> &'t [u8], buffers: &mut InternBuffers) -> Sorted {
        let InternBuffers { order, hashes } = buffers;
        let starts = sort_by_shard(keys.len(), |i| keys[i], hashes, order);
        let n = keys.len();
        let (mut tags, mut bits, mut ends) = (Vec::with_capacity(n), Vec::with_capacity(n), Vec::with_capacity(n));
        let mut texts = Vec::with_capacity(order.iter().map(|i| text(*i as usize).len()).sum());
        for i in order.iter() {
            let key = keys[*i as usize];
            tags.push(key.tag);
            bits.push(key.bits);
            if key.tag == TEXT {
                texts.extend_from_slice(text(*i as usize));
            }
            ends.push(texts.len() as u32);
        }
        Sorted { order: order.clone(), starts, tags, bits, ends, texts }
    }

    /// The values of a shard.
    fn of(&self, shard: usize) -> std::ops::Range<usize> {
        self.starts[shard] as usize..self.starts[shard + 1] as usize
    }

    fn text_start(&self, at: usize) -> usize {
        if at == 0 { 0 } else { self.ends[at - 1] as usize }
    }
}

/// Writes the hashes of values, and their positions by shard; answers where each shard's begin.
fn sort_by_shard(n: usize, key: impl Fn(usize) -> Key, hashes: &mut Vec<u64>, order: &mut Vec<u32>) -> [u32; SHARDS + 1] {
    hashes.clear();
    hashes.extend((0..n).map(|i| key(i).hash()));
    let mut ends = [0u32; SHARDS + 1];
    for hash in hashes.iter() {
        ends[shard_of(*hash) + 1] += 1;
    }
    for i in 1..=SHARDS {
        ends[i] += ends[i - 1];
    }
    let mut next = ends;
    order.clear();
    order.resize(n, 0);
    for (i, hash) in hashes.iter().enumerate() {
        let at = &mut next[shard_of(*hash)];
        order[*at as usize] = i as u32;
        *at += 1;
    }
    ends
}

/// Which shard a hash belongs to; its low and its highest bits are left to the tables.
fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

/// Numbers for values. Numbers are dense but for a few per cent of holes.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    shards: [Mutex<Shard>; SHARDS],
}

/// Buffers of [`Interner::intern_all`].
#[derive(Debug, Default)]
pub(crate) struct InternBuffers {
    order: Vec<u32>,
    hashes: Vec<u64>,
}

impl Interner {
    /// The number of a value, new or known. `text` is asked for new texts only.
    pub(crate) fn intern<'t>(&self, key: Key, text: impl FnOnce() -> &'t str) -> u32 {
        let hash = key.hash();
        let which = shard_of(hash);
        self.shards[which].lock().intern(hash, key, || text().as_bytes()) << SHARD_BITS | which as u32
    }

    /// Numbers those values of some lists, none of them in two, that belong to one shard; calls `found` with list, position
    /// and number.
    pub(crate) fn intern_shard<'l>(
        &self,
        which: usize,
        lists: impl Iterator<Item = &'l Sorted> + Clone,
        mut found: impl FnMut(usize, usize, u32),
    ) {
        let mut shard = self.shards[which].lock();
        let number = |at: u32| at << SHARD_BITS | which as u32;
        if !shard.tags.is_empty() {
            for (l, list) in lists.enumerate() {
                for i in list.of(which) {
                    let key = Key { tag: list.tags[i], bits: list.bits[i] };
                    let at = shard.intern(key.hash(), key, || &list.texts[list.text_start(i)..list.ends[i] as usize]);
                    found(l, list.order[i] as usize, number(at));
                }
            }
            return;
        }
        // All are new: nothing has to be looked for, and most questions never will.
        let Shard { tags, bits, ends, texts, .. } = &mut *shard;
        let n = lists.clone().map(|l| l.of(which).len()).sum();
        tags.reserve_exact(n);
        bits.reserve_exact(n);
        ends.reserve_exact(n);
        let text_of = |l: &Sorted| l.text_start(l.of(which).start)..l.text_start(l.of(which).end);
        texts.reserve_exact(lists.clone().map(|l| text_of(l).len()).sum());
        for (l, list) in lists.enumerate() {
            let (range, text) = (list.of(which), text_of(list));
            for (i, at) in range.clone().zip(tags.len() as u32..) {
                found(l, list.order[i] as usize, number(at));
            }
            tags.extend_from_slice(&list.tags[range.clone()]);
            bits.extend_from_slice(&list.bits[range.clone()]);
            let before = texts.len() as u64;
            ends.extend(list.ends[range].iter().map(|end| before + u64::from(*end) - text.start as u64));
            texts.extend_from_slice(&list.texts[text]);
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
        for (which, shard) in self.shards.iter().enumerate() {
            let members = &order[ends[which] as usize..ends[which + 1] as usize];
            if members.is_empty() {
                continue;
            }
            let mut shard = shard.lock();
            for i in members {
                let i = *i as usize;
                found(i, shard.intern(hashes[i], key(i), || text(i)) << SHARD_BITS | which as u32);
            }
        }
    }

    /// The hash of a number's value.
    pub(crate) fn hash(&self, id: u32) -> u64 {
        self.shards[id as usize % SHARDS].lock().key(id >> SHARD_BITS).hash()
    }

    /// The number of another interner's value.
    pub(crate) fn carry(&self, from: &Interner, id: u32) -> u32 {
        let (key, text) = {
            let shard = from.shards[id as usize % SHARDS].lock();
            let at = id >> SHARD_BITS;
            (shard.key(at), shard.text(at).to_vec())
        };
        let hash = key.hash();
        let which = shard_of(hash);
        self.shards[which].lock().intern(hash, key, || &text) << SHARD_BITS | which as u32
    }

    /// The value of a number.
    pub(crate) fn value(&self, id: u32) -> Cell {
        let shard = self.shards[id as usize % SHARDS].lock();
        let at = id >> SHARD_BITS;
        let Key { tag, bits } = shard.key(at);
        let id_cell = |kind| {
            let mut text = String::new();
            id_text(kind, bits, &mut text);
            Cell::Str(text.into())
        };
        match tag {
            BOOL => Cell::Bool(bits != 0),
            INT => Cell::Int(bits as u64 as i64),
            FLOAT => Cell::Float(f64::from_bits(bits as u64)),
            HEX8 => id_cell(IdKind::Hex8),
            HEX16 => id_cell(IdKind::Hex16),
            UUID => id_cell(IdKind::Uuid),
            _ => Cell::Str(String::from_utf8_lossy(shard.text(at)).into()),
        }
    }

    /// All numbers are below this, until more are given out.
    pub(crate) fn bound(&self) -> usize {
        self.shards.iter().map(|s| s.lock().tags.len()).max().unwrap_or(0) << SHARD_BITS
    }

    pub(crate) fn bytes(&self) -> usize {
        self.shards.iter().map(|s| s.lock().bytes()).sum()
    }
}

/// Not asked for yet.
pub(crate) const UNSET: u32 = u32::MAX;

/// From the codes of a dictionary (or the offsets of small integers) to numbers, filled as needed.
#[derive(Debug)]
pub(crate) struct CodeMap {
    ids: Box<[AtomicU32]>,
    /// Number of codes that occur, once all of those are numbered.
    complete: OnceLock<usize>,
}

impl CodeMap {
    pub(crate) fn new(n: usize) -> CodeMap {
        CodeMap { ids: (0..n).map(|_| AtomicU32::new(UNSET)).collect(), complete: OnceLock::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The number of a code, or [`UNSET`].
    pub(crate) fn get(&self, code: usize) -> u32 {
        self.ids[code].load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, code: usize, id: u32) {
        self.ids[code].store(id, Ordering::Relaxed);
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
    pub(crate) buffers: Mutex<Vec<crate::scan::Buffers>>,
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
        let texts: Vec<String> = (0..2000).map(text).collect();
        let keys: Vec<Key> = texts.iter().map(|t| Key::text(t)).collect();
        let mut buffers = InternBuffers::default();
        let mut list = |from: usize, to: usize| Sorted::new(&keys[from..to], |i| texts[from + i].as_bytes(), &mut buffers);
        let lists = [list(0, 700), list(700, 1500), list(1000, 2000)];
        // Into empty shards two lists at once; the third finds half of its values there.
        let interner = Interner::default();
        let mut ids = vec![UNSET; 2000];
        for shard in 0..SHARDS {
            interner.intern_shard(shard, lists[..2].iter(), |list, i, id| ids[[0, 700][list] + i] = id);
        }
        let bound = interner.bound();
        for shard in 0..SHARDS {
            interner.intern_shard(shard, lists[2..].iter(), |_, i, id| {
                assert!(ids[1000 + i] == UNSET || ids[1000 + i] == id);
                ids[1000 + i] = id;
            });
        }
        assert!(interner.bound() > bound);
        for (i, id) in ids.iter().enumerate() {
            assert_eq!(interner.intern(keys[i], || unreachable!()), *id);
            assert_eq!(interner.value(*id), Cell::Str(text(i).into()));
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 2000);
    }

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
