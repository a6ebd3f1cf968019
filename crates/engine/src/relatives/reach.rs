//! The events among which relatives are looked for: rows of segments in a time, numbered through.
//!
//! Owns: which rows those are, and filling arrays with something of each, block by block on all cores. Never does: know
//! what is asked.

use crate::EngineError;
use crate::run::{Run, parallel};
use crate::scan::place::Source;
use model::TimeNs;
use parking_lot::Mutex;
use store::Segment;
use store::segment::{BLOCK_ROWS, Scratch};

/// No row.
pub(crate) const NONE: u32 = u32::MAX;

/// The rows of one segment that lie in the time; they are neighbours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Position in the source.
    pub(crate) index: usize,
    /// First row, and the first after it that does not count.
    pub(crate) rows: (usize, usize),
    /// The number of the first row.
    pub(crate) base: usize,
}

/// Rows of one block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    /// Position among the parts.
    pub(crate) part: usize,
    /// Position of the segment in the source.
    pub(crate) index: usize,
    pub(crate) block: usize,
    /// First row in the block, and the first after it that does not count.
    pub(crate) rows: (usize, usize),
    /// The number of the first row.
    pub(crate) base: usize,
}

impl Task {
    pub(crate) fn len(&self) -> usize {
        self.rows.1 - self.rows.0
    }
}

/// See above.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) parts: Vec<Part>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) n_rows: usize,
    /// By segment.
    part_of: Vec<Option<usize>>,
}

/// Rows of a segment that come before a time.
fn rows_before(segment: &Segment, time: TimeNs, scratch: &mut Scratch) -> Result<usize, EngineError> {
    let (mut low, mut high) = (0, segment.n_blocks());
    while low < high {
        let middle = low + (high - low) / 2;
        if segment.block_times(middle).1 < time { low = middle + 1 } else { high = middle }
    }
    if low == segment.n_blocks() {
        return Ok(segment.n_rows());
    }
    let inside = if segment.block_times(low).0 >= time { 0 } else { segment.read_times(low, scratch)?.partition_point(|t| *t < time) };
    Ok(low * BLOCK_ROWS + inside)
}

/// The rows of a segment from one time (inclusive) to another (exclusive).
pub(crate) fn rows_between(segment: &Segment, (start, end): (TimeNs, TimeNs)) -> Result<(usize, usize), EngineError> {
    let (first, last) = segment.times();
    if segment.n_rows() == 0 || first >= end || last < start {
        return Ok((0, 0));
    }
    let mut scratch = Scratch::default();
    let low = rows_before(segment, start, &mut scratch)?;
    Ok((low, rows_before(segment, end, &mut scratch)?.max(low)))
}

impl Reach {
    /// The rows from one time (inclusive) to another (exclusive).
    pub(crate) fn new(source: Source<'_>, times: (TimeNs, TimeNs)) -> Result<Reach, EngineError> {
        let mut reach = Reach { parts: Vec::new(), tasks: Vec::new(), n_rows: 0, part_of: vec![None; source.segments.len()] };
        for (index, segment) in source.segments.iter().enumerate() {
            let (low, high) = rows_between(segment, times)?;
            if low == high {
                continue;
            }
            reach.part_of[index] = Some(reach.parts.len());
            let base = reach.n_rows;
            for block in low / BLOCK_ROWS..=(high - 1) / BLOCK_ROWS {
                let first = block * BLOCK_ROWS;
                let rows = (low.max(first) - first, (high - first).min(BLOCK_ROWS));
                let base = base + low.max(first) - low;
                reach.tasks.push(Task { part: reach.parts.len(), index, block, rows, base });
            }
            reach.parts.push(Part { index, rows: (low, high), base });
            reach.n_rows += high - low;
        }
        Ok(reach)
    }

    /// The part of a segment.
    pub(crate) fn part(&self, segment: usize) -> Option<&Part> {
        self.parts.get((*self.part_of.get(segment)?)?)
    }

    /// An array with something for each row: what `fill` puts over `init`.
    pub(crate) fn array<T: Copy + Send>(
        &self,
        run: &Run,
        init: T,
        fill: impl Fn(&Task, &mut Scratch, &mut [T]) -> Result<(), EngineError> + Sync,
    ) -> Result<Vec<T>, EngineError> {
        let mut all = vec![init; self.n_rows];
        let mut slices = Vec::with_capacity(self.tasks.len());
        let mut rest = all.as_mut_slice();
        for task in &self.tasks {
            let (these, others) = rest.split_at_mut(task.len());
            slices.push(Mutex::new(these));
            rest = others;
        }
        self.each(run, |i, task, scratch| fill(task, scratch, &mut slices[i].lock()))?;
        drop(slices);
        Ok(all)
    }

    /// Calls `work` with every block, on all cores, and answers its results in order.
    pub(crate) fn each<T: Send>(
        &self,
        run: &Run,
        work: impl Fn(usize, &Task, &mut Scratch) -> Result<T, EngineError> + Sync,
    ) -> Result<Vec<T>, EngineError> {
        let spare: Mutex<Vec<Scratch>> = Mutex::default();
        let results = parallel(run.threads, self.tasks.len(), |i| {
            run.check()?;
            let mut scratch = spare.lock().pop().unwrap_or_default();
            let result = work(i, &self.tasks[i], &mut scratch);
            spare.lock().push(scratch);
            result
        });
        results.into_iter().collect()
    }
}
