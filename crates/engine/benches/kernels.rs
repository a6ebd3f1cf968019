//! Kernels of the engine, each reached by the smallest question that is all about it, on one thread and one block.
//! `make bench-kernels` counts their instructions; `cargo bench -p engine --bench kernels` times them.
//!
//! Owns: which kernels, and their inputs. Never does: judge (`bench/kernels.py` does).
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring tool")]

#[path = "../../../bench/kernel.rs"]
#[allow(dead_code, reason = "shared with the other crates")]
mod kernel;

use engine::{Answer, Caches, ContrastPlan, Plan, Run, SeriesMode, check, check_contrast, contrast};
use kernel::{Kernels, START_NS, STEP_NS, events};
use model::Limits;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::segment::{BLOCK_ROWS, Segment, encode, merge};

/// The allocator of the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Bed {
    kernels: Kernels,
    segments: Vec<Arc<Segment>>,
    known: BTreeSet<String>,
    caches: Caches,
    run: Run,
}

impl Bed {
    fn plan(&self, mut spec: Value) -> Plan {
        let object = spec.as_object_mut().unwrap();
        object.insert("start_time".into(), json!(START_NS / 1_000_000_000));
        object.insert("end_time".into(), json!((START_NS + STEP_NS * BLOCK_ROWS as i64) / 1_000_000_000 + 1));
        check(&serde_json::from_value(spec).unwrap(), &self.known, &self.run, &Limits::default()).unwrap()
    }

    fn ask(&self, plan: &Plan, caches: &Caches) -> Answer {
        engine::run(&self.segments, plan, &self.run, caches).unwrap()
    }

    /// A question whose dictionaries and interned values are warm.
    fn question(&self, name: &str, spec: Value) {
        let plan = self.plan(spec);
        self.kernels.run(&format!("engine: {name}"), (BLOCK_ROWS, "row"), || self.ask(&plan, &self.caches));
    }

    fn contrast_plan(&self, column: &str) -> ContrastPlan {
        let spec = json!({"dataset": "d", "query": {"start_time": START_NS / 1_000_000_000, "end_time": START_NS / 1_000_000_000 + 1_000_000},
                          "selection": {"filters": [{"column": "status", "op": "=", "value": 3}]}, "baseline": "rest", "columns": [column], "max_conditions": 0});
        check_contrast(&serde_json::from_value(spec).unwrap(), &self.known, &self.run, &Limits::default()).unwrap()
    }
}

/// Events of a piece of an answer in the kernels of questions that are asked again.
const CHUNK_ROWS: u64 = 512;
/// Events of each of three requests; two of them come in before such a question is asked again.
const NEW_ROWS: usize = 500;

/// Questions of a dashboard that are asked again: with nothing new, and with a few new events.
fn again(bed: &Bed, batches: &[Arc<Segment>], name: &str, spec: &Value) {
    let ask = |n_new: usize, caches: &Caches| {
        let mut spec = spec.clone();
        let end = (START_NS + STEP_NS * (BLOCK_ROWS + n_new * NEW_ROWS) as i64) / 1_000_000_000 + 1;
        spec.as_object_mut().unwrap().extend([("start_time".into(), json!(end - 3_000)), ("end_time".into(), json!(end))]);
        let run = Run { threads: 1, series: SeriesMode::IfGranularity, ..Run::new(0) };
        let plan = check(&serde_json::from_value(spec).unwrap(), &bed.known, &run, &Limits::default()).unwrap();
        let segments: Vec<_> = batches[..n_new].iter().rev().chain(&bed.segments).map(Arc::clone).collect();
        engine::run(&segments, &plan, &run, caches).unwrap()
    };
    let asked = || {
        let caches = Caches::new(64 << 20).with_chunk_rows(CHUNK_ROWS);
        for n_new in [0, 0, 1, 1] {
            ask(n_new, &caches);
        }
        caches
    };
    let caches = asked();
    bed.kernels.run(&format!("engine: asked again, {name}"), (1, "answer"), || ask(1, &caches));
    bed.kernels
        .run_with(&format!("engine: asked again after 1,000 events, {name}"), (1, "answer"), asked, |caches| (ask(3, &caches), caches));
}

