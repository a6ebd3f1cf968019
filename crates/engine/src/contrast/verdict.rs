//! One column, counted: how far its two sides are apart, whether chance explains it, and which conditions tell them apart.
//!
//! Owns: the column's place in the answer, quantiles, candidates. Never does: count.

use super::answer::{ContrastColumn, ContrastValue, Quantiles};
use super::candidate::{Candidate, Test, round_between};
use super::count::{Counted, Totals};
use super::plan::ContrastPlan;
use super::stats::{Difference, Mass, Pair, difference, information, kolmogorov};
use crate::Cell;
use model::{bucket_middle, from_ordered_bits};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Values that are compared, of each side.
pub(super) const VALUES_COMPARED: usize = 100;
/// Values in the answer of one column.
const VALUES_MAX: usize = 40;
/// A value counts if it has so many effective events on one side, and this share of a side.
const SUPPORT_EVENTS: f64 = 10.0;
const SUPPORT_SHARE: f64 = 0.01;
/// Differences of shares below this are not worth telling.
pub(super) const EFFECT_MIN: f64 = 0.005;
/// What several values together, an interval, or a negation have to add to what one value says.
const MARGIN: f64 = 0.05;
/// How much more than any one value the presence of a column has to say.
const PRESENCE: f64 = 1.25;
/// Candidates of one column.
const CANDIDATES_MAX: usize = 4;
/// Beginnings of texts among them.
const PREFIXES_NOTED: usize = 2;
/// Values of an `in`.
const TOGETHER_MAX: usize = 10;
const QUANTILES: [(&str, f64); 5] = [("P05", 0.05), ("P25", 0.25), ("P50", 0.5), ("P75", 0.75), ("P95", 0.95)];
/// Where a text column has more different values in the selection than this, and hardly any twice, it holds ids.
const IDS_MIN: f64 = 20.0;
const IDS_SHARE: f64 = 0.9;

/// A condition and what stored counts say of it.
#[derive(Clone, Debug)]
pub(super) struct Scored {
    pub(super) candidate: Candidate,
    pub(super) bound: f64,
}

/// A column, judged by itself.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) answer: ContrastColumn,
    /// Probability that chance makes a column differ so much.
    pub(super) chance: f64,
    /// Conditions that hold for more of the selection, the best first.
    pub(super) candidates: Vec<Scored>,
}

struct Judge<'a> {
    column: &'a Arc<str>,
    all: Pair,
    tests: f64,
    chance: f64,
    score: f64,
    candidates: Vec<Scored>,
}

impl Judge<'_> {
    fn supported(&self, p: Pair) -> bool {
        [(p.selection, self.all.selection), (p.other, self.all.other)]
            .iter()
            .any(|(part, of)| part.effective() >= SUPPORT_EVENTS && part.weight >= SUPPORT_SHARE * of.weight)
    }

    /// Takes a difference into account; `test` is what holds for more of the selection.
    fn note(&mut self, d: Difference, chance: f64, test: Test) {
        if d.effect().abs() < EFFECT_MIN {
            return;
        }
        self.chance = self.chance.min(chance);
        self.score = self.score.max(d.bound());
        if d.bound() > 0.0 {
            self.candidates.push(Scored { candidate: Candidate { column: Arc::clone(self.column), test }, bound: d.bound() });
        }
    }

    fn best(&self) -> f64 {
        self.candidates.iter().map(|c| c.bound).fold(0.0, f64::max)
    }
}

