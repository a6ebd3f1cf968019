//! SUM, AVG, MIN and MAX per cell.
//!
//! Owns: exact sums of integers, extremes across kinds of numbers. Never does: read blocks.

use super::count::{CellMap, Cells, Counts, grow};
use super::total::Total;
use crate::Cell;
use std::cmp::Ordering;

/// What of it a question needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NumberPlan {
    pub(crate) sum: bool,
    pub(crate) min: bool,
    pub(crate) max: bool,
    /// Every number is an integer, and weighs 1.
    pub(crate) whole: bool,
    /// Their sum fits 64 bits.
    pub(crate) fits: bool,
}

impl NumberPlan {
    pub(crate) fn wanted(&self) -> bool {
        self.sum || self.min || self.max
    }
}

#[derive(Clone, Debug)]
enum Sums {
    Int(Vec<i64>),
    Wide(Vec<i128>),
    Float(Vec<Total>),
}

/// An extreme per cell. Comparing the transformed values finds minimum and maximum alike: larger is better.
#[derive(Clone, Debug, Default)]
struct Extreme {
    ints: Vec<i64>,
    seen: Vec<u8>,
    /// Ordered bits; 0 where there is none, which no finite float has.
    floats: Vec<u64>,
}

/// The numbers of a column, summed up per cell.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    plan: NumberPlan,
    n: Counts,
    sum: Sums,
    min: Extreme,
    max: Extreme,
    cells: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum PackedSum {
    Whole(i128),
    Float(Total),
}

/// The numbers of one cell, kept between questions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PackedNumbers {
    n: Total,
    sum: PackedSum,
    min: (Option<i64>, u64),
    max: (Option<i64>, u64),
}

/// Bits that order like the floats they come from.
pub(crate) fn ordered(v: f64) -> u64 {
    let bits = v.to_bits();
    bits ^ ((((bits as i64) >> 63) as u64) | 1 << 63)
}

/// The float with these ordered bits.
pub(crate) fn unordered(bits: u64) -> f64 {
    f64::from_bits(if bits >> 63 == 1 { bits ^ 1 << 63 } else { !bits })
}

/// The largest of transformed values.
fn extreme(values: &[f64], order: impl Fn(f64) -> u64) -> u64 {
    values.iter().fold(0, |best, v| best.max(order(*v)))
}

impl Extreme {
    fn resize(&mut self, n: usize, ints: bool) {
        if ints {
            grow(&mut self.ints, n);
            grow(&mut self.seen, n);
        } else {
            grow(&mut self.floats, n);
        }
    }

    #[inline]
    fn int(&mut self, cell: usize, v: i64) {
        if self.seen[cell] == 0 || v > self.ints[cell] {
            self.ints[cell] = v;
            self.seen[cell] = 1;
        }
    }

    fn merge(&mut self, other: &Extreme, map: CellMap<'_>) {
        map.each(other.ints.len(), |from, to| {
            if other.seen[from] == 1 {
                self.int(to, other.ints[from]);
            }
        });
        map.each(other.floats.len(), |from, to| self.floats[to] = self.floats[to].max(other.floats[from]));
    }

    /// The best, `flip` undoing the transformation.
    fn value(&self, cell: usize, flip: bool) -> Cell {
        let int = (self.seen.get(cell) == Some(&1)).then(|| if flip { !self.ints[cell] } else { self.ints[cell] });
        let float = self.floats.get(cell).filter(|b| **b != 0).map(|b| unordered(if flip { !b } else { *b }));
        match (int, float) {
            (Some(i), Some(f)) => {
                let float_better = matches!((compare(i, f), flip), (Ordering::Less, false) | (Ordering::Greater, true));
                if float_better { Cell::number(f) } else { Cell::Int(i) }
            }
            (Some(i), None) => Cell::Int(i),
            (None, Some(f)) => Cell::number(f),
            (None, None) => Cell::Null,
        }
    }

