//! Counts and weights per cell.
//!
//! Owns: COUNT, and how states of one run are carried over to other cells. Never does: read blocks.

use super::total::Total;
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

/// The cells of a run of rows, one per row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cells<'a> {
    pub(crate) list: &'a [u32],
    /// All are from here up to `low + width`.
    pub(crate) low: u32,
    /// 1: all are the same.
    pub(crate) width: usize,
}

/// Cells up to this many are summed up in small arrays first.
const LOCAL: usize = 256;
/// Such arrays side by side, so that rows of the same cell do not wait for each other.
const LANES: usize = 4;

impl<'a> Cells<'a> {
    /// Cells of which nothing is known.
    #[cfg(test)]
    pub(crate) fn any(list: &'a [u32]) -> Cells<'a> {
        Cells { list, low: 0, width: usize::MAX }
    }

    /// The same bounds for other rows.
    pub(crate) fn with<'b>(&self, list: &'b [u32]) -> Cells<'b> {
        Cells { list, low: self.low, width: self.width }
    }

    /// The cell, if there is only one.
    pub(crate) fn only(&self) -> Option<usize> {
        (self.width == 1).then_some(self.low as usize)
    }

    /// Whether there are many more rows than cells.
    fn is_dense(&self) -> bool {
        self.width <= LOCAL && self.list.len() >= 8 * LOCAL
    }

    /// Adds up the rows of each cell.
    pub(crate) fn count(&self, mut add: impl FnMut(usize, u32)) {
        let mut lanes = [[0u32; LOCAL]; LANES];
        let (fours, rest) = self.list.as_chunks::<LANES>();
        for four in fours {
            for (lane, c) in lanes.iter_mut().zip(four) {
                lane[(c - self.low) as usize % LOCAL] += 1;
            }
        }
        for c in rest {
            lanes[0][(c - self.low) as usize % LOCAL] += 1;
        }
        for i in 0..self.width {
            add(self.low as usize + i, lanes.iter().map(|l| l[i]).sum());
        }
    }

    /// Adds a number per row to the sum of its cell.
    pub(crate) fn add_floats(&self, numbers: &[f64], sums: &mut [Total]) {
        if let Some(cell) = self.only() {
            sums[cell].add_all(numbers);
        } else if self.is_dense() {
            let mut lanes = [[Total::ZERO; LOCAL]; LANES];
            let (fours, rest) = self.list.as_chunks::<LANES>();
            let (number_fours, number_rest) = numbers.as_chunks::<LANES>();
            for (four, numbers) in fours.iter().zip(number_fours) {
                for ((lane, c), v) in lanes.iter_mut().zip(four).zip(numbers) {
                    lane[(c - self.low) as usize % LOCAL].add(*v);
                }
            }
            for (c, v) in rest.iter().zip(number_rest) {
                lanes[0][(c - self.low) as usize % LOCAL].add(*v);
            }
            for i in 0..self.width {
                lanes.iter().for_each(|l| sums[self.low as usize + i].merge(l[i]));
            }
        } else {
            for (c, v) in self.list.iter().zip(numbers) {
                sums[*c as usize].add(*v);
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
    Weighted(Vec<Total>),
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

    pub(crate) fn add(&mut self, cells: Cells<'_>, weights: Option<&[f64]>) {
        let n = cells.list.len();
        match (self, weights, cells.only()) {
            (Counts::Whole(counts), _, Some(cell)) => counts[cell] += n as u32,
            (Counts::Whole(counts), _, None) if cells.is_dense() => cells.count(|cell, n| counts[cell] += n),
            (Counts::Whole(counts), _, None) => {
                for c in cells.list {
                    counts[*c as usize] += 1;
                }
            }
            (Counts::Weighted(sums), Some(weights), _) => cells.add_floats(weights, sums),
            (Counts::Weighted(sums), None, Some(cell)) => sums[cell].add(n as f64),
            (Counts::Weighted(sums), None, None) => {
                for c in cells.list {
                    sums[*c as usize].add(1.0);
                }
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Counts, map: CellMap<'_>) {
        match (self, other) {
            (Counts::Whole(a), Counts::Whole(b)) => map.each(b.len(), |from, to| a[to] += b[from]),
            (Counts::Weighted(a), Counts::Weighted(b)) => map.each(b.len(), |from, to| a[to].merge(b[from])),
            (Counts::Weighted(a), Counts::Whole(b)) => map.each(b.len(), |from, to| a[to].add(f64::from(b[from]))),
            (Counts::Whole(_), Counts::Weighted(_)) => debug_assert!(false, "runs of one question weigh alike"),
        }
    }

    pub(crate) fn get(&self, cell: usize) -> f64 {
        match self {
            Counts::Whole(c) => c.get(cell).map_or(0.0, |n| f64::from(*n)),
            Counts::Weighted(c) => c.get(cell).map_or(0.0, Total::value),
        }
    }

    pub(crate) fn value(&self, cell: usize) -> Cell {
        Cell::number(self.get(cell))
    }

    /// The events of a cell.
    pub(crate) fn total(&self, cell: usize) -> Total {
        match self {
            Counts::Whole(c) => c.get(cell).map_or(Total::ZERO, |n| Total::from(f64::from(*n))),
            Counts::Weighted(c) => c.get(cell).copied().unwrap_or(Total::ZERO),
        }
    }

    /// Adds events to a cell.
    pub(crate) fn add_total(&mut self, cell: usize, events: Total) {
        match self {
            Counts::Whole(c) => c[cell] += events.value() as u32,
            Counts::Weighted(c) => c[cell].merge(events),
        }
    }

    /// The events of some cells, to be kept between questions.
    pub(crate) fn pack(&self, cells: &[u32]) -> Counts {
        match self {
            Counts::Whole(c) => Counts::Whole(cells.iter().map(|i| c.get(*i as usize).copied().unwrap_or(0)).collect()),
            Counts::Weighted(c) => Counts::Weighted(cells.iter().map(|i| c.get(*i as usize).copied().unwrap_or(Total::ZERO)).collect()),
        }
    }

    /// Adds what was kept: position there, and cell.
    pub(crate) fn absorb(&mut self, packed: &Counts, each: impl Iterator<Item = (usize, usize)>) {
        match (self, packed) {
            (Counts::Whole(a), Counts::Whole(b)) => each.for_each(|(i, cell)| a[cell] += b[i]),
            (Counts::Weighted(a), Counts::Weighted(b)) => each.for_each(|(i, cell)| a[cell].merge(b[i])),
            (Counts::Weighted(a), Counts::Whole(b)) => each.for_each(|(i, cell)| a[cell].add(f64::from(b[i]))),
            (Counts::Whole(_), Counts::Weighted(_)) => debug_assert!(false, "pieces of one question weigh alike"),
        }
    }

    pub(crate) fn memory(&self) -> usize {
        match self {
            Counts::Whole(c) => c.capacity() * 4,
            Counts::Weighted(c) => c.capacity() * 16,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_alike_in_every_way() {
        for (n, low, width) in [(10_000u32, 1000u32, 7u32), (5000, 0, 256), (3001, 5, 1), (100, 3, 50), (9999, 0, 5000)] {
            let list: Vec<u32> = (0..n).map(|i| low + i.wrapping_mul(2_654_435_761) % width).collect();
            let weights: Vec<f64> = (0..n).map(|i| f64::from(i % 5)).collect();
            let bounded = Cells { list: &list, low, width: width as usize };
            for weights in [None, Some(weights.as_slice())] {
                let mut known = Counts::new(weights.is_some());
                let mut unknown = Counts::new(weights.is_some());
                for (counts, cells) in [(&mut known, bounded), (&mut unknown, Cells::any(&list))] {
                    counts.resize((low + width) as usize);
                    counts.add(cells, weights);
                    counts.add(cells, weights);
                }
                assert!((0..(low + width) as usize).all(|c| known.get(c) == unknown.get(c)), "{n} {low} {width}");
                assert!(known.get(low as usize) > 0.0);
            }
        }
    }
}
