//! Counts and weights per cell.
//!
//! Owns: COUNT, and how states of one run are carried over to other cells. Never does: read blocks.

use crate::Cell;

/// Where the cells of one state go in another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CellMap<'a> {
    /// To the same place.
    Same,
    /// To this place; [`SKIP`] drops the cell.
    To(&'a [u32]),
}

/// No place.
pub(crate) const SKIP: u32 = u32::MAX;

impl CellMap<'_> {
    pub(crate) fn get(&self, cell: usize) -> Option<usize> {
        match self {
            CellMap::Same => Some(cell),
            CellMap::To(map) => map.get(cell).filter(|c| **c != SKIP).map(|c| *c as usize),
        }
    }

    /// Calls `f` with every cell below `n` and its place.
    pub(crate) fn each(&self, n: usize, mut f: impl FnMut(usize, usize)) {
        match self {
            CellMap::Same => (0..n).for_each(|c| f(c, c)),
            CellMap::To(map) => {
                for (from, to) in map.iter().enumerate().take(n) {
                    if *to != SKIP {
                        f(from, *to as usize);
                    }
                }
            }
        }
    }
}

/// Events per cell, or their weight.
#[derive(Clone, Debug)]
pub(crate) enum Counts {
    /// Every event weighs 1, and there are less than 2^32.
    Whole(Vec<u32>),
    /// By sample rate.
    Weighted(Vec<f64>),
}

impl Counts {
    pub(crate) fn new(weighted: bool) -> Counts {
        if weighted { Counts::Weighted(Vec::new()) } else { Counts::Whole(Vec::new()) }
    }

    pub(crate) fn resize(&mut self, n: usize) {
        match self {
            Counts::Whole(c) => grow(c, n),
            Counts::Weighted(c) => grow(c, n),
        }
    }

    pub(crate) fn add(&mut self, cells: &[u32], weights: Option<&[f64]>) {
        match (self, weights) {
            (Counts::Whole(counts), _) => {
                for c in cells {
                    counts[*c as usize] += 1;
                }
            }
            (Counts::Weighted(sums), Some(weights)) => {
                for (c, w) in cells.iter().zip(weights) {
                    sums[*c as usize] += w;
                }
            }
            (Counts::Weighted(sums), None) => {
                for c in cells {
                    sums[*c as usize] += 1.0;
                }
            }
        }
    }

    /// Adds many events of one cell.
    pub(crate) fn add_to(&mut self, cell: usize, n: usize, weights: Option<&[f64]>) {
        match (self, weights) {
            (Counts::Whole(counts), _) => counts[cell] += n as u32,
            (Counts::Weighted(sums), Some(weights)) => sums[cell] += weights.iter().sum::<f64>(),
            (Counts::Weighted(sums), None) => sums[cell] += n as f64,
        }
    }

    pub(crate) fn merge(&mut self, other: &Counts, map: CellMap<'_>) {
        match (self, other) {
            (Counts::Whole(a), Counts::Whole(b)) => map.each(b.len(), |from, to| a[to] += b[from]),
            (Counts::Weighted(a), Counts::Weighted(b)) => map.each(b.len(), |from, to| a[to] += b[from]),
            (Counts::Weighted(a), Counts::Whole(b)) => map.each(b.len(), |from, to| a[to] += f64::from(b[from])),
            (Counts::Whole(_), Counts::Weighted(_)) => debug_assert!(false, "runs of one question weigh alike"),
        }
    }

    pub(crate) fn get(&self, cell: usize) -> f64 {
        match self {
            Counts::Whole(c) => c.get(cell).map_or(0.0, |n| f64::from(*n)),
            Counts::Weighted(c) => c.get(cell).copied().unwrap_or(0.0),
        }
    }

    pub(crate) fn value(&self, cell: usize) -> Cell {
        Cell::number(self.get(cell))
    }

    pub(crate) fn memory(&self) -> usize {
        match self {
            Counts::Whole(c) => c.capacity() * 4,
            Counts::Weighted(c) => c.capacity() * 8,
        }
    }
}

/// Makes room for `n` cells. A first allocation is left to the operating system to clear.
pub(crate) fn grow<T: Clone + Default>(v: &mut Vec<T>, n: usize) {
    if v.is_empty() {
        *v = vec![T::default(); n];
    } else if v.len() < n {
        v.resize(n, T::default());
    }
}
