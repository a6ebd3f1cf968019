//! Questions over small segments: what the random questions of `tests/it` do not reach, or not by name.

use super::*;
use model::query::QuerySpec;
use model::{BatchBuilder, Limits, NS_PER_SECOND, TimeNs, Value};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const S: i64 = NS_PER_SECOND;

/// A segment of events: time, sample rate, fields.
fn segment(events: &[(TimeNs, f64, Json)]) -> Arc<Segment> {
    let mut builder = BatchBuilder::new();
    for (time, rate, fields) in events {
        builder.begin();
        for (name, value) in fields.as_object().unwrap() {
            let column = builder.column(name);
            builder.value(column, &Value::from_json(value).unwrap());
        }
        builder.end(*time, *rate);
    }
    Arc::new(Segment::from_bytes(store::segment::encode(&builder.finish())).unwrap())
}

/// `n` events, one a second from 0, of three services and one user each.
fn many(n: i64) -> Vec<Arc<Segment>> {
    let event =
        |i: i64| (i * S, 1.0, json!({"service": format!("s{}", i % 3), "user": format!("u{i}"), "duration_ms": i, "wide": i * 1_000_003}));
    let events: Vec<_> = (0..n).map(event).collect();
    events.chunks(70_000).rev().map(segment).collect()
}

fn plan(segments: &[Arc<Segment>], spec: Json, run: &Run) -> Result<Plan, EngineError> {
    let known: BTreeSet<String> = segments.iter().flat_map(|s| s.columns()).map(|c| c.name.to_owned()).collect();
    let mut spec = spec;
    let map = spec.as_object_mut().unwrap();
    map.entry("start_time").or_insert(json!(0));
    map.entry("end_time").or_insert(json!(1_000_000));
    let spec: QuerySpec = serde_json::from_value(spec).unwrap();
    check(&spec, &known, run, &Limits::default())
}

fn ask_with(segments: &[Arc<Segment>], spec: Json, knobs: Run) -> Result<Answer, EngineError> {
    run(segments, &plan(segments, spec, &knobs)?, &knobs, &Caches::default())
}

fn ask(segments: &[Arc<Segment>], spec: Json) -> Answer {
    ask_with(segments, spec, Run::new(0)).unwrap()
}

/// The series with its labels.
fn series(answer: &Answer) -> Vec<(i64, Vec<Cell>)> {
    answer.series_rows().iter().map(|(time, row)| (time, row.cells().cloned().collect())).collect()
}

/// Results as JSON arrays of cells.
fn rows(answer: &Answer) -> Json {
    json!(answer.results)
}

#[test]
fn nothing_is_answered_with_nothing() {
    for segments in [vec![], many(10)] {
        let early = json!({"start_time": -100, "end_time": -50, "granularity": 10});
        let known = Run::new(0);
        let answer = run(&segments, &plan(&many(10), early, &known).unwrap(), &known, &Caches::default()).unwrap();
        assert_eq!((answer.results.len(), answer.series.len(), answer.meta.coverage), (0, 0, 1.0));
        assert_eq!(answer.columns, vec![Arc::from("COUNT")]);
    }
}

#[test]
fn groups_with_series_in_one_pass_and_in_two() {
    let segments = many(100);
    // Users are too many for one pass only if there are very many; a raw id column always takes two.
    for breakdown in ["service", "user", "wide"] {
        let a = ask(
            &segments,
            json!({"breakdowns": [breakdown], "calculations": [{"op": "COUNT"}, {"op": "MAX", "column": "duration_ms"}],
            "granularity": 10, "orders": [{"op": "MAX", "column": "duration_ms", "order": "descending"}], "limit": 2}),
        );
        assert_eq!((a.results.len(), a.meta.rows_matched, a.meta.rows_scanned), (2, 100, 100));
        assert_eq!(a.results[0][2], Cell::Int(99), "{breakdown}");
        let labels: BTreeSet<String> = a.results.iter().map(|r| format!("{:?}", r[0])).collect();
        let series = series(&a);
        assert!(series.iter().all(|(_, row)| labels.contains(&format!("{:?}", row[0]))), "only groups of the results");
        assert!(series.iter().is_sorted_by_key(|(t, _)| t) && series.iter().all(|(t, _)| t % (10 * S) == 0));
        let total: f64 = series.iter().filter(|(_, row)| row[0] == a.results[0][0]).filter_map(|(_, row)| row[1].as_f64()).sum();
        assert_eq!(Some(total), a.results[0][1].as_f64());
    }
}

