//! Time as a confounder: what differs only because the two populations lie at different times, or wandered before, is chance.
//!
//! Owns: the slices of time, and judging a difference by them. Never does: count events.

use super::Part;
use super::plan::ContrastPlan;
use super::rows::Picked;
use super::stats::{Difference, Pair, bound, difference, effective, share_variance, two_sided, two_sided_t};
use crate::EngineError;
use model::TimeNs;
use store::Segment;

/// Slices where both populations lie at the same times.
const SHARED_SLICES: i64 = 32;
/// Slices of the baseline around a selection that is a window of time: at least, and at most.
const AROUND_MIN: i64 = 16;
const AROUND_MAX: i64 = 48;
/// Slices within the window of the selection.
const INSIDE: i64 = 8;
/// Effective events that make a slice tell something.
const TELLING: f64 = 10.0;
/// Share of the selection that must lie where the baseline has events, too, to compare like with like.
const SHARED_MIN: f64 = 0.5;

/// Slices of time, by number: 0 before the first bound, then one after each.
#[derive(Clone, Debug, Default)]
pub(super) struct Slices {
    bounds: Vec<TimeNs>,
}

impl Slices {
    pub(super) fn len(&self) -> usize {
        self.bounds.len() + 1
    }

    pub(super) fn of(&self, time: TimeNs) -> usize {
        self.bounds.partition_point(|b| *b <= time)
    }

    /// The first time after a slice.
    pub(super) fn end(&self, slice: usize) -> TimeNs {
        self.bounds.get(slice).copied().unwrap_or(TimeNs::MAX)
    }

    fn width(&self, slice: usize) -> Option<f64> {
        Some((*self.bounds.get(slice)? - *self.bounds.get(slice.checked_sub(1)?)?) as f64)
    }

    /// Slices for the events of two populations: where one of them is a window in the time of the other, the window and stretches
    /// of its length around it; else equal ones.
    pub(super) fn for_parts(parts: &[Part<'_>], plan: &ContrastPlan) -> Result<Slices, EngineError> {
        let (selection, other) = (extent(parts, |p| &p.selection)?, extent(parts, |p| &p.other)?);
        let (Some(selection), Some(other)) = (selection, other) else { return Ok(Slices::default()) };
        let mut bounds = Vec::new();
        let window = (plan.selection.start_ns, plan.selection.end_ns);
        let own = window != (plan.other.start_ns, plan.other.end_ns);
        if !own {
            equal((selection.0.min(other.0), selection.1.max(other.1)), SHARED_SLICES, &mut bounds);
        } else {
            // The window as it was asked for, but no wider than what is there.
            let window = (window.0.max(selection.0.min(other.0)), window.1.min(selection.1.max(other.1).saturating_add(1)));
            let length = window.1.saturating_sub(window.0).max(1);
            equal(window, INSIDE, &mut bounds);
            let around = (window.0.saturating_sub(other.0).max(0), other.1.saturating_add(1).saturating_sub(window.1).max(0));
            let all = around.0.saturating_add(around.1);
            let step = length.min((all / AROUND_MIN).max(1));
            let before = (around.0 / step).min(AROUND_MAX);
            let after = (around.1 / step).min(AROUND_MAX);
            bounds.extend((1..=before).map(|i| window.0.saturating_sub(i.saturating_mul(step))));
            bounds.extend((1..=after).map(|i| window.1.saturating_add(i.saturating_mul(step))));
        }
        bounds.sort_unstable();
        bounds.dedup();
        Ok(Slices { bounds })
    }
}

fn equal((start, end): (TimeNs, TimeNs), n: i64, bounds: &mut Vec<TimeNs>) {
    let step = (end.saturating_sub(start) / n).max(1);
    bounds.extend((0..n).map(|i| start.saturating_add(i.saturating_mul(step))));
    bounds.push(end);
}

/// First and last time of picked events.
fn extent<'a>(parts: &'a [Part<'_>], side: impl Fn(&'a Part<'_>) -> &'a Picked) -> Result<Option<(TimeNs, TimeNs)>, EngineError> {
    let mut all: Option<(TimeNs, TimeNs)> = None;
    for part in parts {
        let Some((first, last)) = ends(part.segment, side(part)) else { continue };
        let (first, last) = (part.segment.row_time(first)?.0, part.segment.row_time(last)?.0);
        all = Some(all.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
    }
    Ok(all)
}

/// First and last picked row.
fn ends(segment: &Segment, picked: &Picked) -> Option<(usize, usize)> {
    let rows = |block: usize| picked.block(block, segment.block_rows(block));
    let first = (0..segment.n_blocks()).find_map(|b| Some(b * store::segment::BLOCK_ROWS + rows(b)?.first()?))?;
    let last = (0..segment.n_blocks()).rev().find_map(|b| Some(b * store::segment::BLOCK_ROWS + rows(b)?.last()?))?;
    Some((first, last))
}

/// A difference, judged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Judged {
    /// Plain shares of both sides.
    pub(super) plain: Difference,
    /// The difference once times are compared with the same times; its sign is that of `plain`, or it is 0.
    pub(super) effect: f64,
    /// What it is at least.
    pub(super) bound: f64,
    /// Probability that chance, wandering included, made it.
    pub(super) chance: f64,
}

impl Judged {
    /// The share that the baseline would have at the times of the selection.
    pub(super) fn expected(&self) -> f64 {
        (self.plain.selection - self.effect).clamp(0.0, 1.0)
    }
}

/// How the populations lie in time.
#[derive(Debug)]
pub(super) struct Clock {
    slices: Slices,
    all: Vec<Pair>,
    total: Pair,
    /// Whether most of the selection lies where the baseline has events.
    shared: bool,
    /// How far apart the populations lie in time: half the sum of the differences of the shares of slices, less what
    /// chance makes of it.
    pub(super) distance: f64,
}

impl Clock {
    /// `all`: weights of both sides per slice.
    pub(super) fn new(slices: Slices, all: Vec<Pair>) -> Clock {
        let mut total = Pair::default();
        all.iter().for_each(|p| total += *p);
        let share = |part: f64, of: f64| if of > 0.0 { part / of } else { 0.0 };
        let distance: f64 = all
            .iter()
            .map(|p| (share(p.selection.weight, total.selection.weight) - share(p.other.weight, total.other.weight)).abs() / 2.0)
            .sum();
        // What chance makes of it (the mean of a half-normal variable per slice).
        let (n, m) = (total.selection.effective(), total.other.effective());
        let noise: f64 = all
            .iter()
            .map(|p| (share(p.other.weight, total.other.weight) * (share(1.0, n) + share(1.0, m)) / std::f64::consts::TAU).sqrt())
            .sum();
        let distance = (distance - noise).max(0.0);
        let covered: f64 =
            all.iter().filter(|p| p.other.effective() >= TELLING.max(p.selection.effective() / 10.0)).map(|p| p.selection.weight).sum();
        let shared = covered >= SHARED_MIN * total.selection.weight;
        Clock { slices, all, total, shared, distance }
    }

