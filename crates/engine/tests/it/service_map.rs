//! Maps of random forests of traces in two datasets, sealed or not, agree with a count that looks at every pair of spans.
//!
//! Owns: the forests and the naive count. Never does: know how the engine asks.

use crate::events::{self, Event, Rng};
use engine::{Engine, EngineOptions, ServiceMap, ServiceMapSpec};
use model::query::QuerySpec;
use model::{NS_PER_SECOND, Value};
use serde_json::json;
use std::collections::BTreeMap;
use store::{Scope, Store, StoreOptions, Write};

const SERVICES: [&str; 5] = ["web", "cart", "billing", "search", "mail"];
const KINDS: [&str; 4] = ["client", "server", "internal", "producer"];
const PEERS: [&str; 3] = ["redis", "s3", "cart"];

/// What the naive count needs to know of an event.
#[derive(Clone, Debug)]
struct Row {
    trace: usize,
    /// None: a span event, a log or a link.
    span: Option<u64>,
    parent: Option<u64>,
    service: &'static str,
    kind: &'static str,
    peer: Option<&'static str>,
    failed: bool,
    rate: f64,
    ms: i64,
    annotation: bool,
}

fn forest(rng: &mut Rng) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for trace in 0..40 + rng.below(60) {
        let first = rows.len();
        let rate = if rng.chance(0.5) { 1.0 } else { 4.0 };
        for i in 0..1 + rng.below(12) {
            let before = rows[first..].iter().filter_map(|r: &Row| r.span).collect::<Vec<_>>();
            let parent = match before[..] {
                [] => rng.chance(0.1).then_some(1 << 40),
                _ if rng.chance(0.05) => Some(1 << 41),
                _ if rng.chance(0.05) => None,
                _ => Some(*rng.pick(&before)),
            };
            // Span events, and logs that say no more than their parent.
            let is_span = before.is_empty() || rng.chance(0.8);
            rows.push(Row {
                trace,
                span: is_span.then_some((trace * 100 + i) as u64 + 1),
                parent,
                service: SERVICES[rng.below(SERVICES.len())],
                kind: KINDS[rng.below(KINDS.len())],
                peer: rng.chance(0.5).then(|| PEERS[rng.below(PEERS.len())]),
                failed: rng.chance(0.2),
                rate,
                ms: rng.between(1, 500),
                annotation: !is_span && rng.chance(0.5),
            });
        }
    }
    rows
}

fn event(row: &Row, i: usize) -> Event {
    let text = |s: &str| Value::Str(s.to_owned());
    let id = |n: u64| Value::Str(format!("{n:016x}"));
    let mut fields = BTreeMap::from([
        ("trace.trace_id".to_owned(), id(row.trace as u64)),
        ("service.name".to_owned(), text(row.service)),
        ("span.kind".to_owned(), text(row.kind)),
        ("duration_ms".to_owned(), Value::Int(row.ms)),
    ]);
    let mut put = |name: &str, value: Option<Value>| drop(value.map(|v| fields.insert(name.to_owned(), v)));
    put("trace.span_id", row.span.map(id));
    put("trace.parent_id", row.parent.map(id));
    put("peer.service", row.peer.map(text));
    put("error", row.failed.then_some(Value::Bool(true)));
    put("meta.annotation_type", row.annotation.then(|| text("span_event")));
    Event { time_ns: i as i64 * NS_PER_SECOND, sample_rate: row.rate, fields: fields.into_iter().collect() }
}

/// Caller, callee, whether it is inferred: calls and errors. And services: requests, errors, orphans.
type Counts = (BTreeMap<(String, String, bool), (f64, f64)>, BTreeMap<String, (f64, f64, f64)>);

