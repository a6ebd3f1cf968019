//! Relatives of events in hand-made traces. Random ones are `tests/it/agree.rs`.

use crate::{Answer, Caches, ContrastAnswer, EngineError, Run};
use model::contrast::ContrastSpec;
use model::query::QuerySpec;
use model::{BatchBuilder, Limits, NS_PER_SECOND, Value};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use store::Segment;

/// A segment of spans: seconds, trace, id, parent, name and further fields.
fn segment(spans: &[(i64, &str, &str, &str, Json)]) -> Arc<Segment> {
    let mut builder = BatchBuilder::new();
    for (second, trace, id, parent, fields) in spans {
        builder.begin();
        let ids = [("trace.trace_id", trace), ("trace.span_id", id), ("trace.parent_id", parent)];
        for (name, id) in ids.into_iter().filter(|(_, id)| !id.is_empty()) {
            let column = builder.column(name);
            builder.str(column, id);
        }
        for (name, value) in fields.as_object().unwrap() {
            let column = builder.column(name);
            builder.value(column, &Value::from_json(value).unwrap());
        }
        builder.end(second * NS_PER_SECOND, 1.0);
    }
    Arc::new(Segment::from_bytes(store::segment::encode(&builder.finish())).unwrap())
}

/// Two traces in two segments, an event without trace, and a span whose parent never came.
fn shop() -> Vec<Arc<Segment>> {
    let span = |name: &str, service: &str, ms: i64| json!({"name": name, "service": service, "ms": ms});
    vec![
        segment(&[
            (1_002, "t1", "c", "a", span("charge", "pay", 30)),
            (1_003, "t1", "d", "c", json!({"name": "sql", "service": "pay", "ms": 20, "error": true})),
            (1_010, "t2", "x", "", span("GET /", "web", 9)),
            (1_011, "t2", "y", "lost", span("late", "web", 1)),
        ]),
        segment(&[
            (1_000, "t1", "a", "", span("POST /pay", "web", 100)),
            (1_001, "t1", "b", "a", span("cart", "cart", 10)),
            (1_001, "", "l", "", span("cron", "jobs", 5)),
        ]),
    ]
}

fn columns(segments: &[Arc<Segment>]) -> BTreeSet<String> {
    segments.iter().flat_map(|s| s.columns()).map(|c| c.name.to_owned()).collect()
}

fn ask_with(segments: &[Arc<Segment>], mut spec: Json, run: &Run, limits: &Limits) -> Result<Answer, EngineError> {
    let map = spec.as_object_mut().unwrap();
    map.entry("start_time").or_insert(json!(900));
    map.entry("end_time").or_insert(json!(2_000));
    let spec: QuerySpec = serde_json::from_value(spec).unwrap();
    crate::run(segments, &crate::check(&spec, &columns(segments), run, limits)?, run, &Caches::default())
}

fn ask(segments: &[Arc<Segment>], spec: Json) -> Answer {
    ask_with(segments, spec, &Run::new(0), &Limits::default()).unwrap()
}

/// The ids of the spans that pass, in order.
fn passing(filters: Json) -> String {
    let spec = json!({"filters": filters, "breakdowns": ["trace.span_id"], "orders": [{"column": "trace.span_id"}]});
    ids(&ask(&shop(), spec))
}

fn ids(answer: &Answer) -> String {
    json!(answer.results).as_array().unwrap().iter().map(|row| row[0].as_str().unwrap_or("?").to_owned()).collect::<Vec<_>>().join(" ")
}

fn filter(column: &str, op: &str, value: Json) -> Json {
    json!({"column": column, "op": op, "value": value})
}

#[test]
fn filters_look_at_relatives() {
    for (filters, expected) in [
        (json!([filter("root.name", "=", json!("POST /pay"))]), "a b c d"),
        (json!([filter("root.name", "!=", json!("POST /pay"))]), "x y"),
        (json!([filter("root.error", "does-not-exist", json!(null))]), "a b c d x y"),
        (json!([filter("parent.service", "exists", json!(null))]), "b c d"),
        (json!([filter("parent.service", "!=", json!("web"))]), "d"),
        (json!([filter("parent.error", "does-not-exist", json!(null))]), "b c d"),
        (json!([filter("child.service", "=", json!("cart"))]), "a"),
        (json!([filter("child.error", "=", json!(true))]), "c"),
        (json!([filter("any.error", "=", json!(true))]), "a b c d"),
        (json!([filter("any.service", "=", json!("cart")), filter("any.ms", ">", json!(10))]), ""),
        (json!([filter("any.service", "=", json!("cart")), filter("any2.ms", ">", json!(10))]), "a b c d"),
        (json!([filter("any.service", "=", json!("cart")), filter("any.ms", ">", json!(5))]), "a b c d"),
        (json!([filter("none.error", "=", json!(true))]), "x y"),
        (json!([filter("none.service", "=", json!("nobody"))]), "a b c d x y"),
        (json!([filter("root.is_root", "=", json!(true)), filter("is_root", "=", json!(false))]), "b c d y"),
        (json!([filter("parent.is_root", "=", json!(true))]), "b c"),
        (json!([filter("any.service", "=", json!("cart")), filter("ms", "<", json!(25)), filter("child.ms", "exists", json!(null))]), ""),
        (json!([filter("none.error", "=", json!(true)), filter("none.name", "=", json!("late"))]), "a b c d x y"),
    ] {
        assert_eq!(passing(filters.clone()), expected, "{filters}");
    }
}

