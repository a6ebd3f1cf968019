//! Tools for agents over HTTP: each one, its errors, who may call it, and how long an answer gets.

use crate::keys::with_keys;
use crate::support::{Reply, T0, TestServer};
use serde_json::{Value as Json, json};

const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");
const JSON: (&str, &str) = ("content-type", "application/json");

async fn rpc(s: &TestServer, headers: &[(&str, &str)], method: &str, params: &Json) -> Reply {
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let all: Vec<(&str, &str)> = [ACCEPT, JSON].into_iter().chain(headers.iter().copied()).collect();
    s.send("POST", "/mcp", &all, message.to_string()).await
}

/// The text of a tool's answer, and whether it is an error.
async fn tool(s: &TestServer, name: &str, arguments: Json) -> (String, bool) {
    let answer = rpc(s, &[], "tools/call", &json!({ "name": name, "arguments": arguments })).await.expect(200).json();
    let result = &answer["result"];
    (result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned(), result["isError"] == true)
}

#[track_caller]
fn ok((text, is_error): (String, bool)) -> String {
    assert!(!is_error, "{text}");
    text
}

#[track_caller]
fn failed((text, is_error): (String, bool), says: &str) {
    assert!(is_error && text.contains(says), "{text}");
}

/// Requests of a shop: those of build 8 fail and are slow.
async fn shop(s: &TestServer) {
    let rows: Vec<Json> = (0..2_000)
        .map(|i| {
            let bad = i % 10 == 0;
            json!({
                "name": if i % 3 == 0 { "GET /" } else { "POST /cart" }, "service.name": "shop", "error": bad, "build": if bad { 8 } else { 7 },
                "duration_ms": if bad { 900.25 + f64::from(i % 7) } else { 10.0 + f64::from(i % 50) },
                "trace.trace_id": format!("{i:032x}"), "http.status_code": if bad { json!("500") } else { json!(200) },
            })
        })
        .collect();
    s.store("Shop", &rows).await;
}

