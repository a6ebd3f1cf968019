//! `POST /api/v1/query`: whole, streamed, cancelled, refused.

use crate::support::{T0, TestServer, day};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

async fn filled() -> TestServer {
    let s = TestServer::start().await;
    let rows: Vec<Json> = (0..300).map(|i| json!({ "route": if i % 3 == 0 { "/a" } else { "/b" }, "ms": i + 1 })).collect();
    s.store("ds", &rows).await;
    s
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_results_series_and_meta() {
    let s = filled().await;
    let spec = json!({
        "calculations": [{ "op": "COUNT" }, { "op": "MAX", "column": "ms" }], "breakdowns": ["route"],
        "orders": [{ "op": "COUNT", "order": "descending" }], "granularity": 60, "start_time": T0, "end_time": T0 + 300
    });
    let answer = s.ask("ds", &spec).await.expect(200).json();
    assert_eq!(
        answer["results"],
        json!([{ "data": { "route": "/b", "COUNT": 200, "MAX(ms)": 300 } }, { "data": { "route": "/a", "COUNT": 100, "MAX(ms)": 298 } }])
    );
    let total: i64 = answer["series"].as_array().unwrap().iter().map(|p| p["data"]["COUNT"].as_i64().unwrap()).sum();
    assert_eq!(total, 300);
    for name in ["rows_scanned", "elapsed_ms", "engine_ms", "coverage"] {
        assert!(answer["meta"][name].is_number(), "{name}");
    }
    let body = json!({ "dataset": "ds", "query": spec, "disable_series": true, "totals": true });
    let answer = s.post("/api/v1/query", &body).await.expect(200).json();
    assert_eq!(answer["series"], json!([]));
    assert_eq!(answer["totals"]["data"]["COUNT"], 300);
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_questions_say_what_is_wrong() {
    let s = filled().await;
    for (dataset, spec, status, word) in [
        ("ds", json!({ "breakdowns": ["rout"] }), 400, "'route'"),
        ("ds", json!({ "calculations": [{ "op": "NOPE" }] }), 400, "NOPE"),
        ("ds", json!({ "limit": 0 }), 400, "limit"),
        ("ds", json!({ "limit": 10_001 }), 400, "limit"),
        ("ds", json!({ "filters": [{ "column": "ms", "op": "~", "value": 1 }] }), 400, "~"),
        ("nowhere", json!({}), 404, "nowhere"),
    ] {
        let reply = s.ask(dataset, &spec).await.expect(status);
        assert!(reply.error().contains(word), "{}", reply.text());
        assert!(reply.json()["code"].is_string());
    }
    for body in ["", "{", "[]", "{}", r#"{"dataset":"ds"}"#, r#"{"query":{}}"#] {
        let reply = s.send("POST", "/api/v1/query", &[], body).await.expect(400);
        assert!(!reply.error().is_empty());
    }
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_names_its_run_and_ends_with_the_answer() {
    let s = filled().await;
    let spec =
        day(&json!({ "calculations": [{ "op": "SUM", "column": "ms" }], "breakdowns": ["route"], "orders": [{ "column": "route" }] }));
    let reply = s.post("/api/v1/query", &json!({ "dataset": "ds", "query": spec, "stream": true })).await.expect(200);
    assert_eq!(reply.header("content-type"), "application/x-ndjson");
    let messages: Vec<Json> = reply.text().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(messages[0]["type"], "plan");
    assert!(messages[0]["run"].as_str().is_some_and(|r| !r.is_empty()));
    let last = messages.last().unwrap();
    assert_eq!(last["type"], "final");
    assert_eq!(last["results"], s.ask("ds", &spec).await.json()["results"]);
    // The run is over.
    s.delete(&format!("/api/v1/query/{}", messages[0]["run"].as_str().unwrap())).await.expect(404);

    let reply = s.post("/api/v1/query", &json!({ "dataset": "ds", "query": { "breakdowns": ["nope"] }, "stream": true })).await.expect(200);
    let last: Json = serde_json::from_str(reply.text().lines().last().unwrap()).unwrap();
    assert_eq!((&last["type"], &last["code"]), (&json!("error"), &json!("unknown_column")));
    s.stop().await;
}

/// One place for questions: a question that holds it makes the next one wait.
#[tokio::test(flavor = "multi_thread")]
async fn runs_wait_for_a_place_and_end_when_told() {
    let s = TestServer::with(|s| s.limits.questions_concurrent_max = 1).await;
    s.store("ds", &[json!({ "a": 1 })]).await;
    // A stream whose reader does not read on and a crowd of others: all get their answer in the end.
    let body = json!({ "dataset": "ds", "query": day(&json!({})), "stream": true }).to_string();
    let mut lazy = tokio::net::TcpStream::connect(s.http).await.unwrap();
    let head = format!("POST /api/v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    lazy.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..20 {
        assert_eq!(s.rows("ds", &json!({})).await, [json!({ "COUNT": 1 })]);
    }
    let mut text = [0; 4096];
    let n = lazy.read(&mut text).await.unwrap();
    assert!(String::from_utf8_lossy(&text[..n]).starts_with("HTTP/1.1 200"));
    drop(lazy);
    let metrics = s.get("/metrics").await.text();
    assert!(metrics.contains("wideye_queries_running 0"), "{metrics}");
    s.delete("/api/v1/query/none-such").await.expect(404);
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_up_leaves_nothing_behind() {
    let s = filled().await;
    let body = json!({ "dataset": "ds", "query": day(&json!({ "breakdowns": ["ms"], "granularity": 1 })), "stream": true }).to_string();
    for _ in 0..20 {
        let mut stream = tokio::net::TcpStream::connect(s.http).await.unwrap();
        let head = format!("POST /api/v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
    }
    while !s.get("/metrics").await.text().contains("wideye_queries_running 0") {
        tokio::task::yield_now().await;
    }
    assert_eq!(s.count("ds").await, 300);
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heatmaps_have_a_scale() {
    let s = filled().await;
    let spec = json!({ "calculations": [{ "op": "HEATMAP", "column": "ms" }], "granularity": 60, "start_time": T0, "end_time": T0 + 300 });
    let answer = s.ask("ds", &spec).await.expect(200).json();
    let total: f64 = answer["series"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|p| p["data"]["HEATMAP(ms)"]["counts"].as_array().unwrap().clone())
        .map(|c| c.as_f64().unwrap())
        .sum();
    assert!((total - 300.0).abs() < 1e-9);
    assert_eq!(answer["meta"]["heatmaps"]["HEATMAP(ms)"]["scale"], "log_linear");
    s.stop().await;
}
