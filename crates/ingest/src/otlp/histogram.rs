//! Quantiles of histograms that came as buckets.
//!
//! Owns: the estimate. Never does: read or write columns.

/// A range of values (`from` excluded, `to` included) and how many lie in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bucket {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) count: u64,
}

/// What a histogram says besides its buckets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Range {
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
}

/// The buckets of a histogram with explicit bounds; None if there are none or they do not fit together.
pub(super) fn explicit(bounds: &[f64], counts: &[u64], range: Range) -> Option<Vec<Bucket>> {
    if counts.len() != bounds.len() + 1 || bounds.is_empty() || bounds.iter().any(|b| !b.is_finite()) {
        return None;
    }
    let (first, last) = (bounds[0], bounds[bounds.len() - 1]);
    let lowest = range.min.unwrap_or(if first > 0.0 { 0.0 } else { first }).min(first);
    let highest = range.max.unwrap_or(last).max(last);
    let from = std::iter::once(lowest).chain(bounds.iter().copied());
    let to = bounds.iter().copied().chain([highest]);
    Some(from.zip(to).zip(counts).map(|((from, to), &count)| Bucket { from, to, count }).collect())
}

/// One side of an exponential histogram.
#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    pub(super) offset: i64,
    pub(super) counts: Vec<u64>,
}

/// The buckets of an exponential histogram, ascending.
pub(super) fn exponential(scale: i64, zero_count: u64, zero_threshold: f64, negative: &Side, positive: &Side) -> Vec<Bucket> {
    // Bound i is 2^(i / 2^scale).
    let bound = |i: i64| (i as f64 * (-scale as f64).exp2()).exp2().min(f64::MAX);
    let side = |s: &Side| -> Vec<Bucket> {
        let at = |i: usize| bound(s.offset.saturating_add(i as i64));
        s.counts.iter().enumerate().map(|(i, &count)| Bucket { from: at(i), to: at(i + 1), count }).collect()
    };
    let mut buckets: Vec<_> = side(negative).iter().rev().map(|b| Bucket { from: -b.to, to: -b.from, count: b.count }).collect();
    buckets.push(Bucket { from: -zero_threshold.abs(), to: zero_threshold.abs(), count: zero_count });
    buckets.extend(side(positive));
    buckets
}

/// The value below which the share `q` of all lies, as if values were spread evenly in each bucket.
pub(super) fn quantile(buckets: &[Bucket], q: f64, range: Range) -> Option<f64> {
    let total: f64 = buckets.iter().map(|b| b.count as f64).sum();
    if total == 0.0 {
        return None;
    }
    let rank = q * total;
    let mut below = 0.0;
    let mut value = None;
    for b in buckets.iter().filter(|b| b.count > 0) {
        let within = ((rank - below) / b.count as f64).clamp(0.0, 1.0);
        value = Some(b.from + (b.to - b.from) * within);
        below += b.count as f64;
        if below >= rank {
            break;
        }
    }
    value.map(|v| v.max(range.min.unwrap_or(v)).min(range.max.unwrap_or(v)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_in_their_bucket() {
        let none = Range::default();
        let buckets = explicit(&[10.0, 20.0, 50.0], &[0, 50, 40, 10], none).unwrap();
        assert_eq!(quantile(&buckets, 0.25, none), Some(15.0));
        assert_eq!(quantile(&buckets, 0.5, none), Some(20.0));
        assert_eq!(quantile(&buckets, 0.7, none), Some(35.0));
        assert_eq!(quantile(&buckets, 0.99, none), Some(50.0));
        let range = Range { min: Some(12.0), max: Some(90.0) };
        let buckets = explicit(&[10.0, 20.0, 50.0], &[0, 50, 40, 10], range).unwrap();
        assert_eq!(quantile(&buckets, 0.0, range), Some(12.0));
        assert_eq!(quantile(&buckets, 0.95, range), Some(70.0));
        assert_eq!(quantile(&explicit(&[1.0], &[0, 0], none).unwrap(), 0.5, none), None);
        assert_eq!(explicit(&[], &[3], none), None);
        assert_eq!(explicit(&[1.0], &[3], none), None);
    }

    #[test]
    fn exponential_buckets_grow_by_powers() {
        let side = |offset, counts: &[u64]| Side { offset, counts: counts.to_vec() };
        let buckets = exponential(0, 2, 0.0, &side(0, &[1]), &side(1, &[3, 4]));
        let expect = [(-2.0, -1.0, 1), (0.0, 0.0, 2), (2.0, 4.0, 3), (4.0, 8.0, 4)];
        assert_eq!(buckets, expect.map(|(from, to, count)| Bucket { from, to, count }));
        assert_eq!(quantile(&buckets, 0.6, Range::default()), Some(4.0));
        assert!(exponential(-40, 0, 0.0, &side(0, &[]), &side(i64::MAX, &[1, 1])).iter().all(|b| b.to.is_finite()));
    }
}
