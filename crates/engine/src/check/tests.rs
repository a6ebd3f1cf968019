//! Questions that are refused, and defaults of those that are not.

use super::*;
use serde_json::json;

fn columns() -> Vec<String> {
    ["service.name", "duration_ms", "trace.parent_id", "user.id"].map(String::from).to_vec()
}

fn plan_with(spec: serde_json::Value, run: &Run) -> Result<Plan, EngineError> {
    let spec: QuerySpec = serde_json::from_value(spec).unwrap();
    check(&spec, &columns(), run, &Limits::default())
}

fn plan(spec: serde_json::Value) -> Result<Plan, EngineError> {
    plan_with(spec, &Run::new(10_000 * NS_PER_SECOND))
}

#[test]
fn defaults() {
    let p = plan(json!({})).unwrap();
    assert_eq!((p.start_ns, p.end_ns), (2800 * NS_PER_SECOND, 10_000 * NS_PER_SECOND));
    assert_eq!((p.calculations.len(), &*p.calculations[0].key, p.limit, p.granularity_ns), (1, "COUNT", 1000, None));
    assert!(plan(json!({"calculations": []})).unwrap().is_raw());
    assert!(!plan(json!({"calculations": [], "breakdowns": ["user.id"]})).unwrap().is_raw());
}

