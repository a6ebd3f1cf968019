//! Percentiles per cell: exact for a cell with few numbers, within one per cent of the value for many.
//!
//! A cell's first numbers are kept as they are. Later ones are counted in buckets of under 1.6 per cent width, if
//! the run has room for such counters; if not, all are kept, and thinned to buckets only when memory runs out.
//!
//! Owns: the state and its accuracy. Never does: read blocks.

mod kept;
mod packed;

use super::count::{CellMap, grow};
use super::number::{ordered, unordered};
use crate::run::parallel;
use kept::{Kept, LISTS, List, Plain, Weighted};
pub(crate) use packed::PackedQuantiles;
use std::sync::Arc;

/// A cell with fewer numbers than this answers exactly.
pub(crate) const EXACT: u8 = 128;
/// Bound of the relative error of a number that came from a bucket.
pub(crate) const RELATIVE_ERROR: f64 = 0.01;
/// Low bits of a float that a bucket ignores: 64 buckets per power of two.
const SHIFT: u32 = 46;
/// Buckets of a cell at most: 32 powers of two.
const WINDOW_KEYS: u32 = 32 * 64;

/// How a column's numbers become buckets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct QuantilePlan {
    /// Wanted shares, ascending.
    pub(crate) shares: Vec<f64>,
    /// First bucket, and how many there are; none: every number is kept.
    low: u32,
    n_keys: u32,
    /// Integers of a small span: a bucket for each, from this one.
    linear: Option<i64>,
    /// Every number is an integer.
    whole: bool,
    /// Bounds of the numbers.
    range: (f64, f64),
    weighted: bool,
}

impl QuantilePlan {
    pub(crate) fn new(mut shares: Vec<f64>, range: (f64, f64), whole: bool, weighted: bool) -> QuantilePlan {
        shares.sort_by(f64::total_cmp);
        shares.dedup();
        let (min, max) = range;
        let linear = (whole && max - min < f64::from(WINDOW_KEYS) && min.abs() < 9e15).then_some(min as i64);
        let (low, n_keys) = match linear {
            Some(_) => (0, (max - min) as u32 + 1),
            None => {
                // Zero and what is as near to it as floats get have no bucket: buckets there would not be narrow.
                let key = |v: f64| (ordered(v) >> SHIFT) as u32;
                let (first, last) = if max >= f64::MIN_POSITIVE {
                    (key(min.max(f64::MIN_POSITIVE)), key(max))
                } else {
                    (key(min), key(max.min(-f64::MIN_POSITIVE)))
                };
                let first = first.max(last.saturating_sub(WINDOW_KEYS - 1));
                (first, (last + 1).saturating_sub(first))
            }
        };
        QuantilePlan { shares, low, n_keys, linear, whole, range, weighted }
    }

    /// Counters of one cell: one per bucket, and one for zero.
    fn width(&self) -> usize {
        if self.n_keys == 0 { 0 } else { self.n_keys as usize + 1 }
    }

    /// Bytes of counters of one cell.
    pub(crate) fn cell_bytes(&self) -> usize {
        self.width() * if self.weighted { 8 } else { 4 }
    }

    /// Keeps every number instead of counting in buckets.
    pub(crate) fn without_buckets(mut self) -> QuantilePlan {
        self.n_keys = 0;
        self
    }

    pub(crate) fn has_buckets(&self) -> bool {
        self.n_keys > 0
    }

    /// The bucket of a number; beyond `n_keys` if it has none.
    #[inline(always)]
    fn key(&self, v: f64) -> u32 {
        ((ordered(v) >> SHIFT) as u32).wrapping_sub(self.low)
    }

    /// The number that stands for a bucket.
    fn middle(&self, key: u32) -> f64 {
        match self.linear {
            Some(min) => (min + i64::from(key)) as f64,
            None => middle_of(u64::from(key + self.low), self.whole),
        }
    }

    /// The middle of a bucket may lie beyond the smallest or the largest number that there is.
    pub(crate) fn clamp(&self, v: f64) -> f64 {
        v.max(self.range.0).min(self.range.1)
    }

