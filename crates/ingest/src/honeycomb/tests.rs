//! Tests of batches, events and lines.

use super::*;
use crate::testing::rows::rows;
use model::Limits;
use serde_json::{Value as Json, json};

const NOW: TimeNs = 1_800_000_000_000_000_000;

fn limits() -> Limits {
    Limits {
        string_bytes_max: 12,
        event_fields_max: 8,
        event_bytes_max: 400,
        column_name_bytes_max: 30,
        nesting_depth_max: 6,
        dataset_columns_max: 40,
        ..Limits::default()
    }
}

fn read(body: &[u8], format: Format) -> (Vec<Json>, Vec<String>) {
    let limits = limits();
    let decoded = batch(body, format, "ds", &Context::new(NOW, &limits)).unwrap();
    let statuses = decoded.statuses.iter().map(|s| match s {
        EventStatus::Accepted => "202".to_owned(),
        EventStatus::Refused { status, error } => format!("{status} {error}"),
    });
    (decoded.writes.first().map(|w| rows(&w.1)).unwrap_or_default(), statuses.collect())
}

/// One event's data.
fn check(data: &str, expect: Json) {
    let (rows, statuses) = read(format!("[{{\"data\":{data}}}]").as_bytes(), Format::Json);
    assert_eq!(statuses, ["202"], "{data}");
    assert_eq!(rows[0]["data"], expect, "{data}");
}