#[test]
fn times_are_kept_to_the_nanosecond() {
    for (spec, start, end) in [
        (json!({"start_time": 5, "end_time": "1970-01-01T00:00:09.000000001Z"}), 5_000_000_000, 9_000_000_001),
        (json!({"start_time": 5.25, "time_range": 10}), 5_250_000_000, 15_250_000_000),
        (json!({"end_time": 9000.5, "time_range": 0.5}), 9_000_000_000_000, 9_000_500_000_000),
        (json!({"time_range": 100}), 9_900_000_000_000, 10_000_000_000_000),
    ] {
        let p = plan(spec.clone()).unwrap();
        assert_eq!((p.start_ns, p.end_ns), (start, end), "{spec}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    for (spec, part) in [
        (json!({"breakdowns": ["servicename"]}), "did you mean 'service.name'?"),
        (json!({"filters": [{"column": "nope", "op": "=", "value": 1}]}), "unknown column 'nope'"),
        (json!({"calculations": [{"op": "AVG", "column": "duration"}]}), "duration_ms"),
        (
            json!({"filters": [{"column": "root.service", "op": "exists"}]}),
            "unknown column 'root.service'; did you mean 'root.service.name'?",
        ),
        (json!({"breakdowns": ["parent.nope"]}), "unknown column 'parent.nope'"),
        (json!({"breakdowns": ["any.user.id"]}), "'any.user.id': which event of the trace is meant? add a filter with 'any.'"),
        (
            json!({"breakdowns": ["any2.user.id"], "filters": [{"column": "any.user.id", "op": "exists"}]}),
            "'any2.user.id': which event of the trace is meant?",
        ),
        (
            json!({"breakdowns": ["any.user.id"], "filters": [{"column": "any.user.id", "op": "exists"}], "filter_combination": "OR"}),
            "to those that must all hold",
        ),
        (json!({"breakdowns": ["none.user.id"]}), "'none.user.id': 'none.' means no event and has no values"),
        (json!({"calculations": [{"op": "SUM", "column": "none.duration_ms"}]}), "use it in filters"),
        (
            json!({"calculated_fields": [{"name": "r", "expression": "$root.user.id"}], "breakdowns": ["parent.r"]}),
            "a relative of a relative cannot be asked for",
        ),
        (
            json!({"calculated_fields": [{"name": "r", "expression": "$any.r"}], "filters": [{"column": "any.r", "op": "exists"}]}),
            "a relative of a relative cannot be asked for",
        ),
        (json!({"filters": [{"column": "root.user.id", "op": "="}]}), "filter on 'root.user.id': the operator needs a value"),
        (json!({"calculations": [{"op": "MEDIAN", "column": "duration_ms"}]}), "unknown calculation 'MEDIAN'"),
        (json!({"calculations": [{"op": "AVG"}]}), "AVG needs a column"),
        (json!({"calculations": [{"op": "CONCURRENCY", "column": "duration_ms"}]}), "takes no column"),
        (json!({"limit": 0}), "limit must be between 1 and 10000"),
        (json!({"limit": 10_001}), "limit"),
        (json!({"limit": -5}), "limit"),
        (json!({"granularity": -1}), "granularity"),
        (json!({"granularity": 0.01}), "at most 100000"),
        (json!({"time_range": 5, "start_time": 1, "end_time": 2}), "together"),
        (json!({"start_time": 2, "end_time": 1}), "start_time must not be after"),
        (json!({"start_time": "yesterday"}), "RFC 3339"),
        (json!({"time_range": 0}), "time_range"),
        (json!({"orders": [{"op": "AVG", "column": "duration_ms"}]}), "order by 'AVG(duration_ms)'"),
        (json!({"orders": [{"column": "user.id"}]}), "order by 'user.id'"),
        (json!({"havings": [{"calculate_op": "MAX", "column": "duration_ms", "op": ">", "value": 1}]}), "having 'MAX(duration_ms)'"),
        (json!({"havings": [{"calculate_op": "COUNT", "op": "contains", "value": 1}]}), "operator"),
        (json!({"havings": [{"calculate_op": "COUNT", "op": ">", "value": "1"}]}), "number"),
        (
            json!({"calculations": [{"op": "HEATMAP", "column": "duration_ms"}], "havings": [{"calculate_op": "HEATMAP", "column": "duration_ms", "op": ">", "value": 1}]}),
            "HEATMAP",
        ),
        (json!({"filters": [{"column": "user.id", "op": "in", "value": 1}]}), "list"),
        (json!({"filters": [{"column": "user.id", "op": "="}]}), "needs a value"),
        (json!({"filters": [{"column": "user.id", "op": "=", "value": null}]}), "exists"),
        (json!({"filters": [{"column": "user.id", "op": "=", "value": {}}]}), "must be text"),
        (
            json!({"formulas": [{"name": "f", "expression": "$COUNT +"}]}),
            "formula 'f': expected a column, a value or a function, found the end at character 9",
        ),
        (
            json!({"formulas": [{"name": "f", "expression": "$total"}]}),
            "formula 'f': unknown calculation 'total' at character 1; calculations of the question: 'COUNT'",
        ),
        (json!({"formulas": [{"name": "COUNT", "expression": "1"}]}), "taken"),
        (json!({"formulas": [{"name": "", "expression": "1"}]}), "needs a name"),
        (json!({"formulas": [{"name": "f", "expression": "EVENT_TIMESTAMP()"}]}), "about events"),
        (
            json!({"calculations": [{"op": "HEATMAP", "column": "duration_ms", "name": "h"}], "formulas": [{"name": "f", "expression": "$h"}]}),
            "HEATMAP",
        ),
        (json!({"formulas": (0..101).map(|i| json!({"name": format!("f{i}"), "expression": "1"})).collect::<Vec<_>>()}), "at most 100"),
        (json!({"calculated_fields": [{"name": "x", "expression": "IF("}]}), "calculated field 'x': "),
        (
            json!({"calculated_fields": [{"name": "x", "expression": "$nope"}]}),
            "unknown column 'nope' in calculated field 'x' at character 1",
        ),
        (json!({"calculated_fields": [{"name": "x", "expression": "$y"}, {"name": "y", "expression": "$x"}]}), "refers to itself"),
        (json!({"calculated_fields": [{"name": "x", "expression": "1"}, {"name": "x", "expression": "2"}]}), "two calculated fields"),
        (json!({"calculated_fields": [{"name": "", "expression": "1"}]}), "needs a name"),
        (json!({"calculations": [{"op": "COUNT", "filters": [{"column": "nope", "op": "exists"}]}]}), "unknown column 'nope'"),
        (json!({"calculations": [{"op": "CONCURRENCY", "filters": [{"column": "user.id", "op": "exists"}]}]}), "filters of its own"),
        (
            json!({"calculations": [{"op": "COUNT"}, {"op": "COUNT", "filters": [{"column": "user.id", "op": "exists"}]}]}),
            "a 'name' of its own",
        ),
        (json!({"calculations": [{"op": "COUNT", "name": "x"}, {"op": "AVG", "column": "duration_ms", "name": "x"}]}), "two calculations"),
        (json!({"calculations": [{"op": "COUNT", "name": "user.id"}], "breakdowns": ["user.id"]}), "have the name"),
        (json!({"compare_time_offset_seconds": 0}), "compare_time_offset_seconds"),
        (json!({"calculations": [], "orders": [{"op": "COUNT"}]}), "raw rows"),
    ] {
        let error = plan(spec.clone()).expect_err(&spec.to_string());
        assert_eq!(error.kind(), model::ErrorKind::Invalid, "{spec}");
        assert!(error.to_string().contains(part), "{spec}: {error}");
    }
}

#[test]
fn orders_find_what_they_name() {
    let p = plan(json!({
        "calculations": [{"op": "COUNT"}, {"op": "P99", "column": "duration_ms", "name": "slow"}], "breakdowns": ["user.id", "is_root"],
        "orders": [{"op": "P99", "column": "duration_ms", "order": "descending"}, {"column": "slow"}, {"column": "is_root"}, {"op": "COUNT"}],
    }))
    .unwrap();
    let keys: Vec<_> = p.orders.into_iter().map(|o| o.key).collect();
    assert_eq!(keys, [OrderKey::Calc(1), OrderKey::Calc(1), OrderKey::Breakdown(1), OrderKey::Calc(0)]);
}

#[test]
fn a_series_comes_when_it_is_wanted() {
    let heat = json!({"calculations": [{"op": "HEATMAP", "column": "duration_ms"}]});
    let rate = json!({"calculations": [{"op": "RATE_SUM", "column": "duration_ms"}]});
    let with = |spec: &serde_json::Value, series| {
        let p = plan_with(spec.clone(), &Run { series, ..Run::new(10_000 * NS_PER_SECOND) }).unwrap();
        (p.granularity_ns.map(|ns| ns / NS_PER_SECOND), p.series)
    };
    assert_eq!(with(&json!({}), SeriesMode::IfGranularity), (None, false));
    assert_eq!(with(&json!({}), SeriesMode::Auto), (Some(60), true));
    assert_eq!(with(&json!({"granularity": 300}), SeriesMode::IfGranularity), (Some(300), true));
    assert_eq!(with(&json!({"granularity": 300}), SeriesMode::Never), (None, false));
    assert_eq!(with(&heat, SeriesMode::IfGranularity), (Some(60), true));
    assert_eq!(with(&heat, SeriesMode::Never), (None, false));
    assert_eq!(with(&rate, SeriesMode::Never), (Some(60), false));
}

#[test]
fn wide_questions_are_allowed() {
    let filters: Vec<_> = (0..100).map(|_| json!({"column": "user.id", "op": "exists"})).collect();
    let values: Vec<_> = (0..1000).collect();
    plan(json!({"filters": filters})).unwrap();
    plan(json!({"filters": [{"column": "user.id", "op": "in", "value": values}]})).unwrap();
    plan(json!({"filters": (0..101).map(|_| json!({"column": "user.id", "op": "exists"})).collect::<Vec<_>>()})).unwrap_err();
}

#[test]
fn orders_and_havings_find_formulas_and_the_calculation_without_filters() {
    let p = plan(json!({
        "calculations": [
            {"op": "COUNT", "name": "errors", "filters": [{"column": "user.id", "op": "exists"}]},
            {"op": "COUNT", "name": "all"},
            {"op": "MAX", "column": "duration_ms", "name": "slowest", "filters": [{"column": "user.id", "op": "exists"}]},
        ],
        "formulas": [{"name": "rate", "expression": "$errors / $all"}],
        "orders": [{"op": "rate"}, {"column": "rate"}, {"op": "COUNT"}, {"column": "errors"}, {"op": "MAX", "column": "duration_ms"}],
        "havings": [{"calculate_op": "rate", "op": ">", "value": 0.5}],
    }))
    .unwrap();
    let keys: Vec<_> = p.orders.iter().map(|o| o.key.clone()).collect();
    assert_eq!(keys, [OrderKey::Calc(3), OrderKey::Calc(3), OrderKey::Calc(1), OrderKey::Calc(0), OrderKey::Calc(2)]);
    assert_eq!(p.havings[0].calc, 3);
    assert_eq!(p.formulas[0].inputs, [0, 1]);
}