    /// Transformed, as they are here.
    fn pack(&self, cell: usize) -> (Option<i64>, u64) {
        let int = (self.seen.get(cell) == Some(&1)).then(|| self.ints[cell]);
        (int, self.floats.get(cell).copied().unwrap_or(0))
    }

    fn memory(&self) -> usize {
        self.ints.capacity() * 9 + self.floats.capacity() * 8
    }
}

/// Compares an integer with a float, exactly.
pub(crate) fn compare(i: i64, f: f64) -> Ordering {
    let floor = f.floor();
    // The limits are exact as floats: -2^63 and 2^63.
    if floor >= 9_223_372_036_854_775_808.0 {
        Ordering::Less
    } else if floor < -9_223_372_036_854_775_808.0 {
        Ordering::Greater
    } else {
        i.cmp(&(floor as i64)).then(if f > floor { Ordering::Less } else { Ordering::Equal })
    }
}

impl Numbers {
    pub(crate) fn new(plan: NumberPlan, weighted: bool) -> Numbers {
        let sum = match (plan.whole && !weighted, plan.fits) {
            (true, true) => Sums::Int(Vec::new()),
            (true, false) => Sums::Wide(Vec::new()),
            _ => Sums::Float(Vec::new()),
        };
        Numbers { plan, n: Counts::new(weighted), sum, min: Extreme::default(), max: Extreme::default(), cells: 0 }
    }

    pub(crate) fn resize(&mut self, n: usize) {
        self.cells = n;
        self.n.resize(n);
        if self.plan.sum {
            match &mut self.sum {
                Sums::Int(s) => grow(s, n),
                Sums::Wide(s) => grow(s, n),
                Sums::Float(s) => grow(s, n),
            }
        }
        for extreme in [&mut self.min, &mut self.max] {
            if !extreme.ints.is_empty() {
                extreme.resize(n, true);
            }
            if !extreme.floats.is_empty() {
                extreme.resize(n, false);
            }
        }
    }

    pub(crate) fn add_ints(&mut self, cells: Cells<'_>, values: &[i64], weights: Option<&[f64]>) {
        self.n.add(cells, weights);
        if self.plan.sum {
            match (&mut self.sum, weights) {
                (Sums::Int(sums), _) if cells.only().is_some() => sums[cells.low as usize] += values.iter().sum::<i64>(),
                (Sums::Int(sums), _) => {
                    for (c, v) in cells.list.iter().zip(values) {
                        sums[*c as usize] += v;
                    }
                }
                (Sums::Wide(sums), _) => {
                    for (c, v) in cells.list.iter().zip(values) {
                        sums[*c as usize] += i128::from(*v);
                    }
                }
                (Sums::Float(sums), None) => {
                    for (c, v) in cells.list.iter().zip(values) {
                        sums[*c as usize].add(*v as f64);
                    }
                }
                (Sums::Float(sums), Some(weights)) => {
                    for ((c, v), w) in cells.list.iter().zip(values).zip(weights) {
                        sums[*c as usize].add(*v as f64 * w);
                    }
                }
            }
        }
        if self.plan.min {
            self.min.resize(self.cells, true);
            for (c, v) in cells.list.iter().zip(values) {
                self.min.int(*c as usize, !v);
            }
        }
        if self.plan.max {
            self.max.resize(self.cells, true);
            for (c, v) in cells.list.iter().zip(values) {
                self.max.int(*c as usize, *v);
            }
        }
    }

