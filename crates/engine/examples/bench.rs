//! How long the suite of `shared/bench` takes inside the engine, on segments made from its batches:
//! `cargo run --release -p engine --example bench -- [DATA] [query ids, with commas] [runs] [threads]`.
//! With `DUMP=DIR` the answers are written there; with `FRESH=1` no partial answers are kept.
//!
//! Owns: the measurement. Never does: check answers (the tests and `run.py` do).

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a benchmark")]

use engine::{Caches, Run, SeriesMode, check};
use ingest::{ContentEncoding, Context, decompress, honeycomb};
use model::{Limits, query::QuerySpec};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use store::segment::{Segment, encode, merge};

/// The allocator of the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Batches that go into one segment: half a million events.
const BATCHES: usize = 250;

fn segments(data: &Path) -> Outcome<Vec<Arc<Segment>>> {
    let dir = data.join("segments");
    if !dir.exists() {
        let part = data.join("segments.part");
        std::fs::create_dir_all(&part)?;
        let mut paths: Vec<PathBuf> = std::fs::read_dir(data.join("batches"))?.filter_map(|e| Some(e.ok()?.path())).collect();
        paths.sort();
        let limits = Limits { request_bytes_max: 64 << 20, ..Limits::default() };
        let context = Context::new(1_790_000_000_000_000_000, &limits);
        for (i, chunk) in paths.chunks(BATCHES).enumerate() {
            let mut parts = Vec::new();
            for path in chunk {
                let packed = std::fs::read(path)?;
                let body = decompress(&packed, ContentEncoding::Zstd, limits.request_bytes_max)?;
                let decoded = honeycomb::batch(&body, honeycomb::Format::Json, "bench", &context)?;
                for (_, batch) in decoded.writes {
                    parts.push(Arc::new(Segment::from_bytes(encode(&batch))?));
                }
            }
            std::fs::write(part.join(format!("{i:03}.seg")), merge(&parts)?)?;
            eprintln!("segment {i}");
        }
        std::fs::rename(&part, &dir)?;
    }
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)?.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    let mut all = Vec::new();
    for path in paths.iter().rev() {
        all.push(Arc::new(Segment::open(path)?));
    }
    Ok(all)
}

fn suite(manifest: &Value) -> Vec<(&'static str, Value)> {
    let number = |key: &str| manifest[key].as_i64().unwrap_or(0) / 1_000_000;
    let (start, end) = (number("start_us"), number("end_us"));
    let f = |column: &str, op: &str, value: Value| json!({"column": column, "op": op, "value": value});
    let most = json!({"op": "COUNT", "order": "descending"});
    let ios_us = vec![f("cloud.region", "=", json!("us-east-1")), f("app.platform", "=", json!("ios11"))];
    let mut ios_error = ios_us.clone();
    ios_error.push(f("error", "=", json!(true)));
    let count = json!({"op": "COUNT"});
    let p = |op: &str| json!({"op": op, "column": "duration_ms"});
    let users = |filters: &[Value]| {
        json!({"calculations": [count, p("P99")], "filters": filters, "breakdowns": ["user.id"],
               "orders": [most, {"column": "user.id", "order": "ascending"}], "limit": 100})
    };
    let keys = |filters: &[Value]| {
        json!({"calculations": [count], "filters": filters, "breakdowns": ["cache.key"],
               "orders": [most, {"column": "cache.key", "order": "ascending"}], "limit": 100})
    };
    let slow = f("duration_ms", ">", json!(500));
    let export = f("name", "contains", json!("export"));
    let planted = [
        f("cloud.region", "in", json!(["us-east-2", "eu-east-1", "eu-west-1"])),
        f("app.platform", "=", json!("ios11")),
        f("user.last_name", "starts-with", json!("MC")),
        f("app.build_id", "=", json!("789782")),
        slow.clone(),
        export.clone(),
    ];
    let mut all = vec![
        (
            "Q1",
            json!({"calculations": [count, p("P50"), p("P95"), p("P99"), p("AVG")], "breakdowns": ["service.name"], "granularity": 300, "limit": 1000}),
        ),
        ("Q2", users(&ios_error)),
        ("Q2b", users(&ios_us)),
        (
            "Q3",
            json!({"calculations": [count, p("P95")], "breakdowns": ["app.build_id", "http.route", "http.status_code"],
                   "orders": [{"op": "P95", "column": "duration_ms", "order": "descending"}], "limit": 100}),
        ),
        ("Q4", json!({"calculations": [p("HEATMAP")], "granularity": 300})),
        ("Q5", json!({"calculations": [], "filters": [f("trace.trace_id", "=", manifest["trace_id"].clone())], "limit": 1000})),
        (
            "Q6x",
            json!({"calculations": [{"op": "COUNT_DISTINCT", "column": "user.id", "exact": true}], "breakdowns": ["cloud.region"], "limit": 1000}),
        ),
        ("Q6a", json!({"calculations": [{"op": "COUNT_DISTINCT", "column": "user.id"}], "breakdowns": ["cloud.region"], "limit": 1000})),
        (
            "Q6g",
            json!({"calculations": [count], "breakdowns": ["user.id"], "orders": [most, {"column": "user.id", "order": "ascending"}], "limit": 100}),
        ),
        ("Q8", keys(&planted)),
        ("Q8n", keys(&[export, slow])),
        ("Q9", json!({"calculations": [count, p("P99")], "breakdowns": ["service.name"], "limit": 1000, "start_time": end - 900})),
        // Beyond the suite.
        ("avg", json!({"calculations": [p("AVG"), p("MAX")]})),
        ("cnt", json!({"breakdowns": ["service.name"], "granularity": 60})),
        ("ids", json!({"calculations": [count], "breakdowns": ["trace.trace_id"], "limit": 10})),
        ("dst", json!({"calculations": [{"op": "COUNT_DISTINCT", "column": "trace.span_id"}]})),
        ("ser", json!({"calculations": [count, p("P95")], "breakdowns": ["user.id"], "limit": 20, "granularity": 300})),
        ("con", json!({"calculations": [{"op": "CONCURRENCY"}], "breakdowns": ["service.name"], "granularity": 300})),
        ("raw", json!({"calculations": [], "limit": 1000})),
        ("num", json!({"calculations": [count], "breakdowns": ["seq"], "limit": 10})),
    ];
    for (_, spec) in &mut all {
        let Some(spec) = spec.as_object_mut() else { continue };
        spec.entry("start_time").or_insert(json!(start));
        spec.insert("end_time".into(), json!(end));
    }
    all
}