fn ranged(mut arguments: Json) -> Json {
    arguments["from"] = "2026-09-21".into();
    arguments["to"] = "2026-09-22".into();
    arguments
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_answers() {
    let s = TestServer::start().await;
    assert!(ok(tool(&s, "list_datasets", json!({})).await).contains("no datasets yet"));
    shop(&s).await;
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let started = rpc(&s, &[], "initialize", &hello).await.expect(200);
    assert!(started.header("mcp-session-id").is_empty(), "no sessions");
    assert_eq!((&started.json()["result"]["serverInfo"]["name"], started.header("content-type")), (&json!("wideye"), "application/json"));
    let listed = rpc(&s, &[], "tools/list", &json!({})).await.expect(200).json();
    let listed = listed["result"]["tools"].as_array().unwrap();
    assert!(listed.len() >= 6 && listed.iter().all(|t| t["annotations"]["readOnlyHint"] == true && t["inputSchema"]["type"] == "object"));

    let datasets = ok(tool(&s, "list_datasets", json!({})).await);
    assert!(datasets.starts_with("dataset | events | columns | last written\nShop | 2000 | "), "{datasets}");
    assert!(ok(tool(&s, "list_datasets", json!({"matching": "zzz"})).await).contains("no dataset's name"));

    let columns = ok(tool(&s, "list_columns", json!({"dataset": "shop", "matching": "STATUS"})).await);
    assert_eq!(columns, "column | type | events with it\nhttp.status_code | integer 1800, string 200 | 2000");
    let cut = ok(tool(&s, "list_columns", json!({"dataset": "Shop", "limit": 2})).await);
    assert!(cut.contains("2 of ") && cut.contains("`matching`"), "{cut}");
    assert!(ok(tool(&s, "list_columns", json!({"dataset": "shop", "matching": "durration"})).await).contains("nearest names: duration_ms"));

    let values = ok(tool(&s, "list_values", ranged(json!({"dataset": "shop", "column": "name", "prefix": "POST"}))).await);
    assert!(values.starts_with("name | events, about\nPOST /cart | "), "{values}");
    assert!(ok(tool(&s, "list_values", json!({"dataset": "shop", "column": "name", "last": "1h"})).await).contains("widen `last`"));

    let groups = ok(tool(
        &s,
        "query",
        ranged(json!({"dataset": "shop", "calculations": ["COUNT", "P50(duration_ms)"], "breakdowns": ["http.status_code"]})),
    )
    .await);
    let expected = "Shop, 2026-09-21T00:00:00Z to 2026-09-22T00:00:00Z: 2000 events matched\nhttp.status_code | COUNT | P50(duration_ms)\n200 | 1800 | ";
    assert!(groups.to_lowercase().starts_with(&expected.to_lowercase()) && groups.contains("\n\"500\" | 200 | 90"), "{groups}");
    let series = ok(tool(&s, "query", ranged(json!({"dataset": "shop", "breakdowns": ["name"], "granularity": "10m"}))).await);
    assert!(series.contains("COUNT per 600 s, UTC, of each name:\ntime | POST /cart | GET /\n00:00 | 400 | 200"), "{series}");
    let heat = ok(tool(&s, "query", ranged(json!({"dataset": "shop", "calculations": ["HEATMAP(duration_ms)"]}))).await);
    assert!(heat.contains("n=2000 (") && !heat.contains("counts"), "{heat}");
    let events = ok(tool(
        &s,
        "query",
        ranged(json!({"dataset": "shop", "calculations": ["EVENTS(name, build)"], "filters": "error = true", "limit": 4})),
    )
    .await);
    assert!(events.contains("time | name | build\n2026-09-21T00:33:10Z | ") && events.contains("4 of more than 4 events"), "{events}");
    let whole = ok(tool(&s, "query", ranged(json!({"dataset": "shop", "calculations": "EVENTS", "limit": 1}))).await);
    assert!(whole.contains("\n  name: \"") && whole.contains("\n  duration_ms: "), "{whole}");
    let nothing = ok(tool(&s, "query", json!({"dataset": "shop", "last": "1h"})).await);
    assert!(nothing.contains("nothing matched; shop was last written to at 20"), "{nothing}");
    let compared = ok(tool(&s, "query", ranged(json!({"dataset": "shop", "compare": "1d"}))).await);
    assert!(compared.contains("earlier, 2026-09-20T00:00:00Z to 2026-09-21T00:00:00Z:"), "{compared}");

    let contrast = ok(tool(&s, "contrast", ranged(json!({"dataset": "shop", "select": ["error = true"]}))).await);
    assert!(contrast.starts_with("selection: 200 events: error = true"), "{contrast}");
    assert!(contrast.contains("\n1. ") && contrast.contains("\n   filters: ") && contrast.contains("example trace: 0000"), "{contrast}");
    // Its filters are taken back as they are.
    let filters = contrast.lines().find_map(|l| l.trim().strip_prefix("filters: ")).unwrap();
    let back = ok(tool(&s, "query", ranged(json!({"dataset": "shop", "filters": filters}))).await);
    assert!(back.contains(": 200 events matched"), "{filters}: {back}");
    let part = ok(tool(
        &s,
        "contrast",
        json!({"dataset": "shop", "from": "2026-09-21", "to": "2026-09-21T00:34", "select_last": "5m", "columns": "name"}),
    )
    .await);
    assert!(part.starts_with("selection: "), "{part}");

    assert!(ok(tool(&s, "markers", json!({})).await).contains("no markers"));
    for (place, at) in [("shop", T0), ("__all__", T0 + 60)] {
        s.post(&format!("/1/markers/{place}"), &json!({"start_time": at, "type": "deploy", "message": "build 8"})).await.expect(201);
    }
    let markers = ok(tool(&s, "markers", json!({"dataset": "shop"})).await);
    assert!(
        markers.contains("2026-09-21T00:01:00Z | deploy | build 8 | all | -\n2026-09-21T00:00:00Z | deploy | build 8 | shop | -"),
        "{markers}"
    );
    assert_eq!(ok(tool(&s, "markers", json!({})).await).lines().count(), 3);
    assert!(ok(tool(&s, "markers", json!({"last": "1h", "to": "2026-09-20"})).await).contains("no markers"));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_what_to_do() {
    let s = TestServer::start().await;
    shop(&s).await;
    failed(tool(&s, "query", json!({"dataset": "shp"})).await, "nearest names first: Shop");
    failed(tool(&s, "list_columns", json!({"dataset": "shp"})).await, "nearest names first: Shop");
    failed(tool(&s, "query", json!({"dataset": "shop", "breakdowns": ["durationms"]})).await, "did you mean 'duration_ms'");
    failed(tool(&s, "list_values", json!({"dataset": "shop", "column": "durationms"})).await, "durationms");
    failed(tool(&s, "query", json!({"dataset": "shop", "filters": "name ~ x"})).await, "expected an operator");
    failed(tool(&s, "query", json!({"dataset": "shop", "group_by": ["name"]})).await, "no argument `group_by`");
    failed(tool(&s, "contrast", json!({"dataset": "shop"})).await, "say which events are in question");
    failed(tool(&s, "query", json!({"spec": {"calculations": 5}})).await, "`spec` is no query specification");
    let unknown = rpc(&s, &[], "tools/call", &json!({"name": "delete_dataset", "arguments": {}})).await.json();
    assert!(unknown["error"]["message"].as_str().unwrap().contains("there are list_datasets"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_stay_below_their_limit() {
    let s = TestServer::start().await;
    let wide: Json = (0..3_000)
        .map(|i| (format!("a.column.with.a.rather.long.name.{i:04}"), json!("x".repeat(40))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let rows: Vec<Json> = (0..4_000).map(|i| json!({"id": format!("{i}-{}", "y".repeat(300)), "n": i})).collect();
    s.store("wide", &[wide]).await;
    s.store("long", &rows).await;
    let max = model::Limits::default().mcp_answer_chars_max;
    for (name, arguments) in [
        ("list_columns", json!({"dataset": "wide", "limit": 10_000})),
        ("list_values", ranged(json!({"dataset": "long", "column": "id", "limit": 1_000}))),
        ("query", ranged(json!({"dataset": "long", "breakdowns": ["id"], "limit": 10_000}))),
        ("query", ranged(json!({"dataset": "long", "breakdowns": ["id"], "limit": 200, "granularity": "1s"}))),
        ("query", ranged(json!({"dataset": "long", "calculations": "EVENTS", "limit": 10_000}))),
        ("query", ranged(json!({"dataset": "wide", "calculations": "EVENTS", "limit": 1}))),
        ("contrast", ranged(json!({"dataset": "long", "select": "n < 2000"}))),
    ] {
        let text = ok(tool(&s, name, arguments.clone()).await);
        let n = text.chars().count();
        assert!(n <= max, "{name} {arguments}: {n} characters");
        assert!(
            name == "contrast" || (n > max / 2 && text.contains(" of ") && text.contains('`')) || text.contains("were left out"),
            "{name}: {text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_keys_that_may_ask_come_in() {
    let (s, [ingest, query, manage]) = with_keys().await;
    for (key, status) in [(&ingest, 401), (&query, 200), (&manage, 200)] {
        for header in [("authorization", format!("Bearer {key}")), ("x-honeycomb-team", key.clone())] {
            let reply = rpc(&s, &[(header.0, &header.1)], "tools/call", &json!({"name": "list_datasets", "arguments": {}})).await;
            assert_eq!(reply.status, status, "{}", reply.text());
            assert!(status == 401 || reply.json()["result"]["isError"] == false, "{}", reply.text());
        }
    }
    for headers in [&[][..], &[("authorization", "Bearer wrong")]] {
        assert!(rpc(&s, headers, "tools/list", &json!({})).await.expect(401).error().contains("unknown API key"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_others_stay_outside() {
    let s = TestServer::start().await;
    for (header, status) in [
        (("origin", "https://evil.example"), 403),
        (("origin", "http://8.8.8.8:8080"), 403),
        (("origin", "null"), 403),
        (("origin", "http://localhost:6274"), 200),
        (("origin", "http://127.0.0.1:3000"), 200),
        (("host", "evil.example"), 403),
    ] {
        let reply = rpc(&s, &[header], "tools/list", &json!({})).await;
        assert_eq!(reply.status, status, "{header:?} {}", reply.text());
    }
    for method in ["GET", "DELETE"] {
        s.send(method, "/mcp", &[ACCEPT], "").await.expect(405);
    }
    let large = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping", "params": { "x": "y".repeat(2 << 20) } });
    s.send("POST", "/mcp", &[ACCEPT, JSON], large.to_string()).await.expect(413);
    let torn = s.send("POST", "/mcp", &[ACCEPT, JSON], "{").await;
    assert!((400..500).contains(&torn.status), "{}", torn.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_tells_of_calls_in_its_own_events() {
    let s = TestServer::with(|settings| settings.self_telemetry = true).await;
    shop(&s).await;
    ok(tool(&s, "query", ranged(json!({"dataset": "shop"}))).await);
    // The end writes what has come together.
    let s = s.restart().await;
    let events = s.events("wideye").await;
    let named =
        |name: &str| events.iter().map(|e| e["data"].clone()).find(|d| d["name"] == name).unwrap_or_else(|| panic!("{name}: {events:?}"));
    let outer = named("POST /mcp");
    assert_eq!((&outer["mcp.method.name"], &outer["gen_ai.tool.name"]), (&json!("tools/call"), &json!("query")));
    assert_eq!(named("POST /api/v1/query")["wideye.query.rows_matched"], 2_000);
    // It writes as long as it runs.
    s.stop().await;
}
