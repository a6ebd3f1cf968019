//! Answers from pieces against answers without.

use crate::{Answer, Caches, Run, check};
use model::query::QuerySpec;
use model::{BatchBuilder, Limits, Value};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::Segment;
use store::segment::{encode, merge};

const SECOND: i64 = 1_000_000_000;
const COLUMNS: [&str; 9] = ["service", "route", "user", "ms", "size", "ok", "mixed", "huge", "id"];

/// Events `from..to`: one a second, some of them late, of many kinds of columns.
fn segment(from: i64, to: i64, rates: bool) -> Arc<Segment> {
    let mut batch = BatchBuilder::new();
    for i in from..to {
        let r = crate::intern::mix(i as u64);
        let pick = |n: u64, salt: u64| crate::intern::mix(r ^ salt) % n;
        let late = if pick(50, 1) == 0 { pick(500, 2) as i64 } else { 0 };
        let rate = if rates { [1.0, 2.0, 2.5][pick(3, 3) as usize] } else { 1.0 };
        batch.begin();
        let mut set = |name: &str, value: &Value| {
            let column = batch.column(name);
            batch.value(column, value);
        };
        set("service", &Value::Str(format!("service-{}", pick(4, 5))));
        if pick(3, 6) > 0 {
            set("route", &Value::Str(format!("/r/{}", pick(40, 7))));
        }
        set("user", &Value::Str(format!("user number {}", pick(5_000, 8))));
        set("ms", &Value::Float((pick(1_000_000, 9) as f64 / 70_000.0).exp() * 0.37));
        set("size", &Value::Int(pick(900, 10) as i64));
        set("ok", &Value::Bool(pick(10, 11) > 0));
        let mixed = [Value::Int(pick(9, 12) as i64), Value::Float(pick(9, 13) as f64 + 0.5), Value::Str("text".to_owned())];
        set("mixed", &mixed[pick(3, 14) as usize]);
        set("huge", &Value::Int(i64::MAX - pick(1 << 40, 15) as i64));
        set("id", &Value::Str(format!("{:032x}", pick(u64::MAX, 16))));
        batch.end((i - late) * SECOND + pick(1_000_000_000, 4) as i64, rate);
    }
    Arc::new(Segment::from_bytes(encode(&batch.finish())).unwrap())
}

/// Some segments as one that knows what it is made of.
fn merged(segments: &[Arc<Segment>]) -> Segment {
    Segment::from_bytes(merge(segments).unwrap()).unwrap().made_of(segments)
}

fn ask(segments: &[Arc<Segment>], caches: &Caches, spec: &str, cache: bool, totals: bool) -> Answer {
    let spec: QuerySpec = serde_json::from_str(spec).unwrap();
    let known: BTreeSet<String> = COLUMNS.iter().map(|c| (*c).to_owned()).collect();
    let run = Run { cache, totals, series: crate::SeriesMode::IfGranularity, ..Run::new(0) };
    let plan = check(&spec, &known, &run, &Limits::default()).unwrap();
    let mut answer = crate::run(segments, &plan, &run, caches).unwrap();
    answer.meta.engine_ms = 0.0;
    answer.meta.segments = 0;
    answer
}

