//! How unusual durations are: those of a trace among all spans of their kind, which is a service and a name.
//!
//! Owns: the question that is asked for it, and what a rank is. Never does: run questions.

use super::{RowKind, Skeleton};
use crate::{Answer, Calc, CalcOp, Cell, Condition, Field, Plan};
use hashbrown::{HashMap, HashSet};
use model::query::FilterOp;
use model::{TimeNs, Value};
use std::sync::Arc;

/// The shares of spans below a duration that are looked up, closer together where it matters.
const SHARES: [f64; 26] = [
    0.001, 0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99,
    0.995, 0.999, 0.9999,
];
/// Durations this close to one that many share are that one: percentiles are no more exact.
const SAME: f64 = 0.01;

/// Services times names, at most.
const GROUPS_MAX: usize = 1 << 20;

/// A kind of span, as it was in the time around the trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Kind {
    /// Numbers among the skeleton's services and names.
    pub service: u32,
    /// See `service`.
    pub name: u32,
    /// Spans, weighted.
    pub n: f64,
    /// Half of them took no longer.
    pub p50_ms: f64,
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
    /// Durations below which the [`SHARES`] lie.
    at: Vec<f64>,
    max_ms: f64,
}

/// Durations of a trace among those of their kinds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Between which times.
    pub range: (TimeNs, TimeNs),
    /// The kinds of the trace's spans.
    pub kinds: Vec<Kind>,
    /// For each row its kind, a position in `kinds`, or [`u32::MAX`].
    pub kind: Vec<u32>,
    /// For each row the share of spans of its kind that took less, NaN if it has none.
    pub rank: Vec<f64>,
    /// Kinds that were left out because there are too many.
    pub n_left_out: usize,
}

/// Service and name of the kinds of spans that have a duration, most frequent first.
fn kinds(trace: &Skeleton) -> Vec<(u32, u32)> {
    let mut counts: HashMap<(u32, u32), usize> = HashMap::new();
    for at in (0..trace.len()).filter(|at| trace.kind[*at] == RowKind::Span && trace.name[*at] != 0) {
        *counts.entry((trace.service[at], trace.name[at])).or_default() += 1;
    }
    let mut all: Vec<_> = counts.into_iter().collect();
    all.sort_unstable_by_key(|(kind, n)| (std::cmp::Reverse(*n), *kind));
    all.into_iter().map(|(kind, _)| kind).collect()
}

/// The question for all kinds of a trace at once: services, names and range.
pub(crate) fn kinds_plan(trace: &Skeleton, range: (TimeNs, TimeNs), kinds_max: usize) -> Option<Plan> {
    let wanted: Vec<(u32, u32)> = kinds(trace).into_iter().take(kinds_max).collect();
    let column = |name: &str| Field::Column(name.into());
    let one_of = |name: &str, texts: &[String], numbers: Vec<u32>| {
        let mut numbers = numbers;
        numbers.sort_unstable();
        numbers.dedup();
        let values = numbers.iter().filter(|n| **n != 0).map(|n| Value::Str(texts[*n as usize].clone())).collect();
        Condition::new(column(name), FilterOp::In, values)
    };
    if wanted.is_empty() {
        return None;
    }
    let mut conditions = vec![one_of("name", &trace.names, wanted.iter().map(|k| k.1).collect())];
    if wanted.iter().all(|k| k.0 != 0) {
        conditions.push(one_of(trace.service_column, &trace.services, wanted.iter().map(|k| k.0).collect()));
    }
    let duration = column(trace.duration_column);
    let calc = |op: CalcOp, key: String| Calc { op, field: Some(duration.clone()), key: key.into(), exact: false };
    let quantiles = SHARES.iter().map(|s| calc(CalcOp::Quantile(*s), s.to_string()));
    let count = calc(CalcOp::Count, "n".to_owned());
    let max = calc(CalcOp::Max, "max".to_owned());
    Some(Plan {
        start_ns: range.0,
        end_ns: range.1,
        conditions,
        breakdowns: vec![column(trace.service_column), column("name")],
        calculations: [count, max].into_iter().chain(quantiles).collect(),
        limit: GROUPS_MAX,
        ..Plan::default()
    })
}

