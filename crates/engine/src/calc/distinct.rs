//! COUNT_DISTINCT per cell: exact while memory lasts, then by a sample of the values that says its error.
//!
//! Owns: the sets and the sampling. Never does: read blocks.

use super::coded::Coded;
use super::count::{CellMap, grow};
use crate::bits::{each_one, ones};
use crate::caches::CodeMap;
use crate::intern::mix;
use std::sync::Arc;

/// A cell with more values than this may be sampled when memory runs out.
const SAMPLE: u32 = 1 << 16;
/// Standard error of a sampled count: at least half of [`SAMPLE`] values stay.
pub(crate) const RELATIVE_ERROR: f64 = 0.0056;

/// Cells, up to which their bits are counted once for all.
const FEW_CELLS: usize = 64;

/// How to keep the values of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DistinctPlan {
    /// Values have numbers, of which there are about this many: one bit each.
    Bits(usize),
    /// One entry per cell and value.
    Set,
    /// Values have numbers, and few events are looked at: a list of them per cell.
    Lists,
}

/// The values of one cell, by their numbers, as they are kept between questions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PackedDistinct {
    /// One after the other, in no order.
    List(Vec<u32>),
    /// One bit each, and how many are set.
    Bits(Vec<u64>, u64),
}

impl PackedDistinct {
    /// Whichever form is smaller. `met` has no bit set, before and after.
    fn new(mut ids: Vec<u32>, met: &mut Vec<u64>) -> PackedDistinct {
        let words = ids.iter().max().map_or(0, |id| *id as usize / 64 + 1);
        if !ids.is_sorted_by(|a, b| a < b) {
            if ids.len() < words / MARKED_WORDS_PER_ID {
                ids.sort_unstable();
                ids.dedup();
            } else {
                if met.len() < words {
                    met.resize(words, 0);
                }
                ids.retain(|id| {
                    let (word, bit) = (&mut met[*id as usize / 64], 1 << (id % 64));
                    let new = *word & bit == 0;
                    *word |= bit;
                    new
                });
                ids.iter().for_each(|id| met[*id as usize / 64] = 0);
            }
        }
        ids.shrink_to_fit();
        if ids.len() < words * 2 {
            return PackedDistinct::List(ids);
        }
        let mut bits = vec![0; words];
        ids.iter().for_each(|id| bits[*id as usize / 64] |= 1 << (id % 64));
        PackedDistinct::Bits(bits, ids.len() as u64)
    }

    fn each(&self, mut f: impl FnMut(u32)) {
        match self {
            PackedDistinct::List(ids) => ids.iter().for_each(|id| f(*id)),
            PackedDistinct::Bits(words, _) => each_one(words, |id| f(id as u32)),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            PackedDistinct::List(ids) => ids.len() * 4,
            PackedDistinct::Bits(words, _) => words.len() * 8,
        }
    }
}

/// The distinct values of each cell.
#[derive(Clone, Debug)]
pub(crate) enum Distinct {
    /// By number. Bit 0 means nothing.
    Bits {
        /// Expected number of values.
        width: usize,
        /// One list of bits per cell.
        bits: Vec<Vec<u64>>,
        /// How many bits of each cell are set, where that is known without counting; empty if it is of none.
        counts: Vec<Option<u64>>,
        /// What is not in the bits yet.
        coded: Option<Box<Coded>>,
    },
    /// By identity.
    Set(CellSet),
    /// By number, with repetitions.
    Lists(Vec<Vec<u32>>),
}

/// Sets the bit of a number; without any, the list is made as long as it will probably be.
#[inline(always)]
fn set(bits: &mut Vec<u64>, width: usize, id: u32) {
    let word = id as usize / 64;
    if let Some(word) = bits.get_mut(word) {
        *word |= 1 << (id % 64);
    } else if id != 0 {
        bits.resize((width / 64 + 1).max(word + 1), 0);
        bits[word] |= 1 << (id % 64);
    }
}

