//! The cells of columns that have few: one log for all columns, so that a batch with ten thousand of them needs no
//! allocation for each.
//!
//! Owns: the log, and the texts in it. Never does: know which column a cell belongs to; each cell knows the one before.

use super::Values;
use crate::{ColumnKind, StrDict};

/// Cells of a column that are kept in the log.
pub(super) const CELLS_MAX: u32 = 16;
/// Longer texts are not: in the log they are repeated, in a dictionary they are not.
const TEXT_BYTES_MAX: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Cell {
    /// Of the same column.
    before: u32,
    row: u32,
    /// An integer, the bits of a float, an id; of what is longer: where it starts in `texts`, and how many bytes (low half).
    word: u64,
}

/// How long the log was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    cells: usize,
    texts: usize,
}

/// The log.
#[derive(Debug, Default)]
pub(super) struct Few {
    cells: Vec<Cell>,
    texts: Vec<u8>,
}

impl Few {
    /// The word of a text, if it may be kept here.
    #[inline(always)]
    pub(super) fn text(&mut self, text: &str) -> Option<u64> {
        if text.len() > TEXT_BYTES_MAX { None } else { self.bytes(text.as_bytes()) }
    }

    /// The word of an id.
    pub(super) fn id(&mut self, id: [u8; 16]) -> Option<u64> {
        self.bytes(&id)
    }

    #[inline(always)]
    fn bytes(&mut self, bytes: &[u8]) -> Option<u64> {
        let start = u32::try_from(self.texts.len()).ok()?;
        self.texts.extend_from_slice(bytes);
        Some(u64::from(start) << 32 | bytes.len() as u64)
    }

    /// Adds a cell; answers its place.
    #[inline(always)]
    pub(super) fn push(&mut self, before: u32, row: u32, word: u64) -> u32 {
        self.cells.push(Cell { before, row, word });
        self.cells.len() as u32 - 1
    }

    /// The cell of the same column before this one.
    pub(super) fn before(&self, at: u32) -> u32 {
        self.cells[at as usize].before
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { cells: self.cells.len(), texts: self.texts.len() }
    }

    /// Forgets what came after a mark. No column may have such cells any more.
    pub(super) fn truncate(&mut self, mark: Mark) {
        self.cells.truncate(mark.cells);
        self.texts.truncate(mark.texts);
    }

    /// The last `n` cells of a column, in order.
    #[inline]
    fn chain(&self, last: u32, n: u32) -> ([Cell; CELLS_MAX as usize], usize) {
        let mut cells = [Cell { before: 0, row: 0, word: 0 }; CELLS_MAX as usize];
        let n = n.min(CELLS_MAX) as usize;
        let mut at = last;
        for slot in cells[..n].iter_mut().rev() {
            *slot = self.cells[at as usize];
            at = slot.before;
        }
        (cells, n)
    }

    fn long(&self, word: u64) -> &[u8] {
        let start = (word >> 32) as usize;
        &self.texts[start..start + word as u32 as usize]
    }

    /// Rows and cells of a column that has `n` of them; no rows if they are 0..n.
    pub(super) fn column(&self, last: u32, n: u32, kind: ColumnKind, seed: u64) -> (Option<Vec<u32>>, Values) {
        let (cells, n) = self.chain(last, n);
        // Rows ascend.
        let dense = n == 0 || cells[n - 1].row as usize == n - 1;
        let rows = (!dense).then(|| cells[..n].iter().map(|c| c.row).collect());
        (rows, self.values(&cells[..n], kind, seed))
    }

    fn values(&self, cells: &[Cell], kind: ColumnKind, seed: u64) -> Values {
        let words = cells.iter().map(|c| c.word);
        let ids = |words: &mut dyn Iterator<Item = u64>| words.map(|w| self.long(w).first_chunk().copied().unwrap_or_default()).collect();
        match kind {
            ColumnKind::Str => {
                let mut codes = Vec::with_capacity(cells.len());
                let dict = StrDict::of_few(words.map(|w| self.long(w)), seed, &mut codes);
                Values::Str { codes, dict }
            }
            ColumnKind::Int => Values::Int(words.map(|w| w as i64).collect()),
            ColumnKind::Float => Values::Float(words.map(f64::from_bits).collect()),
            ColumnKind::Bool => Values::Bool(words.map(|w| w != 0).collect()),
            ColumnKind::Hex8 => Values::Hex8(words.map(u64::to_be_bytes).collect()),
            ColumnKind::Hex16 => Values::Hex16(ids(&mut { words })),
            ColumnKind::Uuid => Values::Uuid(ids(&mut { words })),
        }
    }
}
