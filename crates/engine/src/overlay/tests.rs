//! Overlays against the plain evaluation of the same expression, row by row; what is kept and what goes.

use super::*;
use crate::check::check_expression;
use crate::{Caches, Columns, Run};
use model::query::QuerySpec;
use model::{BatchBuilder, Limits, Value};
use serde_json::json;

fn segment(n: usize) -> Arc<Segment> {
    let mut b = BatchBuilder::new();
    for i in 0..n {
        b.begin();
        let (name, ms, status, id) = (b.column("name"), b.column("duration_ms"), b.column("status"), b.column("id"));
        b.str(name, ["get", "put", "delete"][i % 3]);
        match i % 4 {
            0 => {}
            1 => b.int(ms, i as i64),
            _ => b.float(ms, i as f64 / 8.0),
        }
        if i % 5 == 0 {
            b.bool(status, i % 2 == 0);
        } else {
            b.str(status, &format!("{}", 200 + i % 7));
        }
        b.str(id, &format!("{:032x}", i * 7919));
        b.end(i as i64 * 1_000, 1.0);
    }
    Arc::new(Segment::from_bytes(store::segment::encode(&b.finish())).unwrap())
}

fn known() -> Vec<String> {
    ["name", "duration_ms", "status", "id"].map(String::from).to_vec()
}

/// Raw rows with one calculated field, in the order of time.
fn shown(segments: &[Arc<Segment>], expression: &str, caches: &Caches) -> Vec<Value> {
    let spec: QuerySpec = serde_json::from_value(json!({
        "calculations": [], "calculated_fields": [{"name": "x", "expression": expression}], "start_time": 0, "end_time": 10,
        "orders": [{"column": "time"}], "limit": 10_000,
    }))
    .unwrap();
    let run = Run::new(0);
    let plan = crate::check(&spec, &known(), &run, &Limits::default()).unwrap();
    let rows = crate::run(segments, &plan, &run, caches).unwrap().raw.unwrap();
    rows.into_iter().map(|row| row.fields.into_iter().find(|(n, _)| &**n == "x").map_or(Value::Null, |(_, v)| v)).collect()
}

#[test]
fn an_overlay_holds_what_the_expression_says() {
    let segments = [segment(3_000)];
    let caches = Caches::default();
    let n = |i: usize| i as i64;
    let cases: [(&str, &dyn Fn(usize) -> Value); 7] = [
        ("CONCAT($name, \"!\")", &|i| Value::Str(format!("{}!", ["get", "put", "delete"][i % 3]))),
        ("IF($name = \"put\" AND $status = \"201\", 1)", &|i| {
            if i % 3 == 1 && i % 5 != 0 && i % 7 == 1 { Value::Int(1) } else { Value::Null }
        }),
        ("$duration_ms * 8", &|i| match i % 4 {
            0 => Value::Null,
            1 => Value::Int(n(i) * 8),
            _ => Value::Float(i as f64),
        }),
        ("ROUND(EVENT_TIMESTAMP() * 1000000)", &|i| Value::Int(n(i))),
        ("$id", &|i| Value::Str(format!("{:032x}", i * 7919))),
        ("EXISTS($is_root)", &|_| Value::Bool(true)),
        ("COALESCE($duration_ms, $name)", &|i| match i % 4 {
            0 => Value::Str(["get", "put", "delete"][i % 3].into()),
            1 => Value::Int(n(i)),
            _ => Value::Float(i as f64 / 8.0),
        }),
    ];
    for (expression, expected) in cases {
        for _ in 0..2 {
            let values = shown(&segments, expression, &caches);
            assert_eq!(values.len(), 3_000);
            for (i, value) in values.into_iter().enumerate() {
                assert_eq!(value.canonical(), expected(i).canonical(), "{expression}, row {i}");
            }
        }
    }
    assert!(caches.overlays.bytes() > 0 && caches.bytes() >= caches.overlays.bytes());
}

#[test]
fn what_is_kept_is_bounded_and_goes_with_its_segment() {
    let kept = Kept::new(20_000);
    let (a, b) = (segment(10), segment(10));
    let key = |i: usize| Arc::<str>::from(format!("key {i}"));
    for i in 0..100 {
        kept.put(&a, &key(i), 0..1, &b);
        assert!(kept.bytes() <= 20_000);
    }
    assert!(kept.get(&a, &key(99), &(0..1)).is_some());
    assert!(kept.get(&a, &key(0), &(0..1)).is_none());
    assert!(kept.get(&b, &key(99), &(0..1)).is_none());
    // What covers less than is needed is not answered, and what comes again takes its place.
    kept.put(&a, &key(99), 1..2, &b);
    assert!(kept.get(&a, &key(99), &(0..2)).is_none());
    assert!(kept.get(&a, &key(99), &(1..2)).is_some());
    kept.sweep();
    assert!(kept.bytes() > 0);
    drop(a);
    kept.sweep();
    assert_eq!(kept.bytes(), 0);
}