#[test]
fn answers_from_pieces_are_the_same() {
    let calculations = [
        r#"{"op":"COUNT"}"#,
        r#"{"op":"COUNT"},{"op":"SUM","column":"ms"},{"op":"AVG","column":"ms"},{"op":"MAX","column":"mixed"},{"op":"MIN","column":"ms"}"#,
        r#"{"op":"P50","column":"ms"},{"op":"P99","column":"ms"},{"op":"P95","column":"size"},{"op":"AVG","column":"size"}"#,
        r#"{"op":"HEATMAP","column":"ms"},{"op":"SUM","column":"huge"},{"op":"P10","column":"huge"},{"op":"COUNT","column":"route"}"#,
        r#"{"op":"COUNT_DISTINCT","column":"user"},{"op":"COUNT_DISTINCT","column":"size"},{"op":"COUNT_DISTINCT","column":"ok"}"#,
        r#"{"op":"COUNT_DISTINCT","column":"id"},{"op":"SUM","column":"mixed"},{"op":"P90","column":"mixed"}"#,
    ];
    let shapes = [
        r#""time_range":7200"#,
        r#""granularity":60,"breakdowns":["service"]"#,
        r#""breakdowns":["service","ok"],"filters":[{"column":"ms","op":">","value":3}]"#,
        r#""granularity":7,"breakdowns":["route"],"limit":3,"orders":[{"column":"route","order":"descending"}]"#,
        r#""breakdowns":["size"],"limit":5,"filters":[{"column":"route","op":"exists"}]"#,
        r#""breakdowns":["mixed"],"granularity":100"#,
        r#""breakdowns":["user"],"limit":20"#,
        r#""filters":[{"column":"route","op":"=","value":"nowhere"}],"granularity":60"#,
        // Groups with few numbers are in the answer, those with many are not.
        r#""breakdowns":["ok","service"],"limit":3,"orders":[{"column":"ok","order":"ascending"}],"filters":[{"column":"size","op":"<","value":300}]"#,
        r#""breakdowns":["route","service"],"granularity":300,"limit":4,"filters":[{"column":"ms","op":"<","value":1000}]"#,
    ];
    for rates in [false, true] {
        // Once with the middle of a range as one piece, once with what decides about groups only.
        let mut caches = Caches::new(64 << 20).with_chunk_rows(20);
        caches.middle_bytes_max = if rates { 0 } else { 64 << 20 };
        let mut segments: Vec<Arc<Segment>> = (0..8).map(|i| segment(i * 900, (i + 1) * 900, rates)).collect();
        for round in 0..4 {
            match round {
                1 => segments.push(segment(7200, 7230, rates)),
                2 => segments.extend([segment(7230, 7900, false), segment(-40_000, -39_999, rates)]),
                3 => {
                    let merged = if rates { merged(&segments[..3]) } else { Segment::from_bytes(merge(&segments[..3]).unwrap()).unwrap() };
                    segments.splice(..3, [Arc::new(merged)]);
                }
                _ => {}
            }
            let mut newest_first = segments.clone();
            newest_first.sort_by_key(|s| std::cmp::Reverse(s.times().1));
            for calculations in calculations {
                for (i, shape) in shapes.iter().enumerate() {
                    let (start, end) = (round * 37, 7200 + round * 37);
                    let range = if shape.contains("time_range") {
                        format!(r#""end_time":{end}"#)
                    } else {
                        format!(r#""start_time":{start},"end_time":{end}"#)
                    };
                    let spec = format!(r#"{{"calculations":[{calculations}],{shape},{range}}}"#);
                    let totals = i % 2 == 1;
                    let without = ask(&newest_first, &caches, &spec, false, totals);
                    let first = ask(&newest_first, &caches, &spec, true, totals);
                    let again = ask(&newest_first, &caches, &spec, true, totals);
                    assert_eq!(first, without, "round {round} {spec}");
                    assert_eq!(again, without, "round {round} {spec}");
                }
            }
        }
        assert!(caches.pieces.n_kept() > 1000, "{}", caches.pieces.n_kept());
        assert!(caches.pieces.n_middles(rates) > 3, "{}", caches.pieces.n_middles(rates));
        assert!(caches.bytes() > 0 && caches.bytes() <= 64 << 20);
    }
}

#[test]
fn only_new_chunks_are_read_again() {
    let caches = Caches::new(64 << 20).with_chunk_rows(20);
    let mut segments: Vec<Arc<Segment>> = (0..8).rev().map(|i| segment(i * 900, (i + 1) * 900, false)).collect();
    let spec = r#"{"calculations":[{"op":"P95","column":"ms"}],"breakdowns":["service"],"start_time":0,"end_time":8192}"#;
    ask(&segments, &caches, spec, true, false);
    let before = caches.pieces_made();
    ask(&segments, &caches, spec, true, false);
    assert_eq!(caches.pieces_made(), before, "the same data need no new piece");
    segments.insert(0, segment(7200, 7210, false));
    ask(&segments, &caches, spec, true, false);
    let new = caches.pieces_made() - before;
    assert!((1..=6).contains(&new), "{new} pieces for ten events");
}

#[test]
fn merged_segments_need_no_new_pieces() {
    let caches = Caches::new(64 << 20).with_chunk_rows(20);
    let mut segments: Vec<Arc<Segment>> = (0..8).rev().map(|i| segment(i * 900, (i + 1) * 900, false)).collect();
    let spec = r#"{"calculations":[{"op":"P95","column":"ms"},{"op":"COUNT_DISTINCT","column":"user"}],"breakdowns":["service"],
        "start_time":0,"end_time":8192}"#;
    let made = |segments: &[Arc<Segment>]| {
        let before = caches.pieces_made();
        assert_eq!(ask(segments, &caches, spec, true, false), ask(segments, &caches, spec, false, false));
        caches.pieces_made() - before
    };
    assert!(made(&segments) > 10);
    let two = Arc::new(merged(&segments[1..3]));
    segments.splice(1..3, [two]);
    assert_eq!(made(&segments), 0, "the same events");
    // Twice, before it is asked again.
    let two = Arc::new(merged(&segments[2..4]));
    segments.splice(2..4, [two]);
    let all = Arc::new(merged(&segments[1..]));
    segments.splice(1.., [all]);
    assert_eq!(made(&segments), 0, "the same events");
    // Together with new ones.
    segments.insert(0, segment(7200, 7210, false));
    segments = vec![Arc::new(merged(&segments))];
    let new = made(&segments);
    assert!((1..=6).contains(&new), "{new} pieces for ten events");
    // Another segment with the same events is another one.
    segments = vec![Arc::new(Segment::from_bytes(merge(&segments).unwrap()).unwrap())];
    assert!(made(&segments) > 10);
}

#[test]
fn long_chunks_are_put_together_from_short_ones() {
    let caches = Caches::new(64 << 20).with_chunk_rows(20);
    let mut segments: Vec<Arc<Segment>> = vec![segment(0, 4000, false)];
    for (step, from) in (4000..6000).step_by(50).enumerate() {
        segments.insert(0, segment(from, from + 50, false));
        let range = format!(r#""start_time":{},"end_time":{}"#, from - 4000, from + 50);
        let spec = format!(
            r#"{{"calculations":[{{"op":"P95","column":"ms"}},{{"op":"COUNT_DISTINCT","column":"user"}},{{"op":"HEATMAP","column":"size"}}],
            "breakdowns":["service"],"granularity":20,{range}}}"#
        );
        let before = caches.pieces_made();
        assert_eq!(ask(&segments, &caches, &spec, true, true), ask(&segments, &caches, &spec, false, true), "step {step}");
        // Of the new events, and at the ends of the range: what is longer comes from these.
        let made = caches.pieces_made() - before;
        assert!(step == 0 || made <= 20, "{made} pieces in step {step}");
    }
    let lengths = caches.pieces.lengths_from(4000 * SECOND);
    assert!(lengths.len() >= 3, "{lengths:?}");
}

#[test]
fn pieces_stay_within_their_budget() {
    let caches = Caches::new(200_000).with_chunk_rows(20);
    let segments = [segment(0, 4000, false)];
    for limit in 0..20 {
        let spec = format!(
            r#"{{"calculations":[{{"op":"HEATMAP","column":"ms"}}],"breakdowns":["service"],"filters":[{{"column":"size","op":">","value":{limit}}}],"start_time":0,"end_time":8192}}"#
        );
        ask(&segments, &caches, &spec, true, false);
        assert!(caches.bytes() <= 200_000, "{}", caches.bytes());
    }
}