#[test]
fn joined_by_or_each_filter_stands_for_itself() {
    let spec = |filters: Json| json!({"filters": filters, "filter_combination": "OR", "breakdowns": ["trace.span_id"], "orders": [{"column": "trace.span_id"}]});
    let either = spec(json!([filter("any.service", "=", json!("cart")), filter("any.name", "=", json!("late"))]));
    assert_eq!(ids(&ask(&shop(), either)), "a b c d x y");
    let none = spec(json!([filter("none.error", "=", json!(true)), filter("name", "=", json!("cron"))]));
    assert_eq!(ids(&ask(&shop(), none)), "l x y");
}

#[test]
fn relatives_have_values() {
    let calls = ask(
        &shop(),
        json!({"breakdowns": ["parent.service", "service"], "filters": [{"column": "parent.service", "op": "exists"}],
            "calculations": [{"op": "COUNT"}, {"op": "SUM", "column": "parent.ms"}, {"op": "MAX", "column": "root.ms"}],
            "orders": [{"column": "parent.service"}, {"column": "service"}]}),
    );
    assert_eq!(json!(calls.results), json!([["pay", "pay", 1, 30, 100], ["web", "cart", 1, 100, 100], ["web", "pay", 1, 100, 100]]));
    let first = ask(&shop(), json!({"breakdowns": ["child.name"], "orders": [{"column": "child.name"}]}));
    assert_eq!(json!(first.results), json!([["cart", 1], ["sql", 1], [null, 5]]), "the first child in time");
    let slow = json!({"breakdowns": ["child.name"], "filters": [filter("child.ms", ">", json!(15))], "orders": [{"column": "child.name"}]});
    assert_eq!(json!(ask(&shop(), slow).results), json!([["charge", 1], ["sql", 1]]), "the first that passes");
    let any = json!({"breakdowns": ["any.name", "trace.trace_id"], "filters": [filter("any.ms", "<", json!(25))],
        "orders": [{"column": "any.name"}]});
    assert_eq!(json!(ask(&shop(), any).results), json!([["GET /", "t2", 2], ["cart", "t1", 4]]));
    let both = json!({"breakdowns": ["root.is_root", "root.meta.dataset"], "orders": [{"column": "root.is_root"}]});
    assert_eq!(json!(ask(&shop(), both).results), json!([[true, "", 6], [null, null, 1]]));
}

#[test]
fn a_calculation_has_filters_and_relatives_of_its_own() {
    let answer = ask(
        &shop(),
        json!({"calculations": [
            {"op": "COUNT", "name": "under a web root", "filters": [filter("root.service", "=", json!("web"))]},
            {"op": "SUM", "column": "any.ms", "name": "of errors", "filters": [filter("any.error", "=", json!(true))]},
            {"op": "COUNT", "column": "parent.name", "name": "linked"},
            {"op": "COUNT", "name": "either", "filter_combination": "OR",
                "filters": [filter("parent.service", "=", json!("pay")), filter("name", "=", json!("cron"))]},
        ]}),
    );
    assert_eq!(json!(answer.results), json!([[6, 80, 3, 2]]));
}

#[test]
fn calculated_fields_and_raw_rows_see_relatives() {
    let rows = ask(
        &shop(),
        json!({"calculations": [], "filters": [{"column": "parent.ms", "op": "exists"}],
            "calculated_fields": [{"name": "share", "expression": "$ms / $parent.ms"}, {"name": "root.name", "expression": "$root.name"}],
            "orders": [{"column": "parent.ms", "order": "ascending"}, {"column": "time"}]}),
    );
    let field = |name: &str| -> Vec<Json> {
        let found = |fields: &[(Arc<str>, Value)]| fields.iter().find(|(n, _)| **n == *name).map_or(json!(null), |(_, v)| v.to_json());
        rows.raw.iter().flatten().map(|row| found(&row.fields)).collect()
    };
    assert_eq!(field("trace.span_id"), ["d", "b", "c"]);
    assert_eq!(field("share"), [json!(20.0 / 30.0), json!(0.1), json!(0.3)]);
    assert_eq!(field("root.name"), ["POST /pay", "POST /pay", "POST /pay"]);
    let slow = json!({"calculated_fields": [{"name": "slow", "expression": "$ms >= 30"}], "breakdowns": ["parent.slow"],
        "orders": [{"column": "parent.slow"}]});
    assert_eq!(json!(ask(&shop(), slow).results), json!([[true, 3], [null, 4]]));
}

