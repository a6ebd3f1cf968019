//! Random events through our JSON and msgpack readers and through `serde_json` must come out the same.
//!
//! Owns: a slow, obvious flattener. Never does: malformed input.

use crate::rows::rows;
use ingest::{Context, EventStatus, honeycomb};
use model::Limits;
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

/// Flattens as documented: maps with dots to a depth, arrays and deeper maps as text, null is missing, the last one wins.
fn flatten(name: &str, value: &Json, dots: usize, depth: usize, out: &mut Map<String, Json>) {
    match value {
        Json::Object(map) if dots < depth => map.iter().for_each(|(k, v)| flatten(&format!("{name}.{k}"), v, dots + 1, depth, out)),
        Json::Null => drop(out.shift_remove(name)),
        Json::Array(_) | Json::Object(_) => drop(out.insert(name.to_owned(), Json::from(value.to_string()))),
        Json::Number(n) if n.is_u64() && n.as_i64().is_none() => drop(out.insert(name.to_owned(), json!(n.as_f64()))),
        scalar => drop(out.insert(name.to_owned(), scalar.clone())),
    }
}

fn expected(data: &Map<String, Json>, depth: usize) -> Json {
    let mut out = Map::new();
    for (k, v) in data.iter().filter(|(k, v)| !k.is_empty() || (v.is_object() && depth > 0)) {
        flatten(k, v, 0, depth, &mut out);
    }
    Json::Object(out)
}

fn values() -> impl Strategy<Value = Json> {
    let text = prop_oneof![
        "[a-c]{0,3}",
        "[0-9a-f]{16}",
        "[0-9a-f]{32}",
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        any::<String>(),
    ];
    let number = prop_oneof![
        (0..100i64).prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        prop::num::f64::NORMAL.prop_map(Json::from),
        (-1e6..1e6f64).prop_map(|f| json!((f * 1e3).round() / 1e3)),
    ];
    let leaf = prop_oneof![Just(Json::Null), any::<bool>().prop_map(Json::from), number, text.prop_map(Json::from)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::vec(("[a-d]{0,2}", inner), 0..4).prop_map(|m| Json::Object(m.into_iter().collect())),
        ]
    })
}

fn batches() -> impl Strategy<Value = Vec<Map<String, Json>>> {
    let key = prop_oneof!["[a-d]", "[a-d]\\.[a-d]", "column\\.with\\.a\\.long\\.name\\.[a-d]", any::<String>()];
    let event = prop::collection::vec((key, values()), 1..12).prop_map(|m| m.into_iter().collect());
    prop::collection::vec(event, 1..8)
}

fn msgpack(value: &Json, out: &mut Vec<u8>) {
    let head = |out: &mut Vec<u8>, tag: u8, n: usize| {
        out.push(tag);
        out.extend((n as u32).to_be_bytes());
    };
    match value {
        Json::Null => out.push(0xc0),
        Json::Bool(b) => out.push(0xc2 + u8::from(*b)),
        Json::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(i), _) => {
                out.push(0xd3);
                out.extend(i.to_be_bytes());
            }
            (None, Some(u)) => {
                out.push(0xcf);
                out.extend(u.to_be_bytes());
            }
            _ => {
                out.push(0xcb);
                out.extend(n.as_f64().unwrap().to_be_bytes());
            }
        },
        Json::String(s) => {
            head(out, 0xdb, s.len());
            out.extend(s.as_bytes());
        }
        Json::Array(a) => {
            head(out, 0xdd, a.len());
            a.iter().for_each(|v| msgpack(v, out));
        }
        Json::Object(m) => {
            head(out, 0xdf, m.len());
            for (k, v) in m {
                msgpack(&Json::from(k.as_str()), out);
                msgpack(v, out);
            }
        }
    }
}

/// Whole floats may be written without a fraction in JSON text, so texts of JSON are compared as JSON.
fn same(a: &Json, b: &Json) -> bool {
    fn loose(v: &Json) -> Json {
        match v {
            Json::String(s) => match serde_json::from_str::<Json>(s) {
                Ok(inner @ (Json::Array(_) | Json::Object(_))) => loose(&inner),
                _ => v.clone(),
            },
            Json::Number(n) => n.as_f64().map_or(Json::Null, Json::from),
            Json::Array(a) => a.iter().map(loose).collect(),
            Json::Object(m) => Json::Object(m.iter().map(|(k, v)| (k.clone(), loose(v))).collect()),
            _ => v.clone(),
        }
    }
    loose(a) == loose(b)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_and_msgpack_agree_with_serde(events in batches(), pretty in any::<bool>(), depth in 0usize..7) {
        let limits = Limits::default();
        let context = Context { flatten_depth: depth, ..Context::new(1_800_000_000_000_000_000, &limits) };
        let body = json!(events.iter().map(|e| json!({"data": e, "time": 1_700_000_000})).collect::<Vec<_>>());
        let text = if pretty { serde_json::to_string_pretty(&body).unwrap() } else { body.to_string() };
        let mut packed = Vec::new();
        msgpack(&body, &mut packed);
        for (bytes, format) in [(text.as_bytes(), honeycomb::Format::Json), (&packed, honeycomb::Format::Msgpack)] {
            let decoded = honeycomb::batch(bytes, format, "ds", &context).unwrap();
            prop_assert!(decoded.statuses.iter().all(|s| *s == EventStatus::Accepted), "{:?}", decoded.statuses);
            let got = decoded.writes.first().map(|w| rows(&w.1)).unwrap_or_default();
            prop_assert_eq!(got.len(), events.len());
            for (row, event) in got.iter().zip(&events) {
                let expect = expected(event, depth);
                prop_assert!(same(&row["data"], &expect), "{} {}", row["data"], expect);
                prop_assert_eq!(&row["time"], &json!(1_700_000_000_000_000_000i64));
            }
        }
        // The same events as flat lines.
        let lines: String = events.iter().map(|e| Json::Object(e.clone()).to_string() + "\n").collect();
        let decoded = honeycomb::batch(lines.as_bytes(), honeycomb::Format::Ndjson, "ds", &context).unwrap();
        for (row, event) in decoded.writes.first().map(|w| rows(&w.1)).unwrap_or_default().iter().zip(&events) {
            if !event.keys().any(|k| matches!(k.as_str(), "data" | "time" | "timestamp" | "samplerate")) {
                prop_assert!(same(&row["data"], &expected(event, depth)));
            }
        }
    }
}
