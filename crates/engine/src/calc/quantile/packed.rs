//! The numbers of many cells as they are kept between questions: of a cell with few as they are, of one with many as
//! counts of buckets.
//!
//! Owns: the packed form, which does not depend on the range of the numbers of a question. Never does: solve.

use super::kept::Kept;
use super::{EXACT, Quantiles, SHIFT, WINDOW_KEYS, filled, middle_of};
use crate::calc::count::SKIP;
use crate::calc::number::ordered;

/// What numbers weigh.
#[derive(Clone, Debug, Default, PartialEq)]
enum Weights {
    /// Each 1.
    #[default]
    Ones,
    Whole(Vec<u32>),
    Any(Vec<f64>),
}

impl Weights {
    /// The smallest form.
    fn new(weights: Vec<f64>) -> Weights {
        if weights.iter().all(|w| *w == 1.0) {
            Weights::Ones
        } else if weights.iter().all(|w| f64::from(*w as u32) == *w) {
            Weights::Whole(weights.iter().map(|w| *w as u32).collect())
        } else {
            Weights::Any(weights)
        }
    }

    fn get(&self, i: usize) -> f64 {
        match self {
            Weights::Ones => 1.0,
            Weights::Whole(w) => f64::from(w[i]),
            Weights::Any(w) => w[i],
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Weights::Ones => 0,
            Weights::Whole(w) => w.len() * 4,
            Weights::Any(w) => w.len() * 8,
        }
    }
}

/// Says that a number follows in four bytes, as it is no less than this.
const WIDE: u8 = u8::MAX;

fn put(n: u32, bytes: &mut Vec<u8>) {
    match u8::try_from(n) {
        Ok(n) if n != WIDE => bytes.push(n),
        _ => {
            bytes.push(WIDE);
            bytes.extend_from_slice(&n.to_le_bytes());
        }
    }
}

#[inline(always)]
fn take(bytes: &mut &[u8]) -> u32 {
    let (n, rest) = match **bytes {
        [n, ref rest @ ..] if n != WIDE => (u32::from(n), rest),
        [_, a, b, c, d, ref rest @ ..] => (u32::from_le_bytes([a, b, c, d]), rest),
        _ => (0, &[][..]),
    };
    *bytes = rest;
    n
}

/// Those of one cell, whose weights are whole.
fn put_buckets(buckets: &[(u32, f64)], bytes: &mut Vec<u8>) {
    let mut before = 0;
    for (bucket, weight) in buckets {
        put(bucket - before, bytes);
        put(*weight as u32, bytes);
        before = *bucket;
    }
}

/// Calls `f` with the buckets of a cell and what they hold.
fn each_whole(mut bytes: &[u8], mut f: impl FnMut(u32, u32)) {
    let mut bucket = 0;
    loop {
        match bytes {
            [step, n, rest @ ..] if (*step).max(*n) < WIDE => {
                bucket += u32::from(*step);
                f(bucket, u32::from(*n));
                bytes = rest;
            }
            [] => return,
            _ => {
                bucket += take(&mut bytes);
                f(bucket, take(&mut bytes));
            }
        }
    }
}

/// What buckets of some cells hold; those of a cell ascend.
#[derive(Clone, Debug, PartialEq)]
enum Buckets {
    /// Two numbers each, in a byte if they are not [`WIDE`]: how far it is from the one before (of a cell's first, from 0), and what
    /// it holds.
    Whole(Box<[u8]>),
    Any(Box<[(u32, f64)]>),
}

impl Default for Buckets {
    fn default() -> Buckets {
        Buckets::Whole(Box::default())
    }
}

impl Buckets {
    /// The smallest form; `ends` count buckets before, and after it bytes if it is made of those.
    fn new(buckets: &[(u32, f64)], ends: &mut [End]) -> Buckets {
        if buckets.iter().any(|(_, weight)| f64::from(*weight as u32) != *weight) {
            return Buckets::Any(buckets.into());
        }
        let (mut whole, mut from) = (Vec::with_capacity(buckets.len() * 2 + ends.len() * 4), 0);
        for end in ends {
            let to = end.buckets as usize;
            put_buckets(&buckets[from..to], &mut whole);
            (from, end.buckets) = (to, whole.len() as u32);
        }
        Buckets::Whole(whole.into())
    }