    /// The number that stands for all in the same bucket.
    fn blur(&self, v: f64) -> f64 {
        if self.linear.is_some() || v.abs() < f64::MIN_POSITIVE { v } else { middle_of(ordered(v) >> SHIFT, self.whole) }
    }

    /// Whether numbers are told apart exactly even where there are many.
    pub(crate) fn is_linear(&self) -> bool {
        self.linear.is_some()
    }
}

/// The middle of a bucket, for integers one that is an integer.
fn middle_of(key: u64, whole: bool) -> f64 {
    let (a, b) = (unordered(key << SHIFT), unordered((key + 1) << SHIFT));
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    let middle = low + (high - low) / 2.0;
    if !middle.is_finite() {
        return a;
    }
    match whole {
        false => middle,
        true if high - low <= 1.0 => low.ceil(),
        true => middle.floor(),
    }
}

/// The numbers of a column per cell, for percentiles.
#[derive(Clone, Debug)]
pub(crate) struct Quantiles {
    plan: Arc<QuantilePlan>,
    /// Numbers of a cell that were kept because they were its first, up to [`EXACT`]. Empty without buckets.
    seen: Vec<u8>,
    whole: Vec<u32>,
    weighted: Vec<f64>,
    kept: Kept,
    /// Without buckets: cells of which some kept numbers stand for many. Empty if there are none.
    crowded: Vec<bool>,
    cells: usize,
}

impl Quantiles {
    pub(crate) fn new(plan: Arc<QuantilePlan>) -> Quantiles {
        let kept = Kept::new(plan.weighted);
        Quantiles { plan, seen: Vec::new(), whole: Vec::new(), weighted: Vec::new(), kept, crowded: Vec::new(), cells: 0 }
    }

    pub(crate) fn resize(&mut self, n: usize) {
        self.cells = n;
        self.kept.resize(n);
        if !self.crowded.is_empty() {
            grow(&mut self.crowded, n);
        }
        if self.plan.has_buckets() {
            grow(&mut self.seen, n);
            match self.plan.weighted {
                true => grow(&mut self.weighted, n * self.plan.width()),
                false => grow(&mut self.whole, n * self.plan.width()),
            }
        }
    }

    pub(crate) fn add(&mut self, cells: &[u32], values: &[f64], weights: Option<&[f64]>) {
        if !self.plan.has_buckets() {
            self.keep_all(cells, values, weights);
            return;
        }
        let plan = Arc::clone(&self.plan);
        let width = plan.width();
        match (plan.weighted, plan.linear) {
            (false, None) => {
                for (c, v) in cells.iter().zip(values) {
                    let key = plan.key(*v);
                    if self.seen[*c as usize] == EXACT && key < plan.n_keys {
                        self.whole[*c as usize * width + key as usize] += 1;
                    } else {
                        self.unusual(*c, *v, 1.0);
                    }
                }
            }
            (false, Some(min)) => {
                for (c, v) in cells.iter().zip(values) {
                    let key = (*v as i64 - min) as usize;
                    if self.seen[*c as usize] == EXACT && key < width {
                        self.whole[*c as usize * width + key] += 1;
                    } else {
                        self.unusual(*c, *v, 1.0);
                    }
                }
            }
            (true, linear) => {
                for (i, (c, v)) in cells.iter().zip(values).enumerate() {
                    let weight = weights.map_or(1.0, |w| w[i]);
                    let key = match linear {
                        None => plan.key(*v),
                        Some(min) => (*v as i64 - min) as u32,
                    };
                    if self.seen[*c as usize] == EXACT && key < plan.n_keys {
                        self.weighted[*c as usize * width + key as usize] += weight;
                    } else {
                        self.unusual(*c, *v, weight);
                    }
                }
            }
        }
    }

    /// A number that has no bucket, or is one of the first of its cell.
    #[inline(never)]
    fn unusual(&mut self, cell: u32, value: f64, weight: f64) {
        let seen = &mut self.seen[cell as usize];
        if *seen == EXACT && value == 0.0 {
            let zero = (cell as usize + 1) * self.plan.width() - 1;
            match self.plan.weighted {
                true => self.weighted[zero] += weight,
                false => self.whole[zero] += 1,
            }
            return;
        }
        *seen = (*seen + 1).min(EXACT);
        self.kept.push(cell, value, weight);
    }

