//! HEATMAP per cell: weights of numbers in four buckets per power of two, with zero and minus signs.
//!
//! Owns: the buckets and the scale that an answer shares. Never does: read blocks.

use super::count::{CellMap, grow};
use crate::{Cell, Heatmap, HeatmapScale};
use std::cmp::Ordering;
use std::sync::Arc;

/// Buckets between a power of two and the next.
const PER_OCTAVE: i64 = 4;
/// Low bits of a float that a bucket ignores.
const SHIFT: u32 = 50;
/// Powers of two below the largest number that are told from zero.
const OCTAVES: i64 = 40;

/// Which buckets the numbers of a column can fall in. Buckets of magnitudes are numbered by the top bits of the float.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct HeatPlan {
    /// The bucket of the smallest magnitude told from zero, at a power of two.
    bottom: i64,
    /// Buckets of negative and of positive numbers.
    n_negative: usize,
    n_positive: usize,
    weighted: bool,
}

/// The counters of a cell that hold something: place by magnitude and sign, and weight.
pub(crate) type PackedHeat = Box<[(i64, f64)]>;

fn magnitude(v: f64) -> i64 {
    (v.abs().to_bits() >> SHIFT) as i64
}

impl HeatPlan {
    pub(crate) fn new(range: (f64, f64), weighted: bool) -> HeatPlan {
        HeatPlan::with_octaves(range, weighted, OCTAVES)
    }

    /// Tells smaller numbers from zero, for when the largest number will be a smaller one.
    pub(crate) fn deep(range: (f64, f64), weighted: bool) -> HeatPlan {
        HeatPlan::with_octaves(range, weighted, 2 * OCTAVES)
    }

    fn with_octaves((min, max): (f64, f64), weighted: bool, octaves: i64) -> HeatPlan {
        let top = magnitude(min).max(magnitude(max));
        let mut bottom = (top - octaves * PER_OCTAVE).max(PER_OCTAVE);
        if min > 0.0 {
            bottom = bottom.max(magnitude(min));
        } else if max < 0.0 {
            bottom = bottom.max(magnitude(max));
        }
        let bottom = bottom - bottom % PER_OCTAVE;
        let n = |v: f64| (magnitude(v) - bottom + 1).max(0) as usize;
        HeatPlan { bottom, n_negative: if min < 0.0 { n(min) } else { 0 }, n_positive: if max > 0.0 { n(max) } else { 0 }, weighted }
    }

    fn width(&self) -> usize {
        self.n_negative + 1 + self.n_positive
    }

    pub(crate) fn cell_bytes(&self) -> usize {
        self.width() * if self.weighted { 8 } else { 4 }
    }

    /// Place of a number among the counters of its cell.
    #[inline(always)]
    fn place(&self, v: f64) -> usize {
        // 0 for what counts as zero, else 1 and up.
        let size = (magnitude(v) - self.bottom + 1).max(0) as usize;
        if v >= 0.0 { self.n_negative + size.min(self.n_positive) } else { self.n_negative - size.min(self.n_negative) }
    }
}

/// Weights per cell and bucket.
#[derive(Clone, Debug)]
pub(crate) struct Heat {
    plan: HeatPlan,
    whole: Vec<u32>,
    weighted: Vec<f64>,
}

impl Heat {
    pub(crate) fn new(plan: HeatPlan) -> Heat {
        Heat { plan, whole: Vec::new(), weighted: Vec::new() }
    }

    pub(crate) fn resize(&mut self, n: usize) {
        match self.plan.weighted {
            true => grow(&mut self.weighted, n * self.plan.width()),
            false => grow(&mut self.whole, n * self.plan.width()),
        }
    }

    pub(crate) fn add(&mut self, cells: &[u32], values: &[f64], weights: Option<&[f64]>) {
        let plan = self.plan;
        let width = plan.width();
        if !plan.weighted {
            for (c, v) in cells.iter().zip(values) {
                self.whole[*c as usize * width + plan.place(*v)] += 1;
            }
            return;
        }
        for (i, (c, v)) in cells.iter().zip(values).enumerate() {
            self.weighted[*c as usize * width + plan.place(*v)] += weights.map_or(1.0, |w| w[i]);
        }
    }

    pub(crate) fn merge(&mut self, other: &Heat, map: CellMap<'_>) {
        let width = self.plan.width();
        map.each(other.len() / width, |from, to| {
            let (a, b) = (to * width, from * width);
            if self.plan.weighted {
                self.weighted[a..a + width].iter_mut().zip(&other.weighted[b..b + width]).for_each(|(a, b)| *a += b);
            } else {
                self.whole[a..a + width].iter_mut().zip(&other.whole[b..b + width]).for_each(|(a, b)| *a += b);
            }
        });
    }

    /// The counters of a cell that hold something: their place by magnitude and sign, in terms of no range.
    pub(crate) fn pack(&self, cell: usize) -> PackedHeat {
        let (width, zero) = (self.plan.width(), self.plan.n_negative);
        let filled = (0..width).filter_map(|at| {
            let weight = self.get(cell * width + at);
            let place = match at.cmp(&zero) {
                Ordering::Equal => 0,
                Ordering::Greater => self.plan.bottom + (at - zero) as i64,
                Ordering::Less => -(self.plan.bottom + (zero - at) as i64),
            };
            (weight != 0.0).then_some((place, weight))
        });
        filled.collect()
    }