fn counted(rows: &[Row], asked: impl Fn(&Row) -> bool) -> Counts {
    let (mut edges, mut nodes) = Counts::default();
    for row in rows.iter().filter(|r| r.span.is_some() && !r.annotation && asked(r)) {
        let errors = if row.failed { row.rate } else { 0.0 };
        let parent = rows.iter().find(|p| p.trace == row.trace && p.span.is_some() && p.span == row.parent);
        let mut call = |caller: &str, callee: &str, inferred| {
            let edge = edges.entry((caller.to_owned(), callee.to_owned(), inferred)).or_insert((0.0, 0.0));
            *edge = (edge.0 + row.rate, edge.1 + errors);
        };
        if let Some(parent) = parent.filter(|p| p.service != row.service) {
            call(parent.service, row.service, false);
        }
        let is_leaf = !rows.iter().any(|c| c.trace == row.trace && c.span.is_some() && c.parent == row.span);
        if let Some(peer) = row.peer.filter(|p| is_leaf && *p != row.service && ["client", "producer"].contains(&row.kind)) {
            call(row.service, peer, true);
        }
        if parent.is_none_or(|p| p.service != row.service) {
            let node = nodes.entry(row.service.to_owned()).or_insert((0.0, 0.0, 0.0));
            let orphans = if row.parent.is_some() && parent.is_none() { row.rate } else { 0.0 };
            *node = (node.0 + row.rate, node.1 + errors, node.2 + orphans);
        }
    }
    (edges, nodes)
}

fn told(map: &ServiceMap) -> Counts {
    let edges = map.edges.iter().map(|e| ((e.caller.to_string(), e.callee.to_string(), e.inferred), (e.numbers.count, e.numbers.errors)));
    let nodes = map.nodes.iter().filter(|n| !n.inferred && n.numbers.count > 0.0);
    (edges.collect(), nodes.map(|n| (n.name.to_string(), (n.numbers.count, n.numbers.errors, n.orphans))).collect())
}

/// A question, and what it asks for.
type Asked = (serde_json::Value, fn(&Row) -> bool);

#[test]
fn maps_agree_with_a_naive_count() {
    let questions: [Asked; 4] = [
        (json!({}), |_| true),
        (json!({"filters": [{"column": "error", "op": "=", "value": true}]}), |r| r.failed),
        (json!({"filters": [{"column": "error", "op": "=", "value": true}, {"column": "duration_ms", "op": "<", "value": 100}]}), |r| {
            r.failed && r.ms < 100
        }),
        (
            json!({"filter_combination": "OR", "filters": [{"column": "error", "op": "=", "value": true}, {"column": "service.name", "op": "=", "value": "cart"}]}),
            |r| r.failed || r.service == "cart",
        ),
    ];
    for seed in 0..12 {
        let mut rng = Rng::new(seed);
        let rows = forest(&mut rng);
        let events: Vec<Event> = rows.iter().enumerate().map(|(i, r)| event(r, i)).collect();
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(StoreOptions { background: false, seed, ..StoreOptions::new(dir.path(), || events::NOON) }).unwrap();
        for part in events::split(&mut rng, &events, 4) {
            let dataset = ["one", "two"][rng.below(2)].to_owned();
            store.append_blocking(vec![Write { dataset, batch: events::batch(part), fitted: false }]).unwrap();
            if rng.chance(0.5) {
                store.seal_now().unwrap();
            }
        }
        let engine = Engine::new(store, EngineOptions::default());
        for (query, asked) in &questions {
            let mut query: QuerySpec = serde_json::from_value(query.clone()).unwrap();
            (query.start_time, query.end_time) = (Some(json!(0)), Some(json!(1_000_000)));
            let spec = ServiceMapSpec { query, ..ServiceMapSpec::default() };
            let map = engine.service_map(&Scope::All, &spec, engine.run(0)).unwrap();
            assert_eq!(told(&map), counted(&rows, asked), "seed {seed}, {}", json!(spec.query));
            let calls = engine.service_map(&Scope::All, &ServiceMapSpec { calls_only: true, ..spec }, engine.run(0)).unwrap();
            let count = |m: &ServiceMap| m.edges.iter().filter(|e| !e.inferred).map(|e| e.numbers.count).sum::<f64>();
            assert_eq!((count(&calls), calls.nodes.len(), calls.edges.iter().any(|e| e.inferred)), (count(&map), 0, false));
        }
    }
}
