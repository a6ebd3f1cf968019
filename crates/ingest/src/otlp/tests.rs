//! Golden tests: OTLP requests and the rows they become.

use super::*;
use crate::testing::proto::{Field, attr, bytes, double, fixed, int, msg, text};
use crate::testing::rows::rows;
use model::{Limits, TimeNs};
use serde_json::{Value as Json, json};

const NOW: TimeNs = 1_800_000_000_000_000_000;
const T: u64 = 1_700_000_000_000_000_000;
const TRACE: [u8; 16] = [0xab, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const TRACE_HEX: &str = "ab0102030405060708090a0b0c0d0e0f";

fn decode_with(signal: Signal, body: &[u8], encoding: Encoding, routing: Routing<'_>) -> OtlpDecoded {
    decode(signal, body, encoding, routing, &Context::new(NOW, &Limits::default())).unwrap()
}

/// Rows of a request, by dataset.
fn written(decoded: &OtlpDecoded) -> Vec<(&str, Vec<Json>)> {
    decoded.writes.iter().map(|(name, batch)| (name.as_str(), rows(batch))).collect()
}

/// A request with one resource and one scope.
fn request(resource: &[Field], scope: &[Field], items: &[Field]) -> Vec<u8> {
    msg(1, &[msg(1, resource), msg(2, &[msg(1, scope), items.concat()])])
}

fn check(signal: Signal, body: &[u8], expect: Json) {
    let decoded = decode_with(signal, body, Encoding::Protobuf, Routing::default());
    assert_eq!((decoded.rejected, decoded.message.as_str()), (0, ""));
    assert_eq!(Json::from(written(&decoded).remove(0).1), expect);
}

fn row(time: u64, rate: f64, data: Json) -> Json {
    json!({"time": time, "rate": rate, "data": data})
}

/// Data of one row, from the fields that matter.
fn first(signal: Signal, item: Field) -> Json {
    let decoded = decode_with(signal, &request(&[text(1, "service.name", "s")], &[], &[item]), Encoding::Protobuf, Routing::default());
    assert_eq!(decoded.message, "");
    written(&decoded)[0].1[0].clone()
}

#[test]
fn a_span_with_event_and_link_becomes_three_rows() {
    let span = msg(
        2,
        &[
            bytes(1, TRACE),
            bytes(2, [0, 0, 0, 0, 0, 0, 0, 1]),
            bytes(3, "vendor=x,ot=th:c"),
            bytes(4, [9; 8]),
            bytes(5, "GET /"),
            int(6, 2),
            fixed(7, T),
            fixed(8, T + 1_500_000),
            text(9, "http.route", "/"),
            attr(9, "http.status_code", int(3, 500)),
            text(9, "shared", "span"),
            int(10, 4),
            msg(
                11,
                &[
                    fixed(1, T + 250_000),
                    bytes(2, "exception"),
                    text(3, "exception.message", "boom"),
                    text(3, "exception.type", "E"),
                    attr(3, "exception.escaped", int(2, 1)),
                    attr(3, "other", int(3, 1)),
                    int(4, 2),
                ],
            ),
            int(12, 5),
            msg(13, &[bytes(1, [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]), bytes(2, [2; 8]), text(4, "why", "retry")]),
            int(14, 6),
            msg(15, &[bytes(2, "failed"), int(3, 2)]),
            bytes(99, "unknown fields are stepped over"),
            [0x9b, 6, 8, 1, 0x9c, 6].to_vec(),
        ],
    );
    let resource = [text(1, "service.name", " shop "), text(1, "shared", "resource"), text(1, "name", "hidden")];
    let scope = [bytes(1, "go.opentelemetry.io/contrib/instrumentation/x"), bytes(2, "1.2"), text(3, "shared", "scope"), text(3, "s", "t")];
    let body = msg(1, &[msg(1, &resource), msg(2, &[msg(1, &scope), span, bytes(3, "urn:scope")]), bytes(3, "urn:res")]);
    let with_shared = |mut data: Json, shared: &str| {
        let common = json!({"service.name": " shop ", "library.version": "1.2", "s": "t", "scope.schema_url": "urn:scope",
            "library.name": "go.opentelemetry.io/contrib/instrumentation/x", "telemetry.instrumentation_library": true,
            "resource.schema_url": "urn:res", "shared": shared, "name": "hidden", "trace.trace_id": TRACE_HEX,
            "meta.signal_type": "trace", "error": true});
        data.as_object_mut().unwrap().extend(common.as_object().unwrap().clone());
        data
    };
    let expect = json!([
        row(
            T + 250_000,
            4.0,
            with_shared(
                json!({"trace.parent_id": "0000000000000001", "parent_name": "GET /",
            "meta.annotation_type": "span_event", "meta.time_since_span_start_ms": 0.25, "exception.message": "boom",
            "exception.type": "E", "exception.escaped": true, "other": 1, "meta.dropped_attributes_count": 2}),
                "scope"
            )
        ),
        row(
            T,
            4.0,
            with_shared(
                json!({"trace.parent_id": "0000000000000001", "parent_name": "GET /", "meta.annotation_type": "link",
            "trace.link.trace_id": "0101010101010101", "trace.link.span_id": "0202020202020202", "why": "retry"}),
                "scope"
            )
        ),
        row(
            T,
            4.0,
            with_shared(
                json!({"trace.span_id": "0000000000000001", "trace.parent_id": "0909090909090909",
            "trace.trace_state": "vendor=x,ot=th:c", "type": "server", "span.kind": "server", "status_code": 2,
            "status_message": "failed", "duration_ms": 1.5, "span.num_links": 1, "span.num_events": 1, "http.route": "/",
            "http.status_code": 500, "exception.message": "boom", "exception.type": "E", "exception.escaped": true,
            "meta.dropped_attributes_count": 4, "meta.dropped_events_count": 5, "meta.dropped_links_count": 6}),
                "span"
            )
        ),
    ]);
    let decoded = decode_with(Signal::Traces, &body, Encoding::Protobuf, Routing::default());
    assert_eq!((decoded.accepted, decoded.rejected), (1, 0));
    let written = written(&decoded);
    assert_eq!(written[0].0, "shop");
    let mut expect = expect;
    // An event's own name is written over by nothing but attributes.
    for i in 0..3 {
        expect[i]["data"]["name"] = json!("hidden");
    }
    assert_eq!(Json::from(written[0].1.clone()), expect);
}

#[test]
fn a_bare_span_has_defaults() {
    check(
        Signal::Traces,
        &request(&[text(1, "service.name", "s")], &[], &[msg(2, &[bytes(1, TRACE), bytes(2, [7; 8]), bytes(4, [0; 8]), bytes(5, "n")])]),
        json!([row(
            NOW as u64,
            1.0,
            json!({"trace.trace_id": TRACE_HEX, "trace.span_id": "0707070707070707", "name": "n", "type": "unspecified",
            "span.kind": "unspecified", "status_code": 0, "duration_ms": 0.0, "span.num_links": 0, "span.num_events": 0,
            "meta.signal_type": "trace", "service.name": "s"})
        ),]),
    );
}

#[test]
fn odd_times_are_flagged() {
    let span = first(Signal::Traces, msg(2, &[fixed(7, T), fixed(8, T - 5), msg(11, &[fixed(1, T - 1), bytes(2, "e")])]));
    assert_eq!(
        (&span["data"]["meta.time_since_span_start_ms"], &span["data"]["meta.invalid_time_since_span_start"]),
        (&json!(0.0), &json!(true))
    );
    let span = first(Signal::Traces, msg(2, &[fixed(7, T), fixed(8, T - 5)]));
    assert_eq!((&span["data"]["duration_ms"], &span["data"]["meta.invalid_duration"]), (&json!(0.0), &json!(true)));
    let far = request(&[], &[], &[msg(2, &[fixed(7, u64::MAX), bytes(5, "late")]), msg(2, &[fixed(7, T)])]);
    let decoded = decode_with(Signal::Traces, &far, Encoding::Protobuf, Routing::default());
    assert_eq!((decoded.accepted, decoded.rejected), (1, 1));
    assert!(decoded.message.starts_with("span 'late' refused: Event time lies too far in the future."), "{}", decoded.message);
}

#[test]
fn ids_of_all_lengths_become_text() {
    let span = first(
        Signal::Traces,
        msg(
            2,
            &[
                // Hex digits that were read as base64: 24 and 12 bytes.
                bytes(1, crate::text::from_base64("0123456789abcdef0123456789abcdef").unwrap()),
                bytes(2, crate::text::from_base64("0123456789abcdef").unwrap()),
                bytes(4, [1, 2, 3]),
            ],
        ),
    );
    assert_eq!(span["data"]["trace.trace_id"], "0123456789abcdef0123456789abcdef");
    assert_eq!(span["data"]["trace.span_id"], "0123456789abcdef");
    assert_eq!(span["data"]["trace.parent_id"], "010203");
}

#[test]
fn sample_rates_come_from_attributes_or_tracestate() {
    let rate = |fields: &[Field]| {
        let span = first(Signal::Traces, msg(2, fields));
        assert!(span["data"].get("sampleRate").is_none() && span["data"].get("SampleRate").is_none());
        span["rate"].as_f64().unwrap()
    };
    let lower = |value: Field| attr(9, "sampleRate", value);
    assert_eq!(rate(&[lower(int(3, 10)), attr(9, "SampleRate", int(3, 20)), bytes(3, "ot=th:8")]), 10.0);
    assert_eq!(rate(&[attr(9, "SampleRate", int(3, 20))]), 20.0);
    assert_eq!(rate(&[lower(double(4, 2.5))]), 3.0);
    assert_eq!(rate(&[lower(bytes(1, "7"))]), 7.0);
    assert_eq!(rate(&[lower(int(3, -4))]), 1.0);
    assert_eq!(rate(&[lower(int(3, 1 << 40))]), f64::from(i32::MAX));
    assert_eq!(rate(&[bytes(3, "ot=th:55555555555556")]), 1.5);
    // Rows of events and links have their span's.
    let span = first(Signal::Traces, msg(2, &[lower(int(3, 6)), msg(11, &[attr(3, "SampleRate", int(3, 9))])]));
    assert_eq!((&span["rate"], &span["data"]["meta.annotation_type"]), (&json!(6.0), &json!("span_event")));
    let decoded = decode_with(
        Signal::Traces,
        &request(&[attr(1, "sampleRate", int(3, 5))], &[], &[msg(2, &[])]),
        Encoding::Protobuf,
        Routing::default(),
    );
    assert_eq!(written(&decoded)[0].1[0]["rate"], 5.0);
}

fn any_list(items: &[Field]) -> Field {
    msg(5, &items.iter().map(|i| bytes(1, i)).collect::<Vec<_>>())
}

#[test]
fn attribute_values_of_all_kinds() {
    let data = |key: &str, value: Field| {
        let row = first(Signal::Traces, msg(2, &[attr(9, key, value)]));
        let fields = row["data"].as_object().unwrap();
        let own = ["trace.", "span.", "meta.", "status_code", "duration_ms", "type", "name", "service.name"];
        Json::Object(fields.iter().filter(|(k, _)| !own.iter().any(|o| k.starts_with(o))).map(|(k, v)| (k.clone(), v.clone())).collect())
    };
    assert_eq!(data("a", bytes(1, "")), json!({"a": ""}));
    assert_eq!(data("a", int(2, 0)), json!({"a": false}));
    assert_eq!(data("a", int(3, i64::MIN)), json!({"a": i64::MIN}));
    assert_eq!(data("a", double(4, 0.5)), json!({"a": 0.5}));
    assert_eq!(data("a", double(4, f64::NAN)), json!({"a": "NaN"}));
    assert_eq!(data("a", vec![]), json!({}));
    assert_eq!(data("", int(3, 1)), json!({}));
    assert_eq!(data("a", bytes(7, [0, 255])), json!({"a": "\"AP8=\""}));
    assert_eq!(
        data("a", any_list(&[bytes(1, "x\"y"), int(3, 2), double(4, 1.0), vec![], any_list(&[])])),
        json!({"a": "[\"x\\\"y\",2,1,null,[]]"})
    );
    assert_eq!(data("a", msg(6, &[attr(1, "b", int(3, 1)), attr(1, "c", msg(6, &[text(1, "d", "x")]))])), json!({"a.b": 1, "a.c.d": "x"}));
    let mut deep = int(3, 1);
    for key in ["g", "f", "e", "d", "c", "b"] {
        deep = msg(6, &[attr(1, key, deep)]);
    }
    assert_eq!(data("a", deep), json!({"a.b.c.d.e.f": "{\"g\":1}"}));
    let mut deeper = int(3, 1);
    for _ in 0..200 {
        deeper = any_list(&[deeper]);
    }
    let body = request(&[], &[], &[msg(2, &[attr(9, "a", deeper), bytes(5, "deep")])]);
    let decoded = decode_with(Signal::Traces, &body, Encoding::Protobuf, Routing::default());
    assert_eq!(decoded.message, "span 'deep' refused: Event is nested too deeply. The limit is 128 levels.");
}

#[test]
fn datasets_are_chosen_by_service_and_header() {
    let dataset = |signal, service: Option<&str>, header, classic| {
        let resource: Vec<_> = service.map(|s| text(1, "service.name", s)).into_iter().collect();
        let item = match signal {
            Signal::Metrics => msg(2, &[bytes(1, "m"), msg(5, &[msg(1, &[fixed(6, 1)])])]),
            _ => msg(2, &[]),
        };
        let decoded = decode_with(signal, &request(&resource, &[], &[item]), Encoding::Protobuf, Routing { dataset: header, classic });
        decoded.writes[0].0.clone()
    };
    for (signal, service, header, classic, expect) in [
        (Signal::Traces, Some("shop"), Some("h"), false, "shop"),
        (Signal::Traces, Some("shop"), Some("h"), true, "h"),
        (Signal::Traces, Some(" "), Some("h"), false, "unknown_service"),
        (Signal::Traces, Some("unknown_service:node"), None, false, "unknown_service"),
        (Signal::Traces, None, None, false, "unknown_service"),
        (Signal::Traces, Some("__all__"), None, false, "unknown_service"),
        (Signal::Logs, Some("shop"), Some("h"), true, "shop"),
        (Signal::Logs, Some("unknown_service"), Some("h"), false, "h"),
        (Signal::Logs, None, Some(" "), false, "unknown_log_source"),
        (Signal::Metrics, Some("shop"), Some("h"), false, "shop"),
        (Signal::Metrics, Some("shop"), Some("h"), true, "h"),
        (Signal::Metrics, None, Some("h"), false, "h"),
        (Signal::Metrics, None, None, false, "unknown_metrics"),
    ] {
        assert_eq!(dataset(signal, service, header, classic), expect, "{signal:?} {service:?} {header:?} {classic}");
    }
    let one = |service| request(&[text(1, "service.name", service)], &[], &[msg(2, &[])]);
    let decoded = decode_with(Signal::Traces, &[one("a"), one("B"), one("A"), one("b")].concat(), Encoding::Protobuf, Routing::default());
    let sizes: Vec<_> = decoded.writes.iter().map(|(name, batch)| (name.as_str(), batch.n_rows)).collect();
    assert_eq!(sizes, [("a", 2), ("B", 2)]);
}

#[test]
fn logs_have_their_columns() {
    let record = msg(
        2,
        &[
            fixed(1, T),
            int(2, 17),
            bytes(3, "ERR"),
            bytes(5, bytes(1, "it failed")),
            text(6, "k", "v"),
            attr(6, "sampleRate", int(3, 3)),
            int(7, 2),
            [vec![0x45], 257u32.to_le_bytes().to_vec()].concat(),
            bytes(9, TRACE),
            bytes(10, [5; 8]),
            bytes(12, "ev"),
        ],
    );
    let map = msg(6, &[attr(1, "a", int(3, 1)), attr(1, "b", msg(6, &[attr(1, "c", any_list(&[int(3, 2)]))]))]);
    let other = msg(2, &[fixed(11, T + 9), bytes(5, map), bytes(9, [0; 16])]);
    let late = msg(2, &[bytes(5, any_list(&[int(3, 1)]))]);
    check(
        Signal::Logs,
        &request(&[text(1, "service.name", "s")], &[bytes(1, "lib")], &[record, other, late]),
        json!([
            row(
                T,
                3.0,
                json!({"severity": "error", "severity_code": 17, "severity_text": "ERR", "body": "it failed", "k": "v", "flags": 257,
            "meta.dropped_attributes_count": 2, "trace.trace_id": TRACE_HEX, "trace.parent_id": "0505050505050505", "event.name": "ev",
            "meta.annotation_type": "span_event", "meta.signal_type": "log", "service.name": "s", "library.name": "lib"})
            ),
            row(
                T + 9,
                1.0,
                json!({"severity": "unspecified", "severity_code": 0, "flags": 0, "meta.signal_type": "log", "body.a": 1,
            "body.b.c": "[2]", "body": "{\"a\":1,\"b\":{\"c\":[2]}}", "service.name": "s", "library.name": "lib"})
            ),
            row(
                NOW as u64,
                1.0,
                json!({"severity": "unspecified", "severity_code": 0, "flags": 0, "meta.signal_type": "log", "body": "[1]",
            "service.name": "s", "library.name": "lib"})
            ),
        ]),
    );
}

#[test]
fn points_of_the_same_time_and_attributes_share_a_row() {
    let number = |time, value: Field, attributes: &[Field]| msg(1, &[fixed(3, time), value, attributes.concat()]);
    let (a, b) = (text(7, "host", "a"), text(7, "zone", "z"));
    let gauge = msg(
        2,
        &[
            bytes(1, "cpu"),
            bytes(3, "1"),
            msg(
                5,
                &[
                    number(T, double(4, 0.5), &[a.clone(), b.clone()]),
                    number(T + 1, double(4, 0.75), &[a.clone(), b.clone()]),
                    number(T, double(4, 0.9), &[text(7, "host", "b")]),
                    // No value recorded.
                    msg(1, &[fixed(3, T + 7), int(8, 1), fixed(6, 0)]),
                ],
            ),
        ],
    );
    let sum = msg(
        2,
        &[
            bytes(1, "requests"),
            msg(
                7,
                &[
                    msg(
                        1,
                        &[
                            fixed(3, T),
                            fixed(6, -3i64 as u64),
                            b.clone(),
                            a.clone(),
                            msg(5, &[fixed(2, T), double(3, 1.5), bytes(4, [2; 8]), bytes(5, TRACE), text(7, "user", "u")]),
                        ],
                    ),
                    int(2, 2),
                    int(3, 1),
                ],
            ),
        ],
    );
    // The same metric twice for the same attributes and time.
    let again = msg(2, &[bytes(1, "cpu"), msg(5, &[number(T, fixed(6, 1), &[b, a])])]);
    let shared = json!({"meta.signal_type": "metric", "service.name": "s", "host": "a", "zone": "z"});
    let with = |mut data: Json| {
        data.as_object_mut().unwrap().extend(shared.as_object().unwrap().clone());
        data
    };
    check(
        Signal::Metrics,
        &request(&[text(1, "service.name", "s")], &[], &[gauge, sum, again]),
        json!([
            row(
                T,
                1.0,
                with(json!({"cpu": 0.5, "cpu.unit": "1", "requests": -3, "requests.temporality": "cumulative",
            "requests.exemplars": format!("[{{\"time\":\"2023-11-14T22:13:20Z\",\"value\":1.5,\"trace_id\":\"{TRACE_HEX}\",\"span_id\":\"0202020202020202\",\"attributes\":{{\"user\":\"u\"}}}}]"),
            "trace.trace_id": TRACE_HEX, "trace.parent_id": "0202020202020202", "meta.annotation_type": "span_event"}))
            ),
            row(T, 1.0, with(json!({"cpu": 1}))),
            row(T + 1, 1.0, with(json!({"cpu": 0.75, "cpu.unit": "1"}))),
            row(T, 1.0, json!({"cpu": 0.9, "cpu.unit": "1", "host": "b", "meta.signal_type": "metric", "service.name": "s"})),
        ]),
    );
}

fn packed(number: u64, words: &[u64]) -> Field {
    bytes(number, words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>())
}

#[test]
fn distributions_become_columns_that_start_with_the_name() {
    let bounds: Vec<u64> = [10.0f64, 20.0].iter().map(|b| b.to_bits()).collect();
    let histogram = msg(
        2,
        &[
            bytes(1, "h"),
            bytes(3, "ms"),
            msg(
                9,
                &[
                    msg(
                        1,
                        &[
                            fixed(3, T),
                            fixed(4, 4),
                            double(5, 50.0),
                            packed(6, &[1, 2, 1]),
                            packed(7, &bounds),
                            double(11, 5.0),
                            double(12, 30.0),
                        ],
                    ),
                    int(2, 1),
                ],
            ),
        ],
    );
    let exponential = msg(
        2,
        &[bytes(1, "e"), msg(10, &[msg(1, &[fixed(3, T), fixed(4, 5), int(6, 0), fixed(7, 1), msg(8, &[int(1, 2), bytes(2, [3, 1])])])])],
    );
    let summary = msg(
        2,
        &[
            bytes(1, "s"),
            msg(
                11,
                &[msg(
                    1,
                    &[
                        fixed(3, T),
                        fixed(4, 2),
                        double(5, 3.0),
                        msg(6, &[double(1, 0.5), double(2, 1.25)]),
                        msg(6, &[double(1, 0.999), double(2, 2.0)]),
                        msg(6, &[double(1, 1.0), double(2, 2.5)]),
                    ],
                )],
            ),
        ],
    );
    check(
        Signal::Metrics,
        &request(&[], &[], &[histogram, exponential, summary]),
        json!([row(
            T,
            1.0,
            json!({
                "meta.signal_type": "metric",
                "h.count": 4, "h.sum": 50.0, "h.avg": 12.5, "h.min": 5.0, "h.max": 30.0, "h.unit": "ms", "h.temporality": "delta",
                "h.p50": 15.0, "h.p90": 26.0, "h.p95": 28.0, "h.p99": 29.6, "h.buckets": "{\"bounds\":[10,20],\"counts\":[1,2,1]}",
                "e.count": 5, "e.p50": 3.0, "e.p90": 6.0, "e.p95": 7.0, "e.p99": 7.800000000000001,
                "e.buckets": "{\"scale\":0,\"zero_count\":1,\"positive\":{\"offset\":1,\"counts\":[3,1]}}",
                "s.count": 2, "s.sum": 3.0, "s.avg": 1.5, "s.p50": 1.25, "s.p999": 2.0, "s.max": 2.5,
            })
        )]),
    );
}

#[test]
fn refused_items_are_counted_and_named() {
    let limits = Limits { event_fields_max: 12, ..Limits::default() };
    let wide: Vec<_> = (0..9).map(|i| attr(9, &format!("k{i}"), int(3, i))).collect();
    let span = |name: &str, attributes: &[Field]| msg(2, &[bytes(5, name), attributes.concat()]);
    let body = request(&[], &[], &[span("ok", &[]), span("wide", &wide), span("wide too", &wide), span("fine", &[])]);
    let decoded = traces(&body, Encoding::Protobuf, Routing::default(), &Context::new(NOW, &limits)).unwrap();
    assert_eq!((decoded.accepted, decoded.rejected, decoded.writes[0].1.n_rows), (2, 2, 2));
    assert_eq!(decoded.message, "span 'wide' and 1 more refused: Event has too many columns.");
    let json: Json = serde_json::from_slice(&response(Encoding::Json, Signal::Traces, &decoded)).unwrap();
    assert_eq!(json, json!({"partialSuccess": {"rejectedSpans": "2", "errorMessage": decoded.message}}));
    assert_eq!(response(Encoding::Protobuf, Signal::Traces, &decoded), msg(1, &[int(1, 2), bytes(2, &decoded.message)]));
    assert_eq!(response(Encoding::Json, Signal::Logs, &OtlpDecoded::default()), b"{}");
    // Attributes of the resource that cannot be kept refuse all its rows.
    let long = "n".repeat(2_000);
    let decoded = traces(
        &request(&[text(1, &long, "x")], &[], &[span("a", &[])]),
        Encoding::Protobuf,
        Routing::default(),
        &Context::new(NOW, &limits),
    )
    .unwrap();
    assert_eq!((decoded.accepted, decoded.rejected), (0, 1));
    // Many metrics without attributes take several rows.
    let limits = Limits { event_fields_max: 40, ..Limits::default() };
    let metrics_: Vec<_> = (0..100).map(|i| msg(2, &[bytes(1, format!("m{i}")), msg(5, &[msg(1, &[fixed(3, T), fixed(6, i)])])])).collect();
    let decoded = metrics(&request(&[], &[], &metrics_), Encoding::Protobuf, Routing::default(), &Context::new(NOW, &limits)).unwrap();
    assert_eq!((decoded.accepted, decoded.rejected), (100, 0));
    assert!(decoded.writes[0].1.n_rows > 1);
}

#[test]
fn json_is_read_as_its_protobuf() {
    let json = format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"s"}}}}],"new":[{{}}]}},
      "scopeSpans":[{{"scope":{{"name":"lib","version":"1"}},"schemaUrl":"u","spans":[
        {{"traceId":"{TRACE_HEX}","spanId":"0707070707070707","parent_span_id":"","name":"n","kind":"SPAN_KIND_CLIENT",
          "startTimeUnixNano":"{T}","endTimeUnixNano":{end},"flags":257,"droppedAttributesCount":1,
          "attributes":[{{"key":"i","value":{{"intValue":"-9007199254740993"}}}},{{"key":"j","value":{{"intValue":7}}}},{{"key":"f","value":{{"doubleValue":1}}}},
            {{"key":"b","value":{{"boolValue":true}}}},{{"key":"n","value":null}},{{"key":"x","value":{{"bytesValue":"AP8="}}}},{{"key":"nan","value":{{"doubleValue":"NaN"}}}},
            {{"key":"l","value":{{"arrayValue":{{"values":[{{"stringValue":"a"}},{{"intValue":1}}]}}}}}},{{"key":"m","value":{{"kvlistValue":{{"values":[{{"key":"k","value":{{"stringValue":"v"}}}}]}}}}}}],
          "events":[{{"timeUnixNano":"{T}","name":"e","attributes":[]}}],"links":[{{"traceId":"{TRACE_HEX}","spanId":"AgICAgICAgI="}}],
          "status":{{"code":2,"message":"bad"}}}}]}}]}}]}}"#,
        end = T + 1_000_000
    );
    let span = msg(
        2,
        &[
            bytes(1, TRACE),
            bytes(2, [7; 8]),
            bytes(5, "n"),
            int(6, 3),
            fixed(7, T),
            fixed(8, T + 1_000_000),
            int(10, 1),
            attr(9, "i", int(3, -9_007_199_254_740_993)),
            attr(9, "j", int(3, 7)),
            attr(9, "f", double(4, 1.0)),
            attr(9, "b", int(2, 1)),
            attr(9, "x", bytes(7, [0, 255])),
            attr(9, "nan", double(4, f64::NAN)),
            attr(9, "l", any_list(&[bytes(1, "a"), int(3, 1)])),
            attr(9, "m", msg(6, &[text(1, "k", "v")])),
            msg(11, &[fixed(1, T), bytes(2, "e")]),
            msg(13, &[bytes(1, TRACE), bytes(2, [2; 8])]),
            msg(15, &[int(3, 2), bytes(2, "bad")]),
        ],
    );
    let body =
        msg(1, &[msg(1, &[text(1, "service.name", "s")]), msg(2, &[msg(1, &[bytes(1, "lib"), bytes(2, "1")]), span, bytes(3, "u")])]);
    let [a, b] = [(json.as_bytes(), Encoding::Json), (&body, Encoding::Protobuf)]
        .map(|(body, e)| decode_with(Signal::Traces, body, e, Routing::default()));
    assert_eq!(written(&a), written(&b));
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Json>(&json).unwrap()).unwrap();
    assert_eq!(written(&decode_with(Signal::Traces, pretty.as_bytes(), Encoding::Json, Routing::default())), written(&b));
}