    /// The same times, for some of the events only.
    pub(super) fn among(&self, all: Vec<Pair>) -> Clock {
        Clock { shared: self.shared, ..Clock::new(self.slices.clone(), all) }
    }

    /// Whether most of the selection lies where the baseline has events, too.
    pub(super) fn is_shared(&self) -> bool {
        self.shared
    }

    pub(super) fn total(&self) -> Pair {
        self.total
    }

    /// Judges the share of events in `part`, given per slice.
    pub(super) fn judge(&self, part: &[Pair]) -> Judged {
        let mut sum = Pair::default();
        part.iter().for_each(|p| sum += *p);
        let plain = difference(sum, self.total);
        let judged = if self.shared { self.same_times(part, sum, plain) } else { self.other_times(part, sum, plain) };
        if judged.effect * plain.effect() <= 0.0 {
            Judged { effect: 0.0, bound: judged.bound.min(0.0), chance: 1.0, ..judged }
        } else {
            judged
        }
    }

    /// Differences within slices, averaged (N. Mantel and W. Haenszel, 1959), and as uncertain as they differ from each other.
    fn same_times(&self, part: &[Pair], sum: Pair, plain: Difference) -> Judged {
        let (n_all, m_all) = effective(sum, self.total);
        if n_all <= 0.0 || m_all <= 0.0 {
            return Judged { plain, chance: 1.0, ..Judged::default() };
        }
        // Variance of one event's share on each side, and if both sides were the same.
        let (a, b) = (plain.variances.0 * (n_all + 4.0), plain.variances.1 * (m_all + 4.0));
        let pooled =
            share_variance((plain.selection * n_all + plain.other * m_all) / (n_all + m_all), n_all + m_all) * (n_all + m_all + 4.0);
        let mut slices: Vec<(f64, f64, f64)> = Vec::new();
        let (mut weights, mut weighted, mut variance, mut variance_null) = (0.0, 0.0, 0.0, 0.0);
        for (p, all) in part.iter().zip(&self.all) {
            let n = n_all * all.selection.weight / self.total.selection.weight;
            let m = m_all * all.other.weight / self.total.other.weight;
            if n <= 0.0 || m <= 0.0 {
                continue;
            }
            let d = p.selection.weight / all.selection.weight - p.other.weight / all.other.weight;
            let w = n * m / (n + m);
            weights += w;
            weighted += w * d;
            variance += w * w * (a / n + b / m);
            variance_null += w * w * pooled * (1.0 / n + 1.0 / m);
            slices.push((d, w, a / n + b / m));
        }
        if weights <= 0.0 {
            return Judged { plain, chance: 1.0, ..Judged::default() };
        }
        let effect = weighted / weights;
        variance /= weights * weights;
        variance_null /= weights * weights;
        // More spread between slices than chance makes: events come in bursts.
        let telling: Vec<f64> = slices.iter().filter(|(_, w, _)| *w >= TELLING).map(|(d, _, v)| (d - effect).powi(2) / v).collect();
        let df = telling.len().saturating_sub(1) as f64;
        let spread = if df >= 3.0 { (telling.iter().sum::<f64>() / df).max(1.0) } else { 1.0 };
        let chance = if spread > 1.5 {
            two_sided_t(effect.abs() / (variance_null.max(variance) * spread).sqrt(), df)
        } else {
            two_sided(effect.abs() / (variance_null * spread).sqrt())
        };
        Judged { plain, effect, bound: bound(effect.abs(), variance * spread).min(plain.bound()), chance: chance.max(plain.chance) }
    }

