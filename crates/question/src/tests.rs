//! Questions as text, what they become, and where errors point.

use super::{duration_s, instant, parse};
use serde_json::{Value as Json, json};

fn check(text: &str, expected: Json) {
    let question = parse(text).unwrap_or_else(|e| panic!("{}", e.shown(text)));
    assert_eq!(serde_json::to_value(&question.spec).unwrap(), expected, "{text}");
}

/// The caret marks the place in the text itself: `COUNT ^by` means "here".
fn check_wrong(marked: &str, what: &str) {
    let at = marked.find('^').expect("a caret");
    let text = marked.replacen('^', "", 1);
    let wrong = parse(&text).expect_err(&text);
    assert_eq!(wrong.at, at, "{text}: {}", wrong.shown(&text));
    assert!(wrong.what.contains(what), "{text}: {}", wrong.what);
}

#[test]
fn texts_become_specifications() {
    check("", json!({}));
    check("COUNT", json!({"calculations": [{"op": "COUNT"}]}));
    check(
        "COUNT, P99(duration_ms) by service.name where http.status_code >= 500 last 2h top 10",
        json!({
            "calculations": [{"op": "COUNT"}, {"op": "P99", "column": "duration_ms"}],
            "filters": [{"column": "http.status_code", "op": ">=", "value": 500}],
            "breakdowns": ["service.name"],
            "orders": [{"op": "COUNT", "order": "descending"}],
            "limit": 10,
            "time_range": 7200.0,
        }),
    );
    check(
        "by `user agent` where a = \"x y\" or b exists or c in (1, 2.5, three) limit 5",
        json!({
            "filters": [
                {"column": "a", "op": "=", "value": "x y"},
                {"column": "b", "op": "exists"},
                {"column": "c", "op": "in", "value": [1, 2.5, "three"]},
            ],
            "filter_combination": "OR",
            "breakdowns": ["user agent"],
            "orders": [{"op": "COUNT", "order": "descending"}],
            "limit": 5,
        }),
    );
    check(
        "avg(x) as mean, HEATMAP(`in`) where n not in (true) and s does-not-start-with '\\'q' every 5m compare 1d unweighted",
        json!({
            "calculations": [{"op": "AVG", "column": "x", "name": "mean"}, {"op": "HEATMAP", "column": "in"}],
            "filters": [{"column": "n", "op": "not-in", "value": [true]}, {"column": "s", "op": "does-not-start-with", "value": "'q"}],
            "filter_combination": "AND",
            "granularity": 300.0,
            "compare_time_offset_seconds": 86400.0,
            "usage_mode": true,
        }),
    );
    check(
        "SUM(b) by k having SUM(b) > 10 and COUNT <= 2 order by SUM(b) desc, k from 2026-01-01 to 2026-01-01T12:00:00Z",
        json!({
            "calculations": [{"op": "SUM", "column": "b"}],
            "breakdowns": ["k"],
            "orders": [{"op": "SUM", "column": "b", "order": "descending"}, {"column": "k"}],
            "havings": [
                {"calculate_op": "SUM", "column": "b", "op": ">", "value": 10},
                {"calculate_op": "COUNT", "op": "<=", "value": 2},
            ],
            "start_time": "2026-01-01T00:00:00Z",
            "end_time": "2026-01-01T12:00:00Z",
        }),
    );
}

#[test]
fn raw_events_and_datasets() {
    let q = parse("events(name, duration_ms) in `my data` where x=1 limit 3").unwrap();
    assert_eq!((q.spec.calculations.as_deref(), q.dataset.as_deref()), (Some(&[][..]), Some("my data")));
    assert_eq!(q.show, ["name", "duration_ms"]);
    assert!(q.spec.orders.is_empty());
}

#[test]
fn integers_keep_64_bits_and_quoted_numbers_are_text() {
    check("where a = 9223372036854775807", json!({"filters": [{"column": "a", "op": "=", "value": i64::MAX}]}));
    check("where a = \"500\"", json!({"filters": [{"column": "a", "op": "=", "value": "500"}]}));
    check("where a = 1.2.3", json!({"filters": [{"column": "a", "op": "=", "value": "1.2.3"}]}));
}