/// Adds a number to a list, which is rid of repetitions whenever it is full: it never has room for more than twice its different numbers.
fn push_id(list: &mut Vec<u32>, id: u32) {
    if list.len() == list.capacity() && list.len() >= LIST_FIRST_LOOK {
        list.sort_unstable();
        list.dedup();
        list.reserve(list.len());
    }
    list.push(id);
}

impl Distinct {
    pub(crate) fn new(plan: DistinctPlan) -> Distinct {
        match plan {
            DistinctPlan::Bits(width) => Distinct::Bits { width, bits: Vec::new(), counts: Vec::new(), coded: None },
            DistinctPlan::Set => Distinct::Set(CellSet::default()),
            DistinctPlan::Lists => Distinct::Lists(Vec::new()),
        }
    }

    pub(crate) fn resize(&mut self, n: usize) {
        match self {
            Distinct::Bits { bits, counts, .. } => {
                if counts.len() == bits.len() {
                    counts.resize(n, Some(0));
                }
                bits.resize(n, Vec::new());
            }
            Distinct::Set(set) => set.resize(n),
            Distinct::Lists(lists) => lists.resize(n, Vec::new()),
        }
    }

    /// Adds values by their numbers; 0 is no value.
    pub(crate) fn add_ids(&mut self, cells: &[u32], ids: &[u32]) {
        match self {
            Distinct::Bits { width, bits, counts, .. } => {
                counts.clear();
                for (c, id) in cells.iter().zip(ids) {
                    set(&mut bits[*c as usize], *width, *id);
                }
            }
            Distinct::Set(set) => {
                for (c, id) in cells.iter().zip(ids).filter(|(_, id)| **id != 0) {
                    set.insert(*c, u128::from(*id));
                }
            }
            Distinct::Lists(lists) => {
                for (c, id) in cells.iter().zip(ids).filter(|(_, id)| **id != 0) {
                    push_id(&mut lists[*c as usize], *id);
                }
            }
        }
    }

    /// Where to add the values of a block of so many rows by the codes of a dictionary, if that is better than by their numbers.
    pub(crate) fn coded(&mut self, map: &Arc<CodeMap>, n_rows: usize) -> Option<&mut Coded> {
        let Distinct::Bits { bits, coded, .. } = self else { return None };
        let n_cells = bits.len();
        if !Coded::pays(map, n_cells, n_rows) {
            return None;
        }
        if coded.as_ref().is_some_and(|c| !c.is_of(map)) {
            self.number_coded();
        }
        let Distinct::Bits { counts, coded, .. } = self else { return None };
        counts.clear();
        let coded = coded.get_or_insert_with(|| Box::new(Coded::new(map)));
        coded.resize(n_cells);
        Some(coded)
    }

    /// Looks up the numbers of what was added by code.
    pub(crate) fn number_coded(&mut self) {
        if let Distinct::Bits { width, bits, coded, .. } = self
            && let Some(coded) = coded.take()
        {
            coded.each(|cell, number| set(&mut bits[cell], *width, number + 1));
        }
    }

    /// Adds a value by its identity.
    pub(crate) fn add_key(&mut self, cell: u32, key: u128) {
        if let Distinct::Set(set) = self {
            set.numbered = false;
            set.insert(cell, key);
        }
    }

    /// The numbers of the values of some cells, `number` telling what each is called between questions; none if values are known
    /// by identity only, or no longer all known.
    pub(crate) fn pack(&self, cells: &[u32], number: impl Fn(u64) -> u32) -> Option<Vec<PackedDistinct>> {
        let mut met = Vec::new();
        match self {
            Distinct::Bits { bits, .. } => {
                let mut of_cell = |bits: &[u64]| {
                    let mut ids = Vec::with_capacity(ones(bits));
                    each_one(bits, |id| {
                        if id != 0 {
                            ids.push(number(id as u64));
                        }
                    });
                    PackedDistinct::new(ids, &mut met)
                };
                Some(cells.iter().map(|c| of_cell(&bits[*c as usize])).collect())
            }
            Distinct::Lists(lists) => {
                let ids = |c: &u32| lists[*c as usize].iter().map(|id| number(u64::from(*id))).collect();
                Some(cells.iter().map(|c| PackedDistinct::new(ids(c), &mut met)).collect())
            }
            Distinct::Set(set) if set.sampled || !set.numbered => None,
            Distinct::Set(set) => {
                let mut out = vec![Vec::new(); cells.len()];
                for list in &set.lists {
                    for (cell, key) in list.cells.iter().zip(&list.keys) {
                        if let Ok(i) = cells.binary_search(cell) {
                            out[i].push(number(*key as u64));
                        }
                    }
                }
                Some(out.into_iter().map(|ids| PackedDistinct::new(ids, &mut met)).collect())
            }
        }
    }

