//! From candidates to findings: look-alikes folded, conjunctions found, parts that a conjunction explains left out.
//!
//! Owns: the beam search over the table of patterns. Never does: read events, write words.

use super::clock::{Clock, Judged};
use super::stats::{Pair, difference, information};
use super::table::{Pattern, Table};
use super::verdict::EFFECT_MIN;
use hashbrown::HashMap;

/// Conjunctions that are extended at each length.
const BEAM: usize = 8;
/// Rows in common (of those in either, both populations counting the same) from which two conditions say the same.
const ALIKE: f64 = 0.9;
/// Of the events that meet its other conditions, a condition of a conjunction has to hold for so much more of the selection.
const ADDS_MIN: f64 = 0.2;
/// Difference of shares that a conjunction may lose against any of its parts.
const LOSES_MAX: f64 = 0.03;
/// Share of the selection that a conjunction has to cover.
const COVERS_MIN: f64 = 0.05;
/// Probability of chance below which a condition of a conjunction adds to the others.
const ADDS_CHANCE: f64 = 1e-4;
/// What a condition must tell of the events outside a conjunction in order to be listed beside it.
const OUTSIDE_MIN: f64 = 0.05;
/// Findings in an answer.
const FINDINGS_MAX: usize = 10;

/// A finding: a conjunction of conditions, by bit.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) bits: u32,
    pub(super) judged: Judged,
    /// What it weighs on both sides.
    pub(super) mass: Pair,
    /// Other conditions that hold for nearly the same events.
    pub(super) alike: Vec<usize>,
    /// Segment and row of one event of the selection.
    pub(super) example: Option<(u32, u32)>,
}

struct Search<'a> {
    table: &'a Table,
    clock: &'a Clock,
    known: HashMap<u32, (Judged, Pair)>,
}

fn bits_of(mut bits: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (bits != 0).then(|| bits.trailing_zeros() as usize);
        bits &= bits.wrapping_sub(1);
        bit
    })
}

impl Search<'_> {
    fn matching(&self, bits: u32) -> impl Iterator<Item = &Pattern> {
        self.table.patterns.iter().filter(move |p| p.bits & bits == bits)
    }

    fn judge(&mut self, bits: u32) -> (Judged, Pair) {
        if let Some(known) = self.known.get(&bits) {
            return *known;
        }
        let slices = self.slices(bits);
        let mut sum = Pair::default();
        slices.iter().for_each(|p| sum += *p);
        let judged = (self.clock.judge(&slices), sum);
        self.known.insert(bits, judged);
        judged
    }

    /// Bits that a condition tells, by what its shares are for certain.
    fn tells(&mut self, bits: u32) -> f64 {
        let (j, _) = self.judge(bits);
        if j.effect > 0.0 { information(j.plain.selection, j.expected()) } else { 0.0 }
    }

    fn slices(&self, bits: u32) -> Vec<Pair> {
        let mut slices = vec![Pair::default(); self.table.all.len()];
        for p in self.matching(bits) {
            slices[p.slice as usize] += p.mass;
        }
        slices
    }

    /// Whether every condition of a conjunction adds to the others: none is there by what it goes along with.
    fn each_adds(&mut self, bits: u32) -> bool {
        let (whole, _) = self.judge(bits);
        let slices = self.slices(bits);
        whole.bound > EFFECT_MIN
            && bits_of(bits).all(|bit| {
                let rest = bits & !(1 << bit);
                if self.judge(rest).0.bound > whole.bound + LOSES_MAX {
                    return false;
                }
                let added = self.clock.among(self.slices(rest)).judge(&slices);
                added.effect >= ADDS_MIN && added.bound > ADDS_MIN / 2.0 && added.chance < ADDS_CHANCE
            })
    }

    /// What a condition tells of events that another leaves.
    fn outside(&self, bits: u32, of: u32) -> f64 {
        let (mut part, mut all) = (Pair::default(), Pair::default());
        for p in self.table.patterns.iter().filter(|p| p.bits & of != of) {
            all += p.mass;
            if p.bits & bits == bits {
                part += p.mass;
            }
        }
        // Of all of the selection, not of what little may be left.
        let left = if self.clock.total().selection.weight > 0.0 { all.selection.weight / self.clock.total().selection.weight } else { 0.0 };
        let d = difference(part, all);
        if d.effect() > 0.0 { d.bound() * left.min(1.0) } else { 0.0 }
    }

    fn overlap(&self, a: u32, b: u32) -> f64 {
        let (mut both, mut either) = (Pair::default(), Pair::default());
        for p in &self.table.patterns {
            match (p.bits & a == a, p.bits & b == b) {
                (true, true) => {
                    both += p.mass;
                    either += p.mass;
                }
                (false, false) => {}
                _ => either += p.mass,
            }
        }
        let all = self.clock.total();
        let either = either.balanced(all);
        if either > 0.0 { both.balanced(all) / either } else { 1.0 }
    }

    fn example(&self, bits: u32) -> Option<(u32, u32)> {
        // The heaviest pattern is the most typical.
        let heaviest = self.matching(bits).filter(|p| p.example.is_some());
        heaviest.max_by(|a, b| a.mass.selection.weight.total_cmp(&b.mass.selection.weight))?.example
    }
}