#[test]
fn values_become_cells() {
    check(
        r#"{"s":"text","e":"","i":-7,"f":5.0,"b":true,"c":false,"n":null}"#,
        json!({"s": "text", "e": "", "i": -7, "f": 5.0, "b": true, "c": false}),
    );
    check(r#"{"max":9223372036854775807,"min":-9223372036854775808}"#, json!({"max": i64::MAX, "min": i64::MIN}));
    check(r#"{"u":18446744073709551615,"h":1e999,"nan":NaN}"#, json!({"u": u64::MAX as f64, "h": "1e999", "nan": "NaN"}));
    check(r#" { "a" : [ 1 , "x" ] , "e" : [ ] } "#, json!({"a": "[1,\"x\"]", "e": "[]"}));
    check(r#"{"a":1,"a":"x","b":1,"b":null}"#, json!({"a": "x"}));
    check(r#"{"id":"00000000000000000123456789abcdef"}"#, json!({"id": "000000000000", "meta.truncated_fields": "[\"id\"]"}));
    check(r#"{"esc":"a\"b\\\u00e9\n","k\"\u0041":1}"#, json!({"esc": "a\"b\\é\n", "k\"A": 1}));
    check(r#"{"lone":"\ud800x","":1}"#, json!({"lone": "\u{fffd}x"}));
}

#[test]
fn maps_are_flattened_to_the_depth() {
    check(r#"{"a":{"b":{"c":1},"d":{}},"a.x":2}"#, json!({"a.b.c": 1, "a.x": 2}));
    check(r#"{"a":{"b":{"c":{"d":{"e":{"f":1}}}}}}"#, json!({"a.b.c.d.e.f": 1}));
    check(r#"{"a":{"b":{"c":{"d":{"e":{"f":{"g":1}}}}}}}"#, json!({"a.b.c.d.e.f": "{\"g\":1}"}));
    check(r#"{"a":1,"a":{"b":2},"z":0}"#, json!({"a": 1, "a.b": 2, "z": 0}));
    let limits = Limits::default();
    let context = Context { flatten_depth: 0, ..Context::new(NOW, &limits) };
    let decoded = batch(br#"[{"data":{"a":{"b":[1, 2]}}}]"#, Format::Json, "ds", &context).unwrap();
    assert_eq!(rows(&decoded.writes[0].1)[0]["data"], json!({"a": "{\"b\":[1,2]}"}));
}

#[test]
fn fields_in_any_order_reach_their_columns() {
    let body = r#"[{"data":{"a":1,"n":{"x":1,"y":2},"b":2,"c":3}},{"data":{"c":4,"a":5}},
        {"data":{"n":{"y":3,"x":4},"b":6}},{"data":{"n":7,"a":8,"b":9}},{"data":{"a":10,"n":{"y":11},"c":12}}]"#;
    let data: Vec<Json> = read(body.as_bytes(), Format::Json).0.iter().map(|r| r["data"].clone()).collect();
    assert_eq!(
        data,
        [
            json!({"a": 1, "n.x": 1, "n.y": 2, "b": 2, "c": 3}),
            json!({"c": 4, "a": 5}),
            json!({"n.y": 3, "n.x": 4, "b": 6}),
            json!({"n": 7, "a": 8, "b": 9}),
            json!({"a": 10, "n.y": 11, "c": 12}),
        ]
    );
}

#[test]
fn times_and_sample_rates_stand_around_the_data() {
    let (rows, statuses) = read(
        br#"[
        {"time":"2023-11-14T22:13:20.123456789Z","samplerate":4,"data":{"a":1}},
        {"data":{"a":2},"samplerate":2.5,"other":[{}],"time":1700000000123},
        {"data":{"a":3},"time":"","samplerate":0},
        {"time":null,"samplerate":"10","data":{"a":4}},
        {"time":"soon","samplerate":-1,"data":{"a":5}},
        {"time":1700000000.5,"data":{"a":6}},
        {"time":"3000-01-01T00:00:00Z","data":{"a":7}},
        {"time":"2040-01-01T00:00:00Z","data":{"a":8}}]"#,
        Format::Json,
    );
    assert_eq!(statuses[..6], ["202"; 6]);
    assert!(statuses[6].starts_with("400 Event time is out of range"), "{}", statuses[6]);
    assert!(statuses[7].starts_with("400 Event time lies too far in the future"), "{}", statuses[7]);
    let around: Vec<_> = rows.iter().map(|r| (r["time"].as_i64().unwrap(), r["rate"].as_f64().unwrap())).collect();
    assert_eq!(
        around,
        [
            (1_700_000_000_123_456_789, 4.0),
            (1_700_000_000_123_000_000, 2.5),
            (NOW, 1.0),
            (NOW, 10.0),
            (NOW, 1.0),
            (1_700_000_000_500_000_000, 1.0)
        ]
    );
    assert_eq!(rows[4]["data"], json!({"a": 5, "meta.invalid_time": "soon"}));
}

#[test]
fn one_bad_event_leaves_its_neighbours() {
    let wide: String = (0..9).map(|i| format!("\"k{i}\":{i},")).collect();
    let body = format!(
        r#"[{{"data":{{"a":1}}}}, 7, {{"data":[1]}}, {{}}, {{"data":{{}}}}, {{"data":null}}, [{{"data":{{}}}}],
        {{"data":{{{wide}"z":0}}}}, {{"data":{{"x":"{}"}}}}, {{"data":{{"{}":1}}}}, {{"data":{{"d":{}1{}}}}},
        {{"data":{{"a":2,"long":"ééééééé"}}}}]"#,
        "y".repeat(500),
        "n".repeat(31),
        "[".repeat(9),
        "]".repeat(9)
    );
    let (rows, statuses) = read(body.as_bytes(), Format::Json);
    assert_eq!(
        statuses,
        [
            "202",
            "400 Event should be an object with \"data\".",
            "400 Event \"data\" should be an object.",
            "400 Event has no \"data\".",
            "400 Event \"data\" should not be empty.",
            "400 Event has no \"data\".",
            "400 Event should be an object with \"data\".",
            "400 Event has too many columns.",
            "413 Event is too large. It has 517 bytes, the limit is 400.",
            "400 Column name is too long. 'nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn…' has 31 bytes, the limit is 30.",
            "400 Event is nested too deeply. The limit is 6 levels.",
            "202",
        ]
    );
    let data: Vec<_> = rows.iter().map(|r| r["data"].clone()).collect();
    assert_eq!(data, [json!({"a": 1}), json!({"a": 2, "long": "éééééé", "meta.truncated_fields": "[\"long\"]"})]);
}

#[test]
fn fields_beyond_the_columns_of_a_dataset_are_kept_as_text() {
    let limits = Limits { dataset_columns_max: 3, ..Limits::default() };
    // One column more than that stays, for the store to notice.
    let body =
        br#"[{"data":{"a":1,"b":2}},{"data":{"b":1,"c":1,"d":1,"e":"q\"","f":2.5}},{"data":{"g":true,"a":3}},{"data":{"f":4,"a":"x"}},
        {"data":{"n":1,"a":"y","meta.overflow":"{\"old\":1}","b":"new kind"}},{"data":{"a":4}},{"data":{"z":1,"meta.overflow":"text"}}]"#;
    let decoded = batch(body, Format::Json, "ds", &Context::new(NOW, &limits)).unwrap();
    assert_eq!(decoded.statuses, vec![EventStatus::Accepted; 7]);
    let (_, batch) = &decoded.writes[0];
    let mut names: Vec<_> = batch.columns.iter().map(|c| &*c.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, ["a", "b", "c", "d", "meta.overflow"]);
    let data: Vec<_> = rows(batch).iter().map(|r| r["data"].clone()).collect();
    assert_eq!(
        data,
        [
            json!({"a": 1, "b": 2}),
            json!({"b": 1, "c": 1, "d": 1, "meta.overflow": r#"{"e":"q\"","f":2.5}"#}),
            json!({"a": 3, "meta.overflow": r#"{"g":true}"#}),
            json!({"a": "x", "meta.overflow": r#"{"f":4}"#}),
            json!({"a": "y", "b": "new kind", "meta.overflow": r#"{"old":1,"n":1}"#}),
            json!({"a": 4}),
            json!({"meta.overflow": r#"{"meta.overflow":"text","z":1}"#}),
        ]
    );
}

#[test]
fn malformed_bodies_are_refused_whole() {
    let limits = limits();
    let context = Context::new(NOW, &limits);
    let fails = |body: &[u8], format| batch(body, format, "ds", &context).unwrap_err().to_string();
    assert_eq!(fails(b"", Format::Json), "Request body should not be empty.");
    assert_eq!(fails(b" \n", Format::Json), "Request body should not be empty.");
    assert_eq!(
        fails(br#"[{"data":{"a":1}},{"data":{"a":x}}]"#, Format::Json),
        "Request body is malformed and cannot be read. expected a value at byte 31, in event 1"
    );
    for body in ["{\"data\":{}}", "[", "[{\"data\":{\"a\":\"", "[]x", "\"text\"", "[{\"data\":{\"a\":1}},]"] {
        assert!(fails(body.as_bytes(), Format::Json).starts_with("Request body is malformed"), "{body}");
    }
    for body in [&[0x91][..], &[0x91, 0x81, 0xa4, b'd'], &[0xdd, 0xff, 0xff, 0xff, 0xff], &[0xc1], &[0x90, 0x90], &[0x80]] {
        assert!(fails(body, Format::Msgpack).starts_with("Request body is malformed"), "{body:?}");
    }
    assert!(batch(b"[]", Format::Json, "ds", &context).unwrap().statuses.is_empty());
    assert!(batch(b"[]", Format::Json, "", &context).is_err());
    // Bytes that are not UTF-8 are replaced, not refused.
    let (rows, _) = read(b"\xef\xbb\xbf[{\"data\":{\"a\":\"x\xffy\"}}]", Format::Json);
    assert_eq!(rows[0]["data"], json!({"a": "x\u{fffd}y"}));
}

#[test]
fn single_events_take_time_and_rate_from_headers() {
    let limits = limits();
    let context = Context::new(NOW, &limits);
    let headers = EventHeaders { time: Some("2023-11-14T22:13:20Z"), sample_rate: Some("5") };
    for (body, format) in [(&b" {\"a\":1,\"time\":\"x\"} "[..], Format::Json), (b"\x82\xa1a\x01\xa4time\xa1x", Format::Msgpack)] {
        let decoded = event(body, format, "ds", headers, &context).unwrap();
        assert_eq!(rows(&decoded.writes[0].1), [json!({"time": 1_700_000_000_000_000_000i64, "rate": 5.0, "data": {"a": 1, "time": "x"}})]);
    }
    for (body, status, text) in [
        ("", 400, "Request body should not be empty."),
        ("{}", 400, "Request body should not be empty."),
        ("[]", 400, "Request body is malformed"),
        ("{\"a\":1}}", 400, "Request body is malformed"),
    ] {
        let error = event(body.as_bytes(), Format::Json, "ds", EventHeaders::default(), &context).unwrap_err();
        assert!(error.http_status() == status && error.to_string().starts_with(text), "{body}: {error}");
    }
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(500));
    assert_eq!(event(large.as_bytes(), Format::Json, "ds", EventHeaders::default(), &context).unwrap_err().http_status(), 413);
}

#[test]
fn msgpack_has_all_kinds() {
    let mut body = vec![0x94];
    // {"time": ext -1 (8 bytes: 123456789 ns, 1700000000 s), "samplerate": uint16 300, "data": {…}}
    let when = (123_456_789u64 << 34) | 1_700_000_000;
    body.extend(b"\x83\xa4time\xd7\xff");
    body.extend(when.to_be_bytes());
    body.extend(b"\xaasamplerate\xcd\x01\x2c\xa4data\xde\x00\x08");
    body.extend(b"\xa1i\xd3\x80\x00\x00\x00\x00\x00\x00\x00\xa1u\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa1n\xc0\xa1b\xc3");
    body.extend(b"\xa1f\xca\x3f\x00\x00\x00\xa1m\x82\xa1x\xff\x01\xd9\x01y\xa1a\x93\xd0\xfe\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xa0\xa1B\xc4\x02\xff\xfe");
    // {"time": ext -1 (12 bytes), "data": {"s": bin "ok"}}, then what is not a map, then int time
    body.extend(b"\x82\xa4time\xc7\x0c\xff\x00\x00\x00\x05\xff\xff\xff\xff\xff\xff\xff\xff\xa4data\x81\xa1s\xc4\x02ok");
    body.extend(b"\x93\x01\x91\x02\x03");
    body.extend(b"\x82\xa4time\xd6\xff\x00\x00\x00\x07\xa4data\x81\xa1t\xd6\xff\x00\x00\x00\x00");
    let (rows, statuses) = read(&body, Format::Msgpack);
    assert_eq!(statuses, ["202", "202", "400 Event should be an object with \"data\".", "202"]);
    assert_eq!(
        rows[0],
        json!({"time": 1_700_000_000_123_456_789i64, "rate": 300.0, "data": {
        "i": i64::MIN, "u": u64::MAX as f64, "b": true, "f": 0.5, "m.x": -1, "m.1": "y", "a": "[-2,1.5,\"\"]", "B": "//4="}})
    );
    assert_eq!(rows[1], json!({"time": -999_999_995, "rate": 1.0, "data": {"s": "ok"}}));
    assert_eq!(rows[2], json!({"time": 7_000_000_000i64, "rate": 1.0, "data": {"t": "1970-01-01T0", "meta.truncated_fields": "[\"t\"]"}}));
    let deep = [&b"\x91\x81\xa4data\x81\xa1d"[..], &[0x91; 100_000], b"\x00"].concat();
    assert_eq!(read(&deep, Format::Msgpack).1.len(), 1);
}

#[test]
fn lines_are_wrapped_or_flat() {
    let (rows, statuses) = read(
        br#"{"time":"2023-11-14T22:13:20Z","samplerate":2,"data":{"a":1}}

{"data":{"a":2},"@timestamp":1700000001}
{"timestamp":"2023-11-14T22:13:22Z","a":3,"time":"soon","n":{"x":1}}
{"a":4,"data":{"b":1},"Timestamp":1700000003.5,"samplerate":8}
{"data":{"a":5},"level":"info"}
{"data":"x","a":6}
{"a":7
[1]
{}
{"time":"2023-11-14T22:13:28Z"}
{"data":{"a":8}}"#,
        Format::Ndjson,
    );
    let expect = [
        (1_700_000_000_000_000_000, 2.0, json!({"a": 1})),
        (1_700_000_001_000_000_000, 1.0, json!({"a": 2})),
        (1_700_000_002_000_000_000, 1.0, json!({"a": 3, "time": "soon", "n.x": 1})),
        (1_700_000_003_500_000_000, 8.0, json!({"a": 4, "data.b": 1})),
        (NOW, 1.0, json!({"data.a": 5, "level": "info"})),
        (NOW, 1.0, json!({"data": "x", "a": 6})),
        (1_700_000_008_000_000_000, 1.0, json!({})),
        (NOW, 1.0, json!({"a": 8})),
    ];
    let expect: Vec<_> = expect.into_iter().map(|(time, rate, data)| json!({"time": time, "rate": rate, "data": data})).collect();
    assert_eq!(rows, expect);
    let bad: Vec<_> = statuses.iter().enumerate().filter(|(_, s)| *s != "202").map(|(i, s)| (i, s.as_str())).collect();
    assert_eq!(
        bad,
        [
            (6, "400 Line is malformed and cannot be read. expected ',' or '}' at byte 6"),
            (7, "400 Line is malformed and cannot be read. expected an object at byte 0"),
            (8, "400 Event \"data\" should not be empty."),
        ]
    );
}

#[test]
fn replies_have_one_object_per_event() {
    let statuses = [EventStatus::Accepted, refused(400, "Event has too \"many\" columns.")];
    let json: Json = serde_json::from_slice(&reply(&statuses, Format::Json)).unwrap();
    assert_eq!(json, json!([{"status": 202}, {"status": 400, "error": "Event has too \"many\" columns."}]));
    assert_eq!(reply(&[], Format::Json), b"[]");
    let packed = reply(&statuses[..1], Format::Msgpack);
    assert_eq!(packed, b"\xdd\x00\x00\x00\x01\x81\xdb\x00\x00\x00\x06status\xcd\x00\xca");
    assert_eq!(Format::from_content_type(Some("application/msgpack; x=y")), Format::Msgpack);
    assert_eq!(Format::from_content_type(None), Format::Json);
}
