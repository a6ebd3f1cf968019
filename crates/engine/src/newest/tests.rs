//! The newest traces, against a look at all events.

use super::*;
use crate::{Caches, EngineError, check, newest_traces};
use model::query::QuerySpec;
use model::{BatchBuilder, Limits};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Segment;

fn segment(events: &[(TimeNs, Json)]) -> Arc<Segment> {
    let mut builder = BatchBuilder::new();
    for (time, fields) in events {
        builder.begin();
        for (name, value) in fields.as_object().unwrap() {
            let column = builder.column(name);
            builder.value(column, &Value::from_json(value).unwrap());
        }
        builder.end(*time, 1.0);
    }
    Arc::new(Segment::from_bytes(store::segment::encode(&builder.finish())).unwrap())
}

fn find(segments: &[Arc<Segment>], filters: Json, range: (TimeNs, TimeNs), limit: usize, run: &Run) -> Result<FoundTraces, EngineError> {
    let known: BTreeSet<String> = segments.iter().flat_map(|s| s.columns()).map(|c| c.name.to_owned()).collect();
    let spec: QuerySpec = serde_json::from_value(json!({ "calculations": [], "filters": filters })).unwrap();
    let plan = Plan { start_ns: range.0, end_ns: range.1, ..check(&spec, &known, run, &Limits::default()).unwrap() };
    newest_traces(segments, &[], &plan, limit, run, &Caches::default())
}

/// Events of `n_traces` traces with ids of three forms, in an order that overlaps from segment to segment.
fn events(n: usize, n_traces: u64) -> Vec<(TimeNs, Json)> {
    let event = |i: usize| {
        let (random, time) = (crate::intern::mix(i as u64), i as i64 * 10 + (crate::intern::mix(i as u64 + 1_000_000) % 5_000) as i64);
        let trace = random % n_traces;
        let id = match trace % 4 {
            0 => json!(format!("{trace:032x}")),
            1 => json!(format!("{trace:016x}")),
            2 => json!(format!("trace {trace}")),
            _ => json!(trace),
        };
        let mut fields = json!({ "kind": format!("k{}", random >> 32 & 15) });
        if random >> 40 & 7 != 0 {
            fields["trace.trace_id"] = id;
        }
        (time, fields)
    };
    (0..n).map(event).collect()
}

fn naive(events: &[(TimeNs, Json)], kind: &str, (start, end): (TimeNs, TimeNs), limit: usize) -> Vec<TimeNs> {
    let mut newest: BTreeMap<String, TimeNs> = BTreeMap::new();
    for (time, fields) in events {
        if fields["kind"] == kind && (start..end).contains(time) && !fields["trace.trace_id"].is_null() {
            let known = newest.entry(fields["trace.trace_id"].to_string()).or_insert(*time);
            *known = (*time).max(*known);
        }
    }
    let mut times: Vec<TimeNs> = newest.into_values().collect();
    times.sort_by(|a, b| b.cmp(a));
    times.truncate(limit);
    times
}

#[test]
fn they_are_those_that_a_look_at_all_events_finds() {
    for (n, n_traces, size) in [(30_000, 4_000, 1_000), (150_000, 50_000, 70_000)] {
        let events = events(n, n_traces);
        let segments: Vec<Arc<Segment>> = events.chunks(size).rev().map(segment).collect();
        let last = n as i64 * 10;
        for (limit, range) in
            [(1, (0, i64::MAX)), (20, (0, last)), (100, (last / 3, last / 2)), (10_000, (i64::MIN, i64::MAX)), (5, (0, 0))]
        {
            for threads in [1, 2] {
                let run = Run { threads, ..Run::new(0) };
                let filters = json!([{ "column": "kind", "op": "=", "value": "k3" }]);
                let found = find(&segments, filters, range, limit, &run).unwrap();
                let times: Vec<TimeNs> = found.traces.iter().map(|t| t.1).collect();
                assert_eq!(times, naive(&events, "k3", range, limit), "{n} {limit} {range:?} {threads}");
                assert!(found.complete);
                for (id, time) in &found.traces {
                    let is_it =
                        |(t, fields): &(TimeNs, Json)| t == time && written(&Value::from_json(&fields["trace.trace_id"]).unwrap()) == *id;
                    assert!(events.iter().any(is_it), "{id}");
                }
            }
        }
    }
}

#[test]
fn no_more_is_read_than_needed() {
    let events: Vec<(TimeNs, Json)> = (0..200_000).map(|i| (i, json!({ "trace.trace_id": format!("{:016x}", i / 10) }))).collect();
    let segments: Vec<Arc<Segment>> = events.chunks(70_000).rev().map(segment).collect();
    let run = Run { threads: 1, ..Run::new(0) };
    let found = find(&segments, json!([]), (0, i64::MAX), 50, &run).unwrap();
    assert_eq!(found.traces.first(), Some(&(format!("{:016x}", 19_999), 199_999)));
    assert_eq!(found.traces.len(), 50);
    assert!(found.rows_scanned <= BLOCK_ROWS as u64, "{}", found.rows_scanned);
}

#[test]
fn what_is_cut_short_says_so() {
    let segments: Vec<Arc<Segment>> = events(200_000, 1_000_000).chunks(50_000).rev().map(segment).collect();
    fn hurrying() -> Instant {
        static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        static READ: AtomicU64 = AtomicU64::new(0);
        *START + Duration::from_secs(READ.fetch_add(1, Ordering::Relaxed))
    }
    let in_seconds = |n: u64| Run { clock: hurrying, deadline: Some(hurrying() + Duration::from_secs(n)), threads: 1, ..Run::new(0) };
    let found = find(&segments, json!([]), (0, i64::MAX), 1_000_000, &in_seconds(7)).unwrap();
    assert!(!found.complete && !found.traces.is_empty());
    assert!(matches!(find(&segments, json!([]), (0, i64::MAX), 10, &in_seconds(0)), Err(EngineError::Deadline)));
    let run = Run::new(0);
    run.cancel.store(true, Ordering::Relaxed);
    assert!(matches!(find(&segments, json!([]), (0, i64::MAX), 10, &run), Err(EngineError::Cancelled)));
}
