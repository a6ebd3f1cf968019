//! What tools show that take the largest differences of shares in a sample: the measure to beat.
//!
//! Owns: that scorer. Never does: look at all events.

use crate::world::{Fault, Rng, question};
use model::{Value, contrast::ContrastSpec};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::segment::Segment;

/// The values whose shares differ most on 500 events of each side, as (column, value): what sampling tools show.
pub(crate) fn sampled(fault: &Fault, segments: &[Arc<Segment>]) -> Vec<(String, Value)> {
    let spec: ContrastSpec = serde_json::from_value(question(fault)).expect("a comparison");
    let mut r = Rng::new(fault.seed + 99);
    let mut sides: [Vec<(usize, usize)>; 2] = [Vec::new(), Vec::new()];
    let time = |v: &Option<Json>| v.as_ref().and_then(Json::as_i64).map(|s| s * 1_000_000_000);
    for (s, segment) in segments.iter().enumerate() {
        let error = segment.find("error").next();
        for row in 0..segment.n_rows() {
            let at = segment.row_time(row).expect("a time").0;
            let selected = match time(&spec.selection.start_time) {
                Some(start) => at >= start && Some(at) < time(&spec.selection.end_time),
                None => error.is_some_and(|c| segment.cell(&c, row).ok() == Some(Value::Bool(true))),
            };
            if Some(at) < time(&spec.query.end_time) {
                sides[usize::from(!selected)].push((s, row));
            }
        }
    }
    let mut counts: BTreeMap<(String, String), (Value, [f64; 2])> = BTreeMap::new();
    let mut distinct: BTreeMap<String, (BTreeSet<String>, usize)> = BTreeMap::new();
    for (side, rows) in sides.iter().enumerate() {
        let n = rows.len().min(500);
        for _ in 0..n {
            let (s, row) = rows[r.below(rows.len())];
            let visit = &mut |name: &str, value: Value| {
                let text = value.to_json().to_string();
                let seen = distinct.entry(name.to_owned()).or_default();
                seen.0.insert(text.clone());
                seen.1 += 1;
                counts.entry((name.to_owned(), text)).or_insert((value, [0.0; 2])).1[side] += 1.0 / n as f64;
            };
            segments[s].row(row, visit).expect("a row");
        }
    }
    // Ids are dropped, and the selection's own column.
    let ids: BTreeSet<String> =
        distinct.into_iter().filter(|(_, (values, n))| *n > 20 && values.len() as f64 > 0.9 * *n as f64).map(|(name, _)| name).collect();
    let mut scored: Vec<(f64, String, Value)> = counts
        .into_iter()
        .filter(|((name, _), _)| !ids.contains(name) && name != "error")
        .map(|((name, _), (value, [a, b]))| ((a - b).abs(), name, value))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().map(|(_, name, value)| (name, value)).take(3).collect()
}

/// Whether one of the planted conditions is a value that the sample shows.
pub(crate) fn sample_names_a_part(fault: &Fault, shown: &[(String, Value)]) -> bool {
    shown.iter().any(|(name, value)| fault.cause.iter().any(|(column, op, want)| name == column && *op == "=" && value.to_json() == *want))
}

/// Whether the sample shows the whole cause: only single values can be shown.
pub(crate) fn sample_names_the_cause(fault: &Fault, shown: &[(String, Value)]) -> bool {
    fault.cause.len() == 1 && sample_names_a_part(fault, shown)
}
