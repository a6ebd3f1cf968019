//! The cells of columns that have few: one log for all columns, so that a batch with ten thousand of them needs no
//! allocation for each.
//!
//! Owns: the log, the texts in it, and bringing cells into the order of columns. Never does: know what a column is.

use super::{ManyCells, Values};
use crate::{ColumnKind, StrDict};
use std::{ops::Range, sync::Arc};

/// Cells of a column that are kept in the log, at most.
pub const FEW_CELLS_MAX: usize = 16;
/// Longer texts are not: in the log they are repeated, in a dictionary they are not.
const TEXT_BYTES_MAX: usize = 64;

/// In the place of the column of a cell that was taken back.
const DEAD: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Cell {
    /// The cell before it of the same column.
    before: u32,
    column: u32,
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
    /// Where the cells of each row start.
    rows: Vec<u32>,
}

/// The cells of the log column by column.
#[derive(Debug)]
struct Sorted {
    rows: Vec<u32>,
    words: Vec<u64>,
    texts: Vec<u8>,
}

/// The cells of a column that has at most [`FEW_CELLS_MAX`]. All such columns of a batch share their memory.
#[derive(Clone, Debug)]
pub struct FewCells {
    kind: ColumnKind,
    places: Range<u32>,
    sorted: Arc<Sorted>,
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

    /// Says that the cells to come are of this row.
    pub(super) fn begin(&mut self, row: u32) {
        self.rows.resize(row as usize, self.cells.len() as u32);
        self.rows.push(self.cells.len() as u32);
    }

    /// Adds a cell; answers its place.
    #[inline(always)]
    pub(super) fn push(&mut self, before: u32, column: u32, word: u64) -> u32 {
        self.cells.push(Cell { before, column, word });
        self.cells.len() as u32 - 1
    }

    /// Takes a cell back; answers the cell of the same column before it.
    pub(super) fn take_back(&mut self, at: u32) -> u32 {
        self.cells[at as usize].column = DEAD;
        self.cells[at as usize].before
    }

    /// The column of a cell has another number now.
    pub(super) fn rename(&mut self, at: u32, column: u32) {
        self.cells[at as usize].column = column;
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { cells: self.cells.len(), texts: self.texts.len() }
    }

    /// Forgets what came after a mark. No column may have such cells any more.
    pub(super) fn truncate(&mut self, mark: Mark) {
        self.cells.truncate(mark.cells);
        self.texts.truncate(mark.texts);
    }

    /// Rows and cells of a column that leaves the log: the last `n` of it. No rows if they are 0..n.
    pub(super) fn column(&self, last: u32, n: u32, kind: ColumnKind, seed: u64) -> ManyCells {
        let mut cells = [(0, 0); FEW_CELLS_MAX];
        let cells = &mut cells[..FEW_CELLS_MAX.min(n as usize)];
        let mut at = last;
        for slot in cells.iter_mut().rev() {
            let cell = self.cells[at as usize];
            *slot = (self.rows.partition_point(|start| *start <= at).saturating_sub(1) as u32, cell.word);
            at = cell.before;
        }
        column(&self.texts, cells, kind, seed)
    }

    /// All cells column by column. `starts` says for each column where its cells are to be, of `n` in all, or [`u32::MAX`] that
    /// they are not wanted; then, where they end. One pass over the log, where following each column's cells would wait for
    /// the memory cell by cell. Answers the cells from one place to another.
    pub(super) fn sorted(self, starts: &mut [u32], n: usize) -> impl Fn(Range<u32>, ColumnKind) -> FewCells + use<> {
        let Few { cells, texts, rows: row_starts } = self;
        let (mut rows, mut words) = (vec![0; n], vec![0; n]);
        let ends = row_starts.iter().skip(1).copied().chain([cells.len() as u32]);
        for ((row, start), end) in (0..).zip(&row_starts).zip(ends) {
            for cell in &cells[*start as usize..end as usize] {
                if let Some(at) = starts.get_mut(cell.column as usize).filter(|at| **at != u32::MAX) {
                    rows[*at as usize] = row;
                    words[*at as usize] = cell.word;
                    *at += 1;
                }
            }
        }
        let sorted = Arc::new(Sorted { rows, words, texts });
        move |places, kind| FewCells { kind, places, sorted: Arc::clone(&sorted) }
    }
}

impl FewCells {
    /// The kind of column.
    #[must_use]
    #[inline]
    pub fn kind(&self) -> ColumnKind {
        self.kind
    }

    /// Number of cells.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Rows that have a cell, ascending.
    #[must_use]
    #[inline]
    pub fn rows(&self) -> &[u32] {
        &self.sorted.rows[self.places.start as usize..self.places.end as usize]
    }

    /// For each of them: an integer, the bits of a float, a truth value (0 or 1), an id of 8 bytes, or what [`Self::bytes`] takes.
    #[must_use]
    #[inline]
    pub fn words(&self) -> &[u64] {
        &self.sorted.words[self.places.start as usize..self.places.end as usize]
    }

    /// The text or the id of 16 bytes that a word stands for.
    #[must_use]
    #[inline]
    pub fn bytes(&self, word: u64) -> &[u8] {
        bytes_of(&self.sorted.texts, word)
    }

    pub(super) fn many(&self, n_rows: usize) -> ManyCells {
        let rows = (self.len() < n_rows).then(|| self.rows().to_vec());
        ManyCells { rows, values: values(&self.sorted.texts, self.words().iter().copied(), self.kind, 0) }
    }
}

/// Rows ascend.
fn column(texts: &[u8], cells: &[(u32, u64)], kind: ColumnKind, seed: u64) -> ManyCells {
    let dense = cells.last().is_none_or(|(row, _)| *row as usize == cells.len() - 1);
    let rows = (!dense).then(|| cells.iter().map(|c| c.0).collect());
    ManyCells { rows, values: values(texts, cells.iter().map(|c| c.1), kind, seed) }
}

#[inline]
fn bytes_of(texts: &[u8], word: u64) -> &[u8] {
    let start = (word >> 32) as usize;
    &texts[start..start + word as u32 as usize]
}

fn values(texts: &[u8], words: impl ExactSizeIterator<Item = u64> + Clone, kind: ColumnKind, seed: u64) -> Values {
    let long = |word: u64| bytes_of(texts, word);
    let ids = |words: &mut dyn Iterator<Item = u64>| words.map(|w| long(w).first_chunk().copied().unwrap_or_default()).collect();
    match kind {
        ColumnKind::Str => {
            let mut codes = Vec::with_capacity(words.len());
            let n_bytes = words.clone().map(|w| w as u32 as usize).sum();
            let dict = StrDict::of_few(words.map(long), n_bytes, seed, &mut codes);
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