/// Judges a column.
pub(super) fn verdict(name: &Arc<str>, mut counted: Counted, totals: &Totals, plan: &ContrastPlan) -> Verdict {
    let all = totals.mass;
    let base = |p: Pair| if plan.rest { Pair { other: p.other.without(p.selection), ..p } } else { p };
    let present = base(counted.present);
    let missing = all.without(present);
    let values: Vec<(Cell, Pair)> = counted.values.iter().map(|(c, p)| (c.clone(), base(*p))).collect();
    let numbers: Vec<(u32, Pair)> = counted.numbers.iter().map(|(b, p)| (b, base(p))).collect();
    let mut judge = Judge { column: name, all, tests: 1.0, chance: 1.0, score: 0.0, candidates: Vec::new() };
    let supported: Vec<&(Cell, Pair)> = values.iter().filter(|(_, p)| judge.supported(*p)).collect();
    let gap = missing.selection.weight > 0.0 || missing.other.weight > 0.0;
    judge.tests = supported.len() as f64 + f64::from(u8::from(gap)) + 2.0 * f64::from(u8::from(!numbers.is_empty()));
    judge_values(&mut judge, &supported);
    let same_times = (plan.selection.start_ns, plan.selection.end_ns) == (plan.other.start_ns, plan.other.end_ns);
    judge_prefixes(&mut judge, &counted.prefixes, base, |text| !tells_time(text, same_times));
    if gap && judge.supported(missing) | judge.supported(present) {
        let d = difference(missing, all);
        let test = if d.effect() > 0.0 { Test::Missing } else { Test::Exists };
        // Presence says less than the value that it comes with, unless no value stands out.
        if d.effect() > 0.0 || d.bound() > PRESENCE * judge.best() {
            judge.note(d, d.chance * judge.tests, test);
        } else {
            judge.chance = judge.chance.min(d.chance * judge.tests);
        }
    }
    if !numbers.is_empty() {
        judge_numbers(&mut judge, &numbers, &counted, present, missing);
    }
    let Judge { chance, score, mut candidates, .. } = judge;
    candidates.sort_by(|a, b| b.bound.total_cmp(&a.bound));
    candidates.truncate(CANDIDATES_MAX);
    let mut shown: Vec<(f64, ContrastValue)> = values
        .into_iter()
        .chain(gap.then_some((Cell::Null, missing)))
        .map(|(value, p)| (difference(p, all).bound(), ContrastValue { value, selection: p.selection.weight, baseline: p.other.weight }))
        .collect();
    shown
        .sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| y.selection.total_cmp(&x.selection)).then_with(|| x.value.compare(&y.value)));
    if shown.len() > 2 * VALUES_MAX + 1 {
        // Beside those that explain most, the most frequent of the selection are always told.
        let mut by_weight: Vec<usize> = (0..shown.len()).collect();
        by_weight.sort_by(|a, b| shown[*b].1.selection.total_cmp(&shown[*a].1.selection).then_with(|| a.cmp(b)));
        let frequent = &by_weight[..VALUES_MAX];
        let mut at = 0;
        shown.retain(|_| {
            at += 1;
            at <= VALUES_MAX + 1 || frequent.contains(&(at - 1))
        });
    }
    let has_numbers = !numbers.is_empty();
    let quantiles = has_numbers.then(|| Quantiles {
        selection: match &mut counted.exact {
            Some(exact) => exact_quantiles(exact),
            None => bucket_quantiles(&numbers, |p| p.selection, counted.whole_numbers),
        },
        baseline: bucket_quantiles(&numbers, |p| p.other, counted.whole_numbers),
    });
    let of_ids = counted.ids && !counted.texts
        || counted.texts
            && counted.selection_values as f64 > IDS_MIN
            && counted.selection_values as f64
                > IDS_SHARE * totals.selection_events as f64 * present.selection.weight / all.selection.weight;
    let kinds = [(has_numbers, "number"), (counted.texts && !of_ids, "text"), (counted.bools, "boolean"), (of_ids, "id")];
    let mut kind = kinds.iter().filter(|(has, _)| *has).map(|(_, k)| *k);
    let kind = match (kind.next(), kind.next()) {
        (Some(k), None) => k,
        (None, _) => "text",
        _ => "mixed",
    };
    let answer = ContrastColumn {
        column: Arc::clone(name),
        kind,
        score,
        significant: false,
        values: shown.into_iter().map(|(_, v)| v).collect(),
        quantiles,
    };
    Verdict { answer, chance: chance.min(1.0), candidates }
}

fn judge_values(judge: &mut Judge<'_>, supported: &[&(Cell, Pair)]) {
    let all = judge.all;
    let mut more: Vec<(&Cell, Pair, Difference)> = Vec::new();
    let mut least: Option<(&Cell, Difference)> = None;
    for (cell, p) in supported {
        let d = difference(*p, all);
        if d.effect() > 0.0 {
            more.push((cell, *p, d));
        } else {
            judge.chance = judge.chance.min(if d.effect() <= -EFFECT_MIN { d.chance * judge.tests } else { 1.0 });
            judge.score = judge.score.max(if d.effect() <= -EFFECT_MIN { d.bound() } else { 0.0 });
            if least.is_none_or(|(_, l)| d.effect() < l.effect()) {
                least = Some((cell, d));
            }
        }
    }
    more.sort_by(|a, b| b.2.bound().total_cmp(&a.2.bound()));
    for (cell, _, d) in more.iter().take(CANDIDATES_MAX) {
        let tests = judge.tests;
        judge.note(*d, d.chance * tests, Test::Equal((*cell).clone()));
    }
    let together: Vec<&(&Cell, Pair, Difference)> = more.iter().filter(|m| m.2.bound() > EFFECT_MIN).take(TOGETHER_MAX).collect();
    if together.len() > 1 {
        let mut sum = Pair::default();
        together.iter().for_each(|m| sum += m.1);
        let d = difference(sum, all);
        if d.bound() > judge.best() + MARGIN {
            // Picked after the fact: that the column differs at all is for its values to show.
            judge.note(d, 1.0, Test::In(together.iter().map(|m| m.0.clone()).collect()));
        }
    }
    if let Some((cell, d)) = least
        && d.bound() > judge.best() + MARGIN
    {
        let opposite = Difference { selection: 1.0 - d.selection, other: 1.0 - d.other, ..d };
        let tests = judge.tests;
        judge.note(opposite, d.chance * tests, Test::NotEqual(cell.clone()));
    }
}