    /// Adds what was kept.
    pub(crate) fn absorb(&mut self, cell: usize, packed: &PackedDistinct) {
        match (self, packed) {
            (Distinct::Bits { width, bits, counts, .. }, PackedDistinct::Bits(words, n)) => {
                let bits = &mut bits[cell];
                let n_words = (*width / 64 + 1).max(words.len());
                let (is_first, known) = (bits.is_empty(), bits.len().min(words.len()));
                bits.reserve_exact(n_words.saturating_sub(bits.len()));
                bits.iter_mut().zip(words).for_each(|(a, b)| *a |= b);
                bits.extend_from_slice(&words[known..]);
                if bits.len() < n_words {
                    bits.resize(n_words, 0);
                }
                if let Some(count) = counts.get_mut(cell) {
                    *count = is_first.then_some(*n);
                }
            }
            (Distinct::Bits { width, bits, counts, .. }, PackedDistinct::List(ids)) => {
                let (bits, mut new) = (&mut bits[cell], 0);
                for id in ids {
                    let (word, bit) = (*id as usize / 64, id % 64);
                    if word >= bits.len() {
                        bits.resize((*width / 64 + 1).max(word + 1), 0);
                    }
                    new += !bits[word] >> bit & 1;
                    bits[word] |= 1 << bit;
                }
                if let Some(Some(count)) = counts.get_mut(cell) {
                    *count += new;
                }
            }
            (Distinct::Set(set), packed) => packed.each(|id| {
                if id != 0 {
                    set.insert(cell as u32, u128::from(id));
                }
            }),
            (Distinct::Lists(lists), packed) => packed.each(|id| {
                if id != 0 {
                    push_id(&mut lists[cell], id);
                }
            }),
        }
    }

    pub(crate) fn merge(&mut self, mut other: Distinct, map: CellMap<'_>) {
        if let (Distinct::Bits { bits: a, counts, .. }, Distinct::Bits { bits: b, .. }) = (&mut *self, &mut other) {
            counts.clear();
            map.each(b.len(), |from, to| {
                if a[to].is_empty() {
                    a[to] = std::mem::take(&mut b[from]);
                }
            });
        }
        self.merge_from(&other, map);
    }

    /// Like [`Self::merge`], leaving the other as it is.
    pub(crate) fn merge_from(&mut self, other: &Distinct, map: CellMap<'_>) {
        match (self, other) {
            (Distinct::Bits { bits: a, counts, .. }, Distinct::Bits { bits: b, .. }) => {
                counts.clear();
                map.each(b.len(), |from, to| {
                    if a[to].len() < b[from].len() {
                        a[to].resize(b[from].len(), 0);
                    }
                    a[to].iter_mut().zip(&b[from]).for_each(|(a, b)| *a |= b);
                });
            }
            (Distinct::Set(a), Distinct::Set(b)) => a.merge(b, map),
            (Distinct::Lists(a), Distinct::Lists(b)) => {
                map.each(b.len(), |from, to| b[from].iter().for_each(|id| push_id(&mut a[to], *id)));
            }
            _ => debug_assert!(false, "runs of one question keep values alike"),
        }
    }