    /// Calls `f` with the buckets of a cell and what they hold.
    fn each(&self, of_cell: std::ops::Range<usize>, mut f: impl FnMut(u32, f64)) {
        match self {
            Buckets::Whole(bytes) => each_whole(&bytes[of_cell], |bucket, weight| f(bucket, f64::from(weight))),
            Buckets::Any(buckets) => buckets[of_cell].iter().for_each(|(bucket, weight)| f(*bucket, *weight)),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Buckets::Whole(bytes) => bytes.len(),
            Buckets::Any(buckets) => size_of_val(&**buckets),
        }
    }
}

/// Buckets of cell after cell on their way to the smallest form.
enum Gather {
    /// Nothing weighs a fraction.
    Whole(Vec<u8>),
    Any(Vec<(u32, f64)>),
}

impl Gather {
    /// Those of a cell, ascending; answers where they end.
    fn cell(&mut self, buckets: &[(u32, f64)]) -> u32 {
        match self {
            Gather::Whole(bytes) => {
                put_buckets(buckets, bytes);
                bytes.len() as u32
            }
            Gather::Any(all) => {
                all.extend_from_slice(buckets);
                all.len() as u32
            }
        }
    }

    fn finish(self, ends: &mut [End]) -> Buckets {
        match self {
            Gather::Whole(bytes) => Buckets::Whole(bytes.into()),
            Gather::Any(all) => Buckets::new(&all, ends),
        }
    }
}

/// Where a cell's part ends.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct End {
    points: u32,
    buckets: u32,
    /// The cell has at least [`EXACT`] numbers.
    many: bool,
}

/// The numbers of some cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PackedQuantiles {
    ends: Vec<End>,
    /// Numbers as they are. Of cells that have many: those near zero, and integers of a small span.
    points: Vec<f64>,
    point_weights: Weights,
    /// By the top bits of their numbers.
    buckets: Buckets,
}

impl PackedQuantiles {
    pub(crate) fn bytes(&self) -> usize {
        self.ends.len() * size_of::<End>() + self.points.len() * 8 + self.point_weights.bytes() + self.buckets.bytes()
    }

    /// Numbers of a cell, as far as it matters whether there are many: no more than [`EXACT`].
    pub(crate) fn n_numbers(&self, i: usize) -> u32 {
        if self.ends[i].many { u32::from(EXACT) } else { self.points_of(i).len() as u32 }
    }

    fn points_of(&self, i: usize) -> std::ops::Range<usize> {
        let start = if i == 0 { 0 } else { self.ends[i - 1].points };
        start as usize..self.ends[i].points as usize
    }

    fn buckets_of(&self, i: usize) -> std::ops::Range<usize> {
        let start = if i == 0 { 0 } else { self.ends[i - 1].buckets };
        start as usize..self.ends[i].buckets as usize
    }
}

/// Sorts, and makes what is equal one.
fn put_in_order<T: Ord + Copy>(all: &mut Vec<(T, f64)>) {
    if all.is_sorted_by(|a, b| a.0 < b.0) {
        return;
    }
    all.sort_unstable_by_key(|x| x.0);
    all.dedup_by(|b, a| {
        let same = a.0 == b.0;
        a.1 += if same { b.1 } else { 0.0 };
        same
    });
}

/// Calls `f` with position and value of what is not nothing.
fn each_filled<T: Copy + Default + PartialEq>(all: &[T], mut f: impl FnMut(usize, T)) {
    const STRIDE: usize = 16;
    for (at, stride) in all.chunks(STRIDE).enumerate() {
        // Most are empty: without a branch for each.
        if stride.iter().fold(false, |any, t| any | (*t != T::default())) {
            stride.iter().enumerate().filter(|(_, t)| **t != T::default()).for_each(|(i, t)| f(at * STRIDE + i, *t));
        }
    }
}

