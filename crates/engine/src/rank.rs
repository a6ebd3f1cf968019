//! Which groups an answer holds, and in which order.
//!
//! Owns: HAVING, orders and limit over groups of any number. Never does: compute values.

use crate::plan::{HavingIf, OrderBy, OrderKey, Plan};
use crate::{CalcOp, Cell};
use model::query::{Direction, FilterOp};
use std::cmp::Ordering;

/// Where values of groups come from.
pub(crate) trait Values {
    /// A calculation of a group.
    fn calc(&self, calc: usize, group: u32) -> Cell;
    /// The same, if it is a number.
    fn number(&self, calc: usize, group: u32) -> Option<f64> {
        self.calc(calc, group).as_f64()
    }
    /// A breakdown of a group.
    fn breakdown(&self, breakdown: usize, group: u32) -> Cell;
    /// A number that the group's breakdowns decide, and nothing else: which groups get in when the limit cuts through
    /// equal ones must not depend on the order in which they were met.
    fn tie(&self, group: u32) -> u64;
}

/// A number that sorts as the first order key wants it; what is missing comes last.
fn rank(number: Option<f64>, direction: Direction) -> u64 {
    match (number, direction) {
        (None, _) => u64::MAX,
        // No finite float has only ones or only zeros here. Adding zero makes both zeros one.
        (Some(f), Direction::Ascending) => crate::calc::number::ordered(f + 0.0),
        (Some(f), Direction::Descending) => !crate::calc::number::ordered(f + 0.0),
    }
}

/// Compares two cells in a direction; what is missing comes last in both.
pub(crate) fn compare(a: &Cell, b: &Cell, direction: Direction) -> Ordering {
    match (direction, matches!(a, Cell::Null), matches!(b, Cell::Null)) {
        (Direction::Descending, false, false) => b.compare(a),
        _ => a.compare(b),
    }
}

fn passes(having: &HavingIf, value: Option<f64>) -> bool {
    match having.op {
        FilterOp::Equal => value == Some(having.value),
        FilterOp::NotEqual => value != Some(having.value),
        FilterOp::Greater => value.is_some_and(|v| v > having.value),
        FilterOp::GreaterEqual => value.is_some_and(|v| v >= having.value),
        FilterOp::Less => value.is_some_and(|v| v < having.value),
        FilterOp::LessEqual => value.is_some_and(|v| v <= having.value),
        _ => false,
    }
}

struct Candidate {
    rank: u64,
    group: u32,
    /// Values of the other keys, once they were needed.
    keys: Option<Vec<Cell>>,
    tie: u64,
}

struct Ranking<'a> {
    orders: &'a [OrderBy],
    values: &'a dyn Values,
    limit: usize,
    /// The keys tell all groups apart: nothing is left to decide after them.
    keys_decide: bool,
}

impl Ranking<'_> {
    fn value(&self, order: &OrderBy, group: u32) -> Cell {
        match order.key {
            OrderKey::Calc(i) => self.values.calc(i, group),
            OrderKey::Breakdown(i) => self.values.breakdown(i, group),
            OrderKey::Time | OrderKey::Field(_) => Cell::Null,
        }
    }

    fn fill(&self, c: &mut Candidate) {
        if c.keys.is_none() {
            c.keys = Some(self.orders.iter().map(|o| self.value(o, c.group)).collect());
            if !self.keys_decide {
                c.tie = self.values.tie(c.group);
            }
        }
    }

    fn by_keys(&self, a: &Candidate, b: &Candidate) -> Ordering {
        let (Some(x), Some(y)) = (&a.keys, &b.keys) else { return Ordering::Equal };
        let all = self.orders.iter().zip(x.iter().zip(y));
        all.map(|(o, (x, y))| compare(x, y, o.direction)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
    }

    fn compare(&self, a: &Candidate, b: &Candidate) -> Ordering {
        a.rank.cmp(&b.rank).then_with(|| self.by_keys(a, b)).then_with(|| a.tie.cmp(&b.tie))
    }

    /// Cuts the candidates to the limit; answers the rank beyond which none can get in any more.
    fn prune(&self, candidates: &mut Vec<Candidate>) -> u64 {
        if candidates.len() <= self.limit {
            return u64::MAX;
        }
        candidates.select_nth_unstable_by_key(self.limit - 1, |c| c.rank);
        let cutoff = candidates[self.limit - 1].rank;
        // Only where ranks are equal at the limit do the other keys matter.
        candidates.retain(|c| c.rank <= cutoff);
        if candidates.len() > self.limit {
            candidates.iter_mut().filter(|c| c.rank == cutoff).for_each(|c| self.fill(c));
            candidates.select_nth_unstable_by(self.limit - 1, |a, b| self.compare(a, b));
            candidates.truncate(self.limit);
        }
        cutoff
    }
}

/// The groups of the answer, in order.
pub(crate) fn select(plan: &Plan, groups: impl Iterator<Item = u32>, values: &dyn Values) -> Vec<u32> {
    let default = [OrderBy { key: OrderKey::Calc(0), direction: Direction::Descending }];
    let sortable = plan.calculations.first().is_some_and(|c| c.op != CalcOp::Heatmap);
    let orders = match plan.orders.as_slice() {
        [] if sortable => &default[..],
        orders => orders,
    };
    let is_ordered = |breakdown: usize| orders.iter().any(|o| o.key == OrderKey::Breakdown(breakdown));
    let keys_decide = (0..plan.breakdowns.len()).all(is_ordered);
    let ranking = Ranking { orders, values, limit: plan.limit, keys_decide };
    let room = (plan.limit * 2).max(4096);
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut cutoff = u64::MAX;
    // A formula may be text or truth here and a number there.
    let by_number = orders.first().and_then(|o| match o.key {
        OrderKey::Calc(calc) if plan.formula(calc).is_none() => Some((calc, o.direction)),
        _ => None,
    });
    for group in groups {
        if !plan.havings.iter().all(|h| passes(h, values.number(h.calc, group))) {
            continue;
        }
        let rank = by_number.map_or(0, |(calc, direction)| rank(values.number(calc, group), direction));
        if rank > cutoff {
            continue;
        }
        candidates.push(Candidate { rank, group, keys: None, tie: 0 });
        if candidates.len() >= room {
            cutoff = ranking.prune(&mut candidates);
        }
    }
    ranking.prune(&mut candidates);
    candidates.iter_mut().for_each(|c| ranking.fill(c));
    // Equal groups stand in the order of their breakdowns.
    let breakdowns = |c: &Candidate| -> Vec<Cell> { (0..plan.breakdowns.len()).map(|b| values.breakdown(b, c.group)).collect() };
    let by_breakdowns = |a: &Candidate, b: &Candidate| {
        let (a, b) = (breakdowns(a), breakdowns(b));
        a.iter().zip(&b).map(|(a, b)| a.compare(b)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
    };
    candidates.sort_by(|a, b| a.rank.cmp(&b.rank).then_with(|| ranking.by_keys(a, b)).then_with(|| by_breakdowns(a, b)));
    candidates.into_iter().map(|c| c.group).collect()
}