    fn keep_all(&mut self, cells: &[u32], values: &[f64], weights: Option<&[f64]>) {
        match (&mut self.kept, weights) {
            (Kept::Plain(lists), _) => {
                for (c, v) in cells.iter().zip(values) {
                    lists[*c as usize % LISTS].push(Plain { value: *v, cell: *c });
                }
            }
            (Kept::Weighted(lists), Some(weights)) => {
                for ((c, v), w) in cells.iter().zip(values).zip(weights) {
                    lists[*c as usize % LISTS].push(Weighted { value: *v, weight: *w, cell: *c });
                }
            }
            (Kept::Weighted(lists), None) => {
                for (c, v) in cells.iter().zip(values) {
                    lists[*c as usize % LISTS].push(Weighted { value: *v, weight: 1.0, cell: *c });
                }
            }
        }
    }

    pub(crate) fn merge(&mut self, mut other: Quantiles, map: CellMap<'_>) {
        if matches!(map, CellMap::Same) {
            self.kept.resize(other.kept.n_lists());
            match (&mut self.kept, &mut other.kept) {
                (Kept::Plain(a), Kept::Plain(b)) => a.iter_mut().zip(b).for_each(|(a, b)| a.append(b)),
                (Kept::Weighted(a), Kept::Weighted(b)) => a.iter_mut().zip(b).for_each(|(a, b)| a.append(b)),
                _ => {}
            }
        }
        self.merge_from(&other, map);
    }

    /// Like [`Self::merge`], leaving the other as it is.
    pub(crate) fn merge_from(&mut self, other: &Quantiles, map: CellMap<'_>) {
        map.each(other.crowded.len(), |from, to| {
            if other.crowded[from] {
                self.crowd(to);
            }
        });
        let width = self.plan.width();
        if width > 0 {
            map.each(other.seen.len(), |from, to| {
                if other.seen[from] == EXACT {
                    let (a, b) = (to * width, from * width);
                    if self.plan.weighted {
                        add_each(&mut self.weighted[a..a + width], &other.weighted[b..b + width], |a, b| *a += b);
                    } else {
                        add_each(&mut self.whole[a..a + width], &other.whole[b..b + width], |a, b| *a += b);
                    }
                }
                self.seen[to] = self.seen[to].saturating_add(other.seen[from]).min(EXACT);
            });
        }
        if matches!(other.kept, Kept::Weighted(_)) {
            self.weigh();
        }
        for i in 0..other.kept.n_lists() {
            other.kept.each(i, |cell, value, weight| {
                if let Some(to) = map.get(cell as usize)
                    && !self.count(to, value, weight)
                {
                    self.kept.push(to as u32, value, weight);
                }
            });
        }
    }

    /// Counts a number of a cell that has many, if it has a bucket; false if it has to be kept.
    #[inline]
    fn count(&mut self, cell: usize, value: f64, weight: f64) -> bool {
        if self.seen.get(cell) != Some(&EXACT) {
            return false;
        }
        let plan = &self.plan;
        let key = plan.linear.map_or_else(|| plan.key(value), |min| (value as i64).wrapping_sub(min) as u32);
        let at = match key < plan.n_keys {
            true => key as usize,
            false if value == 0.0 => plan.width() - 1,
            false => return false,
        };
        let at = cell * plan.width() + at;
        match plan.weighted {
            true => self.weighted[at] += weight,
            false => self.whole[at] += weight as u32,
        }
        true
    }

    /// Says that kept numbers of a cell stand for many.
    fn crowd(&mut self, cell: usize) {
        grow(&mut self.crowded, self.cells.max(cell + 1));
        self.crowded[cell] = true;
    }

    /// Gives the kept numbers weights.
    fn weigh(&mut self) {
        if matches!(self.kept, Kept::Plain(_)) {
            let plain = std::mem::replace(&mut self.kept, Kept::new(true));
            self.kept.resize(self.cells);
            for i in 0..plain.n_lists() {
                plain.each(i, |cell, value, weight| self.kept.push(cell, value, weight));
            }
        }
    }