#[test]
fn orders_havings_and_limit() {
    let segments = [segment(&[
        (0, 1.0, json!({"a": "x", "v": 1})),
        (0, 1.0, json!({"a": "x", "v": 2})),
        (0, 1.0, json!({"a": "y", "v": 5})),
        (0, 1.0, json!({"v": 5})),
        (0, 1.0, json!({"a": 7})),
    ])];
    let sum = json!({"op": "SUM", "column": "v"});
    let by = |orders: Json, havings: Json| {
        rows(&ask(&segments, json!({"breakdowns": ["a"], "calculations": [sum], "orders": orders, "havings": havings})))
    };
    let descending = json!([{"op": "SUM", "column": "v", "order": "descending"}, {"column": "a"}]);
    assert_eq!(by(descending.clone(), json!([])), json!([["y", 5], [null, 5], ["x", 3], [7, null]]));
    assert_eq!(by(json!([{"column": "a"}]), json!([])), json!([[7, null], ["x", 3], ["y", 5], [null, 5]]));
    assert_eq!(by(json!([{"column": "a", "order": "descending"}]), json!([])), json!([["y", 5], ["x", 3], [7, null], [null, 5]]));
    let having = json!([{"calculate_op": "SUM", "column": "v", "op": ">", "value": 3}]);
    assert_eq!(by(descending, having), json!([["y", 5], [null, 5]]));
    let groups = ask(&segments, json!({"breakdowns": ["a"], "calculations": [], "orders": [{"column": "a"}], "limit": 2}));
    assert_eq!(rows(&groups), json!([[7], ["x"]]));
}

#[test]
fn totals_and_other() {
    let segments = many(30);
    let spec = json!({"breakdowns": ["service"], "calculations": [{"op": "COUNT"}, {"op": "P50", "column": "duration_ms"}, {"op": "COUNT_DISTINCT", "column": "user"}],
        "havings": [{"calculate_op": "COUNT", "op": ">", "value": 9}], "orders": [{"column": "service"}], "limit": 1, "granularity": 15});
    let a = ask_with(&segments, spec, Run { totals: true, ..Run::new(0) }).unwrap();
    assert_eq!(rows(&a), json!([["s0", 10, 12, 10]]));
    assert_eq!(json!(a.totals), json!([null, 30, 14, 30]));
    assert_eq!(json!(a.other), json!([null, 20, 14, 20]));
    let total_series: Vec<Json> = a.total_series.tagged().map(|(t, _, row)| json!([t / S, row[0]])).collect();
    assert_eq!(total_series, [json!([0, 15]), json!([15, 15])]);
}

#[test]
fn many_values_are_counted_per_group_in_several_segments() {
    // Of 24,000 users each segment has more than half; some events have none.
    let user = |i: i64| (i % 50 != 0).then(|| format!("user {}", (i * 7_919 + i * i % 17) % 24_000));
    let event = |i: i64| {
        let mut fields = json!({"service": format!("s{}", i % 3), "n": i % 10});
        if let Some(user) = user(i) {
            fields["user"] = json!(user);
        }
        (i * S, 1.0, fields)
    };
    let events: Vec<_> = (0..60_000).map(event).collect();
    let segments: Vec<_> = events.chunks(30_000).rev().map(segment).collect();
    assert!(segments.iter().all(|s| s.n_dict(&s.find("user").next().unwrap()) > 1 << 14));
    let distinct = |service: i64, n_max: i64| {
        let of = (0..60_000).filter(|i| i % 3 == service && i % 10 <= n_max).filter_map(user);
        of.collect::<BTreeSet<_>>().len()
    };
    let caches = Caches::default();
    for (n_max, threads) in [(10, 2), (10, 1), (4, 2), (10, 2)] {
        let spec = json!({"calculations": [{"op": "COUNT_DISTINCT", "column": "user"}], "breakdowns": ["service"],
            "filters": [{"column": "n", "op": "<=", "value": n_max}], "orders": [{"column": "service", "order": "ascending"}]});
        let knobs = Run { threads, ..Run::new(0) };
        let answer = run(&segments, &plan(&segments, spec, &knobs).unwrap(), &knobs, &caches).unwrap();
        let expected: Vec<_> = (0..3).map(|s| json!([format!("s{s}"), distinct(s, n_max)])).collect();
        assert_eq!(rows(&answer), json!(expected));
    }
}

