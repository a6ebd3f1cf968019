//! Random traces: several roots, missing parents, cycles, spans sent twice or under one id, events outside of any trace, ids of
//! any kind, and traces that last from milliseconds to longer than what is read around a range.
//!
//! Owns: the columns that make events members of traces. Never does: the rest of the events (`events`).

use crate::events::{ColumnPlan, Event, Kind, NOON, Rng, Times, cell, events};
use model::{NS_PER_SECOND, Value};

/// How ids look.
#[derive(Clone, Copy)]
enum Ids {
    Hex,
    Words,
    Numbers,
    Mixed,
}

fn id(rng: &mut Rng, ids: Ids, hex: Kind, n: usize) -> Value {
    match ids {
        Ids::Hex => cell(rng, hex),
        Ids::Words => Value::Str(format!("s{n}")),
        Ids::Numbers if rng.chance(0.2) => Value::Float(n as f64),
        Ids::Numbers => Value::Int(n as i64),
        Ids::Mixed => {
            let ids = *rng.pick(&[Ids::Hex, Ids::Words, Ids::Numbers]);
            id(rng, ids, hex, n)
        }
    }
}

/// `n` events or a few more over these columns, in traces.
pub(crate) fn forest(rng: &mut Rng, columns: &[ColumnPlan], n: usize) -> Vec<Event> {
    let mut left = events(rng, columns, Times::Usual, n).into_iter();
    let ids = *rng.pick(&[Ids::Hex, Ids::Hex, Ids::Words, Ids::Numbers, Ids::Mixed]);
    // Spans of one trace at the same time: then the ids of spans say which comes first.
    let coarse = matches!(ids, Ids::Hex) && rng.chance(0.3);
    let kind = *rng.pick(&[Kind::Hex16, Kind::Hex16, Kind::Uuid, Kind::Hex8]);
    let lasts_s = *rng.pick(&[1, 1, 60, 3_000]);
    let lonely = *rng.pick(&[0.0, 0.0, 0.1, 0.9]);
    let largest = *rng.pick(&[3, 12, 12, 200]);
    let mut out: Vec<Event> = Vec::new();
    let mut traces: Vec<Value> = Vec::new();
    while left.len() > 0 {
        let size = 1 + rng.below(largest);
        let trace = match traces.last() {
            Some(last) if rng.chance(0.05) => last.clone(),
            _ => id(rng, ids, kind, traces.len()),
        };
        traces.push(trace.clone());
        let start = NOON + rng.between(0, 7_200 * NS_PER_SECOND);
        let first = out.len() + rng.below(1_000);
        let spans: Vec<Value> = (0..size).map(|i| id(rng, ids, Kind::Hex8, first + i)).collect();
        for i in 0..size {
            let Some(mut event) = left.next() else { break };
            event.time_ns = start + rng.between(0, lasts_s * NS_PER_SECOND);
            // No two events are at the same time.
            event.time_ns = event.time_ns / 100_000 * 100_000 + out.len() as i64 % 100_000;
            let mut span = spans[i].clone();
            if coarse {
                event.time_ns = event.time_ns / NS_PER_SECOND * NS_PER_SECOND;
                span = Value::Str(format!("{:016x}", (rng.next() << 32) | out.len() as u64));
            } else if i > 0 && rng.chance(0.03) {
                span = spans[rng.below(i)].clone();
            }
            let parent = match rng.below(100) {
                _ if i == 0 && rng.chance(0.85) => None,
                0..=1 => None,
                2..=5 => Some(id(rng, ids, Kind::Hex8, 5_000_000)),
                6 => Some(span.clone()),
                7..=9 => Some(spans[rng.below(size)].clone()),
                _ => Some(spans[rng.below(i.max(1))].clone()),
            };
            for name in ["trace.trace_id", "trace.span_id", "trace.parent_id"] {
                event.fields.remove(name);
            }
            if !rng.chance(lonely) {
                event.fields.insert("trace.trace_id".into(), trace.clone());
            }
            if coarse || !rng.chance(0.05) {
                event.fields.insert("trace.span_id".into(), span);
            }
            if let Some(parent) = parent {
                event.fields.insert("trace.parent_id".into(), parent);
            }
            out.push(event);
        }
    }
    for _ in 0..out.len() / 50 {
        let again = rng.pick(&out).clone();
        out.push(again);
    }
    out.sort_by_key(|e| e.time_ns);
    if rng.chance(0.3) {
        rng.shuffle(&mut out);
    }
    out
}