    pub(crate) fn count(&self, cell: usize) -> u64 {
        match self {
            Distinct::Bits { bits, counts, .. } => bits.get(cell).map_or(0, |b| {
                let zero = b.first().map_or(0, |w| w & 1);
                counts.get(cell).copied().flatten().unwrap_or_else(|| ones(b) as u64) - zero
            }),
            Distinct::Set(set) => set.count(cell),
            Distinct::Lists(lists) => lists.get(cell).map_or(0, |list| list.len() as u64),
        }
    }

    /// Makes counts ready; nothing is added after it.
    pub(crate) fn settle(&mut self) {
        match self {
            // Of few cells, which are asked for several times each.
            Distinct::Bits { bits, counts, .. } if bits.len() <= FEW_CELLS => {
                counts.resize(bits.len(), None);
                counts.iter_mut().zip(bits).filter(|(count, _)| count.is_none()).for_each(|(count, bits)| *count = Some(ones(bits) as u64));
            }
            Distinct::Bits { .. } => {}
            Distinct::Set(set) => set.settle(),
            Distinct::Lists(lists) => lists.iter_mut().for_each(|list| {
                list.sort_unstable();
                list.dedup();
            }),
        }
    }

    /// Whether some counts are estimates.
    pub(crate) fn is_sampled(&self) -> bool {
        matches!(self, Distinct::Set(set) if set.sampled)
    }

    /// Gives up exactness of large cells to save memory.
    pub(crate) fn sample(&mut self) {
        if let Distinct::Set(set) = self {
            set.sample();
        }
    }

    pub(crate) fn memory(&self) -> usize {
        match self {
            Distinct::Bits { bits, counts, coded, .. } => {
                let bits: usize = bits.iter().map(|b| 24 + b.capacity() * 8).sum();
                counts.capacity() * 16 + bits + coded.as_ref().map_or(0, |c| c.memory())
            }
            Distinct::Set(set) => set.memory(),
            Distinct::Lists(lists) => lists.iter().map(|list| 24 + list.capacity() * 4).sum(),
        }
    }
}

/// Values are spread over this many lists by hash, so that each can be rid of repetitions inside a CPU's cache.
const LISTS: usize = 256;
/// Numbers of a list are told apart by marking them, unless there are so many words of bits for each.
const MARKED_WORDS_PER_ID: usize = 256;
/// Entries of a list of numbers before repetitions are looked for.
const LIST_FIRST_LOOK: usize = 1024;
/// Entries of a list before repetitions are looked for the first time.
const FIRST_LOOK: usize = 512;

/// Pairs of cell and value, with repetitions.
#[derive(Clone, Debug, Default)]
struct List {
    keys: Vec<u128>,
    cells: Vec<u32>,
    /// The first so many are without repetition.
    clean: usize,
}

/// Pairs of cell and value. A cell of level `l` keeps one value in `2^l`, chosen by the value alone.
#[derive(Clone, Debug)]
pub(crate) struct CellSet {
    lists: Vec<List>,
    /// Open addressing over one list: 0 is free, else position + 1.
    table: Vec<u32>,
    /// Distinct values per cell, once settled.
    counts: Vec<u32>,
    levels: Vec<u8>,
    sampled: bool,
    /// Every entry is the number of a value, none an identity.
    numbered: bool,
}

impl Default for CellSet {
    fn default() -> CellSet {
        CellSet {
            lists: vec![List::default(); LISTS],
            table: Vec::new(),
            counts: Vec::new(),
            levels: Vec::new(),
            sampled: false,
            numbered: true,
        }
    }
}

fn hash(key: u128) -> u64 {
    mix(key as u64 ^ ((key >> 64) as u64).rotate_left(31))
}

fn chosen(hash: u64, level: u8) -> bool {
    // The high bits: the low ones choose the list, the middle ones the place in the table.
    level == 0 || hash >> (64 - u32::from(level)) == 0
}