    /// Lets kept numbers of cells that have many stand for their bucket, to save memory.
    pub(crate) fn compact(&mut self) {
        self.weigh();
        let plan = Arc::clone(&self.plan);
        let mut crowded = std::mem::take(&mut self.crowded);
        grow(&mut crowded, self.cells);
        let Kept::Weighted(lists) = &mut self.kept else { return };
        for list in lists {
            let mut all: Vec<Weighted> = list.iter().copied().collect();
            *list = List::EMPTY;
            all.sort_unstable_by_key(|w| (w.cell, ordered(w.value)));
            let mut out: Vec<Weighted> = Vec::new();
            for group in all.chunk_by(|a, b| a.cell == b.cell) {
                let cell = group[0].cell as usize;
                if group.len() < usize::from(EXACT) && !crowded[cell] {
                    out.extend_from_slice(group);
                    continue;
                }
                crowded[cell] = true;
                for w in group {
                    let value = plan.blur(w.value);
                    match out.last_mut() {
                        Some(last) if last.cell == w.cell && { last.value } == value => last.weight += w.weight,
                        _ => out.push(Weighted { value, ..*w }),
                    }
                }
            }
            out.shrink_to_fit();
            list.full.push(out);
        }
        self.crowded = crowded;
    }

    pub(crate) fn memory(&self) -> usize {
        self.seen.capacity() + self.whole.capacity() * 4 + self.weighted.capacity() * 8 + self.kept.memory()
    }

    /// The wanted percentiles of all cells.
    pub(crate) fn solve(&self, threads: usize) -> Solved {
        let n_shares = self.plan.shares.len();
        let work: usize = self.cells * self.plan.width() / 64 + (0..self.kept.n_lists()).map(|i| self.kept.len(i)).sum::<usize>();
        let mut values = vec![f64::NAN; self.cells * n_shares];
        let mut approximate = self.seen.contains(&EXACT);
        for (list, (of_list, crowded)) in
            parallel(if work < 20_000 { 1 } else { threads }, self.kept.n_lists(), |list| self.solve_list(list)).iter().enumerate()
        {
            approximate |= *crowded;
            for (i, of_cell) in of_list.chunks_exact(n_shares).enumerate() {
                let cell = i * LISTS + list;
                values[cell * n_shares..(cell + 1) * n_shares].copy_from_slice(of_cell);
            }
        }
        Solved { plan: Arc::clone(&self.plan), values, approximate: approximate && !self.plan.is_linear() }
    }

    /// The percentiles of the cells of one list, one after the other, and whether any comes from a bucket.
    fn solve_list(&self, list: usize) -> (Vec<f64>, bool) {
        let n_cells = self.cells.saturating_sub(list).div_ceil(LISTS);
        let n_shares = self.plan.shares.len();
        let mut out = vec![f64::NAN; n_cells * n_shares];
        // Sort the kept numbers by cell: count, then place.
        let mut ends = vec![0u32; n_cells + 1];
        self.kept.each(list, |cell, _, _| ends[cell as usize / LISTS + 1] += 1);
        for i in 1..ends.len() {
            ends[i] += ends[i - 1];
        }
        let mut next = ends.clone();
        let weighted = matches!(self.kept, Kept::Weighted(_));
        let mut values = vec![0u64; self.kept.len(list)];
        let mut weights = vec![0.0; if weighted { values.len() } else { 0 }];
        self.kept.each(list, |cell, value, weight| {
            let at = &mut next[cell as usize / LISTS];
            values[*at as usize] = ordered(value);
            if weighted {
                weights[*at as usize] = weight;
            }
            *at += 1;
        });
        let mut points = Vec::new();
        let (mut whole_counters, mut weighted_counters) = (Counters::default(), Counters::default());
        let mut approximate = false;
        for i in 0..n_cells {
            let span = ends[i] as usize..ends[i + 1] as usize;
            let cell = i * LISTS + list;
            let many = self.seen.get(cell) == Some(&EXACT);
            let blur = many || span.len() >= usize::from(EXACT) || self.crowded.get(cell) == Some(&true);
            approximate |= blur;
            if span.is_empty() && !many {
                continue;
            }
            let out = &mut out[i * n_shares..(i + 1) * n_shares];
            if !many && !weighted {
                select(&mut values[span], &self.plan.shares, out);
                // Buckets keep the order of numbers: those of the chosen are the chosen of all.
                if blur {
                    out.iter_mut().for_each(|v| *v = self.plan.blur(*v));
                }
                continue;
            }
            points.clear();
            let own = if weighted { Some(&weights[span.clone()]) } else { None };
            let kept = values[span.clone()].iter().enumerate().map(|(j, v)| (unordered(*v), own.map_or(1.0, |w| w[j])));
            match (many, self.plan.weighted) {
                (true, false) => self.counters(cell, &self.whole, kept, &mut whole_counters, &mut points),
                (true, true) => self.counters(cell, &self.weighted, kept, &mut weighted_counters, &mut points),
                (false, _) => {
                    points.extend(kept.map(|(v, w)| (if blur { self.plan.blur(v) } else { v }, w)));
                    whole_counters.weights.clear();
                    weighted_counters.weights.clear();
                }
            }
            points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
            match self.plan.weighted {
                false => self.walk(&points, &whole_counters, out),
                true => self.walk(&points, &weighted_counters, out),
            }
        }
        (out, approximate)
    }

