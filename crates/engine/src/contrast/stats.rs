//! The statistics of comparisons: shares of weighted events, chance, false discoveries.
//!
//! Owns: formulas (docs/contrast.md explains them). Never does: count events.

use std::f64::consts::PI;
use std::ops::{AddAssign, Sub};

/// Standard errors below the difference at which its lower bound lies.
const BOUND_ERRORS: f64 = 1.96;

/// Weight of some events, and the sum of the squares of their weights.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Mass {
    pub(super) weight: f64,
    pub(super) squares: f64,
}

impl Mass {
    /// Events that all weigh the same.
    pub(super) fn uniform(weight: f64, rate: f64) -> Mass {
        Mass { weight, squares: weight * rate }
    }

    #[inline(always)]
    pub(super) fn add(&mut self, weight: f64) {
        self.weight += weight;
        self.squares += weight * weight;
    }

    /// As many events of equal weight would say as much.
    pub(super) fn effective(self) -> f64 {
        if self.squares > 0.0 { self.weight * self.weight / self.squares } else { 0.0 }
    }

    /// What is left without a part; what rounding leaves of nothing is nothing.
    pub(super) fn without(self, part: Mass) -> Mass {
        let rest = self - part;
        if rest.weight <= self.weight * 1e-9 { Mass::default() } else { Mass { squares: rest.squares.max(0.0), ..rest } }
    }
}

impl AddAssign for Mass {
    fn add_assign(&mut self, o: Mass) {
        self.weight += o.weight;
        self.squares += o.squares;
    }
}

impl Sub for Mass {
    type Output = Mass;
    fn sub(self, o: Mass) -> Mass {
        Mass { weight: self.weight - o.weight, squares: self.squares - o.squares }
    }
}

/// Both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pair {
    pub(super) selection: Mass,
    pub(super) other: Mass,
}

impl AddAssign for Pair {
    fn add_assign(&mut self, o: Pair) {
        self.selection += o.selection;
        self.other += o.other;
    }
}

impl Pair {
    pub(super) fn without(self, part: Pair) -> Pair {
        Pair { selection: self.selection.without(part.selection), other: self.other.without(part.other) }
    }

    /// Weights of both sides, each side counted as one: what a set's size means when sets are compared.
    pub(super) fn balanced(self, all: Pair) -> f64 {
        let share = |part: Mass, all: Mass| if all.weight > 0.0 { part.weight / all.weight } else { 0.0 };
        share(self.selection, all.selection) + share(self.other, all.other)
    }
}

/// How a share differs between two populations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Difference {
    /// Share of the selection.
    pub(super) selection: f64,
    /// Share of the baseline.
    pub(super) other: f64,
    /// Variance of each by chance.
    pub(super) variances: (f64, f64),
    /// Probability that chance alone makes them differ so much.
    pub(super) chance: f64,
}

impl Difference {
    pub(super) fn effect(&self) -> f64 {
        self.selection - self.other
    }

    /// What the difference is at least, whatever its sign; below 0 if it may be none.
    pub(super) fn bound(&self) -> f64 {
        bound(self.effect().abs(), self.variances.0 + self.variances.1)
    }
}

/// Lower bound of a difference.
pub(super) fn bound(difference: f64, variance: f64) -> f64 {
    difference - BOUND_ERRORS * variance.sqrt()
}

/// Variance of a share of `n` events. A share of 0 or 1 of few is less certain than its plain variance says (Agresti and Coull, 1998).
pub(super) fn share_variance(share: f64, n: f64) -> f64 {
    let p = (share * n + 2.0) / (n + 4.0);
    p * (1.0 - p) / (n + 4.0)
}

/// Compares the share that `part` has of `all`.
pub(super) fn difference(part: Pair, all: Pair) -> Difference {
    let share = |part: Mass, all: Mass| if all.weight > 0.0 { (part.weight / all.weight).clamp(0.0, 1.0) } else { 0.0 };
    let (a, b) = (share(part.selection, all.selection), share(part.other, all.other));
    let (n, m) = effective(part, all);
    if n <= 0.0 || m <= 0.0 {
        return Difference { selection: a, other: b, variances: (0.25, 0.25), chance: 1.0 };
    }
    Difference { selection: a, other: b, variances: (share_variance(a, n), share_variance(b, m)), chance: likelihood_ratio(a, n, b, m) }
}