#[test]
fn integers_of_javascript_may_be_larger_than_64_bits() {
    let value = |number: &str| {
        let body = format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"attributes":[{{"key":"a","value":{{"intValue":{number}}}}}]}}]}}]}}]}}"#
        );
        written(&decode_with(Signal::Traces, body.as_bytes(), Encoding::Json, Routing::default()))[0].1[0]["data"]["a"].clone()
    };
    for (number, expect) in [
        ("7", json!(7)),
        ("\"-8\"", json!(-8)),
        ("1e3", json!(1_000)),
        ("9007199254740993", json!(9_007_199_254_740_993i64)),
        ("\"9223372036854775807\"", json!(i64::MAX)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("9223372036854775808", json!(9_223_372_036_854_775_808.0)),
        ("1.7976931348623157e+308", json!(f64::MAX)),
        ("2.5", json!(2.5)),
    ] {
        assert_eq!(value(number), expect, "{number}");
    }
}

#[test]
fn json_logs_and_metrics_are_read() {
    let logs = br#"{"resource_logs":[{"scope_logs":[{"log_records":[{"observed_time_unix_nano":1700000000000000000,"severity_number":"SEVERITY_NUMBER_WARN2","body":{"string_value":"b"}}]}]}]}"#;
    let decoded = decode_with(Signal::Logs, logs, Encoding::Json, Routing { dataset: Some("h"), classic: false });
    assert_eq!(
        written(&decoded),
        [("h", vec![row(T, 1.0, json!({"severity": "warn", "severity_code": 14, "flags": 0, "meta.signal_type": "log", "body": "b"}))])]
    );
    let metrics = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
        {"name":"g","gauge":{"dataPoints":[{"timeUnixNano":"1700000000000000000","asInt":"-5"}]}},
        {"name":"d","gauge":{"dataPoints":[{"timeUnixNano":"1700000000000000000","asDouble":2}]}},
        {"name":"h","histogram":{"aggregationTemporality":2,"dataPoints":[{"timeUnixNano":"1700000000000000000","count":"3","sum":6,"bucketCounts":["1","2"],"explicitBounds":[1.5],"min":1,"max":3}]}},
        {"name":"e","exponentialHistogram":{"aggregationTemporality":"AGGREGATION_TEMPORALITY_DELTA","dataPoints":[{"timeUnixNano":"1700000000000000000","count":1,"scale":-1,"positive":{"offset":-1,"bucketCounts":["1"]}}]}}]}]}]}"#;
    let decoded = decode_with(Signal::Metrics, metrics, Encoding::Json, Routing::default());
    let data = &written(&decoded)[0].1[0]["data"];
    for (key, value) in [
        ("g", json!(-5)),
        ("d", json!(2.0)),
        ("h.count", json!(3)),
        ("h.temporality", json!("cumulative")),
        ("h.p50", json!(1.875)),
        ("e.temporality", json!("delta")),
        ("e.p99", json!(0.992_499_999_999_999_9)),
        ("e.buckets", json!("{\"scale\":-1,\"zero_count\":0,\"positive\":{\"offset\":-1,\"counts\":[1]}}")),
    ] {
        assert_eq!(data[key], value, "{key}");
    }
}