impl List {
    /// Drops repetitions.
    fn clean(&mut self, table: &mut Vec<u32>) {
        let n = self.keys.len();
        if self.clean == n {
            return;
        }
        table.clear();
        table.resize((n * 2).next_power_of_two(), 0);
        let mask = table.len() - 1;
        let mut kept = 0;
        for i in 0..n {
            let (key, cell) = (self.keys[i], self.cells[i]);
            let mut at = ((hash(key) >> 8) ^ u64::from(cell).wrapping_mul(0x9e37_79b9_7f4a_7c15)) as usize & mask;
            let new = loop {
                match table[at] {
                    0 => break true,
                    j => {
                        let j = j as usize - 1;
                        if self.keys[j] == key && self.cells[j] == cell {
                            break false;
                        }
                    }
                }
                at = (at + 1) & mask;
            };
            if new {
                self.keys[kept] = key;
                self.cells[kept] = cell;
                kept += 1;
                table[at] = kept as u32;
            }
        }
        self.keys.truncate(kept);
        self.cells.truncate(kept);
        self.clean = kept;
    }
}

impl CellSet {
    fn resize(&mut self, n: usize) {
        grow(&mut self.counts, n);
        grow(&mut self.levels, n);
    }

    #[inline]
    fn insert(&mut self, cell: u32, key: u128) {
        let hash = hash(key);
        if self.sampled && !chosen(hash, self.levels[cell as usize]) {
            return;
        }
        let list = &mut self.lists[hash as usize % LISTS];
        list.keys.push(key);
        list.cells.push(cell);
        if list.keys.len() >= (list.clean * 2).max(FIRST_LOOK) {
            list.clean(&mut self.table);
        }
    }

    fn merge(&mut self, other: &CellSet, map: CellMap<'_>) {
        self.sampled |= other.sampled;
        self.numbered &= other.numbered;
        if other.sampled {
            map.each(other.levels.len(), |from, to| self.levels[to] = self.levels[to].max(other.levels[from]));
            self.thin();
        }
        for list in &other.lists {
            for (cell, key) in list.cells.iter().zip(&list.keys) {
                if let Some(to) = map.get(*cell as usize) {
                    self.insert(to as u32, *key);
                }
            }
        }
    }

    /// Counts the values of each cell.
    fn settle(&mut self) {
        self.counts.fill(0);
        for list in &mut self.lists {
            list.clean(&mut self.table);
            for c in &list.cells {
                self.counts[*c as usize] += 1;
            }
        }
    }

    fn count(&self, cell: usize) -> u64 {
        u64::from(self.counts.get(cell).copied().unwrap_or(0)) << self.levels.get(cell).copied().unwrap_or(0)
    }

    fn sample(&mut self) {
        self.settle();
        for (level, n) in self.levels.iter_mut().zip(&self.counts) {
            if *n >= SAMPLE {
                *level += (n / (SAMPLE / 2)).ilog2() as u8;
            }
        }
        self.sampled = true;
        self.thin();
    }

    /// Drops what the levels do not choose.
    fn thin(&mut self) {
        for list in &mut self.lists {
            list.clean(&mut self.table);
            let mut kept = 0;
            for i in 0..list.keys.len() {
                if chosen(hash(list.keys[i]), self.levels[list.cells[i] as usize]) {
                    list.keys[kept] = list.keys[i];
                    list.cells[kept] = list.cells[i];
                    kept += 1;
                }
            }
            list.keys.truncate(kept);
            list.cells.truncate(kept);
            list.keys.shrink_to_fit();
            list.cells.shrink_to_fit();
            list.clean = kept;
        }
    }

