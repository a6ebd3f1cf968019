//! What the dashboard of `bench/dashboard.py` costs inside the engine, when it is asked again as events come in:
//! `cargo run --release -p engine --example dashboard -- STORE DATA [rounds] [part of a title] [off]`.
//! STORE is a data directory that holds all batches of DATA but those of the last rounds; it is changed. With
//! `PERF_CTL=FIFO,ACK` perf records nothing but the questions. `off`: questions do without pieces.
//!
//! Owns: the measurement. Never does: check answers (the tests and `bench/dashboard.py` do).

#![allow(clippy::print_stdout, reason = "it is a benchmark")]

use engine::{Engine, EngineOptions, Run, SeriesMode};
use ingest::{ContentEncoding, Context, decompress, honeycomb};
use model::{Limits, query::QuerySpec};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions, read, read_dir};
use std::io::{BufRead, BufReader, Write as _};
use std::path::PathBuf;
use std::time::Duration;
use store::{Scope, Store, StoreOptions, Write};

/// The allocator of the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Share of the batches that come in between two rounds, as in `bench/dashboard.py`.
const GROWTH: f64 = 0.005;
/// Rounds whose batches are not in the store.
const ROUNDS_LEFT: usize = 8;
const NOW: i64 = 1_790_100_000_000_000_000;

fn questions(end: i64) -> Vec<(&'static str, Value)> {
    let count = json!({"op": "COUNT"});
    let on = |op: &str, column: &str| json!({"op": op, "column": column});
    let ms = |op: &str| on(op, "duration_ms");
    let all = [ms("P50"), ms("P95"), ms("P99")];
    let with_count: Vec<Value> = std::iter::once(count.clone()).chain(all.clone()).collect();
    let f = |column: &str, op: &str, value: Value| json!({"column": column, "op": op, "value": value});
    let failed = f("error", "=", json!(true));
    let q = |hours: i64, calculations: &[Value], by: &[&str], filters: &[Value], top: Option<usize>, every: Option<u32>| {
        let mut spec = json!({"calculations": calculations, "breakdowns": by, "filters": filters, "start_time": end - hours * 3600,
            "end_time": end, "limit": top.unwrap_or(1000)});
        if top.is_some() {
            let mut first = calculations[0].clone();
            first["order"] = json!("descending");
            let orders: Vec<Value> = std::iter::once(first).chain(by.iter().map(|b| json!({"column": b, "order": "ascending"}))).collect();
            spec["orders"] = json!(orders);
        }
        if let Some(every) = every {
            spec["granularity"] = json!(every);
        }
        spec
    };
    let one = std::slice::from_ref(&count);
    let no: &[Value] = &[];
    let latency = &all[..];
    vec![
        ("events by service", q(24, one, &["service.name"], no, None, Some(300))),
        ("failures by service", q(24, one, &["service.name"], std::slice::from_ref(&failed), None, Some(300))),
        ("latency", q(24, latency, &[], no, None, Some(300))),
        ("latency by service", q(24, &all[2..], &["service.name"], no, None, Some(300))),
        ("heatmap of latency", q(24, &[ms("HEATMAP")], &[], no, None, Some(300))),
        ("status codes", q(24, one, &["http.status_code"], no, None, Some(300))),
        ("busiest routes", q(24, &with_count, &["http.route"], no, Some(20), None)),
        ("slowest routes", q(24, &[all[2].clone(), count.clone()], &["http.route"], no, Some(20), None)),
        ("largest customers", q(24, &[count.clone(), ms("P95")], &["customer.id"], no, Some(50), None)),
        ("builds", q(24, &[count.clone(), ms("P99")], &["app.build_id"], no, Some(20), None)),
        ("distinct users", q(24, &[on("COUNT_DISTINCT", "user.id")], &[], no, None, Some(3600))),
        ("regions", q(24, &[count.clone(), ms("AVG"), ms("P95"), on("SUM", "req_bytes")], &["cloud.region"], no, None, None)),
        ("failures by build and platform", q(24, one, &["app.build_id", "app.platform"], std::slice::from_ref(&failed), Some(50), None)),
        ("latency of image-export", q(6, latency, &[], &[f("service.name", "=", json!("image-export"))], None, Some(60))),
        (
            "slow database calls",
            q(6, &[count.clone(), on("AVG", "db.calls")], &["db.statement_hash"], &[f("duration_ms", ">", json!(1000))], Some(20), None),
        ),
        (
            "ios in one region",
            q(
                6,
                &with_count,
                &["app.build_id"],
                &[f("app.platform", "=", json!("ios11")), f("cloud.region", "=", json!("us-east-1"))],
                Some(20),
                None,
            ),
        ),
        ("distinct users by region", q(6, &[on("COUNT_DISTINCT", "user.id")], &["cloud.region"], no, None, None)),
        ("failures by host", q(2, one, &["host.name"], &[failed], Some(20), None)),
        (
            "routes with exports",
            q(2, &[count.clone(), ms("P95")], &["name"], &[f("name", "contains", json!("export"))], Some(20), Some(60)),
        ),
        ("services now", q(2, &[with_count, vec![ms("MAX")]].concat(), &["service.name"], no, None, None)),
    ]
}