#[test]
fn overlays_count_in_the_budget() {
    let segments = [segment(5_000)];
    let spec: QuerySpec = serde_json::from_value(json!({
        "calculated_fields": [{"name": "x", "expression": "CONCAT($id, $name)"}], "breakdowns": ["x"], "start_time": 0, "end_time": 10,
    }))
    .unwrap();
    let run = Run { memory_bytes_max: 50_000, ..Run::new(0) };
    let plan = crate::check(&spec, &known(), &run, &Limits::default()).unwrap();
    let error = crate::run(&segments, &plan, &run, &Caches::default()).unwrap_err();
    assert!(error.to_string().contains("calculated fields"), "{error}");
}

#[test]
fn texts_end_the_question_before_they_fill_the_memory() {
    let segments = [segment(5_000)];
    let copies = vec!["$id"; 500].join(", ");
    let spec: QuerySpec = serde_json::from_value(json!({
        "calculated_fields": [{"name": "x", "expression": format!("CONCAT({copies})")}], "breakdowns": ["x"], "start_time": 0, "end_time": 10,
    }))
    .unwrap();
    // The texts are 80 MB.
    let run = Run { memory_bytes_max: 1 << 20, ..Run::new(0) };
    let plan = crate::check(&spec, &known(), &run, &Limits::default()).unwrap();
    let caches = Caches::default();
    let error = crate::run(&segments, &plan, &run, &caches).unwrap_err();
    assert!(error.to_string().contains("calculated fields"), "{error}");
    assert_eq!(caches.overlays.bytes(), 0);
    let mut column = ColumnBuilder::new(10, 100);
    for i in 0..10 {
        column.text(&format!("text {i}"));
        column.text("the same");
    }
    assert!(column.is_full());
}

#[test]
fn nothing_is_computed_for_segments_that_other_conditions_rule_out() {
    let segments = [segment(1_000)];
    let caches = Caches::default();
    for (filter, computed) in [("post", false), ("put", true)] {
        let spec: QuerySpec = serde_json::from_value(json!({
            "calculated_fields": [{"name": "x", "expression": "LENGTH($id)"}], "start_time": 0, "end_time": 10,
            "filters": [{"column": "x", "op": "=", "value": 32}, {"column": "name", "op": "=", "value": filter}],
        }))
        .unwrap();
        let run = Run::new(0);
        let plan = crate::check(&spec, &known(), &run, &Limits::default()).unwrap();
        crate::run(&segments, &plan, &run, &caches).unwrap();
        assert_eq!(caches.overlays.bytes() > 0, computed, "{filter}");
    }
}

struct Saved(Vec<(&'static str, &'static str)>);

impl Columns for Saved {
    fn contains(&self, name: &str) -> bool {
        known().contains(name)
    }
    fn names(&self) -> Vec<String> {
        known()
    }
    fn calculated(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, e)| (*e).to_owned())
    }
}

#[test]
fn expressions_are_checked_before_they_are_saved() {
    let limits = Limits::default();
    let saved = Saved(vec![("slow", "GTE($duration_ms, 100)"), ("a", "$b + 1"), ("b", "$a + 1"), ("c", "$slow AND $slow")]);
    let check = |name: &str, expression: &str| check_expression(name, expression, &saved, &limits).map_err(|e| e.to_string());
    assert_eq!(check("x", "IF($slow, 1, 0)"), Ok(()));
    assert_eq!(check("duration_ms", "$duration_ms / 1000"), Ok(()));
    for (name, expression, part) in [
        ("x", "IF(1)", "calculated field 'x': IF takes 2 arguments or more, not 1 at character 1"),
        ("x", "1 + $nme", "unknown column 'nme' in calculated field 'x' at character 5; did you mean 'name'?"),
        ("x", "$duration_ms-5", "leave a space before an operator"),
        ("x", "$a", "refers to itself"),
        ("slow", "$c", "refers to itself"),
        ("x", "1 + $any.name", "calculated field 'x' at character 5: 'any.name': which event of the trace is meant?"),
        ("x", "$root.nope", "unknown column 'root.nope' in calculated field 'x' at character 1"),
        ("x", "$root.x", "a relative of a relative"),
    ] {
        let error = check(name, expression).unwrap_err();
        assert!(error.contains(part), "{expression}: {error}");
    }
    // Each field doubles the one before.
    let names: Vec<&'static str> = (0..40).map(|i| &*Box::leak(format!("f{i}").into_boxed_str())).collect();
    let mut chain = vec![(names[0], "$duration_ms")];
    for pair in names.windows(2) {
        chain.push((pair[1], Box::leak(format!("${} + ${}", pair[0], pair[0]).into_boxed_str())));
    }
    let error = check_expression("x", "$f39", &Saved(chain), &limits).unwrap_err().to_string();
    assert!(error.contains("10000 parts"), "{error}");
}
