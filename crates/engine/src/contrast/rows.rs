//! Which rows of a segment belong to a population.
//!
//! Owns: picking rows once, for all columns. Never does: count.

use super::plan::Side;
use crate::EngineError;
use crate::scan::apply::FilterBuffers;
use crate::scan::filter::Filter;
use crate::scan::place::Source;
use crate::scan::select::Rows;
use model::query::Combination;
use store::segment::Scratch;

/// The rows of a population in one segment.
#[derive(Debug)]
pub(crate) enum Picked {
    /// None.
    None,
    /// All of them.
    All,
    /// By block.
    Blocks(Vec<BlockRows>),
}

/// The rows of a population in one block.
#[derive(Debug)]
pub(crate) enum BlockRows {
    Range(usize, usize),
    List(Vec<u32>),
}

impl BlockRows {
    pub(crate) fn as_rows(&self) -> Rows<'_> {
        match self {
            BlockRows::Range(low, high) => Rows::Range(*low, *high),
            BlockRows::List(rows) => Rows::List(rows),
        }
    }
}

impl Picked {
    pub(crate) fn memory(&self) -> usize {
        match self {
            Picked::Blocks(blocks) => blocks.iter().map(|b| if let BlockRows::List(rows) = b { rows.capacity() * 4 } else { 0 } + 40).sum(),
            _ => 0,
        }
    }

    /// The rows of a block that has `n`; none if there are none.
    pub(crate) fn block(&self, block: usize, n: usize) -> Option<Rows<'_>> {
        let rows = match self {
            Picked::None => return None,
            Picked::All => Rows::Range(0, n),
            Picked::Blocks(blocks) => blocks.get(block)?.as_rows(),
        };
        (rows.len() > 0).then_some(rows)
    }
}

/// The rows of one side.
pub(crate) fn pick(source: Source<'_>, index: usize, side: &Side) -> Result<Picked, EngineError> {
    let segment = &source.segments[index];
    let (first, last) = segment.times();
    if first >= side.end_ns || last < side.start_ns || segment.n_rows() == 0 {
        return Ok(Picked::None);
    }
    let mut filters = Vec::new();
    for (conditions, combination) in &side.groups {
        match Filter::compile(conditions, *combination == Combination::Or, source, index)? {
            None => return Ok(Picked::None),
            Some(filter) if filter.is_all() => {}
            Some(filter) => filters.push(filter),
        }
    }
    let inside = first >= side.start_ns && last < side.end_ns;
    if inside && filters.is_empty() {
        return Ok(Picked::All);
    }
    let mut scratch = Scratch::default();
    let mut buffers = FilterBuffers::default();
    let mut blocks = Vec::with_capacity(segment.n_blocks());
    for block in 0..segment.n_blocks() {
        let n = segment.block_rows(block);
        let (low, high) = if inside {
            (0, n)
        } else {
            let times = segment.read_times(block, &mut scratch)?;
            (times.partition_point(|t| *t < side.start_ns), times.partition_point(|t| *t < side.end_ns))
        };
        let mut picked = BlockRows::Range(low, high);
        for filter in &filters {
            if low >= high {
                break;
            }
            let rows = filter.select(n, block, (low, high), &mut buffers, &mut scratch)?;
            picked = both(picked, rows);
        }
        blocks.push(picked);
    }
    Ok(Picked::Blocks(blocks))
}

/// Rows that are in both.
fn both(a: BlockRows, b: Rows<'_>) -> BlockRows {
    match (a, b) {
        (BlockRows::Range(low, high), Rows::Range(from, to)) => BlockRows::Range(low.max(from), high.min(to).max(low.max(from))),
        (BlockRows::Range(low, high), Rows::List(rows)) => {
            BlockRows::List(rows.iter().copied().filter(|r| (low..high).contains(&(*r as usize))).collect())
        }
        (BlockRows::List(rows), Rows::Range(low, high)) => {
            BlockRows::List(rows.into_iter().filter(|r| (low..high).contains(&(*r as usize))).collect())
        }
        (BlockRows::List(rows), Rows::List(other)) => {
            let mut other = other.iter().copied().peekable();
            let mut rows = rows;
            rows.retain(|r| {
                while other.next_if(|o| o < r).is_some() {}
                other.peek() == Some(r)
            });
            BlockRows::List(rows)
        }
    }
}