#[test]
fn rates_are_differences_of_buckets() {
    let segments =
        [segment(&[(0, 1.0, json!({"v": 1})), (S, 1.0, json!({"v": 2})), (10 * S, 2.0, json!({"v": 5})), (30 * S, 1.0, json!({"v": 1}))])];
    let a =
        ask(&segments, json!({"calculations": [{"op": "RATE_SUM", "column": "v"}, {"op": "RATE_MAX", "column": "v"}], "granularity": 10}));
    let series: Vec<Json> = series(&a).iter().map(|(t, row)| json!([t / S, row[0], row[1]])).collect();
    assert_eq!(series, [json!([0, null, null]), json!([10, 7, 3]), json!([30, null, null])]);
    assert_eq!(rows(&a), json!([[7, 3]]));
}

#[test]
fn spans_from_before_the_range_are_under_way_in_it() {
    let segments = [
        segment(&[(25 * S, 1.0, json!({"g": "b", "duration_ms": 1000}))]),
        segment(&[(0, 2.0, json!({"g": "a", "duration_ms": 15_000.0})), (5 * S, 1.0, json!({"g": "a", "duration_ms": 4_000}))]),
    ];
    let a = ask(
        &segments,
        json!({"breakdowns": ["g"], "calculations": [{"op": "CONCURRENCY"}, {"op": "COUNT"}],
        "start_time": 10, "end_time": 30, "granularity": 10, "orders": [{"column": "g"}]}),
    );
    assert_eq!(rows(&a), json!([["a", 0.5, 0], ["b", 0.05, 1]]));
    let series: Vec<Json> = series(&a).iter().map(|(t, row)| json!([t / S, row])).collect();
    assert_eq!(series, [json!([10, ["a", 1, 0]]), json!([20, ["b", 0.1, 1]])]);
    assert_eq!(a.meta.rows_matched, 1);
}

#[test]
fn a_heatmap_has_a_series_and_a_scale() {
    let a = ask(&many(100), json!({"calculations": [{"op": "HEATMAP", "column": "duration_ms"}], "start_time": 0, "end_time": 120}));
    assert_eq!(a.granularity_ns, Some(S));
    assert_eq!(a.series.len(), 100);
    let Cell::Heatmap(all) = &a.results[0][0] else { panic!("no heatmap") };
    assert_eq!(all.counts.iter().sum::<f64>(), 100.0);
    let (key, scale) = &a.meta.heatmaps[0];
    assert_eq!((&**key, all.from, scale.zero_below), ("HEATMAP(duration_ms)", 0, 1.0));
}

#[test]
fn derived_columns_can_be_asked_about() {
    let parent = json!({"trace.parent_id": "0123456789abcdef", "x": 1});
    let segments = [segment(&[(0, 1.0, json!({"x": 1})), (1, 1.0, parent)]), segment(&[(2, 1.0, json!({"x": 1}))])];
    let a = ask(&segments, json!({"breakdowns": ["is_root"]}));
    assert_eq!(rows(&a), json!([[true, 2], [false, 1]]));
    for (op, value, n) in [
        ("=", json!(true), 2),
        ("!=", json!(true), 1),
        ("=", json!("false"), 1),
        ("exists", Json::Null, 3),
        ("in", json!([true, false]), 3),
        ("=", json!(1), 0),
    ] {
        let a = ask(&segments, json!({"filters": [{"column": "is_root", "op": op, "value": value}]}));
        assert_eq!(a.meta.rows_matched, n, "{op} {value}");
    }
    let datasets = ["one", "two"].map(Arc::from);
    let knobs = Run::new(0);
    let plan = plan(
        &segments,
        json!({"breakdowns": ["meta.dataset"], "filters": [{"column": "meta.dataset", "op": "starts-with", "value": "o"}]}),
        &knobs,
    )
    .unwrap();
    let a = run_on(&segments, &datasets, &plan, &knobs, &Caches::default()).unwrap();
    assert_eq!((rows(&a), a.meta.rows_scanned), (json!([["one", 2]]), 2));
}

