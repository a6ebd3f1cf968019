//! Which values of a segment occur in each cell, by their codes.
//!
//! Numbers of a large dictionary lie far apart in memory, and each row needs another one. Bits by code take a small part of that room;
//! the numbers are looked up afterwards, once per value and in the order in which they lie.
//!
//! Owns: such bits. Never does: count, read blocks.

use crate::bits::each_one;
use crate::caches::CodeMap;
use std::sync::Arc;

/// With fewer values numbers are near enough.
const FAR_CODES: usize = 1 << 14;
/// Words of bits that are gone through in the end, for each row of a block: so many cost little.
const WORDS_PER_ROW: usize = 4;

/// Words whose codes are looked up for all cells, one after the other.
const WORDS_AT_ONCE: usize = 8;

/// What occurs in one segment, or in a part of it.
#[derive(Clone, Debug)]
pub(crate) struct Coded {
    map: Arc<CodeMap>,
    /// One bit per code and one for "missing", for each cell; empty where there was no row.
    bits: Vec<Vec<u64>>,
}

impl Coded {
    /// Whether it costs less than to look up a number for each row of a block.
    pub(super) fn pays(map: &CodeMap, n_cells: usize, n_rows: usize) -> bool {
        map.len() >= FAR_CODES && map.is_complete() && n_cells.saturating_mul(map.len() / 64) <= n_rows * WORDS_PER_ROW
    }

    pub(super) fn new(map: &Arc<CodeMap>) -> Coded {
        Coded { map: Arc::clone(map), bits: Vec::new() }
    }

    pub(super) fn is_of(&self, map: &Arc<CodeMap>) -> bool {
        Arc::ptr_eq(&self.map, map)
    }

    pub(super) fn resize(&mut self, n_cells: usize) {
        self.bits.resize(self.bits.len().max(n_cells), Vec::new());
    }

    /// Adds a row; the code is that of a value or of "missing".
    #[inline]
    pub(crate) fn add(&mut self, cell: u32, code: usize) {
        let bits = &mut self.bits[cell as usize];
        if bits.is_empty() {
            bits.resize(self.map.len() / 64 + 1, 0);
        }
        bits[code / 64] |= 1 << (code % 64);
    }

    /// Calls `f` with cell and number of everything that occurs, all cells of some codes before the next: numbers come from far.
    pub(super) fn each(&self, mut f: impl FnMut(usize, u32)) {
        let cells: Vec<(usize, &[u64])> = self.bits.iter().map(Vec::as_slice).enumerate().filter(|(_, bits)| !bits.is_empty()).collect();
        for first in (0..=self.map.len() / 64).step_by(WORDS_AT_ONCE) {
            for (cell, bits) in &cells {
                let words = &bits[first..bits.len().min(first + WORDS_AT_ONCE)];
                each_one(words, |bit| {
                    let code = first * 64 + bit;
                    if code < self.map.len()
                        && let Some(number) = self.map.get(code)
                    {
                        f(*cell, number);
                    }
                });
            }
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.bits.iter().map(|b| 24 + b.capacity() * 8).sum()
    }
}