    /// All numbers of a cell: those in buckets as counters, the others as points.
    fn counters<T: Weight>(
        &self,
        cell: usize,
        all: &[T],
        kept: impl Iterator<Item = (f64, f64)> + Clone,
        counters: &mut Counters<T>,
        points: &mut Vec<(f64, f64)>,
    ) {
        let (plan, width) = (&self.plan, self.plan.width());
        let (from, zero) = (cell * width, (cell + 1) * width - 1);
        let key = |value: f64| plan.linear.map_or_else(|| plan.key(value), |min| (value as i64 - min) as u32);
        // Most buckets of a cell are empty: find the others.
        let (mut first, mut last) = filled(&all[from..zero], |w| *w != T::default());
        for key in kept.clone().map(|(v, _)| key(v) as usize).filter(|k| *k < width - 1) {
            (first, last) = (first.min(key), last.max(key + 1));
        }
        let (first, last) = (first.min(last), last);
        counters.first = first;
        counters.weights.clear();
        counters.weights.extend_from_slice(&all[from + first..from + last]);
        let zeros = T::sum(&all[zero..=zero]);
        if zeros > 0.0 {
            points.push((0.0, zeros));
        }
        for (value, weight) in kept {
            match counters.weights.get_mut((key(value) as usize).wrapping_sub(first)) {
                Some(counter) => counter.add(weight),
                None => points.push((plan.blur(value), weight)),
            }
        }
    }

    /// The wanted numbers of sorted points and counters, by rank.
    fn walk<T: Weight>(&self, points: &[(f64, f64)], counters: &Counters<T>, out: &mut [f64]) {
        const STRIDE: usize = 16;
        // Points lie below the buckets or above them.
        let bottom = unordered(u64::from(self.plan.low) << SHIFT);
        let Counters { first, weights } = counters;
        let n_below = if weights.is_empty() { points.len() } else { points.partition_point(|p| p.0 < bottom) };
        let total = points.iter().map(|p| p.1).sum::<f64>() + T::sum(weights);
        let (mut passed, mut at, mut key) = (0.0, 0, 0);
        let mut value = f64::NAN;
        for (o, share) in out.iter_mut().zip(&self.plan.shares) {
            let wanted = rank(total, *share);
            while at < n_below && (passed < wanted || value.is_nan()) {
                (value, passed) = (points[at].0, passed + points[at].1);
                at += 1;
            }
            while key < weights.len() && (passed < wanted || value.is_nan()) {
                if key % STRIDE == 0
                    && let Some(stride) = weights.get(key..key + STRIDE)
                {
                    let sum = T::sum(stride);
                    if passed + sum < wanted || sum == 0.0 {
                        passed += sum;
                        key += STRIDE;
                        if sum > 0.0 {
                            value = self.plan.middle((first + key - 1) as u32);
                        }
                        continue;
                    }
                }
                let weight = T::sum(&weights[key..=key]);
                if weight > 0.0 {
                    value = self.plan.middle((first + key) as u32);
                    passed += weight;
                }
                key += 1;
            }
            while at < points.len() && (passed < wanted || value.is_nan()) {
                (value, passed) = (points[at].0, passed + points[at].1);
                at += 1;
            }
            *o = value;
        }
    }
}

