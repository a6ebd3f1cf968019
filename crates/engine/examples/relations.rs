//! How long questions about relatives take, the first time and again, on the segments of a folder:
//! `cargo run --release -p engine --example relations -- DATA_DIR/segments/DATASET [runs] [part of a name]`.
//!
//! Owns: the measurement. Never does: check answers (tests/it does).

#![allow(clippy::print_stdout, reason = "it is a benchmark")]

use engine::{Caches, Run, SeriesMode, check};
use model::{Limits, query::QuerySpec};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use store::segment::Segment;

/// The allocator of the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn questions() -> Vec<(&'static str, Value)> {
    let filter = |column: &str, op: &str, value: Value| json!([{"column": column, "op": op, "value": value}]);
    vec![
        ("plain: COUNT by service.name where name exists", json!({"breakdowns": ["service.name"]})),
        ("COUNT where root.duration_ms > 500", json!({"filters": filter("root.duration_ms", ">", json!(500))})),
        ("COUNT by root.name", json!({"breakdowns": ["root.name"]})),
        (
            "COUNT by root.name where root.service.name exists",
            json!({"breakdowns": ["root.name"], "filters": [{"column": "root.service.name", "op": "exists"}]}),
        ),
        ("P99(duration_ms) by root.name", json!({"breakdowns": ["root.name"], "calculations": [{"op": "P99", "column": "duration_ms"}]})),
        ("COUNT where any.error = true", json!({"filters": filter("any.error", "=", json!(true))})),
        ("COUNT where none.error = true", json!({"filters": filter("none.error", "=", json!(true))})),
        ("COUNT where any.error != true", json!({"filters": filter("any.error", "!=", json!(true))})),
        (
            "COUNT by parent.service.name, service.name where parent.service.name exists",
            json!({"breakdowns": ["parent.service.name", "service.name"], "filters": [{"column": "parent.service.name", "op": "exists"}]}),
        ),
        (
            "SUM(parent.duration_ms) by service.name",
            json!({"breakdowns": ["service.name"], "calculations": [{"op": "SUM", "column": "parent.duration_ms"}]}),
        ),
        ("COUNT where child.duration_ms > 500", json!({"filters": filter("child.duration_ms", ">", json!(500))})),
        (
            "COUNT by any.name where any.error = true, any2.duration_ms > 500",
            json!({"breakdowns": ["any.name"], "filters": [
                {"column": "any.error", "op": "=", "value": true}, {"column": "any2.duration_ms", "op": ">", "value": 500}]}),
        ),
    ]
}

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("name a folder of segments")?;
    let runs: usize = args.next().map_or(Ok(5), |n| n.parse())?;
    let only = args.next().unwrap_or_default();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)?.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "seg"));
    let mut segments = Vec::new();
    for path in &paths {
        segments.push(Arc::new(Segment::open(path)?));
    }
    segments.sort_by_key(|s| std::cmp::Reverse(s.times().1));
    let (first, last) = (segments.iter().map(|s| s.times().0).min(), segments.iter().map(|s| s.times().1).max());
    let (Some(first), Some(last)) = (first, last) else { return Err("no segments".into()) };
    let known: BTreeSet<String> = segments.iter().flat_map(|s| s.columns().map(|c| c.name.to_owned()).collect::<Vec<_>>()).collect();
    println!("{} events in {} segments, {} columns", segments.iter().map(|s| s.n_rows()).sum::<usize>(), segments.len(), known.len());
    for name in ["trace.trace_id", "trace.span_id", "trace.parent_id"] {
        for c in segments[0].find(name) {
            println!("{name}: {:?} {:?}, {} cells, {} in the dictionary", c.kind, c.layout, c.n_present, segments[0].n_dict(&c));
        }
    }
    for (name, mut spec) in questions().into_iter().filter(|(name, _)| name.contains(&only)) {
        spec["start_time"] = json!(first / 1_000_000_000);
        spec["end_time"] = json!(last / 1_000_000_000 + 1);
        let spec: QuerySpec = serde_json::from_value(spec)?;
        let ask = |caches: &Caches| -> Outcome<(f64, engine::Answer)> {
            let run = Run { series: SeriesMode::Never, cache: false, ..Run::new(last) };
            let plan = check(&spec, &known, &run, &Limits::default())?;
            let began = Instant::now();
            let answer = engine::run(&segments, &plan, &run, caches)?;
            Ok((began.elapsed().as_secs_f64() * 1e3, answer))
        };
        let mut times: Vec<(f64, f64)> = Vec::new();
        let mut rows = (0, 0);
        for _ in 0..runs {
            let caches = Caches::default();
            let (new, answer) = ask(&caches)?;
            times.push((new, ask(&caches)?.0));
            rows = (answer.results.len(), answer.meta.rows_matched);
        }
        let least = |of: fn(&(f64, f64)) -> f64| times.iter().map(of).fold(f64::INFINITY, f64::min);
        println!("{:7.1} {:7.1} ms, {:4} rows, {:8} matched: {name}", least(|t| t.0), least(|t| t.1), rows.0, rows.1);
    }
    Ok(())
}