/// Whether a beginning says when an event was rather than what it was: that of a time, or, of populations that lie at different
/// times, that of a counter or an id in the order of time, all of which have digits.
fn tells_time(text: &str, same_times: bool) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    digits >= 4 || !same_times && text.bytes().any(|b| b.is_ascii_digit())
}

/// Beginnings of texts, where they say more than any one value.
fn judge_prefixes(judge: &mut Judge<'_>, prefixes: &[(String, Pair)], base: impl Fn(Pair) -> Pair, may: impl Fn(&str) -> bool) {
    let (all, tests, best) = (judge.all, judge.tests + prefixes.len() as f64, judge.best());
    let mut better: Vec<(&str, Difference, f64)> = prefixes
        .iter()
        .filter(|(text, _)| may(text))
        .map(|(text, p)| (text.as_str(), base(*p)))
        .filter(|(_, p)| judge.supported(*p))
        .map(|(text, p)| (text, difference(p, all)))
        .filter(|(_, d)| d.effect() > 0.0 && d.bound() > best + MARGIN)
        .map(|(text, d)| (text, d, information(d.selection, d.other)))
        .collect();
    better.sort_by(|a, b| b.2.total_cmp(&a.2).then_with(|| a.0.len().cmp(&b.0.len())));
    let mut noted: Vec<&str> = Vec::new();
    for (text, d, _) in better {
        // A longer or shorter beginning of the same values says the same again, and less of it.
        if noted.len() < PREFIXES_NOTED && noted.iter().all(|n| !n.starts_with(text) && !text.starts_with(n)) {
            noted.push(text);
            judge.note(d, d.chance * tests, Test::StartsWith(text.into()));
        }
    }
}

