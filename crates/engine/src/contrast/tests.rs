//! Comparisons against counting by hand.

use super::*;
use crate::Cell;
use model::contrast::ContrastSpec;
use model::{BatchBuilder, Limits, Value};
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use store::segment::{encode, merge};

type Row = (i64, f64, BTreeMap<&'static str, Value>);

/// `slow` events come from build 7 far more often, take longer, and lack `cache`.
fn rows(n: u64) -> Vec<Row> {
    let mut state = 11u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    (0..n)
        .map(|i| {
            let slow = next() % 20 == 0;
            let mut f = BTreeMap::new();
            f.insert("slow", Value::Bool(slow));
            f.insert("build", Value::Str(if slow && next() % 4 > 0 { "7".into() } else { format!("{}", next() % 12) }));
            f.insert("user", Value::Str(format!("u{}", next() % 20_000)));
            f.insert("noise", Value::Str(format!("n{}", next() % 5)));
            f.insert("size", Value::Int((next() % 1000) as i64));
            f.insert("ms", Value::Float((next() % 1000) as f64 / 10.0 + if slow { 500.0 } else { 0.0 }));
            f.insert("span", Value::Str(format!("{:08x}{:08x}", next() as u32, next() as u32)));
            if !slow || next() % 10 == 0 {
                f.insert("cache", Value::Str("hit".into()));
            }
            (i as i64 * 1_000_000, [1.0, 1.0, 3.0][(next() % 3) as usize], f)
        })
        .collect()
}

fn segments(rows: &[Row], weighted: bool) -> Vec<Arc<Segment>> {
    let images: Vec<Arc<Segment>> = rows
        .chunks(7_000)
        .map(|rows| {
            let mut b = BatchBuilder::new();
            for (time, rate, fields) in rows {
                b.begin();
                for (name, value) in fields {
                    let c = b.column(name);
                    b.value(c, value);
                }
                b.end(*time, if weighted { *rate } else { 1.0 });
            }
            Arc::new(Segment::from_bytes(encode(&b.finish())).unwrap())
        })
        .collect();
    let (first, rest) = images.split_at(images.len() / 2);
    let mut out = vec![Arc::new(Segment::from_bytes(merge(first).unwrap()).unwrap())];
    out.extend(rest.iter().cloned());
    out
}

fn ask(segments: &[Arc<Segment>], spec: serde_json::Value) -> Result<ContrastAnswer, EngineError> {
    let spec: ContrastSpec = serde_json::from_value(spec).unwrap();
    let known: HashSet<String> = segments.iter().flat_map(|s| s.columns().map(|c| c.name.to_owned())).collect();
    let run = Run::new(0);
    let plan = check_contrast(&spec, &known, &run, &Limits::default())?;
    contrast(segments, &[], &plan, &run)
}

fn by_hand(
    rows: &[Row],
    weighted: bool,
    column: &str,
    selected: impl Fn(&Row) -> bool,
    other: impl Fn(&Row) -> bool,
) -> BTreeMap<String, (f64, f64)> {
    let mut out: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for r in rows {
        let text = r.2.get(column).map_or("null".to_owned(), |v| format!("{:?}", Cell::from(v.clone())));
        let weight = if weighted { r.1 } else { 1.0 };
        if selected(r) {
            out.entry(text).or_default().0 += weight;
        } else if other(r) {
            out.entry(text).or_default().1 += weight;
        }
    }
    out
}

#[test]
fn every_value_is_counted_on_both_sides() {
    let rows = rows(40_000);
    let slow = |r: &Row| r.2["slow"] == Value::Bool(true);
    for weighted in [false, true] {
        let segments = segments(&rows, weighted);
        for (query, inside) in [
            (json!({"start_time": 0, "end_time": 100}), i64::MAX),
            (json!({"start_time": 0, "end_time": 20}), 20_000_000_000),
            (json!({"start_time": 0, "end_time": 100, "filters": [{"column": "size", "op": "<", "value": 400}]}), -1),
        ] {
            let other = |r: &Row| if inside < 0 { matches!(r.2["size"], Value::Int(s) if s < 400) } else { r.0 < inside };
            let answer = ask(
                &segments,
                json!({"query": query, "selection": {"filters": [{"column": "slow", "op": "=", "value": true}]},
                       "columns": ["build", "cache", "slow", "user", "span"]}),
            )
            .unwrap();
            let total = by_hand(&rows, weighted, "nothing", |r| slow(r) && other(r), other)["null"];
            assert_eq!((answer.populations.selection.count, answer.populations.baseline.count), total);
            for column in &answer.columns {
                let want = by_hand(&rows, weighted, &column.column, |r| slow(r) && other(r), other);
                assert!(!column.values.is_empty());
                for v in &column.values {
                    let text = if v.value == Cell::Null { "null".to_owned() } else { format!("{:?}", v.value) };
                    let want = want[&text];
                    assert!(
                        (v.selection - want.0).abs() < 1e-6 && (v.baseline - want.1).abs() < 1e-6,
                        "{} {text} {v:?} {want:?}",
                        column.column
                    );
                }
            }
        }
    }
}

/// Where ids hardly repeat they are stored as such, where they do in a dictionary: an id that is selected in one segment is
/// counted in all.
#[test]
fn an_id_counts_alike_wherever_it_is_stored() {
    let id = |n: u64| format!("{:016x}", crate::intern::mix(n));
    let segment = |at: i64, ids: &mut dyn Iterator<Item = (u64, bool)>| {
        let mut b = BatchBuilder::new();
        for (i, (n, slow)) in ids.enumerate() {
            b.begin();
            for (name, value) in [("id", Value::Str(id(n))), ("slow", Value::Bool(slow))] {
                let c = b.column(name);
                b.value(c, &value);
            }
            b.end(at + i as i64, 1.0);
        }
        Arc::new(Segment::from_bytes(encode(&b.finish())).unwrap())
    };
    let repeated = segment(0, &mut (0..20_000).map(|i| (i % 10, i % 10 == 3)));
    let unique = segment(1_000_000, &mut (0..20_000).map(|i| (i, false)));
    let layout = |s: &Segment| s.columns().find(|c| c.name == "id").map(|c| c.layout);
    use store::segment::Layout;
    assert_eq!((layout(&repeated), layout(&unique)), (Some(Layout::Dict), Some(Layout::Ids)));
    for segments in [[Arc::clone(&repeated), Arc::clone(&unique)], [unique, repeated]] {
        let selection = json!({"filters": [{"column": "slow", "op": "=", "value": true}]});
        let answer =
            ask(&segments, json!({"query": {"start_time": 0, "end_time": 100}, "selection": selection, "columns": ["id"]})).unwrap();
        let counts =
            |n: u64| answer.columns[0].values.iter().find(|v| v.value == Cell::from(Value::Str(id(n)))).map(|v| (v.selection, v.baseline));
        assert_eq!((counts(3), counts(4)), (Some((2_000.0, 1.0)), Some((0.0, 2_001.0))));
    }
}

#[test]
fn populations_are_told_with_their_times_and_findings_with_filters_that_count_the_same() {
    let rows = rows(40_000);
    let segments = segments(&rows, false);
    let selection = json!({"filters": [{"column": "slow", "op": "=", "value": true}]});
    let answer = ask(&segments, json!({"query": {"start_time": 0, "end_time": 100}, "selection": selection})).unwrap();
    assert_eq!(answer.populations.baseline.words, "all other events from 1970-01-01T00:00:00Z to 1970-01-01T00:01:40Z");
    for (length, times) in
        [(99.5, "1970-01-01T00:00:00Z to 1970-01-01T00:01:39Z"), (0.5, "1970-01-01T00:00:00Z to 1970-01-01T00:00:00.500Z")]
    {
        let selection = json!({"start_time": 0, "end_time": length});
        let answer = ask(&segments, json!({"query": {"start_time": 0, "end_time": 100}, "selection": selection})).unwrap();
        assert_eq!(answer.populations.selection.words, format!("all events from {times}"));
    }
    for (filters, own) in [
        (json!([{"column": "noise", "op": "=", "value": "n1"}, {"column": "noise", "op": "in", "value": ["n3", "n4"]}]), 1),
        // Nothing that `and` can be put behind.
        (json!([{"column": "noise", "op": "=", "value": "n1"}, {"column": "size", "op": "<", "value": 400}]), 0),
    ] {
        let query = json!({"start_time": 0, "end_time": 100, "filter_combination": "OR", "filters": filters});
        let answer = ask(&segments, json!({"query": query, "selection": selection})).unwrap();
        let finding = answer.findings.first().unwrap();
        assert_eq!(finding.filters.len(), finding.conditions.len() + own, "{filters}");
        if own == 1 {
            assert_eq!(finding.filters[0], json!({"column": "noise", "op": "in", "value": ["n1", "n3", "n4"]}));
        }
    }
}

#[test]
fn what_differs_comes_first_and_what_does_not_is_said_to_be_chance() {
    let rows = rows(40_000);
    let segments = segments(&rows, false);
    let day = json!({"start_time": 0, "end_time": 100});
    let answer =
        ask(&segments, json!({"query": day, "selection": {"filters": [{"column": "slow", "op": "=", "value": true}]}, "limit": 10}))
            .unwrap();
    let first: Vec<&str> = answer.columns.iter().take(3).map(|c| &*c.column).collect();
    assert_eq!(HashSet::from([first[0], first[1], first[2]]), HashSet::from(["build", "ms", "cache"]));
    for c in &answer.columns {
        assert_eq!(c.significant, first.contains(&&*c.column), "{} {}", c.column, c.score);
        assert_ne!(&*c.column, "slow", "the columns of the selection's filters are not scored");
    }
    let build = answer.columns.iter().find(|c| &*c.column == "build").unwrap();
    assert_eq!(build.values[0].value, Cell::Str("7".into()));
    let ms = answer.columns.iter().find(|c| &*c.column == "ms").unwrap().quantiles.as_ref().unwrap();
    assert!(ms.selection["P50"].as_f64().unwrap() > 540.0 && ms.baseline["P50"].as_f64().unwrap() < 60.0);
}

#[test]
fn two_populations_of_their_own_are_compared() {
    let rows = rows(20_000);
    let segments = segments(&rows, false);
    let answer = ask(
        &segments,
        json!({"query": {"start_time": 0, "end_time": 100}, "selection": {"start_time": 10, "end_time": 20}, "baseline": {"start_time": 0, "end_time": 10},
               "columns": ["noise", "size"]}),
    )
    .unwrap();
    assert_eq!((answer.populations.selection.count, answer.populations.baseline.count), (10_000.0, 10_000.0));
    assert!(answer.columns.iter().all(|c| !c.significant));
}

#[test]
fn bad_comparisons_say_what_to_do() {
    let segments = segments(&rows(100), false);
    for (spec, says) in [
        (json!({"selection": {"filters": [{"column": "slov", "op": "=", "value": true}]}}), "slow"),
        (json!({"selection": {"filters": [{"column": "slow", "op": "exists"}]}, "baseline": 5}), "rest"),
        (json!({"selection": {}}), "same"),
        (json!({"selection": {"filters": [{"column": "slow", "op": "exists"}]}, "columns": ["nope"]}), "nope"),
        (json!({"selection": {"filters": [{"column": "slow", "op": "exists"}]}, "limit": 0}), "limit"),
    ] {
        let error = ask(&segments, spec).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn findings_name_the_cause_with_shares_and_an_example() {
    let rows = rows(40_000);
    for weighted in [false, true] {
        let segments = segments(&rows, weighted);
        let answer = ask(
            &segments,
            json!({"query": {"start_time": 0, "end_time": 100, "filters": [{"column": "noise", "op": "!=", "value": "n4"}]},
                   "selection": {"filters": [{"column": "slow", "op": "=", "value": true}]}}),
        )
        .unwrap();
        let build = answer.findings.iter().find(|f| f.conditions[0]["column"] == "build").unwrap();
        assert_eq!(build.conditions, [json!({"column": "build", "op": "=", "value": "7"})]);
        // Counted from the events, as by hand.
        let inside = |r: &Row| r.2["noise"] != Value::Str("n4".into());
        let slow = |r: &Row| r.2["slow"] == Value::Bool(true);
        let want = by_hand(&rows, weighted, "build", |r| inside(r) && slow(r), inside)[&format!("{:?}", Cell::Str("7".into()))];
        assert!((build.selection.count - want.0).abs() < 1e-6 && (build.baseline.count - want.1).abs() < 1e-6, "{build:?} {want:?}");
        assert!((build.selection.share - build.selection.count / answer.populations.selection.count).abs() < 1e-9);
        assert!(build.lower_bound > 0.5 && build.lower_bound < build.effect && build.lift.unwrap() > 5.0);
        assert!(build.sentence.starts_with("build = 7: ") && build.sentence.contains(" of the baseline ("), "{}", build.sentence);
        assert_eq!(build.example.as_ref().unwrap().data["build"], Cell::Str("7".into()));
        assert_eq!(build.filters, [json!({"column": "noise", "op": "!=", "value": "n4"}), build.conditions[0].clone()]);
        // What is missing, and what is larger, are found as well; ids are set aside.
        let named =
            |column: &str| answer.findings.iter().flat_map(|f| f.conditions.iter().chain(&f.same_as)).any(|c| c["column"] == column);
        assert!(named("ms") && named("cache"), "{:?}", answer.findings.iter().map(|f| &f.sentence).collect::<Vec<_>>());
        assert!(!named("noise") && !named("size") && !named("user"));
        assert!(answer.set_aside.iter().any(|c| &**c == "span"));
    }
}

#[test]
fn the_best_so_far_is_told_and_findings_can_be_left_out() {
    let rows = rows(20_000);
    let segments = segments(&rows, false);
    let spec = |n: i64| {
        json!({"query": {"start_time": 0, "end_time": 100}, "selection": {"filters": [{"column": "slow", "op": "=", "value": true}]},
               "max_conditions": n})
    };
    assert!(ask(&segments, spec(0)).unwrap().findings.is_empty());
    assert!(
        ask(&segments, spec(1)).unwrap().findings.iter().all(|f| f.conditions.iter().all(|c| c["column"] == f.conditions[0]["column"]))
    );
    assert!(ask(&segments, spec(5)).unwrap_err().to_string().contains("max_conditions"));
    let known: HashSet<String> = segments.iter().flat_map(|s| s.columns().map(|c| c.name.to_owned())).collect();
    let run = Run::new(0);
    let plan = check_contrast(&serde_json::from_value(spec(4)).unwrap(), &known, &run, &Limits::default()).unwrap();
    let told = parking_lot::Mutex::new(Vec::new());
    let tell = |answer: ContrastAnswer| told.lock().push(answer);
    let last = contrast_with(&segments, &[], &plan, &run, Some((Duration::ZERO, &tell))).unwrap();
    let told = told.into_inner();
    assert!(!told.is_empty() && told.iter().all(|a| a.findings.is_empty() && a.populations == last.populations));
    assert_eq!(told.last().unwrap().meta.coverage, 1.0);
    assert!(!last.findings.is_empty());
}

#[test]
fn what_wanders_by_itself_is_no_finding_and_what_jumps_is() {
    // A column that drifts over the day, one that jumps in the last hour; many events, so that chance alone explains neither.
    let mut state = 5u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let n = 60_000;
    let rows: Vec<Row> = (0..n)
        .map(|i| {
            let hour = i as f64 / n as f64 * 24.0;
            let text = |yes: bool| Value::Str(if yes { "on" } else { "off" }.into());
            let drift = 0.3 + 0.3 * (hour / 3.8).sin() + 0.01 * hour;
            let f = BTreeMap::from([
                ("drift", text(next() < drift)),
                ("jump", text(next() < if hour >= 23.0 { 0.5 } else { 0.2 })),
                ("steady", text(next() < 0.4)),
            ]);
            ((hour * 3600e9) as i64, 1.0, f)
        })
        .collect();
    let segments = segments(&rows, false);
    let answer =
        ask(&segments, json!({"query": {"start_time": 0, "end_time": 86_400}, "selection": {"start_time": 82_800, "end_time": 86_400}}))
            .unwrap();
    let significant: Vec<&str> = answer.columns.iter().filter(|c| c.significant).map(|c| &*c.column).collect();
    assert_eq!(significant, ["jump"]);
    assert_eq!(answer.findings[0].conditions, [json!({"column": "jump", "op": "=", "value": "on"})]);
    // The same drift beside a cause that is there only late in the day: events of the same time are compared.
    let late = |r: &Row| r.0 >= 61_200_000_000_000 && r.2["steady"] == Value::Str("on".into());
    let mut k = 0u32;
    let rows: Vec<Row> = rows
        .iter()
        .map(|r| {
            k = k.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mut r = r.clone();
            let failed = (k >> 8) % 1000 < if late(&r) { 400 } else { 4 };
            r.2.insert("failed", Value::Bool(failed));
            r
        })
        .collect();
    let segments = self::segments(&rows, false);
    let answer = ask(
        &segments,
        json!({"query": {"start_time": 0, "end_time": 86_400}, "selection": {"filters": [{"column": "failed", "op": "=", "value": true}]}}),
    )
    .unwrap();
    let significant: Vec<&str> = answer.columns.iter().filter(|c| c.significant).map(|c| &*c.column).collect();
    assert_eq!(significant, ["steady"], "{:?}", answer.findings);
}

#[test]
fn spans_logs_and_span_events_are_compared_alike() {
    let mut b = BatchBuilder::new();
    for i in 0..6_000i64 {
        b.begin();
        let kind = ["span", "log", "span_event", "link"][i as usize % 4];
        let c = b.column("meta.annotation_type");
        b.str(c, kind);
        let c = b.column("slow");
        b.bool(c, i % 10 == 0);
        if kind == "log" {
            let c = b.column("body");
            b.str(c, if i % 10 == 0 || i % 7 == 0 { "disk full" } else { "ok" });
        }
        if kind == "span" {
            let c = b.column("duration_ms");
            b.float(c, (i % 97) as f64);
        }
        b.end(i * 1_000_000, 1.0);
    }
    let segments = vec![Arc::new(Segment::from_bytes(encode(&b.finish())).unwrap())];
    let answer = ask(
        &segments,
        json!({"query": {"start_time": 0, "end_time": 100, "filters": [{"column": "meta.annotation_type", "op": "!=", "value": "span"}]},
               "selection": {"filters": [{"column": "body", "op": "=", "value": "disk full"}]}, "columns": ["meta.annotation_type", "slow"]}),
    )
    .unwrap();
    let log = answer.columns.iter().find(|c| &*c.column == "meta.annotation_type").unwrap();
    assert_eq!(log.values[0].value, Cell::Str("log".into()));
    assert_eq!((log.values[0].selection, log.significant), (answer.populations.selection.count, true));
}

#[test]
fn the_most_frequent_values_of_the_selection_are_told() {
    let rows = rows(30_000);
    let mut counts: BTreeMap<String, f64> = BTreeMap::new();
    for (_, _, fields) in rows.iter().filter(|(_, _, f)| f["slow"] == Value::Bool(true)) {
        let Value::Str(user) = &fields["user"] else { panic!("users are text") };
        *counts.entry(user.clone()).or_default() += 1.0;
    }
    let mut all: Vec<f64> = counts.values().copied().collect();
    all.sort_by(|a, b| b.total_cmp(a));
    let certain: Vec<(&String, &f64)> = counts.iter().filter(|(_, n)| **n > all[40]).collect();
    assert!(!certain.is_empty() && counts.len() > 500, "{} values", counts.len());
    let answer = ask(
        &segments(&rows, false),
        json!({"query": {"start_time": 0, "end_time": 100}, "selection": {"filters": [{"column": "slow", "op": "=", "value": true}]},
               "columns": ["user"]}),
    )
    .unwrap();
    for (user, n) in certain {
        let told = answer.columns[0].values.iter().find(|v| v.value == Cell::Str(user.as_str().into()));
        assert_eq!(told.map(|v| v.selection), Some(*n), "{user}");
    }
}