/// Ranks the spans of a trace by the answer to [`kinds_plan`].
pub(crate) fn compare(trace: &Skeleton, range: (TimeNs, TimeNs), kinds_max: usize, answer: &Answer) -> Comparison {
    let numbers = |texts: &[String]| -> HashMap<Arc<str>, u32> {
        texts.iter().enumerate().skip(1).map(|(i, t)| (Arc::from(t.as_str()), i as u32)).collect()
    };
    let (services, names) = (numbers(&trace.services), numbers(&trace.names));
    let number = |cell: &Cell, of: &HashMap<Arc<str>, u32>| match cell {
        Cell::Null => Some(0),
        Cell::Str(text) => of.get(text).copied(),
        _ => None,
    };
    let all = kinds(trace);
    let wanted: HashSet<(u32, u32)> = all.iter().copied().take(kinds_max).collect();
    let mut places: HashMap<(u32, u32), u32> = HashMap::new();
    let mut out = Comparison { range, n_left_out: all.len() - wanted.len(), ..Comparison::default() };
    for cells in &answer.results {
        let [service, name, n, max, at @ ..] = cells.as_slice() else { continue };
        let (Some(service), Some(name)) = (number(service, &services), number(name, &names)) else { continue };
        let at: Vec<f64> = at.iter().filter_map(Cell::as_f64).collect();
        let (Some(n), Some(max_ms)) = (n.as_f64().filter(|n| *n > 0.0), max.as_f64()) else { continue };
        if at.len() != SHARES.len() || !wanted.contains(&(service, name)) {
            continue;
        }
        let share = |s: f64| SHARES.iter().position(|x| *x == s).map_or(f64::NAN, |i| at[i]);
        places.insert((service, name), out.kinds.len() as u32);
        let (p50_ms, p99_ms) = (share(0.5), share(0.99));
        out.kinds.push(Kind { service, name, n, p50_ms, p99_ms, at, max_ms });
    }
    for row in 0..trace.len() {
        let is_span = trace.kind[row] == RowKind::Span;
        let place = places.get(&(trace.service[row], trace.name[row])).filter(|_| is_span);
        out.kind.push(place.copied().unwrap_or(u32::MAX));
        out.rank.push(place.map_or(f64::NAN, |p| out.kinds[*p as usize].rank(trace.took_ns[row] as f64 / 1e6)));
    }
    out
}

impl Kind {
    /// The share of spans of this kind that took less; of those that took as long, half count.
    pub(crate) fn rank(&self, ms: f64) -> f64 {
        let distance = |i: &usize| (self.at[*i] - ms).abs();
        let nearest = (0..self.at.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0);
        let near = self.at.get(nearest).copied().unwrap_or(f64::NAN);
        // Many took the same: several shares lie at one duration.
        let (first, last) = (self.at.partition_point(|v| *v < near), self.at.partition_point(|v| *v <= near));
        let rank = if last > first + 1 && (near - ms).abs() <= SAME * near.abs() {
            // They reach half-way to the shares around them.
            let low = first.checked_sub(1).map_or(0.0, |i| SHARES[i]);
            let high = SHARES.get(last).copied().unwrap_or(1.0);
            (low + SHARES[first] + SHARES[last - 1] + high) / 4.0
        } else {
            self.between(ms)
        };
        rank.clamp(0.0, 1.0 - 0.5 / self.n.max(1.0))
    }

    /// The rank of a duration by those around it that are known.
    fn between(&self, ms: f64) -> f64 {
        let above = self.at.partition_point(|v| *v <= ms);
        let Some(below) = above.checked_sub(1) else { return SHARES[0] / 2.0 };
        let next = self.at.get(above).copied().unwrap_or(self.max_ms);
        let high = SHARES.get(above).copied().unwrap_or(1.0);
        let (a, b) = (self.at[below].max(f64::MIN_POSITIVE).ln(), next.max(f64::MIN_POSITIVE).ln());
        let way = if b > a { (ms.max(f64::MIN_POSITIVE).ln() - a) / (b - a) } else { 1.0 };
        SHARES[below] + (high - SHARES[below]) * way.clamp(0.0, 1.0)
    }
}