/// CPU time of this process so far; ticks of 10 ms.
fn cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) * 10.0
}

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let data = PathBuf::from(args.next().unwrap_or_else(|| "/work/bench-data".to_owned()));
    let only = args.next().unwrap_or_default();
    let runs: usize = args.next().and_then(|n| n.parse().ok()).unwrap_or(9);
    let threads: usize = args.next().and_then(|n| n.parse().ok()).unwrap_or(2);
    let manifest: Value = serde_json::from_slice(&std::fs::read(data.join("manifest.json"))?)?;
    let segments = segments(&data)?;
    let rows: usize = segments.iter().map(|s| s.n_rows()).sum();
    let bytes: usize = segments.iter().map(|s| s.bytes().len()).sum();
    println!(
        "{} segments, {rows} rows, {:.0} MB, {threads} threads, {runs} runs: first, then median (min) ms, CPU ms",
        segments.len(),
        bytes as f64 / 1e6
    );
    let known: BTreeSet<String> = segments.iter().flat_map(|s| s.columns()).map(|c| c.name.to_owned()).collect();
    let caches = Caches::new(512 << 20);
    for (id, spec) in suite(&manifest) {
        if !only.is_empty() && !only.split(',').any(|o| o == id) {
            continue;
        }
        let spec: QuerySpec = serde_json::from_value(spec)?;
        let run = Run { threads, cache: std::env::var_os("FRESH").is_none(), series: SeriesMode::IfGranularity, ..Run::new(0) };
        let plan = check(&spec, &known, &run, &Limits::default())?;
        let mut times = Vec::new();
        let mut last = None;
        let mut cpu = 0.0;
        for i in 0..=runs {
            if i == 1 {
                cpu = cpu_ms();
            }
            let began = Instant::now();
            let answer = engine::run(&segments, &plan, &run, &caches)?;
            let json = serde_json::to_vec(&answer)?;
            if let (0, Ok(dir)) = (i, std::env::var("DUMP")) {
                std::fs::write(Path::new(&dir).join(format!("{id}.json")), &json)?;
            }
            times.push(began.elapsed().as_secs_f64() * 1e3);
            last = Some((answer, json.len(), began));
        }
        let cpu = (cpu_ms() - cpu) / runs.max(1) as f64;
        let first = times.remove(0);
        times.sort_by(f64::total_cmp);
        if let Some((answer, json, _)) = last {
            let rows = answer.raw.as_ref().map_or(answer.results.len(), Vec::len);
            println!(
                "{id:4} {first:8.1}  {:8.2} ({:6.2})  cpu {cpu:8.2}   {rows} rows, {} points, {json} bytes, matched {}",
                times[times.len() / 2],
                times[0],
                answer.series.len(),
                answer.meta.rows_matched
            );
        }
    }
    println!("caches {:.0} MB", caches.bytes() as f64 / 1e6);
    Ok(())
}