/// CPU time of this process so far.
fn cpu_ns() -> i64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    t.tv_sec * 1_000_000_000 + t.tv_nsec
}

/// Lets perf record, if it waits to be told.
struct Perf(Option<(File, BufReader<File>)>);

impl Perf {
    fn new() -> Outcome<Perf> {
        let Ok(paths) = std::env::var("PERF_CTL") else { return Ok(Perf(None)) };
        let (ctl, ack) = paths.split_once(',').ok_or("PERF_CTL=FIFO,ACK")?;
        Ok(Perf(Some((OpenOptions::new().write(true).open(ctl)?, BufReader::new(File::open(ack)?)))))
    }

    fn tell(&mut self, what: &str) -> Outcome<()> {
        if let Some((ctl, ack)) = &mut self.0 {
            ctl.write_all(what.as_bytes())?;
            ack.read_line(&mut String::new())?;
        }
        Ok(())
    }
}

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let arg = |i: usize| args.get(i).map_or("", String::as_str);
    let (dir, data) = (PathBuf::from(arg(0)), PathBuf::from(arg(1)));
    let rounds = arg(2).parse().unwrap_or(ROUNDS_LEFT);
    let cache = arg(4) != "off";
    let mut paths: Vec<PathBuf> = read_dir(data.join("batches"))?.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    let step = ((paths.len() as f64 * GROWTH).round() as usize).max(1);
    let first = paths.len() - step * ROUNDS_LEFT;
    let limits = Limits { request_bytes_max: 64 << 20, ..Limits::default() };
    let context = Context::new(NOW, &limits);
    let store = Store::open(StoreOptions::new(&dir, || NOW))?;
    let engine = Engine::new(store.clone(), EngineOptions::default());
    let mut perf = Perf::new()?;
    let mut times: Vec<(&str, Vec<f64>)> = Vec::new();
    let mut end_ns = 0;
    for round in 0..=rounds {
        let new = if round == 0 { first - 1..first } else { first + (round - 1) * step..first + round * step };
        for path in &paths[new] {
            let packed = read(path)?;
            let body = decompress(&packed, ContentEncoding::Zstd, limits.request_bytes_max)?;
            for (dataset, batch) in honeycomb::batch(&body, honeycomb::Format::Json, "bench", &context)?.writes {
                end_ns = end_ns.max(batch.times.iter().copied().max().unwrap_or(0));
                if round > 0 {
                    store.append_blocking(vec![Write { dataset, batch, fitted: false }])?;
                }
            }
        }
        std::thread::sleep(Duration::from_millis(300));
        let asked = questions(end_ns / 1_000_000_000 + 1);
        times.resize_with(asked.len(), || ("", Vec::new()));
        if round > 0 {
            perf.tell("enable\n")?;
        }
        for ((title, spec), (name, times)) in asked.into_iter().zip(&mut times).filter(|(q, _)| q.0.contains(arg(3))) {
            let spec: QuerySpec = serde_json::from_value(spec)?;
            let before = cpu_ns();
            let run = Run { cache, series: SeriesMode::IfGranularity, ..engine.run(NOW) };
            let answer = engine.query(&Scope::Dataset("bench".to_owned()), &spec, &run)?;
            *name = title;
            times.push((cpu_ns() - before) as f64 / 1e6);
            assert!(answer.meta.rows_scanned > 0, "{title}");
        }
        if round > 0 {
            perf.tell("disable\n")?;
        }
    }
    let mut sum = 0.0;
    for (name, mut times) in times.into_iter().filter(|(_, t)| t.len() > 1) {
        let cold = times.remove(0);
        times.sort_by(f64::total_cmp);
        let middle = times[times.len() / 2];
        sum += middle;
        println!("{name:32} {middle:7.2} ms of CPU again ({:.2} to {:.2}), {cold:.1} first", times[0], times[times.len() - 1]);
    }
    println!("{:32} {sum:7.2}", "all");
    Ok(())
}