/// Events of equal weight that would tell as much about the share of `part`: what has the value may weigh more than what has not.
pub(super) fn effective(part: Pair, all: Pair) -> (f64, f64) {
    let unit = |m: Mass| if m.weight > 0.0 { m.squares / m.weight } else { 0.0 };
    let sum = |p: Pair| Mass { weight: p.selection.weight + p.other.weight, squares: p.selection.squares + p.other.squares };
    let (with, whole) = (sum(part), sum(all));
    let without = whole.without(with);
    let p = if whole.weight > 0.0 { (with.weight / whole.weight).clamp(0.0, 1.0) } else { 0.0 };
    let one = unit(with) * (1.0 - p) + unit(without) * p;
    let one = if one > 0.0 { one } else { unit(whole) };
    if one > 0.0 { (all.selection.weight / one, all.other.weight / one) } else { (0.0, 0.0) }
}

/// Probability of two shares so far apart by chance: likelihood ratio of the 2 × 2 table, corrected for counts being whole.
fn likelihood_ratio(a: f64, n: f64, b: f64, m: f64) -> f64 {
    let p = (a * n + b * m) / (n + m);
    if p <= 0.0 || p >= 1.0 {
        return 1.0;
    }
    let off = (a - p) * n;
    let off = off.signum() * (off.abs() - 0.5).max(0.0);
    let term = |observed: f64, expected: f64| if observed > 0.0 { observed * (observed / expected).ln() } else { 0.0 };
    let g = 2.0
        * (term(n * p + off, n * p)
            + term(n * (1.0 - p) - off, n * (1.0 - p))
            + term(m * p - off, m * p)
            + term(m * (1.0 - p) + off, m * (1.0 - p)));
    two_sided(g.max(0.0).sqrt())
}

/// Probability that a standard normal variable is farther from 0 than `z`.
pub(super) fn two_sided(z: f64) -> f64 {
    erfc(z.abs() / std::f64::consts::SQRT_2)
}

/// The same of Student's t with `df` degrees of freedom (D. L. Wallace's normal form, 1959).
pub(super) fn two_sided_t(t: f64, df: f64) -> f64 {
    if !df.is_finite() || df > 1e6 {
        return two_sided(t);
    }
    two_sided((8.0 * df + 1.0) / (8.0 * df + 3.0) * (df * (t * t / df).ln_1p()).sqrt())
}

/// Complement of the error function for x ≥ 0: series near 0, continued fraction beyond.
fn erfc(x: f64) -> f64 {
    if x < 2.0 {
        let (mut term, mut sum, mut k) = (x, x, 0.0);
        while term.abs() > 1e-17 * sum.abs() && k < 200.0 {
            k += 1.0;
            term *= -x * x / k;
            sum += term / (2.0 * k + 1.0);
        }
        return (1.0 - 2.0 / PI.sqrt() * sum).max(0.0);
    }
    let mut fraction = 0.0;
    for k in (1..=60).rev() {
        fraction = f64::from(k) / 2.0 / (x + fraction);
    }
    (-x * x).exp() / PI.sqrt() / (x + fraction)
}

/// Probability of two distributions so far apart by chance (Kolmogorov and Smirnov; Stephens' correction for small samples).
pub(super) fn kolmogorov(distance: f64, n: f64, m: f64) -> f64 {
    if n <= 0.0 || m <= 0.0 {
        return 1.0;
    }
    let root = (n * m / (n + m)).sqrt();
    let x = (root + 0.12 + 0.11 / root) * distance;
    if x < 0.2 {
        return 1.0;
    }
    let mut sum = 0.0;
    for k in 1..=100 {
        let term = (-2.0 * f64::from(k * k) * x * x).exp();
        sum += if k % 2 == 1 { term } else { -term };
        if term < 1e-16 {
            break;
        }
    }
    (2.0 * sum).clamp(0.0, 1.0)
}