    /// Adds what was kept.
    pub(crate) fn absorb(&mut self, cell: usize, packed: &[(i64, f64)]) {
        let (width, zero) = (self.plan.width(), self.plan.n_negative);
        for (place, weight) in packed {
            let size = (place.abs() - self.plan.bottom).max(0) as usize;
            let at = if *place >= 0 { zero + size.min(self.plan.n_positive) } else { zero - size.min(zero) };
            match self.plan.weighted {
                true => self.weighted[cell * width + at] += weight,
                false => self.whole[cell * width + at] += *weight as u32,
            }
        }
    }

    fn len(&self) -> usize {
        self.whole.len().max(self.weighted.len())
    }

    pub(crate) fn memory(&self) -> usize {
        self.whole.capacity() * 4 + self.weighted.capacity() * 8
    }

    fn get(&self, at: usize) -> f64 {
        if self.plan.weighted { self.weighted[at] } else { f64::from(self.whole[at]) }
    }

    /// Counters below the smallest magnitude that occurs: they are left out, so that zero lies next to it.
    pub(crate) fn unused(&self) -> usize {
        let (width, zero) = (self.plan.width(), self.plan.n_negative);
        let mut least = self.plan.n_negative.max(self.plan.n_positive);
        for cell in 0..self.len() / width {
            let weighs = |size: usize| {
                let up = size <= self.plan.n_positive && self.get(cell * width + zero + size) != 0.0;
                up || (size <= self.plan.n_negative && self.get(cell * width + zero - size) != 0.0)
            };
            if let Some(size) = (1..=least).find(|s| weighs(*s)) {
                least = size - 1;
            }
        }
        least - least % PER_OCTAVE as usize
    }

    /// What the buckets mean when `unused` of them are left out.
    pub(crate) fn scale(&self, unused: usize) -> HeatmapScale {
        let zero_below = f64::from_bits(((self.plan.bottom + unused as i64) as u64) << SHIFT);
        HeatmapScale { scale: "log_linear", buckets_per_octave: PER_OCTAVE as u32, zero_below }
    }

    pub(crate) fn value(&self, cell: usize, unused: usize) -> Cell {
        let (width, zero) = (self.plan.width(), self.plan.n_negative as i32);
        let unused = unused as i32;
        let filled = |at: &usize| self.get(cell * width + at) != 0.0;
        let (Some(first), Some(last)) = ((0..width).find(filled), (0..width).rev().find(filled)) else {
            return Cell::Heatmap(Arc::new(Heatmap { from: 0, counts: Vec::new() }));
        };
        // Leaving out the unused moves both signs towards zero.
        let index = |at: usize| {
            let i = at as i32 - zero;
            if i > 0 { (i - unused).max(0) } else { (i + unused).min(0) }
        };
        let from = index(first);
        let mut counts = vec![0.0; (index(last) - from) as usize + 1];
        for at in first..=last {
            counts[(index(at) - from) as usize] += self.get(cell * width + at);
        }
        Cell::Heatmap(Arc::new(Heatmap { from, counts }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lower and upper bound of a bucket, by the documented formula.
    fn bounds(scale: &HeatmapScale, i: i32) -> (f64, f64) {
        let n = f64::from(scale.buckets_per_octave);
        let lower = |i: i32| {
            let k = f64::from(i - 1);
            scale.zero_below * (k / n).floor().exp2() * (1.0 + (k % n) / n)
        };
        match i {
            0 => (-scale.zero_below, scale.zero_below),
            i if i > 0 => (lower(i), lower(i + 1)),
            i => (-lower(-i + 1), -lower(-i)),
        }
    }

    #[test]
    fn every_number_is_in_the_bucket_that_is_said() {
        for values in [
            vec![0.0, 0.3, 1.0, 1.24, 1.25, 7.9, 1000.0],
            vec![-3.0, -0.001, 0.0, 2.0],
            vec![5.0],
            vec![-5.0, -5.5],
            vec![0.0],
            vec![1e-300, 1e300],
        ] {
            let range = values.iter().fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
            for weighted in [false, true] {
                let mut heat = Heat::new(HeatPlan::new(range, weighted));
                heat.resize(2);
                for v in &values {
                    heat.add(&[1], &[*v], Some(&[1.0]));
                }
                let unused = heat.unused();
                let scale = heat.scale(unused);
                let Cell::Heatmap(h) = heat.value(1, unused) else { panic!("no heatmap") };
                assert_eq!(h.counts.iter().sum::<f64>(), values.len() as f64, "{values:?}");
                for v in &values {
                    let held = h.counts.iter().enumerate().any(|(i, n)| {
                        let (low, high) = bounds(&scale, h.from + i as i32);
                        *n > 0.0 && low <= *v && *v <= high
                    });
                    assert!(held || v.abs() < 1e-200, "{v} of {values:?}: {h:?} {scale:?}");
                }
                let mut wider = Heat::new(HeatPlan::new((range.0 - 1.0, range.1 * 2.0 + 1.0), weighted));
                wider.resize(1);
                wider.absorb(0, &heat.pack(1));
                let mut direct = Heat::new(HeatPlan::new((range.0 - 1.0, range.1 * 2.0 + 1.0), weighted));
                direct.resize(1);
                values.iter().for_each(|v| direct.add(&[0], &[*v], Some(&[1.0])));
                assert_eq!(wider.value(0, 0), direct.value(0, 0), "{values:?}");
                assert_eq!(heat.value(0, unused), Cell::Heatmap(Arc::new(Heatmap { from: 0, counts: Vec::new() })));
            }
        }
    }
}
