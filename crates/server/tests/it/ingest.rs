//! `/1/events` and `/1/batch`.

use crate::support::{T0, TestServer, gzip, zstd};
use serde_json::{Value as Json, json};

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_answered_event_by_event_and_visible_at_once() {
    let s = TestServer::start().await;
    let body = json!([
        { "time": T0, "samplerate": 4, "data": { "a": 1, "nested": { "b": "x" } } },
        { "time": T0 },
        { "data": {} },
        { "time": T0 + 1, "data": { "a": "one" } },
    ]);
    let reply = s.post("/1/batch/ds", &body).await.expect(200);
    assert_eq!(reply.header("content-type"), "application/json");
    let statuses: Vec<i64> = reply.json().as_array().unwrap().iter().map(|s| s["status"].as_i64().unwrap()).collect();
    assert_eq!(statuses, [202, 400, 400, 202]);
    assert!(reply.json()[1]["error"].is_string());
    let events = s.events("ds").await;
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["data"], json!({ "a": 1, "nested.b": "x" }));
    assert_eq!(events[0]["samplerate"], 4);
    assert_eq!(events[1]["data"], json!({ "a": "one" }));
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn datasets_with_every_kind_of_name() {
    let s = TestServer::start().await;
    for (path, name) in [
        ("plain", "plain"),
        ("my%20data/set", "my data/set"),
        ("a%2Fb", "a/b"),
        ("a+b", "a+b"),
        ("a.b", "a.b"),
        ("gr%C3%BC%C3%9Fe", "grüße"),
        ("/leading", "/leading"),
        ("trailing/", "trailing/"),
    ] {
        for route in ["batch", "events"] {
            let body = if route == "batch" { json!([{ "time": T0, "data": { "x": 1 } }]) } else { json!({ "x": 1 }) };
            s.post(&format!("/1/{route}/{path}"), &body).await.expect(200);
        }
        assert_eq!(s.count(name).await, 2, "{name}");
    }
    for path in ["/1/batch/", "/1/batch", "/1/events/", "/1/batch/%20", "/1/batch/%ff"] {
        let reply = s.post(path, &json!([{ "data": { "x": 1 } }])).await;
        assert!((400..500).contains(&reply.status), "{path}: {}", reply.text());
        assert!(!reply.error().is_empty());
    }
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn encodings_and_content_types() {
    let s = TestServer::start().await;
    let body = json!([{ "time": T0, "data": { "x": 1 } }]).to_string();
    // [{"data":{"x":1}}]
    let msgpack = b"\x91\x81\xa4data\x81\xa1x\x01";
    let cases: [(&str, &str, Vec<u8>, u16); 10] = [
        ("application/json", "", body.clone().into(), 200),
        ("application/json", "gzip", gzip(body.as_bytes()), 200),
        ("application/json", "zstd", zstd(body.as_bytes()), 200),
        ("application/json", "zst", zstd(body.as_bytes()), 200),
        ("application/msgpack", "", msgpack.to_vec(), 200),
        ("application/x-msgpack", "gzip", gzip(msgpack), 200),
        ("text/unheard-of", "identity", body.clone().into(), 200),
        ("", "", body.clone().into(), 200),
        ("application/json", "br", body.clone().into(), 415),
        ("application/json", "gzip", b"not gzip".to_vec(), 400),
    ];
    let mut stored = 0;
    for (kind, encoding, body, status) in cases {
        let mut headers = Vec::new();
        if !kind.is_empty() {
            headers.push(("content-type", kind));
        }
        if !encoding.is_empty() {
            headers.push(("content-encoding", encoding));
        }
        let reply = s.send("POST", "/1/batch/ds", &headers, body).await.expect(status);
        match status {
            200 => stored += 1,
            _ => assert!(!reply.error().is_empty()),
        }
    }
    assert_eq!(s.count("ds").await, stored);
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_with_headers() {
    let s = TestServer::start().await;
    let headers = [JSON, ("x-honeycomb-event-time", "1789948800.25"), ("x-honeycomb-samplerate", "3")];
    let reply = s.send("POST", "/1/events/ds", &headers, r#"{"a":1}"#).await.expect(200);
    assert!(reply.body.is_empty());
    assert_eq!(s.events("ds").await, [json!({ "time": "2026-09-21T00:00:00.250Z", "samplerate": 3, "dataset": "ds", "data": { "a": 1 } })]);
    for (body, status) in [("{}", 400), ("", 400), ("[1]", 400), ("{\"a\":", 400)] {
        let reply = s.send("POST", "/1/events/ds", &[JSON], body).await.expect(status);
        assert!(!reply.error().is_empty(), "{body}");
    }
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_413_packed_or_not() {
    let s = TestServer::with(|s| s.limits.request_bytes_max = 100_000).await;
    let big = format!("[{}]", " ".repeat(300_000));
    for (encoding, body) in [("identity", big.clone().into_bytes()), ("gzip", gzip(big.as_bytes())), ("zstd", zstd(big.as_bytes()))] {
        for path in ["/1/batch/ds", "/1/events/ds", "/v1/logs"] {
            let reply = s.send("POST", path, &[JSON, ("content-encoding", encoding)], body.clone()).await.expect(413);
            assert!(!reply.error().is_empty());
        }
    }
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_budget_is_429_with_retry_after() {
    let s = TestServer::with(|s| s.ingest_bytes_max = 1_000).await;
    // A body of which the last byte never comes holds most of the budget.
    use tokio::io::AsyncWriteExt as _;
    let mut holder = tokio::net::TcpStream::connect(s.http).await.unwrap();
    let head = "POST /1/batch/ds HTTP/1.1\r\nHost: localhost\r\nContent-Length: 991\r\n\r\n";
    holder.write_all(format!("{head}{}", " ".repeat(990)).as_bytes()).await.unwrap();
    // Before others come: who asks second is refused.
    while !s.get("/metrics").await.expect(200).text().contains("wideye_ingest_inflight_bytes 990\n") {
        tokio::task::yield_now().await;
    }
    let row = json!([{ "time": T0, "data": { "text": "x".repeat(200) } }]);
    let refused = s.post("/1/batch/ds", &row).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "1"));
    assert!(!refused.error().is_empty());
    drop(holder);
    // The budget comes back.
    while s.post("/1/batch/ds", &row).await.status != 200 {
        tokio::task::yield_now().await;
    }
    let metrics = s.get("/metrics").await.expect(200).text();
    assert!(metrics.contains("wideye_refused_requests_total{reason=\"overload\"}"), "{metrics}");
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_over_the_limit_of_columns_are_kept_as_json() {
    let s = TestServer::with(|s| s.limits.dataset_columns_max = 4).await;
    s.post("/1/batch/ds", &json!([{ "time": T0, "data": { "a": 1, "b": 1 } }])).await.expect(200);
    let body = json!([
        { "time": T0 },
        { "time": T0, "data": { "c": 1, "d": 1, "e": 1 } },
        { "time": T0, "data": { "a": 2, "c": 2 } },
    ]);
    let statuses: Vec<Json> = s.post("/1/batch/ds", &body).await.expect(200).json().as_array().unwrap().clone();
    assert_eq!(statuses.iter().map(|s| s["status"].as_u64().unwrap()).collect::<Vec<_>>(), [400, 202, 202]);
    assert_eq!(s.count("ds").await, 3);
    let dataset = s.get("/api/v1/datasets/ds").await.expect(200).json();
    assert_eq!((&dataset["n_columns"], &dataset["overflow_events"]), (&json!(5), &json!(1)));
    let metrics = s.get("/metrics").await.expect(200).text();
    assert!(
        metrics.contains("wideye_store_overflow_events_total 1\n") && metrics.contains("wideye_store_overflow_fields_total 1\n"),
        "{metrics}"
    );
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_objects_flatten_as_deep_as_the_dataset_says() {
    let s = TestServer::start().await;
    s.post("/1/datasets", &json!({ "name": "Deep", "expand_json_depth": 1 })).await.expect(201);
    s.store("deep", &[json!({ "a": { "b": { "c": 1 } } })]).await;
    assert_eq!(s.events("deep").await[0]["data"], json!({ "a.b": "{\"c\":1}" }));
    let s = s.restart().await;
    s.store("deep", &[json!({ "x": { "y": { "z": 1 } } })]).await;
    assert_eq!(s.rows("deep", &json!({ "breakdowns": ["x.y"], "filters": [{ "column": "x.y", "op": "exists" }] })).await.len(), 1);
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_in_msgpack_for_those_who_ask() {
    let s = TestServer::start().await;
    let headers = [JSON, ("accept", "application/msgpack")];
    let reply = s.send("POST", "/1/batch/ds", &headers, r#"[{"data":{"a":1}}]"#).await.expect(200);
    assert_eq!(reply.header("content-type"), "application/msgpack");
    assert!(matches!(reply.body[0], 0x91 | 0xdc | 0xdd), "an array");
    s.stop().await;
}