fn main() {
    let parts: Vec<_> =
        (0..4).map(|i| Arc::new(Segment::from_bytes(encode(&events(i * BLOCK_ROWS / 4, BLOCK_ROWS / 4))).unwrap())).collect();
    let segment = Arc::new(Segment::from_bytes(merge(&parts).unwrap()).unwrap());
    let bed = Bed {
        kernels: Kernels::from_args(),
        known: segment.columns().map(|c| c.name.to_owned()).collect(),
        segments: vec![segment],
        caches: Caches::new(64 << 20),
        run: Run { threads: 1, cache: false, series: SeriesMode::IfGranularity, ..Run::new(0) },
    };
    let count = json!({"op": "COUNT"});
    let of = |op: &str, column: &str| json!({"op": op, "column": column});
    let f = |column: &str, op: &str, value: Value| json!({"column": column, "op": op, "value": value});
    let most = json!({"op": "COUNT", "order": "descending"});

    bed.question("count all", json!({"calculations": [count]}));
    bed.question("filter text =", json!({"calculations": [count], "filters": [f("service", "=", json!("service-3"))]}));
    bed.question("filter text contains", json!({"calculations": [count], "filters": [f("user", "contains", json!("77"))]}));
    bed.question("filter number >", json!({"calculations": [count], "filters": [f("duration_ms", ">", json!(1000))]}));
    bed.question(
        "filter three columns",
        json!({"calculations": [count], "filters": [f("route", "in", json!(["/api/v1/things/3/parts", "/api/v1/things/4/parts"])),
               f("error", "=", json!(true)), f("bytes", "<", json!(30_000))]}),
    );
    bed.question("count by 12 services", json!({"calculations": [count], "breakdowns": ["service"]}));
    bed.question("count by 12 services, series", json!({"calculations": [count], "breakdowns": ["service"], "granularity": 300}));
    bed.question(
        "count by 40,000 users, top 100",
        json!({"calculations": [count], "breakdowns": ["user"], "orders": [most], "limit": 100}),
    );
    bed.question(
        "count by build x route x status, top 100",
        json!({"calculations": [count], "breakdowns": ["build", "route", "status"], "orders": [most], "limit": 100}),
    );
    bed.question("count by trace id, top 10", json!({"calculations": [count], "breakdowns": ["trace.trace_id"], "limit": 10}));
    bed.question(
        "sum, avg, min, max of integers",
        json!({"calculations": [of("SUM", "bytes"), of("AVG", "bytes"), of("MIN", "bytes"), of("MAX", "bytes")]}),
    );
    bed.question("sum and avg of decimals", json!({"calculations": [of("SUM", "duration_ms"), of("AVG", "duration_ms")]}));
    bed.question("P95 by 12 services", json!({"calculations": [of("P95", "duration_ms")], "breakdowns": ["service"]}));
    bed.question("P95 by 2,000 builds", json!({"calculations": [of("P95", "duration_ms")], "breakdowns": ["build"]}));
    bed.question(
        "P50, P95, P99 by service, series",
        json!({"calculations": [of("P50", "duration_ms"), of("P95", "duration_ms"), of("P99", "duration_ms")],
               "breakdowns": ["service"], "granularity": 300}),
    );
    bed.question("heatmap, series", json!({"calculations": [of("HEATMAP", "duration_ms")], "granularity": 60}));
    bed.question("distinct users by service", json!({"calculations": [of("COUNT_DISTINCT", "user")], "breakdowns": ["service"]}));
    bed.question("distinct span ids", json!({"calculations": [of("COUNT_DISTINCT", "trace.span_id")]}));
    bed.question(
        "a trace with all columns",
        json!({"calculations": [], "filters": [f("trace.trace_id", "=", json!(format!("{:016x}{:016x}", 100_u64.wrapping_mul(0x9e37_79b9_7f4a_7c15), 100)))]}),
    );
    bed.question("100 raw rows", json!({"calculations": [], "limit": 100}));

    // Values come into the shared numbering for the first time.
    let plan = bed.plan(json!({"calculations": [count], "breakdowns": ["user"], "orders": [most], "limit": 100}));
    let n = bed.segments[0].n_dict(&bed.segments[0].find("user").next().unwrap());
    bed.kernels.run_with(
        "engine: intern 40,000 values",
        (n, "value"),
        || Caches::new(64 << 20),
        |caches| (bed.ask(&plan, &caches), caches),
    );
    let n = parts.iter().map(|part| part.n_dict(&part.find("user").next().unwrap())).sum();
    bed.kernels.run_with(
        "engine: intern 40,000 values of four segments",
        (n, "value"),
        || Caches::new(64 << 20),
        |caches| (engine::run(&parts, &plan, &bed.run, &caches).unwrap(), caches),
    );

    for (name, column) in
        [("text, 200 values", "route"), ("text, 40,000 values", "user"), ("integers", "bytes"), ("decimals", "duration_ms")]
    {
        let plan = bed.contrast_plan(column);
        bed.kernels.run(&format!("engine: contrast one column, {name}"), (BLOCK_ROWS, "row"), || {
            contrast(&bed.segments, &[], &plan, &bed.run).unwrap()
        });
    }

    let batches: Vec<_> =
        (0..3).map(|i| Arc::new(Segment::from_bytes(encode(&events(BLOCK_ROWS + i * NEW_ROWS, NEW_ROWS))).unwrap())).collect();
    let percentiles = ["P50", "P95", "P99"].map(|op| of(op, "duration_ms"));
    for (name, spec) in [
        ("count by service, series", json!({"calculations": [count], "breakdowns": ["service"], "granularity": 20})),
        ("P50, P95, P99", json!({"calculations": percentiles, "granularity": 20})),
        (
            "P99 by route",
            json!({"calculations": [of("P99", "duration_ms"), count], "breakdowns": ["route"], "orders": [most, {"column": "route"}], "limit": 20}),
        ),
        (
            "P95 by build, top 50",
            json!({"calculations": [count, of("P95", "duration_ms")], "breakdowns": ["build"], "orders": [most, {"column": "build"}], "limit": 50}),
        ),
        ("distinct users by service", json!({"calculations": [of("COUNT_DISTINCT", "user")], "breakdowns": ["service"]})),
        (
            "failures of a route by build",
            json!({"calculations": [count], "breakdowns": ["build"], "orders": [most, {"column": "build"}], "limit": 20,
                   "filters": [f("error", "=", json!(true)), f("route", "contains", json!("9"))]}),
        ),
    ] {
        again(&bed, &batches, name, &spec);
    }

    let plan = bed.plan(json!({"calculations": [count, of("P95", "duration_ms")], "breakdowns": ["build"], "limit": 1000}));
    let answer = bed.ask(&plan, &bed.caches);
    assert_eq!(answer.results.len(), 1000);
    bed.kernels.run("engine: 1,000 rows to JSON", (1000, "row"), || serde_json::to_vec(&answer).unwrap());
    let answer = bed.ask(&bed.plan(json!({"calculations": [], "limit": 1000})), &bed.caches);
    bed.kernels.run("engine: 1,000 raw rows to JSON", (1000, "row"), || serde_json::to_vec(&answer).unwrap());
}