    /// The selection against its neighbours in time, and against how far slices of the baseline stray from their mean.
    fn other_times(&self, part: &[Pair], sum: Pair, plain: Difference) -> Judged {
        let unjudged = Judged { plain, effect: plain.effect(), bound: plain.bound(), chance: plain.chance };
        let m_all = effective(sum, self.total).1;
        let mut outer: Vec<(usize, f64, f64)> = Vec::new();
        for (i, (p, all)) in part.iter().zip(&self.all).enumerate() {
            let m = m_all * all.other.weight / self.total.other.weight;
            if self.slices.width(i).is_some() && m >= TELLING && all.selection.weight <= all.other.weight * 0.1 {
                outer.push((i, p.other.weight / all.other.weight, m));
            }
        }
        let steps: Vec<(f64, f64)> = outer
            .windows(2)
            .filter(|w| w[1].0 == w[0].0 + 1)
            .map(|w| (w[1].1 - w[0].1, share_variance(plain.other, w[0].2) + share_variance(plain.other, w[1].2)))
            .collect();
        if outer.len() < 4 || steps.len() < 3 {
            return unjudged;
        }
        let count = outer.len() as f64;
        let noise = outer.iter().map(|o| share_variance(plain.other, o.2)).sum::<f64>() / count;
        let mean = outer.iter().map(|o| o.1).sum::<f64>() / count;
        let spread = outer.iter().map(|o| (o.1 - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let (Some(first), Some(last)) =
            (self.all.iter().position(|p| p.selection.weight > 0.0), self.all.iter().rposition(|p| p.selection.weight > 0.0))
        else {
            return unjudged;
        };
        let before = outer.iter().rev().find(|o| o.0 < first);
        let after = outer.iter().find(|o| o.0 > last);
        // At an end of its time, what wanders is on average twice as far from its mean (in squares) as within.
        let level = (spread - noise).max(0.0) * if before.is_some() && after.is_some() { 1.0 } else { 2.0 };
        let own = plain.variances.0;
        let level_bound = bound(plain.effect().abs(), own + plain.variances.1 + level);
        // Steps from slice to slice, and from the nearest slices to the window.
        let mut squares: Vec<f64> = steps.iter().map(|(d, _)| d * d).collect();
        let rms = squares.iter().sum::<f64>() / squares.len() as f64;
        squares.sort_unstable_by(f64::total_cmp);
        let median = squares[squares.len() / 2] * 1.4826 * 1.4826;
        let step_noise = steps.iter().map(|(_, v)| v).sum::<f64>() / steps.len() as f64;
        let wander = ((rms + median) / 2.0 - step_noise).max(0.0);
        let near: Vec<&(usize, f64, f64)> =
            [before.filter(|b| first - b.0 <= 2), after.filter(|a| a.0 - last <= 2)].into_iter().flatten().collect();
        let (mut effect, mut chance, mut step_bound) = (plain.effect(), plain.chance, f64::INFINITY);
        let df = steps.len() as f64;
        if near.is_empty() {
            // Far from each other: only the level speaks, and both levels stray.
            let t = plain.effect().abs() / (own + plain.variances.1 + 2.0 * level).sqrt();
            chance = chance.max(two_sided_t(t, (count - 1.0).max(1.0)));
        } else {
            let reference = near.iter().map(|o| o.1).sum::<f64>() / near.len() as f64;
            let reference_noise = near.iter().map(|o| share_variance(plain.other, o.2)).sum::<f64>() / (near.len() * near.len()) as f64;
            let inside: f64 = (first..=last).filter_map(|i| self.slices.width(i)).sum();
            let around = self.slices.width(near[0].0).unwrap_or(1.0).max(1.0);
            let steps_away = ((inside / around + 1.0) / 2.0).max(1.0);
            let stray = wander * steps_away;
            let variance = own + reference_noise + stray;
            let step = plain.selection - reference;
            // As few degrees of freedom as the strayed part has (Welch and Satterthwaite).
            let df = df * (variance / stray.max(1e-300)).powi(2);
            chance = chance.max(two_sided_t(step.abs() / variance.sqrt(), df));
            step_bound = bound(step.abs(), variance);
            if step * plain.effect() <= 0.0 {
                chance = 1.0;
                effect = 0.0;
            } else if step.abs() < effect.abs() {
                effect = step;
            }
        }
        Judged { plain, effect, bound: level_bound.min(step_bound), chance }
    }
}
