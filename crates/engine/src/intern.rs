//! Group values become small numbers that mean the same in every segment, thread and question.
//!
//! Owns: the identity of values, the numbers, and the per-segment tables from code to number, kept between questions
//! within a byte budget (segments never change, so neither do the tables). Never does: read blocks.

use crate::Cell;
use crate::overlay::Kept;
use crate::partial::{Occupancy, Pieces};
use hashbrown::{HashMap, HashTable};
use model::{ColumnKind, IdKind, Value, hash128, write_id};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use store::Segment;

/// Events in a piece of an answer, on average at least: with fewer, reading them is as fast as adding up pieces.
const CHUNK_ROWS: u64 = 16_384;

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
const SHARDS: usize = 1 << SHARD_BITS;

#[derive(Debug, Default)]
struct Shard {
    table: HashTable<u32>,
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
        let Shard { table, tags, bits, ends, texts } = self;
        if let Some(&at) = table.find(hash, |&i| bits[i as usize] == key.bits && tags[i as usize] == key.tag) {
            return at;
        }
        let at = tags.len() as u32;
        tags.push(key.tag);
        bits.push(key.bits);
        if key.tag == TEXT {
            texts.extend_from_slice(text());
        }
        ends.push(texts.len() as u64);
        table.insert_unique(hash, at, |&i| Key { tag: tags[i as usize], bits: bits[i as usize] }.hash());
        at
    }
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
    fn new(n: usize) -> CodeMap {
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