/// What a bucket counts in: events, of which sums are exact whatever the order, or weight.
trait Weight: Copy + Default + PartialEq {
    fn add(&mut self, weight: f64);
    fn sum(all: &[Self]) -> f64;
}

impl Weight for u32 {
    fn add(&mut self, weight: f64) {
        *self += weight as u32;
    }

    fn sum(all: &[u32]) -> f64 {
        all.iter().map(|n| u64::from(*n)).sum::<u64>() as f64
    }
}

impl Weight for f64 {
    fn add(&mut self, weight: f64) {
        *self += weight;
    }

    fn sum(all: &[f64]) -> f64 {
        all.iter().sum()
    }
}

/// The buckets of one cell that hold something.
#[derive(Debug, Default)]
struct Counters<T> {
    /// The bucket of the first.
    first: usize,
    weights: Vec<T>,
}

/// Start and end of the part of a slice that holds something.
fn filled<T>(all: &[T], holds: impl Fn(&T) -> bool) -> (usize, usize) {
    const PIECE: usize = 32;
    let any = |piece: &[T]| piece.iter().fold(false, |any, t| any | holds(t));
    let Some(first) = all.chunks(PIECE).position(any) else { return (usize::MAX, 0) };
    let last = all.chunks(PIECE).rposition(any).unwrap_or(first);
    (first * PIECE, ((last + 1) * PIECE).min(all.len()))
}

fn add_each<T>(a: &mut [T], b: &[T], add: impl Fn(&mut T, &T)) {
    for (a, b) in a.iter_mut().zip(b) {
        add(a, b);
    }
}

/// The rank that a share of a weight stands for; rounding must not push it past the last number.
fn rank(weight: f64, share: f64) -> f64 {
    weight * share * (1.0 - 1e-12)
}

/// The wanted numbers of an unsorted slice, by rank.
fn select(values: &mut [u64], shares: &[f64], out: &mut [f64]) {
    let n = values.len();
    let at = |share: f64| (rank(n as f64, share).ceil() as usize).clamp(1, n) - 1;
    if n <= 48 {
        values.sort_unstable();
        for (o, share) in out.iter_mut().zip(shares) {
            *o = unordered(values[at(*share)]);
        }
        return;
    }
    // Shares ascend, so each search can leave out what the one before put to its left.
    let mut from = 0;
    for (o, share) in out.iter_mut().zip(shares) {
        let wanted = at(*share);
        if wanted >= from {
            values[from..].select_nth_unstable(wanted - from);
        }
        *o = unordered(values[wanted]);
        from = from.max(wanted + 1).min(n);
        if from == n {
            from = n - 1;
        }
    }
}

/// Percentiles of all cells.
#[derive(Debug)]
pub(crate) struct Solved {
    plan: Arc<QuantilePlan>,
    values: Vec<f64>,
    /// Some come from buckets.
    pub(crate) approximate: bool,
}

impl Solved {
    /// A percentile of a cell; none if it has no numbers.
    pub(crate) fn get(&self, cell: usize, share: f64) -> Option<f64> {
        self.unclamped(cell, share).map(|v| self.plan.clamp(v))
    }

    /// Says that percentiles of other cells, which belong to the same answer, come from buckets.
    pub(crate) fn blur(&mut self) {
        self.approximate = !self.plan.is_linear();
    }

    /// The same before it is kept within the range of all numbers, which may be another tomorrow.
    pub(crate) fn unclamped(&self, cell: usize, share: f64) -> Option<f64> {
        let shares = &self.plan.shares;
        let i = shares.iter().position(|s| *s == share)?;
        self.values.get(cell * shares.len() + i).copied().filter(|v| !v.is_nan())
    }
}

#[cfg(test)]
mod tests;
