//! Log-linear buckets of numbers: 64 to an octave, so that the middle of a bucket is within 0.8 % of what is in it.
//!
//! Owns: the number of a bucket, the same in stored histograms and in sketches. Never does: counting.

/// Low bits of an ordered float that a bucket ignores: 6 bits of the fraction are left, 64 buckets an octave.
const SHIFT: u32 = 46;

/// Bits that order as floats do (negative ones included).
#[must_use]
pub fn ordered_bits(v: f64) -> u64 {
    let bits = v.to_bits();
    bits ^ ((((bits as i64) >> 63) as u64) | 1 << 63)
}

/// The float of [`ordered_bits`].
#[must_use]
pub fn from_ordered_bits(bits: u64) -> f64 {
    f64::from_bits(bits ^ (((!bits as i64 >> 63) as u64) | 1 << 63))
}

/// The bucket of a number; buckets order as numbers do.
#[must_use]
pub fn bucket_of(v: f64) -> u32 {
    (ordered_bits(v) >> SHIFT) as u32
}

/// The middle of a bucket.
#[must_use]
pub fn bucket_middle(bucket: u32) -> f64 {
    let low = u64::from(bucket) << SHIFT;
    let (a, b) = (from_ordered_bits(low), from_ordered_bits(low | ((1 << SHIFT) - 1)));
    if a.is_finite() && b.is_finite() { a / 2.0 + b / 2.0 } else { f64::MAX.copysign(a) }
}

/// Where a bucket of a HEATMAP starts: that of 0 at 0, those above at
/// `zero_below * 2^((i-1) div n) * (1 + ((i-1) mod n) / n)`, n = `buckets_per_octave`, and those below mirrored.
#[must_use]
pub fn heatmap_start(bucket: i64, buckets_per_octave: i64, zero_below: f64) -> f64 {
    let n = buckets_per_octave.max(1);
    match bucket {
        0 => 0.0,
        b if b > 0 => zero_below * 2f64.powi(((b - 1) / n) as i32) * (1.0 + ((b - 1) % n) as f64 / n as f64),
        b => -heatmap_start(-b + 1, n, zero_below),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_of_a_heatmap_follow_each_other() {
        let start = |b| heatmap_start(b, 4, 0.5);
        assert_eq!([-4, -1, 0, 1, 2, 4, 5, 9].map(start), [-1.0, -0.625, 0.0, 0.5, 0.625, 0.875, 1.0, 2.0]);
    }

    #[test]
    fn buckets_order_as_numbers_and_their_middle_is_near() {
        let numbers = [f64::MIN, -1e9, -1.5, -1e-300, 0.0, 5e-324, 1e-9, 0.1, 1.0, 1.01, 200.0, 201.0, 1e300, f64::MAX];
        for pair in numbers.windows(2) {
            assert!(bucket_of(pair[0]) <= bucket_of(pair[1]), "{pair:?}");
        }
        for v in numbers {
            assert_eq!(from_ordered_bits(ordered_bits(v)), v);
            let middle = bucket_middle(bucket_of(v));
            assert!((middle - v).abs() <= v.abs() * 0.008 + f64::MIN_POSITIVE, "{v} {middle}");
        }
    }
}