#[test]
fn errors_point_at_the_place() {
    check_wrong("^CUONT by x", "did you mean COUNT?");
    check_wrong("^P99 by x", "P99 needs a column");
    check_wrong("COUNT by ^where a = 1", "expected a column to group by");
    check_wrong("COUNT where a ^b", "expected an operator");
    check_wrong("COUNT where a =^", "expected a value");
    check_wrong("COUNT where ä = 1 and b = 2 ^or c = 3", "all by `and` or all by `or`");
    check_wrong("COUNT where a in ^1, 2", "expected `(`");
    check_wrong("COUNT top ^ten", "whole number");
    check_wrong("COUNT last ^2 hours", "expected a duration");
    check_wrong("COUNT by a ^by b", "second time");
    check_wrong("COUNT by a ^b", "expected a clause");
    check_wrong("COUNT where a = ^\"open", "never closed");
    check_wrong("COUNT, ^EVENTS", "stands alone");
    check_wrong("COUNT having COUNT > ^many", "with a number");
    check_wrong("COUNT where a ^! b", "write `!=`");
}

#[test]
fn the_caret_stands_below_the_place() {
    let text = "COUNT where ü = 1 oder";
    let shown = parse(text).unwrap_err().shown(text);
    let mut lines = shown.lines().skip(1);
    let (line, caret) = (lines.next().unwrap(), lines.next().unwrap());
    assert_eq!(line.chars().nth(caret.chars().count() - 1), Some('o'));
}

#[test]
fn durations_and_instants() {
    for (text, seconds) in [("0", 0.0), ("90s", 90.0), ("2h30m", 9000.0), ("1.5h", 5400.0), ("250ms", 0.25), ("1w", 604_800.0)] {
        assert_eq!(duration_s(text), Some(seconds), "{text}");
    }
    for text in ["", "h", "90", "2 h", "-1h", "2x", "1h30"] {
        assert_eq!(duration_s(text), None, "{text}");
    }
    for (text, time) in [
        ("1970-01-01", json!("1970-01-01T00:00:00Z")),
        ("2026-11-22 12:30", json!("2026-11-22T12:30:00Z")),
        ("2026-11-22 12:30:01.5", json!("2026-11-22T12:30:01.5Z")),
        ("2026-11-22T12:30:00.25+02:00", json!("2026-11-22T12:30:00.25+02:00")),
        ("1795350600", json!(1_795_350_600)),
        ("1795350600.5", json!(1_795_350_600.5)),
    ] {
        assert_eq!(instant(text), Some(time), "{text}");
    }
    for text in ["", "yesterday", "2026-01-01x", "2026-01-01T10", "2026-1-1"] {
        assert_eq!(instant(text), None, "{text}");
    }
}

#[test]
fn conditions_read_back_as_they_were() {
    let check = |column: &str, op: &str, value: Json, text: &str| {
        let filter: model::query::Filter = serde_json::from_value(json!({"column": column, "op": op, "value": value})).unwrap();
        let written = super::condition_text(&filter);
        assert_eq!(written, text);
        let (back, _) = super::parse_conditions(&written).unwrap_or_else(|e| panic!("{}", e.shown(&written)));
        assert_eq!(back, [filter], "{written}");
    };
    check("http.status_code", ">=", json!(500), "http.status_code >= 500");
    check("error", "=", json!(true), "error = true");
    check("error", "=", json!("true"), "error = \"true\"");
    check("build", "=", json!("789782"), "build = \"789782\"");
    check("version", "!=", json!("1.2.3"), "version != 1.2.3");
    check("name", "starts-with", json!("GET /"), "name starts-with \"GET /\"");
    check("user agent", "exists", Json::Null, "`user agent` exists");
    check("in", "does-not-exist", Json::Null, "`in` does-not-exist");
    check("odd `name`", "=", json!(-1.5), "\"odd `name`\" = -1.5");
    check("geo", "in", json!(["DE", "by", 7, ""]), "geo in (DE, \"by\", 7, \"\")");
    check("message", "contains", json!("a \"b\"\\\n\tc"), "message contains \"a \\\"b\\\"\\\\\\n\\tc\"");
    check("a", "not-in", json!([1, 2]), "a not-in (1, 2)");
}

#[test]
fn expressions_have_names_before_them() {
    for (text, expected) in [
        ("slow = GTE($duration_ms, 500)", Some(("slow", "GTE($duration_ms, 500)"))),
        (" a=b=c ", Some(("a", "b=c"))),
        ("\"a = b\" = $c", Some(("a = b", "$c"))),
        ("`a=b`=$c", Some(("a=b", "$c"))),
        ("\"a\" $c", None),
        ("slow =", None),
        ("= 1", None),
        ("slow", None),
        ("\"\" = 1", None),
    ] {
        assert_eq!(super::named_expression(text), expected, "{text}");
    }
}

#[test]
fn times_of_answers_are_read_and_written() {
    for (epoch, text) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_789_948_800, "2026-09-21T00:00:00Z"),
        (4_107_542_399, "2100-02-28T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z"),
    ] {
        assert_eq!(super::utc(epoch), text);
        assert_eq!(super::epoch_s(text), Some(epoch as f64));
    }
}