/// Which of `n` conditions of a table explain the selection. `column_of` says which conditions look at the same column;
/// `threshold` is the largest probability of chance that passes; `length_max` the most conditions of a conjunction.
pub(super) fn search(
    table: &Table,
    clock: &Clock,
    n: usize,
    column_of: &dyn Fn(usize) -> usize,
    threshold: f64,
    length_max: usize,
) -> Vec<Found> {
    let mut search = Search { table, clock, known: HashMap::new() };
    let mut singles: Vec<(usize, Judged)> = (0..n)
        .map(|i| (i, search.judge(1 << i).0))
        .filter(|(_, j)| j.chance <= threshold && j.bound > 0.0 && j.effect >= EFFECT_MIN)
        .collect();
    singles.sort_by(|a, b| b.1.bound.total_cmp(&a.1.bound));
    // Look-alikes: the best stands for all.
    let mut alike: HashMap<u32, Vec<usize>> = HashMap::new();
    let mut kept: Vec<(usize, Judged)> = Vec::new();
    for (i, j) in singles {
        match kept.iter().find(|(k, _)| search.overlap(1 << k, 1 << i) >= ALIKE) {
            Some((k, _)) => alike.entry(1 << k).or_default().push(i),
            None => kept.push((i, j)),
        }
    }
    let mut ranked: Vec<(f64, u32)> = kept.iter().map(|(i, j)| (j.bound, 1 << i)).collect();
    if length_max > 1 {
        let mut beam: Vec<(f64, u32)> = kept.iter().map(|(i, _)| (search.tells(1 << i), 1u32 << i)).collect();
        for _ in 1..length_max {
            beam.sort_by(|a, b| b.0.total_cmp(&a.0));
            beam.truncate(BEAM);
            let mut longer: Vec<(f64, u32)> = Vec::new();
            for (_, bits) in &beam {
                for (i, _) in &kept {
                    let next = bits | 1 << i;
                    if next == *bits || bits_of(*bits).any(|b| column_of(b) == column_of(*i)) || longer.iter().any(|l| l.1 == next) {
                        continue;
                    }
                    let (judged, _) = search.judge(next);
                    let covers = judged.plain.selection >= COVERS_MIN && judged.chance <= threshold && judged.effect >= EFFECT_MIN;
                    if covers && search.each_adds(next) {
                        longer.push((search.tells(next), next));
                    }
                }
            }
            // A conjunction stands before its parts, which say less.
            for (_, bits) in &longer {
                let own = search.judge(*bits).0.bound;
                let rank = bits_of(*bits).map(|b| search.judge(1 << b).0.bound).fold(own, f64::max);
                let sub = ranked.iter().filter(|(_, r)| r & bits == *r).map(|r| r.0).fold(rank, f64::max);
                ranked.push((sub + 1e-6, *bits));
            }
            beam = longer;
        }
    }
    // Of conjunctions of the same rank, the one that tells most.
    let mut ordered: Vec<(f64, f64, u32)> = ranked.into_iter().map(|(rank, bits)| (rank, search.tells(bits), bits)).collect();
    ordered.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| b.1.total_cmp(&a.1)).then_with(|| a.2.cmp(&b.2)));
    let mut found: Vec<Found> = Vec::new();
    for (_, _, bits) in ordered {
        if found.len() >= FINDINGS_MAX {
            break;
        }
        // What looks at the same column as a finding has to tell something of its own.
        let alike_columns = |f: &Found| bits_of(f.bits).any(|a| bits_of(bits).any(|b| column_of(a) == column_of(b)));
        let related = found.iter().any(|f| alike_columns(f) && search.outside(bits, f.bits) < OUTSIDE_MIN);
        if related {
            continue;
        }
        let mut others: Vec<usize> = bits_of(bits).flat_map(|b| alike.get(&(1 << b)).cloned().unwrap_or_default()).collect();
        if let Some(same) = found.iter().position(|f| search.overlap(f.bits, bits) >= ALIKE) {
            let also: Vec<usize> = bits_of(bits).filter(|b| found[same].bits & (1 << b) == 0).chain(others).collect();
            for b in also {
                if !found[same].alike.contains(&b) {
                    found[same].alike.push(b);
                }
            }
            continue;
        }
        others.sort_unstable();
        let (judged, mass) = search.judge(bits);
        found.push(Found { bits, judged, mass, alike: others, example: search.example(bits) });
    }
    found
}

/// The bits of a finding, in order.
pub(super) fn conditions_of(found: &Found) -> Vec<usize> {
    bits_of(found.bits).collect()
}