#[test]
fn relatives_are_looked_for_around_the_range_and_what_is_missing_is_said() {
    let ask = |start: f64, end: i64, margin: f64| {
        let limits = Limits { relatives_margin_seconds: margin, ..Limits::default() };
        let spec = json!({"breakdowns": ["parent.name", "root.name"], "start_time": start, "end_time": end,
            "orders": [{"column": "parent.name"}, {"column": "root.name"}]});
        let answer = ask_with(&shop(), spec, &Run::new(0), &limits).unwrap();
        (json!(answer.results), answer.meta.relations.unwrap())
    };
    let (rows, told) = ask(1_002.0, 1_004, 600.0);
    assert_eq!(rows, json!([["POST /pay", "POST /pay", 1], ["charge", "POST /pay", 1]]));
    assert_eq!((told.without_root, told.without_parent), (Some(0), Some(0)));
    assert_eq!((told.events_from_ns / NS_PER_SECOND, told.events_to_ns / NS_PER_SECOND), (402, 1_604));
    let (rows, told) = ask(1_002.0, 1_004, 0.0);
    assert_eq!(rows, json!([["charge", null, 1], [null, null, 1]]));
    assert_eq!((told.without_root, told.without_parent), (Some(2), Some(1)));
    // To the nanosecond, whatever the segments.
    assert_eq!(ask(1_002.0, 1_004, 2.0).1.without_root, Some(0));
    assert_eq!(ask(1_002.000_001, 1_004, 2.0).1.without_root, Some(1));
    assert_eq!(ask(900.0, 2_000, 0.0).1.without_parent, Some(1), "the parent that never came");
}

#[test]
fn spans_sent_twice_or_under_one_id_are_one_parent() {
    let span = |name: &str| json!({"name": name});
    let segments = [
        segment(&[(3, "t", "b", "a", span("child")), (2, "t", "a", "", span("second")), (4, "t", "c", "c", span("own parent"))]),
        segment(&[(1, "t", "a", "", span("first")), (5, "t", "e", "f", span("cycle")), (6, "t", "f", "e", span("cycle 2"))]),
    ];
    let spec = |filters: Json| {
        json!({"breakdowns": ["name", "parent.name", "child.name", "root.name"], "filters": filters, "orders": [{"column": "name"}],
            "start_time": 0, "end_time": 10})
    };
    assert_eq!(
        json!(ask(&segments, spec(json!([]))).results),
        json!([
            ["child", "first", null, "first", 1],
            ["cycle", "cycle 2", "cycle 2", "first", 1],
            ["cycle 2", "cycle", "cycle", "first", 1],
            ["first", null, "child", "first", 1],
            ["own parent", "own parent", "own parent", "first", 1],
            ["second", null, "child", "first", 1],
        ])
    );
    let second = spec(json!([filter("parent.name", "=", json!("second"))]));
    assert_eq!(json!(ask(&segments, second).results), json!([["child", "second", null, "first", 1]]));
}

#[test]
fn a_column_that_only_looks_relational_is_itself() {
    let segments = [segment(&[(1, "t", "a", "", json!({"root.cause": "disk", "x": 1}))])];
    let by = |name: &str| json!(ask(&segments, json!({"breakdowns": [name], "start_time": 0, "end_time": 10})).results);
    assert_eq!(by("root.cause"), json!([["disk", 1]]));
    assert_eq!(by("root.x"), json!([[1, 1]]));
}

#[test]
fn too_little_memory_is_told_and_a_cancelled_question_ends() {
    let spec = json!({"breakdowns": ["root.name"]});
    let little = Run { memory_bytes_max: 64, ..Run::new(0) };
    let error = ask_with(&shop(), spec.clone(), &little, &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("relatives of events in their traces") || error.contains("calculated fields"), "{error}");
    let cancelled = Run::new(0);
    cancelled.cancel.store(true, Ordering::Relaxed);
    assert!(matches!(ask_with(&shop(), spec, &cancelled, &Limits::default()), Err(EngineError::Cancelled)));
}

#[test]
fn contrast_selects_by_relatives() {
    let segments = shop();
    let spec: ContrastSpec = serde_json::from_value(json!({
        "query": {"start_time": 900, "end_time": 2_000},
        "selection": {"filters": [filter("root.name", "=", json!("POST /pay")), filter("root.ms", ">", json!(50))]},
    }))
    .unwrap();
    let run = Run::new(0);
    let plan = crate::check_contrast(&spec, &columns(&segments), &run, &Limits::default()).unwrap();
    let ContrastAnswer { populations, .. } = crate::contrast(&segments, &[], &plan, &run).unwrap();
    assert_eq!((populations.selection.count, populations.baseline.count), (4.0, 3.0));
    assert!(populations.selection.words.starts_with("root.name = POST /pay and root.ms > 50,"), "{}", populations.selection.words);
}