fn judge_numbers(judge: &mut Judge<'_>, numbers: &[(u32, Pair)], counted: &Counted, present: Pair, missing: Pair) {
    let all = judge.all;
    let share = |m: Mass, of: Mass| if of.weight > 0.0 { m.weight / of.weight } else { 0.0 };
    // Distributions of those that have a number: gate by the largest distance, threshold where it is.
    let mut sum = Pair::default();
    let (mut widest, mut below_at, mut from_at) = (0.0f64, None::<(f64, usize)>, None::<(f64, usize)>);
    let mut steps: Vec<f64> = Vec::with_capacity(numbers.len());
    for (i, (_, p)) in numbers.iter().enumerate() {
        steps.push(share(p.selection, all.selection) - share(p.other, all.other));
        if i > 0 {
            let distance = share(sum.selection, present.selection) - share(sum.other, present.other);
            widest = widest.max(distance.abs());
            // Of all events: `below` what was summed up so far, `from` the rest.
            let below = share(sum.selection, all.selection) - share(sum.other, all.other);
            let rest = present.without(sum);
            let from = share(rest.selection, all.selection) - share(rest.other, all.other);
            if below_at.is_none_or(|(best, _)| below > best) {
                below_at = Some((below, i));
            }
            if from_at.is_none_or(|(best, _)| from > best) {
                from_at = Some((from, i));
            }
        }
        sum += *p;
    }
    let distance_chance = kolmogorov(widest, present.selection.effective(), present.other.effective()) * judge.tests;
    judge.chance = judge.chance.min(distance_chance);
    let mass = |low: usize, high: usize| {
        let mut sum = Pair::default();
        numbers[low..high].iter().for_each(|(_, p)| sum += *p);
        sum
    };
    let edge = |i: usize| {
        let low = from_ordered_bits(u64::from(numbers[i].0) << 46);
        let before = from_ordered_bits(u64::from(numbers[i - 1].0 + 1) << 46);
        // Anything between the bucket before and the end of this one: the events themselves are counted later.
        round_between(before.min(low), from_ordered_bits(u64::from(numbers[i].0 + 1) << 46))
    };
    let n_buckets = numbers.len() as f64;
    let tests = judge.tests;
    // One threshold of as many as there are buckets; or, where all have a number, the distance of the distributions.
    let chance = |d: Difference| {
        let picked = d.chance * n_buckets * tests;
        if missing == Pair::default() { picked.min(distance_chance.max(d.chance)) } else { picked }
    };
    let mut notes: Vec<(Difference, f64, Test)> = Vec::new();
    let mut best = 0.0f64;
    if let Some((effect, i)) = from_at.filter(|(e, _)| *e >= below_at.map_or(0.0, |b| b.0)) {
        let d = difference(mass(i, numbers.len()), all);
        best = best.max(effect);
        notes.push((d, chance(d), Test::From(edge(i))));
    } else if let Some((effect, i)) = below_at {
        let d = difference(mass(0, i), all);
        best = best.max(effect);
        notes.push((d, chance(d), Test::Below(edge(i))));
    }
    // The stretch of buckets whose sum of steps is the largest (J. Kadane's scan).
    let (mut sum, mut start, mut stretch) = (0.0, 0, (0.0, 0, 0));
    for (i, step) in steps.iter().enumerate() {
        if sum <= 0.0 {
            (sum, start) = (0.0, i);
        }
        sum += step;
        if sum > stretch.0 {
            stretch = (sum, start, i + 1);
        }
    }
    let (effect, low, high) = stretch;
    if effect > best + MARGIN && low > 0 && high < numbers.len() {
        let d = difference(mass(low, high), all);
        notes.push((d, chance(d), Test::Between(edge(low), edge(high))));
    }
    // Numbers that are names of things: status codes, sizes of a choice.
    for (v, selection) in counted.distinct.iter().flatten() {
        let bucket = model::bucket_of(*v);
        let Ok(at) = numbers.binary_search_by_key(&bucket, |n| n.0) else { continue };
        // The baseline's bucket may hold neighbours, too: that only lowers the estimate.
        let p = Pair { selection: *selection, other: numbers[at].1.other };
        if judge.supported(p) {
            let d = difference(p, all);
            if d.effect() > best - MARGIN / 5.0 && d.effect() > 0.0 {
                notes.push((d, chance(d), Test::Equal(Cell::number(*v))));
            }
        }
    }
    for (d, chance, test) in notes {
        if d.effect() > 0.0 {
            judge.note(d, chance, test);
        }
    }
}

fn exact_quantiles(values: &mut [(f64, f64)]) -> BTreeMap<&'static str, Cell> {
    values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = values.iter().map(|(_, w)| w).sum();
    QUANTILES
        .iter()
        .map(|(name, share)| {
            let mut left = share * total;
            let found = values.iter().find(|(_, w)| {
                left -= w;
                left < 0.0
            });
            (*name, found.or(values.last()).map_or(Cell::Null, |(v, _)| Cell::number(*v)))
        })
        .collect()
}

fn bucket_quantiles(numbers: &[(u32, Pair)], side: fn(&Pair) -> Mass, whole: bool) -> BTreeMap<&'static str, Cell> {
    let total: f64 = numbers.iter().map(|(_, p)| side(p).weight).sum();
    QUANTILES
        .iter()
        .map(|(name, share)| {
            let mut left = share * total;
            let found = numbers.iter().find(|(_, p)| {
                left -= side(p).weight;
                left < 0.0
            });
            let value = found.filter(|_| total > 0.0).map(|(b, _)| {
                let middle = bucket_middle(*b);
                // Below 128 a bucket holds one integer; above, the cut stays within it.
                if whole { middle.trunc() } else { middle }
            });
            (*name, value.map_or(Cell::Null, Cell::number))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::tells_time;

    #[test]
    fn beginnings_of_times_and_counters_are_no_vocabulary() {
        for text in ["2026-11-22T13:", "1763"] {
            assert!(tells_time(text, true) && tells_time(text, false), "{text}");
        }
        for text in ["01JDX", "seq-0001", "/api/v2/"] {
            assert!(!tells_time(text, true) && tells_time(text, false), "{text}");
        }
        assert!(!tells_time("timeout after ", false) && !tells_time("Mc", false));
    }
}
