//! The same agreement through a real store: events arrive in writes, are sealed, merged and recovered between questions,
//! in two datasets and both together.
//!
//! Owns: the history of a store. Never does: know what a question means (`oracle`).

use crate::{
    agree, compare,
    events::{self, Event, Rng},
    oracle,
    questions::{self, Subject},
};
use engine::{Engine, EngineError, EngineOptions, RawEvent};
use model::{TimeNs, Value};
use std::{collections::BTreeMap, path::Path};
use store::{Scope, Store, StoreOptions, Write};

fn clock() -> TimeNs {
    events::NOON
}

fn open(dir: &Path, seed: u64) -> Store {
    Store::open(StoreOptions { background: false, seed, ..StoreOptions::new(dir, clock) }).unwrap()
}

fn name(event: &Event) -> String {
    match oracle::dataset(event) {
        Value::Str(name) => name.clone(),
        _ => unreachable!("datasets have names"),
    }
}

/// What a store may go through between two writes. Answers the store, another one after a restart.
fn live(rng: &mut Rng, store: Store, dir: &Path) -> Store {
    match rng.below(8) {
        0 | 1 => store.seal_now().unwrap(),
        2 => drop(store.compact_now().unwrap()),
        3 => {
            store.close().unwrap();
            drop(store);
            return open(dir, rng.next());
        }
        4 => {
            // As after a crash: what is in the memtable comes back from the log.
            drop(store);
            return open(dir, rng.next());
        }
        _ => {}
    }
    store
}

fn scope(rng: &mut Rng) -> (Scope, Option<&'static str>) {
    match rng.below(5) {
        0 => (Scope::Dataset("one".into()), Some("one")),
        1 => (Scope::Dataset("ONE".into()), Some("one")),
        2 => (Scope::Dataset("The Other/ü".into()), Some("The Other/ü")),
        _ => (Scope::All, None),
    }
}

/// One question, of events that were written so far.
fn ask(rng: &mut Rng, engine: &Engine, written: &[Event], relational: bool) -> Result<(), String> {
    let (scope, only) = scope(rng);
    let events: Vec<Event> = written.iter().filter(|e| only.is_none_or(|only| name(e) == only)).cloned().collect();
    if events.is_empty() {
        return Ok(());
    }
    let subject = Subject::new(&events, true, relational);
    let question = questions::question(rng, &subject);
    let mut run = engine.run(question.now_ns);
    run.deadline = None;
    run.threads = 1 + rng.below(2);
    run.totals = rng.chance(0.2);
    let said = |e: String| {
        let spec = serde_json::to_string(&question.spec).unwrap_or_default();
        format!("{scope:?}, {} events, {spec}: {e}", events.len())
    };
    match engine.query(&scope, &question.spec, &run) {
        Ok(answer) => compare::with_truth(&answer, &events, &question, &run, true).map_err(said),
        Err(e) if agree::is_a_known_limit(&e) => Ok(()),
        Err(e) => Err(said(e.to_string())),
    }
}

/// A trace is its events, oldest first; values are those that occur.
fn check_trace_and_values(rng: &mut Rng, engine: &Engine, written: &[Event]) {
    let (scope, only) = scope(rng);
    let events: Vec<&Event> = written.iter().filter(|e| only.is_none_or(|only| name(e) == only)).collect();
    // -0.0 and 0.0 are one value.
    let text = |e: &Event| format!("{} {} {:?}", e.time_ns, e.sample_rate, e.fields).replace("-0.0)", "0.0)");
    if let Some(id @ Value::Str(id_text)) = events.iter().find_map(|e| e.fields.get("trace.trace_id")) {
        let spans: Vec<RawEvent> = engine.trace(&scope, id_text, 100_000, &engine.run(0)).unwrap();
        assert!(spans.is_sorted_by_key(|s| s.time), "a trace is in order of time");
        let mut got: Vec<String> = spans
            .into_iter()
            .map(|s| {
                let fields = s.fields.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
                text(&Event { time_ns: s.time, sample_rate: s.sample_rate, fields })
            })
            .collect();
        let mut wanted: Vec<String> = events.iter().filter(|e| e.fields.get("trace.trace_id") == Some(id)).map(|e| text(e)).collect();
        got.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(got, wanted, "trace {id_text}");
    }
    for column in ["name", "status", "service.name", "x"] {
        let mut counts: BTreeMap<oracle::Key, u64> = BTreeMap::new();
        for value in events.iter().filter_map(|e| e.fields.get(column)) {
            *counts.entry(oracle::key(value)).or_default() += 1;
        }
        match engine.values(&scope, column, "", usize::MAX, (i64::MIN, i64::MAX)) {
            Ok(values) => {
                assert!(values.is_sorted_by(|a, b| a.1 >= b.1), "the most frequent come first");
                let got: BTreeMap<oracle::Key, u64> = values.iter().map(|(value, n)| (oracle::key(value), *n)).collect();
                assert_eq!(got.len(), values.len(), "a value of {column} is there twice");
                // Columns without dictionary are sampled.
                assert!(got.iter().all(|(value, n)| counts.get(value).is_some_and(|m| n <= m)), "values of {column}: {got:?}");
                assert_eq!(got.is_empty(), counts.is_empty());
            }
            Err(EngineError::UnknownColumn { .. }) => assert!(counts.is_empty(), "{column} is known"),
            Err(EngineError::NotFound { .. }) => assert!(events.is_empty()),
            Err(e) => panic!("values of {column}: {e}"),
        }
    }
}

#[test]
fn answers_through_a_store_agree_with_the_naive_evaluator() {
    for seed in 5_000..5_025 {
        let of = if seed % 3 == 0 { agree::set_of_traces } else { agree::set };
        let agree::Set { events, mut rng, relational, .. } = of(seed);
        let events: Vec<Event> = events.into_iter().take(2_000).collect();
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path(), seed);
        let mut engine = Engine::new(store.clone(), EngineOptions::default());
        let mut written = Vec::new();
        for part in events::split(&mut rng, &events, 12) {
            let mut by_dataset: BTreeMap<String, Vec<Event>> = BTreeMap::new();
            for event in part {
                by_dataset.entry(name(event)).or_default().push(event.clone());
            }
            let writes = by_dataset.into_iter().map(|(dataset, events)| Write { dataset, batch: events::batch(&events), fitted: false });
            store.append_blocking(writes.collect()).unwrap();
            written.extend_from_slice(part);
            drop(engine);
            store = live(&mut rng, store, dir.path());
            engine = Engine::new(store.clone(), EngineOptions::default());
            for _ in 0..4 {
                let question_seed = rng.next();
                if let Err(e) = ask(&mut Rng::new(question_seed), &engine, &written, relational) {
                    panic!("seed {seed}, question {question_seed}: {e}");
                }
            }
        }
        check_trace_and_values(&mut rng, &engine, &written);
    }
}