#[test]
fn malformed_requests_are_refused_whole() {
    let limits = Limits::default();
    let context = Context::new(NOW, &limits);
    for (body, encoding) in [
        (&b"\x0a\x05\x0a"[..], Encoding::Protobuf),
        (b"\x0f", Encoding::Protobuf),
        (b"\x08", Encoding::Protobuf),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Encoding::Protobuf),
        (b"not protobuf", Encoding::Protobuf),
        (b"{", Encoding::Json),
        (b"[]", Encoding::Json),
        (b"{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":\"xyz!\"}]}]}]}", Encoding::Json),
        (b"{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"startTimeUnixNano\":true}]}]}]}", Encoding::Json),
    ] {
        let error = traces(body, encoding, Routing::default(), &context).unwrap_err();
        assert!(error.http_status() == 400 && error.to_string().starts_with("Request body is malformed and cannot be read. "), "{error}");
    }
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        assert!(traces(b"", encoding, Routing::default(), &context).unwrap().writes.is_empty());
    }
    let mut deep = String::from("{\"intValue\":1}");
    for _ in 0..1_000 {
        deep = format!("{{\"arrayValue\":{{\"values\":[{deep}]}}}}");
    }
    let body = format!("{{\"resourceLogs\":[{{\"scopeLogs\":[{{\"logRecords\":[{{\"body\":{deep}}}]}}]}}]}}");
    assert!(logs(body.as_bytes(), Encoding::Json, Routing::default(), &context).is_err());
    assert_eq!(Encoding::from_content_type("application/X-Protobuf"), Some(Encoding::Protobuf));
    assert_eq!(Encoding::from_content_type("application/json; charset=utf-8"), Some(Encoding::Json));
    assert_eq!(Encoding::from_content_type("text/plain"), None);
}