/// Up to where `chances` pass when at most the share `rate` of what passes may be chance (Benjamini and Hochberg, 1995); below 0
/// if none does.
pub(super) fn false_discovery_threshold(chances: impl IntoIterator<Item = f64>, rate: f64) -> f64 {
    let mut sorted: Vec<f64> = chances.into_iter().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let last = sorted.iter().enumerate().rev().find(|(i, p)| **p <= rate * (*i as f64 + 1.0) / n);
    last.map_or(-1.0, |(i, _)| rate * (i as f64 + 1.0) / n)
}

/// Bits that knowing whether a condition holds tells about which of two equally likely populations an event is of, given the
/// shares for which it holds.
pub(super) fn information(a: f64, b: f64) -> f64 {
    let entropy = |p: f64| if p <= 0.0 || p >= 1.0 { 0.0 } else { -p * p.log2() - (1.0 - p) * (1.0 - p).log2() };
    let (with, without) = (a + b, 2.0 - a - b);
    let side = |part: f64, of: f64| if of > 0.0 { of / 2.0 * entropy(part / of) } else { 0.0 };
    1.0 - side(a, with) - side(1.0 - a, without)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-3 * b.abs()
    }

    #[test]
    fn tails_are_those_of_the_tables() {
        for (z, p) in [(0.0, 1.0), (1.0, 0.317_311), (1.96, 0.049_996), (2.575_83, 0.01), (4.0, 6.334e-5), (6.0, 1.973e-9)] {
            assert!(close(two_sided(z), p), "{z} {}", two_sided(z));
        }
        // Wallace's form is good to a few per cent down to few degrees of freedom.
        for (t, df, p) in [(2.228, 10.0, 0.05), (3.169, 10.0, 0.01), (2.571, 5.0, 0.05), (1.96, 1e9, 0.05)] {
            assert!((two_sided_t(t, df) / p - 1.0).abs() < 0.03, "{t} {df} {}", two_sided_t(t, df));
        }
        assert!((kolmogorov(1.36 / 500f64.sqrt(), 1000.0, 1000.0) - 0.05).abs() < 0.003);
    }

    #[test]
    fn few_events_convince_as_little_as_exact_counting_says() {
        let events = |k: f64, of: f64| (Mass::uniform(k, 1.0), Mass::uniform(of, 1.0));
        let test =
            |(a, n): (Mass, Mass), (b, m): (Mass, Mass)| difference(Pair { selection: a, other: b }, Pair { selection: n, other: m });
        // Ten heads in ten throws: 2 in 1,024.
        let ten = test(events(10.0, 1e6), events(0.0, 1e6));
        assert!((0.001..0.004).contains(&ten.chance), "{ten:?}");
        // Five where a tenth of one is expected: Poisson says 8e-8, twice for both sides.
        let five = test(events(5.0, 100.0), events(100.0, 100_000.0));
        assert!((1e-8..1e-6).contains(&five.chance), "{five:?}");
        assert!(test(events(0.0, 100.0), events(0.0, 100.0)).bound() < 0.0);
    }

    #[test]
    fn heavy_events_count_as_few() {
        // A hundred events weigh 1 each; one weighs 1,000.
        let all = Mass { weight: 2_000.0, squares: 1_000.0 + 1e6 };
        let one = Mass { weight: 1_000.0, squares: 1e6 };
        let plain = Mass::uniform(2_000.0, 1.0);
        let d = difference(Pair { selection: one, other: Mass::default() }, Pair { selection: all, other: plain });
        assert!(d.chance > 0.1, "{d:?}");
    }

    #[test]
    fn false_discoveries_are_bounded() {
        let p = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216];
        assert!((false_discovery_threshold(p, 0.05) - 0.01).abs() < 1e-12);
        assert!(false_discovery_threshold([0.5, 0.9], 0.01) < 0.0);
    }

    #[test]
    fn information_grows_with_purity() {
        assert!(information(0.5, 0.5).abs() < 1e-12);
        assert!((information(1.0, 0.0) - 1.0).abs() < 1e-12);
        assert!(information(0.9, 0.01) > information(0.95, 0.1) + 0.05);
    }
}
