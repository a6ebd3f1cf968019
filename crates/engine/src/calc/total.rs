//! Sums of floats that do not depend on the order in which the floats come.
//!
//! A sum is kept as two floats, the second holding what the first is too coarse for (Knuth's TwoSum; about 106 bits), so
//! that threads, segments and partial results may be added up in any order and still give the same float in the end.
//!
//! Owns: one sum. Never does: know what is summed up.

/// A sum of floats.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Total {
    high: f64,
    low: f64,
}

/// Sums side by side in [`Total::add_all`], so that additions do not wait for each other.
const LANES: usize = 8;

impl Total {
    pub(crate) const ZERO: Total = Total { high: 0.0, low: 0.0 };

    #[inline(always)]
    pub(crate) fn add(&mut self, v: f64) {
        let sum = self.high + v;
        let part = sum - self.high;
        self.low += (self.high - (sum - part)) + (v - part);
        self.high = sum;
    }

    #[inline(always)]
    pub(crate) fn merge(&mut self, other: Total) {
        self.add(other.high);
        self.low += other.low;
    }

    /// Adds many floats.
    pub(crate) fn add_all(&mut self, numbers: &[f64]) {
        let (chunks, rest) = numbers.as_chunks::<LANES>();
        let mut lanes = [Total::ZERO; LANES];
        for chunk in chunks {
            for (lane, v) in lanes.iter_mut().zip(chunk) {
                lane.add(*v);
            }
        }
        lanes.iter().for_each(|l| self.merge(*l));
        rest.iter().for_each(|v| self.add(*v));
    }

    /// The sum, rounded once.
    pub(crate) fn value(&self) -> f64 {
        // Beyond the largest float the second part is no number.
        if self.high.is_finite() { self.high + self.low } else { self.high }
    }
}

impl From<f64> for Total {
    fn from(v: f64) -> Total {
        Total { high: v, low: 0.0 }
    }
}

impl From<i128> for Total {
    fn from(v: i128) -> Total {
        let high = v as f64;
        // Saturates only where the float is 2^127, from which any i128 differs by less than an i128 can hold.
        Total { high, low: v.wrapping_sub(high as i128) as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter() {
        let numbers: Vec<f64> = (0..10_000u32).map(|i| f64::from(i.wrapping_mul(2_654_435_761)) * 1e-7 - 123.456).collect();
        let mut all = Total::ZERO;
        all.add_all(&numbers);
        let mut backwards = Total::ZERO;
        numbers.iter().rev().for_each(|v| backwards.add(*v));
        let mut parts = Total::ZERO;
        for part in numbers.chunks(37) {
            let mut sum = Total::ZERO;
            part.iter().for_each(|v| sum.add(*v));
            parts.merge(sum);
        }
        assert_eq!(all.value(), backwards.value());
        assert_eq!(all.value(), parts.value());
    }

    #[test]
    fn small_and_large_cancel_exactly() {
        let mut sum = Total::ZERO;
        [1e17, 1.0, -1e17, 0.25].iter().for_each(|v| sum.add(*v));
        assert_eq!(sum.value(), 1.25);
        assert_eq!(Total::from((1i128 << 80) + 1).value(), (1i128 << 80) as f64);
        let mut exact = Total::from((1i128 << 60) + 1);
        exact.add(-((1i64 << 60) as f64));
        assert_eq!(exact.value(), 1.0);
        let mut huge = Total::from(f64::MAX);
        huge.add(f64::MAX);
        assert_eq!(huge.value(), f64::INFINITY);
    }
}
