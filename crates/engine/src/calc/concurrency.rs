//! CONCURRENCY: the average number of spans under way, per group and bucket.
//!
//! Owns: overlaps of spans with buckets. Never does: read blocks.

use super::count::{CellMap, grow};
use super::total::Total;
use model::TimeNs;

/// Buckets and range that spans are laid over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConcurrencyPlan {
    pub(crate) start_ns: TimeNs,
    pub(crate) end_ns: TimeNs,
    /// Start of the first bucket, and their length; 0 if there are none.
    pub(crate) first_ns: TimeNs,
    pub(crate) bucket_ns: i64,
    pub(crate) n_buckets: usize,
}

/// Weighted nanoseconds of spans under way.
#[derive(Clone, Debug)]
pub(crate) struct Concurrency {
    plan: ConcurrencyPlan,
    n_groups: usize,
    /// In the whole range, per group.
    total: Vec<f64>,
    /// In buckets that a span covers in part, per group; one list per bucket.
    partly: Vec<Vec<f64>>,
    /// Change of the weight of spans that cover a bucket wholly, from the bucket before to this one: what comes goes again, so
    /// that nothing may be left of it.
    step: Vec<Vec<Total>>,
    /// The bucket that was met last: spans come in order of time, so the next begins there, too.
    near: (TimeNs, TimeNs, usize),
}

impl Concurrency {
    pub(crate) fn new(plan: ConcurrencyPlan) -> Concurrency {
        let n = plan.n_buckets + usize::from(plan.n_buckets > 0);
        Concurrency { plan, n_groups: 0, total: Vec::new(), partly: vec![Vec::new(); n], step: vec![Vec::new(); n], near: (0, 0, 0) }
    }

    pub(crate) fn resize(&mut self, n_groups: usize) {
        self.n_groups = n_groups;
        grow(&mut self.total, n_groups);
    }

    /// Adds a span; answers whether it is under way in the range at all.
    pub(crate) fn add(&mut self, group: u32, time: TimeNs, duration_ms: f64, weight: f64) -> bool {
        let duration = (duration_ms * 1e6) as i64;
        let (from, to) = (time, time.saturating_add(duration.max(0)));
        let plan = self.plan;
        let overlap = to.min(plan.end_ns).saturating_sub(from.max(plan.start_ns));
        if overlap <= 0 {
            return false;
        }
        self.total[group as usize] += overlap as f64 * weight;
        if plan.n_buckets == 0 {
            return true;
        }
        let place = |t: TimeNs| (t.saturating_sub(plan.first_ns) / plan.bucket_ns).clamp(0, plan.n_buckets as i64) as usize;
        let start = |bucket: usize| plan.first_ns.saturating_add(plan.bucket_ns.saturating_mul(bucket as i64));
        let from = from.max(plan.first_ns);
        if from < self.near.0 || from >= self.near.1 {
            let bucket = place(from);
            self.near = (start(bucket), start(bucket + 1), bucket);
        }
        let first = self.near.2;
        let last = if to < self.near.1 { first } else { place(to) };
        let n_groups = self.n_groups;
        let partly = &mut self.partly;
        let mut part = |bucket: usize, ns: i64| {
            if ns > 0 && bucket < plan.n_buckets {
                let list = &mut partly[bucket];
                if list.len() < n_groups {
                    grow(list, n_groups);
                }
                list[group as usize] += ns as f64 * weight;
            }
        };
        if first == last {
            part(first, to.saturating_sub(from));
            return true;
        }
        part(first, start(first + 1).saturating_sub(from));
        part(last, to.saturating_sub(start(last)));
        if last > first + 1 {
            grow(&mut self.step[first + 1], self.n_groups);
            grow(&mut self.step[last], self.n_groups);
            self.step[first + 1][group as usize].add(weight);
            self.step[last][group as usize].add(-weight);
        }
        true
    }

    pub(crate) fn merge(&mut self, other: &Concurrency, map: CellMap<'_>) {
        map.each(other.total.len(), |from, to| self.total[to] += other.total[from]);
        for (a, b) in self.partly.iter_mut().zip(&other.partly).filter(|(_, b)| !b.is_empty()) {
            grow(a, self.n_groups);
            map.each(b.len(), |from, to| a[to] += b[from]);
        }
        for (a, b) in self.step.iter_mut().zip(&other.step).filter(|(_, b)| !b.is_empty()) {
            grow(a, self.n_groups);
            map.each(b.len(), |from, to| a[to].merge(b[from]));
        }
    }

    /// Average number of spans under way in the whole range.
    pub(crate) fn of_range(&self, group: usize) -> f64 {
        let length = self.plan.end_ns.saturating_sub(self.plan.start_ns).max(1);
        self.total.get(group).copied().unwrap_or(0.0) / length as f64
    }

    /// The same per bucket, for all groups: call with buckets in order, keeping `whole` between them.
    pub(crate) fn of_bucket(&self, bucket: usize, whole: &mut Vec<Total>, out: &mut Vec<f64>) {
        whole.resize(self.n_groups, Total::ZERO);
        for (w, s) in whole.iter_mut().zip(&self.step[bucket]) {
            w.merge(*s);
        }
        out.clear();
        out.extend(whole.iter().map(Total::value));
        for (o, p) in out.iter_mut().zip(&self.partly[bucket]) {
            *o += p / self.plan.bucket_ns as f64;
        }
    }

    pub(crate) fn memory(&self) -> usize {
        let partly = self.partly.iter().map(Vec::capacity).sum::<usize>();
        let steps = self.step.iter().map(Vec::capacity).sum::<usize>();
        8 * (self.total.capacity() + partly) + size_of::<Total>() * steps + 48 * self.partly.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_spread_over_buckets() {
        let ms = 1_000_000;
        let plan = ConcurrencyPlan { start_ns: 5 * ms, end_ns: 50 * ms, first_ns: 0, bucket_ns: 10 * ms, n_buckets: 5 };
        let mut c = Concurrency::new(plan);
        c.resize(1);
        assert!(c.add(0, 12 * ms, 3.0, 2.0));
        assert!(c.add(0, -20 * ms, 65.0, 1.0));
        assert!(c.add(0, 40 * ms, 1e300, 1.0));
        assert!(!c.add(0, 0, 5.0, 1.0));
        assert!(!c.add(0, 20 * ms, -5.0, 1.0));
        assert!(!c.add(0, 60 * ms, 5.0, 1.0));
        let (mut whole, mut out, mut all) = (Vec::new(), Vec::new(), Vec::new());
        for b in 0..5 {
            c.of_bucket(b, &mut whole, &mut out);
            all.push((out[0] * 1e6).round() / 1e6);
        }
        assert_eq!(all, [1.0, 1.6, 1.0, 1.0, 1.5]);
        let expected = (6.0 + 40.0 + 10.0) / 45.0;
        assert!((c.of_range(0) - expected).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_left_of_weights_that_ended() {
        let plan = ConcurrencyPlan { start_ns: 0, end_ns: 1_000, first_ns: 0, bucket_ns: 10, n_buckets: 100 };
        let mut c = Concurrency::new(plan);
        c.resize(1);
        for i in 0..200 {
            c.add(0, i % 20, 0.000_5 + i as f64 * 1e-6, 1.0 + i as f64 / 7.0);
        }
        let (mut whole, mut out) = (Vec::new(), Vec::new());
        let last = (0..100)
            .map(|b| {
                c.of_bucket(b, &mut whole, &mut out);
                out[0]
            })
            .last();
        assert!(last.is_some_and(|v| v.abs() < 1e-20), "{last:?}");
    }
}