#[test]
fn very_wide_groups() {
    let fields = |i: i64| {
        Json::Object(
            (0..81)
                .map(|c| (format!("c{c:02}"), if c % 2 == 0 { json!(i * (1 << 30) + c) } else { json!(format!("{}", i % 7)) }))
                .collect(),
        )
    };
    let segments = [segment(&(0..50).map(|i| (i, 1.0, fields(i % 10))).collect::<Vec<_>>())];
    let breakdowns: Vec<String> = (0..81).map(|c| format!("c{c:02}")).collect();
    let a = ask(&segments, json!({"breakdowns": breakdowns, "orders": [{"column": "c00"}]}));
    assert_eq!(a.results.len(), 10);
    for (i, row) in a.results.iter().enumerate() {
        let wanted: Vec<Cell> =
            fields(i as i64).as_object().unwrap().values().map(|v| Value::from_json(v).unwrap().into()).chain([Cell::Int(5)]).collect();
        assert_eq!(*row, wanted);
    }
}

#[test]
fn raw_rows_come_in_the_order_asked_for() {
    let segments = many(200);
    let times = |spec: Json| -> Vec<i64> { ask(&segments, spec).raw.unwrap().iter().map(|e| e.time / S).collect() };
    assert_eq!(times(json!({"calculations": [], "limit": 3})), [199, 198, 197]);
    assert_eq!(times(json!({"calculations": [], "limit": 2, "orders": [{"column": "time"}], "start_time": 50})), [50, 51]);
    assert_eq!(
        times(json!({"calculations": [], "limit": 2, "orders": [{"column": "service", "order": "descending"}, {"column": "duration_ms"}]})),
        [2, 5]
    );
    let a = ask(&segments, json!({"calculations": [], "filters": [{"column": "user", "op": "=", "value": "u7"}]}));
    let event = &a.raw.as_ref().unwrap()[0];
    assert_eq!(
        serde_json::to_value(event).unwrap(),
        json!({"time": "1970-01-01T00:00:07Z", "data": {"service": "s1", "user": "u7", "duration_ms": 7, "wide": 7_000_021}})
    );
}

#[test]
fn a_comparison_is_an_answer_of_its_own() {
    let a = ask(&many(100), json!({"start_time": 60, "end_time": 100, "compare_time_offset_seconds": 50}));
    assert_eq!((rows(&a), rows(a.compare.as_ref().unwrap())), (json!([[40]]), json!([[40]])));
    assert_eq!(a.compare.unwrap().start_ns, 10 * S);
}

/// A clock that a minute passes on whenever it is read.
fn hurrying() -> Instant {
    static READ: AtomicU64 = AtomicU64::new(0);
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    *START + Duration::from_secs(60 * READ.fetch_add(1, Ordering::Relaxed))
}

#[test]
fn a_deadline_leaves_a_partial_answer_that_says_so() {
    let segments = many(400_000);
    let in_minutes = |n: u64| Run { clock: hurrying, deadline: Some(hurrying() + Duration::from_secs(60 * n)), threads: 1, ..Run::new(0) };
    for cache in [false, true] {
        let spec = json!({"calculations": [{"op": "COUNT"}, {"op": "MIN", "column": "duration_ms"}]});
        let a = ask_with(&segments, spec, Run { cache, ..in_minutes(16) }).unwrap();
        let counted = a.results[0][0].as_f64().unwrap();
        assert!(a.meta.coverage > 0.0 && a.meta.coverage < 1.0, "{}", a.meta.coverage);
        assert_eq!(a.results[0][1].as_f64(), Some(400_000.0 - counted), "the newest events");
        // Pieces cut blocks; how many rows are on each side is told to within a few.
        let off = (counted / 400_000.0 - a.meta.coverage).abs();
        assert!(if cache { off < 1e-4 } else { off == 0.0 }, "{off}");
        assert!(!a.meta.notes.is_empty());
    }
    let raw = ask_with(&segments, json!({"calculations": [], "orders": [{"column": "duration_ms"}], "limit": 1}), in_minutes(16)).unwrap();
    assert!(raw.meta.coverage < 1.0 && raw.raw.unwrap().len() == 1);
    let none = ask_with(&segments, json!({}), in_minutes(0)).unwrap_err();
    assert!(matches!(none, EngineError::Deadline), "{none}");
}

