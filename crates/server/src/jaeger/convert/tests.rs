//! Traces of every sender, as Jaeger would have them.

use super::*;
use serde_json::{Value as Json, json};

const T0: i64 = 1_700_000_000_000_000_000;

/// An event at microseconds after T0, with all that ingest writes.
fn event(us: i64, fields: Json) -> RawEvent {
    let fields = fields.as_object().unwrap().iter().map(|(k, v)| (k.as_str().into(), Value::from_json(v).unwrap())).collect();
    RawEvent { time: T0 + us * 1_000, sample_rate: 1.0, dataset: Some("the-dataset".into()), fields }
}

fn made(events: Vec<RawEvent>) -> Json {
    serde_json::to_value(trace("t1", events).unwrap()).unwrap()
}

fn with(mut base: Json, more: Json) -> Json {
    base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    base
}

/// What every row of one resource and scope has.
fn resource() -> Json {
    json!({ "service.name": "checkout", "host.name": "h1", "process.pid": 7, "team": "blue", "library.name": "lib", "library.version": "1.2",
        "meta.signal_type": "trace", "trace.trace_id": "t1" })
}

fn otlp_span(id: &str, more: Json) -> Json {
    with(
        resource(),
        with(
            json!({ "trace.span_id": id, "name": "op", "type": "server", "span.kind": "server", "status_code": 0, "duration_ms": 1.5,
                "span.num_links": 0, "span.num_events": 0 }),
            more,
        ),
    )
}

#[test]
fn a_span_of_otlp_is_as_jaeger_would_have_it() {
    let more = json!({ "trace.parent_id": "s0", "status_code": 2, "status_message": "it broke", "error": true, "trace.trace_state": "v=x",
        "http.status_code": 500, "ratio": 0.25, "ok": false, "big": 9_007_199_254_740_993i64 });
    let mut span = event(12, otlp_span("s1", more));
    span.sample_rate = 4.0;
    let start = T0 / 1_000 + 12;
    let expected = json!({
        "traceID": "t1",
        "spans": [{
            "traceID": "t1", "spanID": "s1", "operationName": "op",
            "references": [{ "refType": "CHILD_OF", "traceID": "t1", "spanID": "s0" }],
            "startTime": start, "duration": 1_500,
            "tags": [
                { "key": "big", "type": "int64", "value": "9007199254740993" },
                { "key": "error", "type": "bool", "value": true },
                { "key": "http.status_code", "type": "int64", "value": 500 },
                { "key": "ok", "type": "bool", "value": false },
                { "key": "otel.scope.name", "type": "string", "value": "lib" },
                { "key": "otel.scope.version", "type": "string", "value": "1.2" },
                { "key": "otel.status_code", "type": "string", "value": "ERROR" },
                { "key": "otel.status_description", "type": "string", "value": "it broke" },
                { "key": "ratio", "type": "float64", "value": 0.25 },
                { "key": "sample_rate", "type": "int64", "value": 4 },
                { "key": "span.kind", "type": "string", "value": "server" },
                { "key": "team", "type": "string", "value": "blue" },
                { "key": "w3c.tracestate", "type": "string", "value": "v=x" },
            ],
            "logs": [], "processID": "p1", "warnings": null,
        }],
        "processes": { "p1": { "serviceName": "checkout", "tags": [
            { "key": "host.name", "type": "string", "value": "h1" },
            { "key": "process.pid", "type": "int64", "value": 7 },
        ] } },
        "warnings": null,
    });
    assert_eq!(made(vec![span]), expected);
}

#[test]
fn events_become_logs_and_links_references() {
    let span =
        event(10, otlp_span("s1", json!({ "status_code": 2, "error": true, "exception.message": "no", "duration_ms": 2, "user": "u1" })));
    let common = with(resource(), json!({ "trace.parent_id": "s1", "parent_name": "op", "error": true }));
    let exception = json!({ "name": "exception", "meta.annotation_type": "span_event", "meta.time_since_span_start_ms": 0.5, "exception.message": "no" });
    let retry =
        json!({ "name": "retry", "meta.annotation_type": "span_event", "meta.time_since_span_start_ms": 0.7, "n": 2, "user": "u1" });
    let link = json!({ "meta.annotation_type": "link", "trace.link.trace_id": "t2", "trace.link.span_id": "s9", "why": "batch" });
    let log = json!({ "meta.annotation_type": "span_event", "meta.signal_type": "log", "body": "hello", "severity": "info" });
    // Another span of the same resource and scope, so that what is an attribute of the span alone can be told.
    let other = event(20, otlp_span("s2", json!({ "trace.parent_id": "s1" })));
    let trace = made(vec![
        span,
        event(10, with(common.clone(), link)),
        event(510, with(common.clone(), exception)),
        event(700, with(common.clone(), retry)),
        event(800, with(common, log)),
        other,
    ]);
    let span = &trace["spans"][0];
    assert_eq!(span["references"], json!([{ "refType": "FOLLOWS_FROM", "traceID": "t2", "spanID": "s9" }]));
    let text = |key: &str, value: &str| json!({ "key": key, "type": "string", "value": value });
    let at = |us: i64| T0 / 1_000 + us;
    let logs = json!([
        { "timestamp": at(510), "fields": [text("event", "exception"), text("exception.message", "no")] },
        { "timestamp": at(700), "fields": [text("event", "retry"), { "key": "n", "type": "int64", "value": 2 }, text("user", "u1")] },
        { "timestamp": at(800), "fields": [text("event", "log"), text("body", "hello"), { "key": "error", "type": "bool", "value": true }, text("severity", "info")] },
    ]);
    assert_eq!(span["logs"], logs);
    assert_eq!(trace["processes"].as_object().unwrap().len(), 1);
    assert_eq!(trace["spans"].as_array().unwrap().len(), 2);
}

#[test]
fn events_of_other_senders_are_spans_too() {
    let plain = json!({ "trace.trace_id": "t1", "trace.span_id": "a", "name": "x", "duration_ms": 3, "type": "job", "status_code": 404, "error": "timeout" });
    let trace = made(vec![event(0, plain)]);
    let tags = json!([
        { "key": "error", "type": "string", "value": "timeout" },
        { "key": "status_code", "type": "int64", "value": 404 },
        { "key": "type", "type": "string", "value": "job" },
    ]);
    assert_eq!(trace["spans"][0]["tags"], tags);
    assert_eq!(trace["spans"][0]["duration"], 3_000);
    assert_eq!(trace["processes"]["p1"], json!({ "serviceName": "the-dataset", "tags": [] }));
}

#[test]
fn odd_traces_say_what_is_odd() {
    let span = event(0, otlp_span("a", json!({ "duration_ms": 0, "meta.invalid_duration": true })));
    let orphan = event(1, with(resource(), json!({ "meta.annotation_type": "span_event", "name": "e", "trace.parent_id": "gone" })));
    let other_host = event(2, with(otlp_span("b", json!({})), json!({ "host.name": "h2" })));
    let trace = made(vec![span.clone(), span, orphan.clone(), other_host]);
    assert_eq!(trace["spans"].as_array().unwrap().len(), 2, "what was sent twice is one");
    assert!(trace["spans"][0]["warnings"][0].as_str().unwrap().contains("before it began"));
    assert!(trace["warnings"][0].as_str().unwrap().starts_with("1 events or links"));
    assert_eq!((&trace["spans"][1]["processID"], trace["processes"].as_object().unwrap().len()), (&json!("p2"), 2));
    assert_eq!(self::trace("t1", vec![orphan]), None, "no span, no trace");
}
