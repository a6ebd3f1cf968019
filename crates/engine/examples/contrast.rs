//! How long comparisons take inside the engine: the two of `shared/bench` (98 text and boolean columns; 48 number columns) and one of
//! every column, on segment files: `cargo run --release -p engine --example contrast -- [DIR of .seg files] [manifest.json] [runs] [threads]`.
//!
//! Owns: the measurement. Never does: check answers (the tests do).

#![allow(clippy::print_stdout, reason = "it is a benchmark")]

use engine::{Run, check_contrast, contrast};
use model::{Limits, contrast::ContrastSpec};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use store::segment::Segment;

/// The allocator of the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().unwrap_or_else(|| "/work/bench-data/segments".to_owned()));
    let manifest = args.next().unwrap_or_else(|| "/work/bench-data/manifest.json".to_owned());
    let runs: usize = args.next().and_then(|n| n.parse().ok()).unwrap_or(9);
    let threads: usize = args.next().and_then(|n| n.parse().ok()).unwrap_or(2);
    let manifest: Value = serde_json::from_slice(&std::fs::read(manifest)?)?;
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(dir)?.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.extension().is_some_and(|e| e == "seg")).collect();
    paths.sort();
    let segments = paths.iter().rev().map(|p| Ok(Arc::new(Segment::open(p)?))).collect::<Result<Vec<_>, store::segment::SegmentError>>()?;
    let known: BTreeSet<String> = segments.iter().flat_map(|s| s.columns()).map(|c| c.name.to_owned()).collect();
    let number = |key: &str| manifest[key].as_i64().unwrap_or(0) / 1_000_000;
    let of_kinds = |kinds: [&str; 2], not: &[&str]| -> Value {
        let columns = manifest["columns"].as_object().into_iter().flatten();
        columns
            .filter(|(name, c)| kinds.contains(&c["kind"].as_str().unwrap_or("")) && !not.contains(&name.as_str()))
            .map(|(name, _)| Value::from(name.as_str()))
            .collect()
    };
    let texts = of_kinds(["string", "bool"], &["trace.trace_id", "trace.span_id", "trace.parent_id"]);
    let numbers = of_kinds(["int", "float"], &["ingest.time_us"]);
    println!(
        "{} rows, {} segments, {threads} threads: median (min) ms of {runs}",
        segments.iter().map(|s| s.n_rows()).sum::<usize>(),
        segments.len()
    );
    for (id, columns, max_conditions) in [
        ("Q7, counted", &texts, 0),
        ("Q7, findings of one condition", &texts, 1),
        ("Q7, findings of up to four", &texts, 4),
        ("Q7n, counted", &numbers, 0),
        ("Q7n, findings of one condition", &numbers, 1),
        ("Q7n, findings of up to four", &numbers, 4),
        ("every column, counted", &Value::Null, 0),
        ("every column, findings of one condition", &Value::Null, 1),
        ("every column, findings of up to four", &Value::Null, 4),
    ] {
        let spec: ContrastSpec = serde_json::from_value(json!({
            "query": {"start_time": number("start_us"), "end_time": number("end_us")},
            "selection": {"filters": [{"column": "duration_ms", "op": ">", "value": 1000}, {"column": "service.name", "op": "=", "value": "image-export"}]},
            "columns": columns,
            "max_conditions": max_conditions,
        }))?;
        let run = Run { threads, ..Run::new(0) };
        let plan = check_contrast(&spec, &known, &run, &Limits::default())?;
        let mut times = Vec::new();
        let mut last = None;
        for _ in 0..=runs {
            let began = Instant::now();
            let answer = contrast(&segments, &[], &plan, &run)?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
            last = Some(answer);
        }
        let first = times.remove(0);
        times.sort_by(f64::total_cmp);
        let Some(answer) = last else { continue };
        println!(
            "{id:40} first {first:7.1}, then {:7.2} ({:7.2})  {} columns, {} significant, {} findings",
            times[times.len() / 2],
            times[0],
            answer.columns.len(),
            answer.columns.iter().filter(|c| c.significant).count(),
            answer.findings.len()
        );
        if std::env::var_os("SHOW").is_some() {
            println!("{}", serde_json::to_string_pretty(&answer.findings)?);
            for c in answer.columns.iter().take(12) {
                println!("  {} {} {:.4} {}", c.column, c.kind, c.score, c.significant);
            }
        }
    }
    Ok(())
}
