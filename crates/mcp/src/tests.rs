//! What agents are told of the tools, and how arguments are read.

use crate::args::Args;
use crate::times::{Labels, fix, instant, range};
use crate::tools::{ALL, Tool, find};
use model::query::QuerySpec;
use serde_json::{Map, Value as Json, json};

/// 2026-09-21T00:00:00Z.
const NOW: f64 = 1_789_948_800.0;

fn object(json: Json) -> Map<String, Json> {
    json.as_object().cloned().unwrap_or_default()
}

fn args(tool: &str, given: Json) -> Args {
    Args::new(find(tool).unwrap(), object(given)).unwrap()
}

#[track_caller]
fn check_wrong(tool: &str, given: Json, says: &str) {
    let error = Args::new(find(tool).unwrap(), object(given)).unwrap_err().to_string();
    assert!(error.contains(says), "{error}");
}

fn example(tool: &Tool) -> Json {
    let (_, text) = tool.description.split_once("Example: ").unwrap_or_else(|| panic!("{} has no example", tool.name));
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{}: {e}: {text}", tool.name))
}

#[test]
fn every_tool_has_an_example_that_its_schema_takes() {
    for tool in &ALL {
        Args::new(tool, object(example(tool))).unwrap_or_else(|e| panic!("{}: {e}", tool.name));
        for (name, schema) in tool.schema()["properties"].as_object().unwrap() {
            assert!(schema["description"].as_str().is_some_and(|d| d.len() > 10), "{}: {name} is not described", tool.name);
        }
    }
}

#[test]
fn all_that_agents_are_told_fits_into_a_small_part_of_their_window() {
    let told: usize = ALL.iter().map(|t| t.description.chars().count() + Json::from(t.schema()).to_string().chars().count()).sum();
    assert!(told < 16_000, "{told} characters");
}

#[test]
fn wrong_arguments_are_named_with_what_to_write() {
    check_wrong("query", json!({"filter": ["a = 1"]}), "no argument `filter`; did you mean `filters`?");
    check_wrong("list_values", json!({}), "list_values needs `column`");
    check_wrong("list_values", json!({"column": " "}), "list_values needs `column`");
    let wrong = |result: Result<Json, crate::tools::ToolError>| result.unwrap_err().to_string();
    let query = |given: Json| args("query", given);
    let filters = |given: Json| query(json!({ "filters": given })).filters("filters").map(|(f, c)| json!([f, c]));
    assert!(wrong(filters(json!("a >< 1"))).contains("^"), "points at the place");
    assert!(wrong(filters(json!(["a = 1 or b = 2", "c = 3"]))).contains("as one text"));
    assert!(wrong(filters(json!([{"column": "a", "op": "like", "value": 1}]))).contains("write \"http.status_code >= 500\""));
    let calculations = |given: Json| query(json!({ "calculations": given })).calculations("calculations").map(|_| Json::Null);
    assert!(wrong(calculations(json!(["COUNT by service.name"]))).contains("arguments of their own"));
    assert!(wrong(calculations(json!(["P98(duration_ms)"]))).contains("P98"));
    assert!(wrong(query(json!({"limit": 0})).limit(1, 10).map(Json::from)).contains("1 to 10"));
    assert!(
        wrong(
            query(json!({"from": "soon"}))
                .text("from")
                .and_then(|_| instant(&query(json!({"from": "soon"})), "from", NOW).map(|_| Json::Null))
        )
        .contains("now-2h")
    );
}

#[test]
fn arguments_are_lenient_in_form() {
    let spec = |given: Json| {
        let args = args("query", given);
        let (filters, joined) = args.filters("filters").unwrap();
        let asked = args.calculations("calculations").unwrap().unwrap();
        json!([asked.calculations, filters, joined, args.columns("breakdowns").unwrap(), asked.show, args.limit(7, 100).unwrap()])
    };
    let expected = json!([
        [{"op": "COUNT"}, {"op": "P99", "column": "duration_ms"}],
        [{"column": "http.status_code", "op": ">=", "value": 500}, {"column": "error", "op": "=", "value": true}],
        null, ["a", "b c"], [], 5,
    ]);
    let object = json!({"column": "error", "op": "=", "value": true});
    let one = json!({"calculations": ["COUNT", "p99(duration_ms)"], "filters": ["http.status_code >= 500", object], "breakdowns": ["a", "b c"], "limit": 5});
    assert_eq!(spec(one), expected);
    // Lists as texts, numbers in quotes, calculations as objects.
    let other = json!({
        "calculations": "COUNT, P99(duration_ms)", "filters": "[\"http.status_code >= 500\", {\"column\": \"error\", \"op\": \"=\", \"value\": true}]",
        "breakdowns": "a, `b c`", "limit": "5",
    });
    assert_eq!(spec(other), expected);
    let both = spec(json!({"calculations": "EVENTS(name, duration_ms)", "filters": "a = 1 or b exists"}));
    assert_eq!(
        both,
        json!([[], [{"column": "a", "op": "=", "value": 1}, {"column": "b", "op": "exists"}], "OR", [], ["name", "duration_ms"], 7])
    );
}

#[test]
fn times_may_be_relative() {
    let at = |text: Json| instant(&args("query", json!({ "from": text })), "from", NOW).unwrap().unwrap();
    assert_eq!(at(json!("now")), json!(NOW));
    assert_eq!(at(json!("now-2h")), json!(NOW - 7_200.0));
    assert_eq!(at(json!("-1d")), json!(NOW - 86_400.0));
    assert_eq!(at(json!("2026-09-21")), json!("2026-09-21T00:00:00Z"));
    assert_eq!(at(json!(1_789_948_800)), json!(1_789_948_800));
    let ranged = |given: Json| {
        let mut spec = QuerySpec::default();
        range(&args("query", given), &mut spec, NOW).map(|()| fix(&mut spec, NOW).unwrap())
    };
    assert_eq!(ranged(json!({})).unwrap(), (NOW - 7_200.0, NOW));
    assert_eq!(ranged(json!({"last": "1h"})).unwrap(), (NOW - 3_600.0, NOW));
    assert_eq!(ranged(json!({"last": 90, "to": "2026-09-20T12:00:00Z"})).unwrap(), (NOW - 43_290.0, NOW - 43_200.0));
    assert_eq!(ranged(json!({"from": "2026-09-20", "to": "now"})).unwrap(), (NOW - 86_400.0, NOW));
    assert!(ranged(json!({"last": "1h", "from": 1, "to": 2})).unwrap_err().to_string().contains("two of"));
    assert!(ranged(json!({"last": "soon"})).unwrap_err().to_string().contains("30s, 10m"));
}

#[test]
fn times_of_a_series_are_as_short_as_they_can_be() {
    let check = |start: &str, end: &str, time: &str, label: &str| assert_eq!(Labels::between(start, end).label(time), label);
    check("2026-09-21T00:00:00Z", "2026-09-21T02:00:00Z", "2026-09-21T01:05:00Z", "01:05");
    check("2026-09-21T00:00:00Z", "2026-09-21T02:00:00Z", "2026-09-21T01:05:30Z", "01:05:30");
    check("2026-09-20T23:00:00Z", "2026-09-21T01:00:00Z", "2026-09-20T23:05:00Z", "09-20 23:05");
    check("2025-12-31T23:00:00Z", "2026-01-01T01:00:00Z", "2026-01-01T00:00:00Z", "2026-01-01 00:00");
}
