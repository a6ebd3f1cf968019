//! The cells of a field on some rows, kept by row so that any segment's events can take them over.
//!
//! Owns: which rows are wanted, and their cells. Never does: know who wants them.

use super::reach::{NONE, Reach};
use super::{Base, Found};
use crate::EngineError;
use crate::overlay::build::{ColumnBuilder, Encoded};
use crate::overlay::masked::Taken;
use crate::plan::Field;
use crate::run::{Run, parallel};
use crate::scan::place::Source;
use crate::scan::select::Rows;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Some of the rows in reach.
#[derive(Debug)]
pub(crate) struct Wanted {
    bits: Vec<u64>,
    /// How many come before each word of bits.
    before: Vec<u32>,
    n: usize,
}

impl Wanted {
    fn new(bits: Vec<u64>) -> Wanted {
        let mut n = 0;
        let before = |word: &u64| {
            n += word.count_ones();
            n - word.count_ones()
        };
        let before = bits.iter().map(before).collect();
        Wanted { bits, before, n: n as usize }
    }

    /// How many come before a row.
    fn before(&self, row: usize) -> usize {
        let below = self.bits.get(row / 64).map_or(0, |word| (word & ((1 << (row % 64)) - 1)).count_ones());
        self.before.get(row / 64).map_or(self.n, |n| (n + below) as usize)
    }

    fn has(&self, row: u32) -> bool {
        self.bits[row as usize / 64] >> (row % 64) & 1 == 1
    }
}

/// The relatives of events in the range.
pub(crate) fn wanted(base: &Base, found: &Found, run: &Run) -> Result<Wanted, EngineError> {
    let bits: Vec<AtomicU64> = (0..base.reach.n_rows.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
    base.reach.each(run, |_, task, _| {
        let inside = base.in_range(task.part);
        for row in inside.start.max(task.base)..inside.end.min(task.base + task.len()) {
            let relative = found.of(base, row as u32);
            if relative != NONE {
                let (word, bit) = (&bits[relative as usize / 64], 1 << (relative % 64));
                if word.load(Relaxed) & bit == 0 {
                    word.fetch_or(bit, Relaxed);
                }
            }
        }
        Ok(())
    })?;
    Ok(Wanted::new(bits.into_iter().map(AtomicU64::into_inner).collect()))
}

/// Cells by row.
#[derive(Debug)]
pub(crate) struct Gathered {
    wanted: Wanted,
    /// Of the wanted rows, in order. Texts are numbered through.
    cells: Vec<Encoded>,
    /// Where texts are: the columns that were built, and the number of the first text of each.
    texts: Vec<(u32, ColumnBuilder)>,
    n_texts: usize,
}

/// Reads the cells of a field.
pub(crate) fn gather(source: Source<'_>, reach: &Reach, wanted: Wanted, field: &Field, run: &Run) -> Result<Gathered, EngineError> {
    let bytes = wanted.n * size_of::<Encoded>() + wanted.bits.len() * 12;
    source.overlays.count_relatives(bytes)?;
    let text_bytes_max = source.overlays.free() / run.threads.max(1);
    // Where a field is read, once per segment; a calculated one is computed by that.
    let ready = parallel(run.threads, reach.parts.len(), |i| {
        run.check()?;
        source.places(reach.parts[i].index, field).map(|_| ())
    });
    ready.into_iter().collect::<Result<(), EngineError>>()?;
    let parts = reach.each(run, |_, task, scratch| {
        let (from, to) = (wanted.before(task.base), wanted.before(task.base + task.len()));
        let mut out = ColumnBuilder::new(0, text_bytes_max);
        let mut cells = vec![Encoded::Null; to - from];
        if from == to {
            return Ok((cells, out));
        }
        let mut rows: Vec<u32> = Vec::with_capacity(to - from);
        for row in task.base..task.base + task.len() {
            if wanted.has(row as u32) {
                rows.push((row - task.base + task.rows.0) as u32);
            }
        }
        let mut taken = Taken::new(Some(field), source, task.index, &mut out)?;
        let mut found = Vec::with_capacity(rows.len());
        taken.cells(task.block, Rows::List(&rows), scratch, &mut out, &mut found)?;
        for (row, cell) in found {
            cells[wanted.before(task.base + row as usize - task.rows.0) - from] = cell;
        }
        if out.is_full() {
            return Err(source.overlays.too_many_relatives());
        }
        Ok((cells, out))
    })?;
    let mut gathered = Gathered { cells: Vec::with_capacity(wanted.n), wanted, texts: Vec::new(), n_texts: 0 };
    for (cells, column) in parts {
        let first = gathered.n_texts as u32;
        gathered.cells.extend(cells.into_iter().map(|cell| if let Encoded::Text(t) = cell { Encoded::Text(t + first) } else { cell }));
        gathered.n_texts += column.n_texts();
        if column.n_texts() > 0 {
            source.overlays.count_relatives(column.text_bytes())?;
            gathered.texts.push((first, column));
        }
    }
    Ok(gathered)
}

/// What has become of texts in a column that takes cells over.
#[derive(Debug)]
pub(crate) struct Known(Vec<Option<Encoded>>);

impl Gathered {
    /// For a column that takes nothing yet.
    pub(crate) fn known(&self) -> Known {
        Known(vec![None; self.n_texts])
    }

    /// The cell of a row, ready for a column.
    pub(crate) fn cell(&self, row: u32, known: &mut Known, out: &mut ColumnBuilder) -> Encoded {
        if !self.wanted.has(row) {
            return Encoded::Null;
        }
        match self.cells[self.wanted.before(row as usize)] {
            Encoded::Text(number) => *known.0[number as usize].get_or_insert_with(|| {
                let at = self.texts.partition_point(|(first, _)| *first <= number) - 1;
                let (first, column) = &self.texts[at];
                out.text_of(column, number - first)
            }),
            cell => cell,
        }
    }
}