impl Quantiles {
    /// The numbers of some cells, ascending.
    pub(crate) fn pack(&self, cells: &[u32]) -> PackedQuantiles {
        let plan = &self.plan;
        let width = plan.width();
        let mut place = vec![SKIP; cells.last().map_or(0, |last| *last as usize + 1)];
        cells.iter().zip(0..).for_each(|(cell, i)| place[*cell as usize] = i);
        let place = |cell: u32| place.get(cell as usize).filter(|i| **i != SKIP).map(|i| *i as usize);
        // The kept numbers sorted by cell: count, then place.
        let mut ends = vec![0usize; cells.len() + 1];
        for list in 0..self.kept.n_lists() {
            self.kept.each(list, |cell, _, _| {
                if let Some(i) = place(cell) {
                    ends[i + 1] += 1;
                }
            });
        }
        for i in 1..ends.len() {
            ends[i] += ends[i - 1];
        }
        let mut next = ends.clone();
        let n_kept = next.last().copied().unwrap_or(0);
        let weighted = matches!(self.kept, Kept::Weighted(_));
        let mut values = vec![0.0; n_kept];
        let mut weights = vec![0.0; if weighted { n_kept } else { 0 }];
        for list in 0..self.kept.n_lists() {
            self.kept.each(list, |cell, value, weight| {
                if let Some(i) = place(cell) {
                    // Adding zero makes both zeros one.
                    values[next[i]] = value + 0.0;
                    if weighted {
                        weights[next[i]] = weight;
                    }
                    next[i] += 1;
                }
            });
        }
        let counted = |cell: usize| self.seen.get(cell) == Some(&EXACT);
        let is_many =
            |i: usize, cell: usize| counted(cell) || ends[i + 1] - ends[i] >= usize::from(EXACT) || self.crowded.get(cell) == Some(&true);
        if !cells.iter().enumerate().any(|(i, cell)| is_many(i, *cell as usize)) {
            let ends = ends[1..].iter().map(|points| End { points: *points as u32, buckets: 0, many: false }).collect();
            return PackedQuantiles { ends, points: values, point_weights: Weights::new(weights), ..PackedQuantiles::default() };
        }
        let mut out = PackedQuantiles::default();
        let mut point_weights = Vec::new();
        let mut all_buckets = if weighted || plan.weighted { Gather::Any(Vec::new()) } else { Gather::Whole(Vec::new()) };
        let mut end = 0;
        let mut points: Vec<(u64, f64)> = Vec::new();
        let mut buckets: Vec<(u32, f64)> = Vec::new();
        // Numbers that weigh the same are counted, not sorted.
        let mut tally = vec![0u32; if weighted || plan.linear.is_some() { 0 } else { WINDOW_KEYS as usize }];
        for (i, cell) in cells.iter().enumerate() {
            let (cell, span) = (*cell as usize, ends[i]..ends[i + 1]);
            let kept = values[span.clone()].iter().zip(span).map(|(value, j)| (*value, weights.get(j).copied().unwrap_or(1.0)));
            let many = is_many(i, cell);
            if many {
                points.clear();
                buckets.clear();
                // Where in the tally there is something.
                let (mut first, mut last) = (usize::MAX, 0);
                for (value, weight) in kept {
                    if plan.linear.is_some() || value.abs() < f64::MIN_POSITIVE {
                        points.push((ordered(value), weight));
                        continue;
                    }
                    let key = (ordered(value) >> SHIFT) as u32;
                    let at = key.wrapping_sub(plan.low) as usize;
                    match tally.get_mut(at) {
                        Some(n) => {
                            *n += 1;
                            (first, last) = (first.min(at), last.max(at + 1));
                        }
                        None => buckets.push((key, weight)),
                    }
                }
                if !tally.is_empty() {
                    if counted(cell) {
                        let counters = &self.whole[cell * width..(cell + 1) * width - 1];
                        let (from, to) = filled(counters, |n| *n != 0);
                        if from < to {
                            tally[from..to].iter_mut().zip(&counters[from..to]).for_each(|(n, more)| *n += more);
                            (first, last) = (first.min(from), last.max(to));
                        }
                    }
                    if first < last {
                        let low = plan.low + first as u32;
                        each_filled(&tally[first..last], |key, n| buckets.push((low + key as u32, f64::from(n))));
                        tally[first..last].fill(0);
                    }
                }
                let mut counter = |key: usize, weight: f64| match plan.linear {
                    _ if key == width - 1 => points.push((ordered(0.0), weight)),
                    Some(min) => points.push((ordered((min + key as i64) as f64), weight)),
                    None => buckets.push((plan.low + key as u32, weight)),
                };
                match (counted(cell), plan.weighted) {
                    (false, _) => {}
                    (true, false) if !tally.is_empty() => {
                        let zeros = self.whole[(cell + 1) * width - 1];
                        if zeros > 0 {
                            counter(width - 1, f64::from(zeros));
                        }
                    }
                    (true, false) => each_filled(&self.whole[cell * width..(cell + 1) * width], |key, n| counter(key, f64::from(n))),
                    (true, true) => each_filled(&self.weighted[cell * width..(cell + 1) * width], &mut counter),
                }
                put_in_order(&mut points);
                put_in_order(&mut buckets);
                out.points.extend(points.iter().map(|p| super::unordered(p.0)));
                point_weights.extend(points.iter().map(|p| p.1));
                end = all_buckets.cell(&buckets);
            } else {
                out.points.extend(kept.clone().map(|p| p.0));
                point_weights.extend(kept.map(|p| p.1));
            }
            out.ends.push(End { points: out.points.len() as u32, buckets: end, many });
        }
        out.points.shrink_to_fit();
        out.point_weights = Weights::new(point_weights);
        out.buckets = all_buckets.finish(&mut out.ends);
        out
    }

