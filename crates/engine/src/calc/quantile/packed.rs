//! The numbers of one cell as they are kept between questions: few as they are, many as counts of buckets.
//!
//! Owns: the packed form, which does not depend on the range of the numbers of a question. Never does: solve.

use super::kept::Kept;
use super::{EXACT, Quantiles, SHIFT, middle_of};
use crate::calc::number::ordered;

/// The numbers of one cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PackedQuantiles {
    /// There are at least [`EXACT`].
    many: bool,
    /// Numbers as they are, with their weight. If there are many: those near zero, and integers of a small span.
    points: Vec<(f64, f64)>,
    /// Buckets, by the top bits of their numbers, with their weight.
    buckets: Vec<(u32, f64)>,
}

impl PackedQuantiles {
    pub(crate) fn bytes(&self) -> usize {
        size_of::<PackedQuantiles>() + self.points.len() * 16 + self.buckets.len() * 16
    }
}

impl Quantiles {
    /// The numbers of some cells, ascending.
    pub(crate) fn pack(&self, cells: &[u32]) -> Vec<PackedQuantiles> {
        let plan = &self.plan;
        let width = plan.width();
        let mut out = vec![PackedQuantiles::default(); cells.len()];
        for list in 0..super::LISTS {
            self.kept.each(list, |cell, value, weight| {
                if let Ok(i) = cells.binary_search(&cell) {
                    // Adding zero makes both zeros one.
                    out[i].points.push((value + 0.0, weight));
                }
            });
        }
        for (cell, packed) in cells.iter().zip(&mut out) {
            let cell = *cell as usize;
            let counted = self.seen.get(cell) == Some(&EXACT);
            packed.many = counted || packed.points.len() >= usize::from(EXACT) || self.crowded.get(cell) == Some(&true);
            if !packed.many {
                continue;
            }
            if counted {
                let counter = |key: usize| match plan.weighted {
                    true => self.weighted[cell * width + key],
                    false => f64::from(self.whole[cell * width + key]),
                };
                for key in 0..width {
                    match counter(key) {
                        0.0 => {}
                        weight if key == width - 1 => packed.points.push((0.0, weight)),
                        weight => match plan.linear {
                            Some(min) => packed.points.push(((min + key as i64) as f64, weight)),
                            None => packed.buckets.push((plan.low + key as u32, weight)),
                        },
                    }
                }
            }
            if plan.linear.is_none() {
                let buckets = &mut packed.buckets;
                packed.points.retain(|(value, weight)| {
                    let point = value.abs() < f64::MIN_POSITIVE;
                    if !point {
                        buckets.push(((ordered(*value) >> SHIFT) as u32, *weight));
                    }
                    point
                });
            }
            packed.points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
            packed.points.dedup_by(|b, a| {
                let same = a.0.to_bits() == b.0.to_bits();
                a.1 += if same { b.1 } else { 0.0 };
                same
            });
            packed.buckets.sort_unstable_by_key(|b| b.0);
            packed.buckets.dedup_by(|b, a| {
                a.1 += if a.0 == b.0 { b.1 } else { 0.0 };
                a.0 == b.0
            });
            packed.points.shrink_to_fit();
            packed.buckets.shrink_to_fit();
        }
        out
    }

    /// Adds what was kept.
    pub(crate) fn absorb(&mut self, cell: usize, packed: &PackedQuantiles) {
        if !packed.many {
            for (value, weight) in &packed.points {
                self.add(&[cell as u32], &[*value], Some(&[*weight]));
            }
            return;
        }
        let buckets = self.plan.has_buckets();
        match buckets {
            true => self.seen[cell] = EXACT,
            false => self.crowd(cell),
        }
        let (low, linear, width, weighted) = (self.plan.low, self.plan.linear, self.plan.width(), self.plan.weighted);
        let n_keys = self.plan.n_keys as usize;
        let count = |quantiles: &mut Quantiles, at: usize, weight: f64| match weighted {
            true => quantiles.weighted[cell * width + at] += weight,
            false => quantiles.whole[cell * width + at] += weight as u32,
        };
        for (key, weight) in &packed.buckets {
            let at = key.wrapping_sub(low) as usize;
            if buckets && linear.is_none() && at < n_keys {
                count(self, at, *weight);
            } else {
                self.keep(cell, middle_of(u64::from(*key), self.plan.whole), *weight);
            }
        }
        for (value, weight) in &packed.points {
            let at = match linear {
                Some(min) => (*value as i64).wrapping_sub(min) as usize,
                None => ((ordered(*value) >> SHIFT) as u32).wrapping_sub(low) as usize,
            };
            if buckets && at < n_keys {
                count(self, at, *weight);
            } else if buckets && *value == 0.0 {
                count(self, width - 1, *weight);
            } else {
                self.keep(cell, *value, *weight);
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