    fn memory(&self) -> usize {
        let lists: usize = self.lists.iter().map(|l| l.keys.capacity() * 16 + l.cells.capacity() * 4).sum();
        lists + self.table.capacity() * 4 + self.counts.capacity() * 5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_and_bits_count_alike() {
        for plan in [DistinctPlan::Bits(100), DistinctPlan::Set, DistinctPlan::Lists] {
            let mut parts: Vec<Distinct> = (0..2)
                .map(|part| {
                    let mut d = Distinct::new(plan);
                    d.resize(4);
                    for i in 0..10_000u32 {
                        d.add_ids(&[i % 3, i % 3], &[(i * 7 + part * 50) % 1000 + 1, 0]);
                    }
                    d
                })
                .collect();
            let other = parts.pop().unwrap();
            let mut a = parts.pop().unwrap();
            a.merge(other, CellMap::Same);
            for plan in [DistinctPlan::Bits(10), DistinctPlan::Set, DistinctPlan::Lists] {
                let mut again = Distinct::new(plan);
                again.resize(1);
                for packed in a.pack(&[0, 1, 2, 3], |id| id as u32).unwrap() {
                    again.absorb(0, &packed);
                }
                again.settle();
                assert_eq!(again.count(0), 1000);
            }
            let mut rolled = Distinct::new(plan);
            rolled.resize(1);
            a.settle();
            assert!((0..3).all(|c| a.count(c) == 1000));
            assert_eq!(a.count(3), 0);
            rolled.merge(a, CellMap::To(&[0, 0, 0, u32::MAX]));
            rolled.settle();
            assert_eq!(rolled.count(0), 1000);
        }
    }

    #[test]
    fn values_by_code_are_those_by_number() {
        const CODES: usize = 20_000;
        let number = |code: usize| (code as u32 * 7) % 30_011;
        let maps = [0, 5_000].map(|from| {
            let map = CodeMap::new(CODES);
            (0..CODES).for_each(|code| map.set(code, number(from + code)));
            Arc::new(map)
        });
        let new = || {
            let mut d = Distinct::new(DistinctPlan::Bits(100));
            d.resize(3);
            d
        };
        let (mut by_code, mut by_number) = (new(), new());
        assert!(by_code.coded(&maps[0], 10_000).is_none(), "numbers that are to come are not known by code");
        maps.iter().for_each(|map| map.complete(CODES));
        assert!(by_code.coded(&maps[0], 100).is_none(), "few rows");
        assert!(Distinct::new(DistinctPlan::Set).coded(&maps[0], 10_000).is_none());
        let before = by_code.memory();
        // Back to the first map, and beyond the last code, which stands for "missing".
        for (which, step) in [(0, 3), (1, 2), (0, 11)] {
            let coded = by_code.coded(&maps[which], 10_000).unwrap();
            for code in (0..=CODES).step_by(step) {
                let cell = code as u32 % 2;
                coded.add(cell, code);
                if code < CODES {
                    by_number.add_ids(&[cell], &[number(which * 5_000 + code) + 1]);
                }
            }
        }
        assert!(by_code.memory() > before + CODES / 8);
        by_code.number_coded();
        for d in [&mut by_code, &mut by_number] {
            d.settle();
        }
        let counts = |d: &Distinct| [0, 1, 2].map(|cell| d.count(cell));
        assert_eq!(counts(&by_code), counts(&by_number));
        assert!(by_code.count(0) > 5_000 && by_code.count(2) == 0);
        assert_eq!(by_code.pack(&[0, 1, 2], |id| id as u32), by_number.pack(&[0, 1, 2], |id| id as u32));
    }

    #[test]
    fn a_sample_stays_within_its_error() {
        let make = |from: u128, to: u128| {
            let mut d = Distinct::new(DistinctPlan::Set);
            d.resize(2);
            for i in from..to {
                d.add_key(0, i);
            }
            d.add_key(1, 7);
            d
        };
        let mut a = make(0, 400_000);
        let before = a.memory();
        assert!(a.pack(&[0], |_| 0).is_none());
        a.sample();
        assert!(a.is_sampled() && a.memory() < before / 3);
        a.merge(make(300_000, 900_000), CellMap::Same);
        a.sample();
        a.settle();
        let error = (a.count(0) as f64 - 900_000.0).abs() / 900_000.0;
        assert!(error < 4.0 * RELATIVE_ERROR, "{error}");
        assert_eq!(a.count(1), 1);
        for i in 0..900_000 {
            a.add_key(0, i);
        }
        a.settle();
        let error = (a.count(0) as f64 - 900_000.0).abs() / 900_000.0;
        assert!(error < 4.0 * RELATIVE_ERROR, "{error}");
    }
}