#[test]
fn a_question_can_be_cancelled() {
    let segments = many(1_000);
    for spec in [json!({}), json!({"calculations": []})] {
        let knobs = Run::new(0);
        knobs.cancel.store(true, Ordering::Relaxed);
        assert!(matches!(ask_with(&segments, spec, knobs), Err(EngineError::Cancelled)));
    }
}

#[test]
fn memory_is_bounded() {
    let segments = many(200_000);
    let with = |spec: Json, memory_bytes_max: usize| ask_with(&segments, spec, Run { memory_bytes_max, ..Run::new(0) });
    for spec in [
        json!({"breakdowns": ["user"]}),
        json!({"breakdowns": ["wide", "user"]}),
        json!({"calculations": [{"op": "COUNT_DISTINCT", "column": "wide", "exact": true}], "breakdowns": ["wide"]}),
        json!({"calculations": [{"op": "P95", "column": "duration_ms"}], "breakdowns": ["user"], "granularity": 100}),
    ] {
        let error = with(spec.clone(), 200_000).expect_err(&spec.to_string());
        assert_eq!(error.kind(), model::ErrorKind::Exhausted, "{spec}");
        assert!(error.to_string().contains("question_memory_bytes_max=200000"), "{error}");
        with(spec, 1 << 30).unwrap();
    }
    // What can be estimated is.
    let distinct = json!({"calculations": [{"op": "COUNT_DISTINCT", "column": "wide"}]});
    // (On one thread: how two of them share the events, and so the memory, is up to the operating system.)
    let a = ask_with(&segments, distinct.clone(), Run { memory_bytes_max: 3 << 20, threads: 1, ..Run::new(0) }).unwrap();
    let error = (a.results[0][0].as_f64().unwrap() - 200_000.0).abs() / 200_000.0;
    assert!(error > 0.0 && error < 0.03, "{error}");
    assert_eq!(a.meta.approximate[0].relative_error, 0.0056);
    assert_eq!(rows(&with(distinct, 1 << 30).unwrap()), json!([[200_000]]));
}

#[test]
fn progress_and_partial_answers_are_told() {
    let segments = many(400_000);
    let told: Arc<Mutex<Vec<Progress>>> = Arc::default();
    let shown: Arc<Mutex<Vec<Answer>>> = Arc::default();
    let (tell, show) = (Arc::clone(&told), Arc::clone(&shown));
    for (threads, granularity) in [(1, 0), (2, 0), (1, 100_000), (2, 100_000)] {
        let knobs = Run {
            clock: hurrying,
            threads,
            on_progress: Some(Box::new({
                let tell = Arc::clone(&tell);
                move |p| tell.lock().push(p)
            })),
            on_partial: Some((
                Duration::from_secs(1),
                Box::new({
                    let show = Arc::clone(&show);
                    move |a| show.lock().push(a)
                }),
            )),
            ..Run::new(0)
        };
        told.lock().clear();
        shown.lock().clear();
        let spec = json!({"breakdowns": ["service"], "calculations": [{"op": "COUNT"}, {"op": "P50", "column": "duration_ms"}, {"op": "COUNT_DISTINCT", "column": "user"}], "granularity": granularity});
        let a = ask_with(&segments, spec, knobs).unwrap();
        assert!(told.lock().iter().all(|p| p.rows_planned == 400_000 && p.rows_done <= 400_000 && p.rows_done > 0));
        let shown = shown.lock();
        assert!(!told.lock().is_empty() && !shown.is_empty());
        for partial in shown.iter() {
            let count = |a: &Answer| a.results.iter().filter_map(|r| r[1].as_f64()).sum::<f64>();
            assert_eq!(count(partial), partial.meta.rows_matched as f64);
            assert!(count(partial) <= count(&a) && partial.columns == a.columns);
            assert_eq!(partial.meta.coverage < 1.0, partial.meta.rows_matched < 400_000);
        }
    }
}