    pub(crate) fn add_floats(&mut self, cells: Cells<'_>, values: &[f64], weights: Option<&[f64]>) {
        self.n.add(cells, weights);
        if self.plan.sum {
            match (&mut self.sum, weights) {
                (Sums::Float(sums), None) => cells.add_floats(values, sums),
                (Sums::Float(sums), Some(weights)) => {
                    for ((c, v), w) in cells.list.iter().zip(values).zip(weights) {
                        sums[*c as usize].add(v * w);
                    }
                }
                _ => debug_assert!(false, "floats in a column that was planned without"),
            }
        }
        if self.plan.min {
            self.min.resize(self.cells, false);
            let best = &mut self.min.floats;
            if let Some(cell) = cells.only() {
                best[cell] = best[cell].max(extreme(values, |v| !ordered(v)));
                return self.add_max(cells, values);
            }
            for (c, v) in cells.list.iter().zip(values) {
                let b = &mut best[*c as usize];
                *b = (*b).max(!ordered(*v));
            }
        }
        self.add_max(cells, values);
    }

    fn add_max(&mut self, cells: Cells<'_>, values: &[f64]) {
        if self.plan.max {
            self.max.resize(self.cells, false);
            let best = &mut self.max.floats;
            if let Some(cell) = cells.only() {
                best[cell] = best[cell].max(extreme(values, ordered));
                return;
            }
            for (c, v) in cells.list.iter().zip(values) {
                let b = &mut best[*c as usize];
                *b = (*b).max(ordered(*v));
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Numbers, map: CellMap<'_>) {
        self.n.merge(&other.n, map);
        match (&mut self.sum, &other.sum) {
            (Sums::Int(a), Sums::Int(b)) => map.each(b.len(), |from, to| a[to] += b[from]),
            (Sums::Wide(a), Sums::Wide(b)) => map.each(b.len(), |from, to| a[to] += b[from]),
            (Sums::Float(a), Sums::Float(b)) => map.each(b.len(), |from, to| a[to].merge(b[from])),
            _ => debug_assert!(false, "runs of one question sum alike"),
        }
        for (a, b) in [(&mut self.min, &other.min), (&mut self.max, &other.max)] {
            if !b.ints.is_empty() {
                a.resize(self.cells, true);
            }
            if !b.floats.is_empty() {
                a.resize(self.cells, false);
            }
            a.merge(b, map);
        }
    }

    pub(crate) fn sum(&self, cell: usize) -> Cell {
        if self.n.get(cell) == 0.0 {
            return Cell::Null;
        }
        match &self.sum {
            Sums::Int(s) => Cell::Int(s[cell]),
            Sums::Wide(s) => i64::try_from(s[cell]).map_or(Cell::Float(s[cell] as f64), Cell::Int),
            Sums::Float(s) => float(s[cell].value()),
        }
    }

    pub(crate) fn avg(&self, cell: usize) -> Cell {
        let n = self.n.get(cell);
        if n == 0.0 {
            return Cell::Null;
        }
        match &self.sum {
            Sums::Int(s) => float(s[cell] as f64 / n),
            Sums::Wide(s) => float(s[cell] as f64 / n),
            Sums::Float(s) => float(s[cell].value() / n),
        }
    }

    pub(crate) fn min(&self, cell: usize) -> Cell {
        self.min.value(cell, true)
    }

    pub(crate) fn max(&self, cell: usize) -> Cell {
        self.max.value(cell, false)
    }

    /// The numbers of a cell, to be kept between questions.
    pub(crate) fn pack(&self, cell: usize) -> PackedNumbers {
        let sum = match (&self.sum, self.plan.sum) {
            (_, false) => PackedSum::Whole(0),
            (Sums::Int(s), true) => PackedSum::Whole(i128::from(s[cell])),
            (Sums::Wide(s), true) => PackedSum::Whole(s[cell]),
            (Sums::Float(s), true) => PackedSum::Float(s[cell]),
        };
        PackedNumbers { n: self.n.total(cell), sum, min: self.min.pack(cell), max: self.max.pack(cell) }
    }

    /// Adds what was kept.
    pub(crate) fn absorb(&mut self, cell: usize, packed: &PackedNumbers) {
        self.n.add_total(cell, packed.n);
        if self.plan.sum {
            match (&mut self.sum, packed.sum) {
                (Sums::Int(s), PackedSum::Whole(v)) => s[cell] += v as i64,
                (Sums::Wide(s), PackedSum::Whole(v)) => s[cell] += v,
                (Sums::Float(s), PackedSum::Float(v)) => s[cell].merge(v),
                (Sums::Float(s), PackedSum::Whole(v)) => s[cell].merge(Total::from(v)),
                _ => debug_assert!(false, "floats in a column that was planned without"),
            }
        }
        for (extreme, (int, float)) in [(&mut self.min, packed.min), (&mut self.max, packed.max)] {
            if let Some(v) = int {
                extreme.resize(self.cells, true);
                extreme.int(cell, v);
            }
            if float != 0 {
                extreme.resize(self.cells, false);
                extreme.floats[cell] = extreme.floats[cell].max(float);
            }
        }
    }

    pub(crate) fn memory(&self) -> usize {
        let sums = match &self.sum {
            Sums::Int(s) => s.capacity() * 8,
            Sums::Wide(s) => s.capacity() * 16,
            Sums::Float(s) => s.capacity() * 16,
        };
        self.n.memory() + sums + self.min.memory() + self.max.memory()
    }
}

/// A number, or nothing where it is too large for a float.
fn float(f: f64) -> Cell {
    if f.is_finite() { Cell::number(f) } else { Cell::Null }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(whole: bool) -> NumberPlan {
        NumberPlan { sum: true, min: true, max: true, whole, fits: false }
    }

    #[test]
    fn ordered_bits_order_like_floats() {
        let values = [f64::MIN, -1.5, -1e-300, -0.0, 0.0, 1e-300, 2.0, f64::MAX];
        assert!(values.windows(2).all(|w| ordered(w[0]) < ordered(w[1])));
        assert!(values.iter().all(|v| unordered(ordered(*v)).to_bits() == v.to_bits() && ordered(*v) != 0 && !ordered(*v) != 0));
    }

    #[test]
    fn sums_of_integers_are_exact() {
        let mut n = Numbers::new(plan(true), false);
        n.resize(3);
        n.add_ints(Cells::any(&[0, 0, 1]), &[i64::MAX, 1, i64::MIN], None);
        n.add_ints(Cells::any(&[0]), &[-1], None);
        assert_eq!((n.sum(0), n.min(0), n.max(0)), (Cell::Int(i64::MAX), Cell::Int(-1), Cell::Int(i64::MAX)));
        assert_eq!((n.sum(1), n.min(1), n.max(1)), (Cell::Int(i64::MIN), Cell::Int(i64::MIN), Cell::Int(i64::MIN)));
        assert_eq!((n.sum(2), n.avg(2), n.min(2), n.max(2)), (Cell::Null, Cell::Null, Cell::Null, Cell::Null));
        n.add_ints(Cells::any(&[2, 2]), &[i64::MAX, i64::MAX], None);
        assert_eq!(n.sum(2), Cell::Float(1.844_674_407_370_955_2e19));
    }

    #[test]
    fn extremes_across_kinds_are_exact() {
        let mut n = Numbers::new(plan(false), true);
        n.resize(1);
        let big = (1i64 << 53) + 1;
        n.add_ints(Cells { list: &[0], low: 0, width: 1 }, &[big], Some(&[2.0]));
        n.add_floats(Cells { list: &[0, 0], low: 0, width: 1 }, &[9_007_199_254_740_992.0, -0.5], Some(&[1.0, 4.0]));
        assert_eq!((n.max(0), n.min(0)), (Cell::Int(big), Cell::Float(-0.5)));
        let mut rolled = Numbers::new(plan(false), true);
        rolled.resize(1);
        rolled.merge(&n, CellMap::To(&[0]));
        assert_eq!(rolled.max(0), Cell::Int(big));
        assert_eq!(rolled.avg(0), n.avg(0));
    }
}