#[test]
fn a_resource_after_a_refused_event_starts_afresh() {
    let span = |at: u64| msg(2, &[bytes(1, TRACE), bytes(2, [1; 8]), fixed(7, at), fixed(8, at), text(9, "a", "b"), text(9, "c", "d")]);
    let resource = [text(1, "service.name", "s"), text(1, "host.name", "h")];
    // The first event brings its columns along when it goes.
    let body = [request(&resource, &[], &[span(NOW as u64 * 2)]), request(&resource, &[], &[span(T)])].concat();
    let decoded = decode_with(Signal::Traces, &body, Encoding::Protobuf, Routing::default());
    assert_eq!((decoded.accepted, decoded.rejected), (1, 1));
    let row = &written(&decoded)[0].1[0];
    assert_eq!((&row["data"]["host.name"], &row["data"]["c"]), (&json!("h"), &json!("d")));
}

#[test]
fn floods_are_bounded() {
    // Ten thousand attributes, once on the wire, and a million spans of two bytes to repeat them in.
    let resource: Vec<_> = (0..9_000).map(|i| attr(1, &format!("a{i}"), int(3, i))).collect();
    let body = request(&resource, &[], &[msg(2, &[]).repeat(1_000_000)]);
    let decoded = decode_with(Signal::Traces, &body, Encoding::Protobuf, Routing::default());
    assert_eq!(decoded.accepted + decoded.rejected, 1_000_000);
    assert!((1_800..1_900).contains(&decoded.accepted), "{}", decoded.accepted);
    assert!(decoded.message.contains("attributes of resources stand in every row"), "{}", decoded.message);
    // A service per resource.
    let limits = Limits { datasets_max: 100, ..Limits::default() };
    let bodies: Vec<_> = (0..1_000).map(|i| request(&[text(1, "service.name", &format!("s{i}"))], &[], &[msg(2, &[])])).collect();
    let decoded = traces(&bodies.concat(), Encoding::Protobuf, Routing::default(), &Context::new(NOW, &limits)).unwrap();
    assert_eq!((decoded.accepted, decoded.rejected, decoded.writes.len()), (100, 900, 100));
    // The same point again and again.
    let point = msg(1, &[fixed(3, T), fixed(6, 1)]);
    let decoded = decode_with(
        Signal::Metrics,
        &request(&[], &[], &[msg(2, &[bytes(1, "m"), msg(5, &[point.repeat(50_000)])])]),
        Encoding::Protobuf,
        Routing::default(),
    );
    assert_eq!((decoded.accepted, decoded.writes[0].1.n_rows), (50_000, 50_000));
    // Attributes of one span, and scopes of one resource.
    let span = msg(2, &[attr(9, "a", int(3, 1)).repeat(200_000)]);
    let decoded = decode_with(Signal::Traces, &request(&[], &[], &[span]), Encoding::Protobuf, Routing::default());
    assert_eq!((decoded.accepted, decoded.rejected), (0, 1));
    let body = msg(1, &[msg(1, &resource), msg(2, &[]).repeat(1_000_000)]);
    assert!(decode_with(Signal::Traces, &body, Encoding::Protobuf, Routing::default()).writes.is_empty());
}