    /// Adds what was kept of the `i`th cell.
    pub(crate) fn absorb(&mut self, cell: usize, packed: &PackedQuantiles, i: usize) {
        let points = packed.points_of(i);
        if !packed.ends[i].many {
            let n = points.len();
            let (cells, mut weights) = ([cell as u32; EXACT as usize], [1.0; EXACT as usize]);
            if packed.point_weights != Weights::Ones {
                points.clone().zip(&mut weights).for_each(|(i, w)| *w = packed.point_weights.get(i));
            }
            self.add(&cells[..n], &packed.points[points], Some(&weights[..n]));
            return;
        }
        let has_buckets = self.plan.has_buckets();
        match has_buckets {
            true => self.seen[cell] = EXACT,
            false => self.crowd(cell),
        }
        let (low, linear, width, weighted) = (self.plan.low, self.plan.linear, self.plan.width(), self.plan.weighted);
        let n_keys = self.plan.n_keys as usize;
        let count = |quantiles: &mut Quantiles, at: usize, weight: f64| match weighted {
            true => quantiles.weighted[cell * width + at] += weight,
            false => quantiles.whole[cell * width + at] += weight as u32,
        };
        let buckets = packed.buckets_of(i);
        match (&packed.buckets, weighted) {
            // By far the most: no weight but whole ones, and a counter for each.
            (Buckets::Whole(bytes), false) if has_buckets && linear.is_none() => {
                let counters = &mut self.whole[cell * width..cell * width + n_keys];
                let mut rest = Vec::new();
                each_whole(&bytes[buckets], |key, weight| match counters.get_mut(key.wrapping_sub(low) as usize) {
                    Some(counter) => *counter += weight,
                    None => rest.push((key, weight)),
                });
                for (key, weight) in rest {
                    self.keep(cell, middle_of(u64::from(key), self.plan.whole), f64::from(weight));
                }
            }
            _ => packed.buckets.each(buckets, |key, weight| {
                let at = key.wrapping_sub(low) as usize;
                if has_buckets && linear.is_none() && at < n_keys {
                    count(self, at, weight);
                } else {
                    self.keep(cell, middle_of(u64::from(key), self.plan.whole), weight);
                }
            }),
        }
        for p in points {
            let (value, weight) = (packed.points[p], packed.point_weights.get(p));
            let at = match linear {
                Some(min) => (value as i64).wrapping_sub(min) as usize,
                None => ((ordered(value) >> SHIFT) as u32).wrapping_sub(low) as usize,
            };
            if has_buckets && at < n_keys {
                count(self, at, weight);
            } else if has_buckets && value == 0.0 {
                count(self, width - 1, weight);
            } else {
                self.keep(cell, value, weight);
            }
        }
    }

    /// Keeps a number that stands for many.
    fn keep(&mut self, cell: usize, value: f64, weight: f64) {
        if weight != 1.0 && matches!(self.kept, Kept::Plain(_)) {
            self.weigh();
        }
        self.kept.push(cell as u32, value, weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_come_back_as_they_were() {
        let of_cells: [&[(u32, f64)]; 5] =
            [&[(0, 1.0), (1, 254.0), (255, 255.0), (510, 256.0)], &[], &[(200_000, 4e9), (u32::MAX, 1.0)], &[(254, 1.0), (508, 2.0)], &[]];
        for fraction in [0.0, 0.5] {
            let (mut all, mut ends) = (Vec::new(), Vec::new());
            for cell in of_cells {
                all.extend(cell.iter().map(|(bucket, weight)| (*bucket, weight + fraction)));
                ends.push(End { buckets: all.len() as u32, ..End::default() });
            }
            let buckets = Buckets::new(&all, &mut ends);
            assert_eq!(matches!(buckets, Buckets::Whole(_)), fraction == 0.0);
            let packed = PackedQuantiles { ends, buckets, ..PackedQuantiles::default() };
            for (i, cell) in of_cells.iter().enumerate() {
                let mut found = Vec::new();
                packed.buckets.each(packed.buckets_of(i), |bucket, weight| found.push((bucket, weight - fraction)));
                assert_eq!(found, *cell);
            }
        }
    }
}