#[test]
fn values_complete_what_is_typed() {
    let segments = [
        segment(&[
            (0, 1.0, json!({"a": "apple", "n": 12})),
            (1, 1.0, json!({"a": "pear", "n": 7})),
            (2, 1.0, json!({"a": "apricot", "b": true})),
        ]),
        segment(&[(9, 1.0, json!({"a": "apple", "n": 12})), (10, 1.0, json!({"a": 5}))]),
    ];
    let all = (0, 100);
    let text = |s: &str| Value::Str(s.to_owned());
    assert_eq!(values(&segments, "a", "ap", 10, all).unwrap(), [(text("apple"), 2), (text("apricot"), 1)]);
    assert_eq!(values(&segments, "a", "", 2, all).unwrap(), [(text("apple"), 2), (Value::Int(5), 1)]);
    assert_eq!(values(&segments, "n", "1", 10, all).unwrap(), [(Value::Int(12), 2)]);
    assert_eq!(values(&segments, "b", "t", 10, all).unwrap(), [(Value::Bool(true), 1)]);
    assert_eq!(values(&segments, "a", "ap", 10, (5, 100)).unwrap(), [(text("apple"), 1)]);
}

#[test]
fn numbers_of_values_are_kept_between_questions_and_dropped_with_their_segments() {
    let caches = Caches::default();
    let segments = many(1_000);
    let knobs = Run::new(0);
    let plan = plan(&segments, json!({"breakdowns": ["user"], "limit": 10_000}), &knobs).unwrap();
    let first = run(&segments, &plan, &knobs, &caches).unwrap();
    let bytes = caches.bytes();
    assert!(bytes > 4_000);
    assert_eq!(first.results, run(&segments, &plan, &knobs, &caches).unwrap().results);
    assert_eq!(caches.bytes(), bytes);
    // The first that has to look for values makes tables of them.
    let others = many(10);
    run(&others, &plan, &knobs, &caches).unwrap();
    let bytes = caches.bytes();
    drop(segments);
    let others = many(10);
    run(&others, &plan, &knobs, &caches).unwrap();
    assert!(caches.bytes() < bytes, "the maps of closed segments go");
}

#[test]
fn values_that_few_rows_have_are_read_alone() {
    let n_users = 45_000;
    let event =
        |i: i64| (i * S, 1.0, json!({"user": format!("u{:05}", i % n_users), "trace.span_id": format!("{:016x}", i % n_users), "n": i}));
    let events: Vec<_> = (0..n_users * 2).map(event).collect();
    let segments: Vec<_> = events.chunks(n_users as usize).rev().map(segment).collect();
    let decoded = |column: &str| segments.iter().filter(|s| s.find(column).any(|c| s.known_dict(&c).is_some())).count();
    for (column, user) in [("user", (|i| format!("u{i:05}")) as fn(i64) -> String), ("trace.span_id", |i| format!("{i:016x}"))] {
        let caches = Caches::default();
        let ask = |from: i64, to: i64| {
            let filters = json!([{"column": "n", "op": ">=", "value": from}, {"column": "n", "op": "<", "value": to}]);
            let orders = json!([{"column": column, "order": "ascending"}]);
            let spec =
                json!({"breakdowns": [column], "calculations": [{"op": "COUNT"}], "filters": filters, "orders": orders, "limit": 10_000});
            let knobs = Run { cache: false, ..Run::new(0) };
            rows(&run(&segments, &plan(&segments, spec, &knobs).unwrap(), &knobs, &caches).unwrap())
        };
        let once = |users: std::ops::Range<i64>| users.map(|i| json!([user(i), 1]));
        // Of both segments.
        let (around, before) = (ask(n_users - 10, n_users + 10), decoded(column));
        assert_eq!(around, Json::Array(once(0..10).chain(once(n_users - 10..n_users)).collect()));
        assert_eq!(before, 0, "{column}");
        // Known values, and others, for which the dictionaries are decoded.
        assert_eq!(ask(5, 2_000), Json::Array(once(5..2_000).collect()));
        assert_eq!(ask(n_users + 1, n_users + 3), Json::Array(once(1..3).collect()));
        // So many that all get numbers.
        let caches = Caches::default();
        let spec = json!({"breakdowns": [column], "filters": [{"column": "n", "op": ">=", "value": 10_000}], "limit": 10_000,
            "orders": [{"op": "COUNT", "order": "descending"}, {"column": column, "order": "descending"}]});
        let knobs = Run { cache: false, ..Run::new(0) };
        let answer = run(&segments, &plan(&segments, spec, &knobs).unwrap(), &knobs, &caches).unwrap();
        assert_eq!(answer.meta.rows_matched, 80_000);
        let top = Json::Array((0..10_000).map(|i| json!([user(n_users - 1 - i), 2])).collect());
        assert_eq!(rows(&answer), top);
    }
}
