//! Datasets, columns, values, traces, markers of the native API.

use crate::support::{T0, TestServer};
use serde_json::{Value as Json, json};
use server::now;

#[tokio::test(flavor = "multi_thread")]
async fn datasets_are_made_changed_and_deleted() {
    let s = TestServer::start().await;
    let made = s.post("/api/v1/datasets", &json!({ "name": "My data/set" })).await.expect(201).json();
    let slug = made["slug"].as_str().unwrap().to_owned();
    s.post("/api/v1/datasets", &json!({ "name": "my DATA/set" })).await.expect(200);
    s.store("My%20data%2Fset", &[json!({ "a": 1 })]).await;
    let listed = s.get("/api/v1/datasets").await.expect(200).json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!((&listed[0]["name"], &listed[0]["n_rows"], &listed[0]["n_columns"]), (&json!("My data/set"), &json!(1), &json!(1)));
    for path in [format!("/api/v1/datasets/{slug}"), "/api/v1/datasets/My%20data%2Fset".to_owned()] {
        assert_eq!(s.get(&path).await.expect(200).json()["slug"], slug);
    }
    let path = format!("/api/v1/datasets/{slug}");
    let patch = json!({ "description": "d", "expand_json_depth": 2, "retention": { "age_seconds": 86400 } });
    let changed = s.json("PATCH", &path, &patch).await.expect(200).json();
    assert_eq!(changed["retention"], json!({ "age_seconds": 86400, "bytes": null }));
    assert_eq!((&changed["description"], &changed["expand_json_depth"]), (&json!("d"), &json!(2)));
    let kept = s.json("PATCH", &path, &json!({ "description": "e" })).await.expect(200).json();
    assert_eq!(kept["retention"]["age_seconds"], 86400);
    for bad in [json!({ "expand_json_depth": 11 }), json!({ "retention": { "ages": 1 } }), json!({ "unheard": 1 })] {
        s.json("PATCH", &path, &bad).await.expect(400);
    }
    s.delete(&path).await.expect(204);
    for method in ["GET", "DELETE"] {
        s.send(method, &path, &[], "").await.expect(404);
    }
    s.json("PATCH", &path, &json!({})).await.expect(404);
    for bad in ["{}", r#"{"name":""}"#, r#"{"name":5}"#] {
        s.send("POST", "/api/v1/datasets", &[], bad).await.expect(400);
    }
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_tell_their_types() {
    let s = TestServer::start().await;
    s.store(
        "ds",
        &[
            json!({ "i": 1, "mixed": 5, "id": "0123456789abcdef" }),
            json!({ "i": 2, "mixed": "five" }),
            json!({ "mixed": "six", "f": 0.5, "b": true }),
        ],
    )
    .await;
    let columns = s.get("/api/v1/datasets/ds/columns").await.expect(200).json();
    let of = |name: &str| columns.as_array().unwrap().iter().find(|c| c["name"] == name).unwrap().clone();
    assert_eq!(columns.as_array().unwrap().len(), 5);
    assert_eq!((&of("i")["type"], &of("i")["count"]), (&json!("integer"), &json!(2)));
    assert_eq!((&of("id")["type"], &of("f")["type"], &of("b")["type"]), (&json!("string"), &json!("float"), &json!("boolean")));
    assert_eq!(of("mixed")["kinds"], json!([{ "type": "string", "count": 2 }, { "type": "integer", "count": 1 }]));
    assert!(of("i")["last_seen"].as_str().is_some_and(|t| t.ends_with('Z')));
    s.get("/api/v1/datasets/__all__/columns").await.expect(200);
    s.get("/api/v1/datasets/none/columns").await.expect(404);
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_complete_what_is_typed() {
    let s = TestServer::start().await;
    let recent = now() / 1_000_000_000 - 10;
    let events: Vec<Json> = ["/cart", "/cart", "/cart/add", "/checkout", "Grüße"]
        .iter()
        .map(|r| json!({ "time": recent, "data": { "route": r, "n": 5 } }))
        .collect();
    s.post("/1/batch/ds", &events.into()).await.expect(200);
    let values = |query: &'static str| {
        let s = &s;
        async move { s.get(&format!("/api/v1/datasets/ds/values?{query}")).await.expect(200).json() }
    };
    assert_eq!(values("column=route&prefix=/cart").await, json!([{ "value": "/cart", "count": 2 }, { "value": "/cart/add", "count": 1 }]));
    assert_eq!(values("column=route").await.as_array().unwrap().len(), 4);
    assert_eq!(values("column=route&limit=1").await, json!([{ "value": "/cart", "count": 2 }]));
    assert_eq!(values("column=route&prefix=Gr%C3%BC").await, json!([{ "value": "Grüße", "count": 1 }]));
    assert_eq!(values("column=n").await, json!([{ "value": 5, "count": 5 }]));
    assert_eq!(values("column=route&start_time=0&end_time=100").await, json!([]));
    for (path, status) in
        [("ds/values", 400), ("ds/values?column=nope", 400), ("ds/values?column=route&limit=x", 400), ("none/values?column=a", 404)]
    {
        s.get(&format!("/api/v1/datasets/{path}")).await.expect(status);
    }
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_trace_come_in_order() {
    let s = TestServer::start().await;
    s.get("/api/v1/traces/abc").await.expect(404);
    s.get("/api/v1/traces/abc/events").await.expect(404);
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let event = |i: i64| json!({ "time": T0 + i, "data": { "trace.trace_id": id, "name": format!("span {i}") } });
    s.post("/1/batch/a", &json!([event(3), event(1)])).await.expect(200);
    s.post("/1/batch/b", &json!([event(2), event(0), { "time": T0, "data": { "trace.trace_id": "other" } }])).await.expect(200);
    let names = |body: &Json| -> Vec<String> {
        body["events"].as_array().unwrap().iter().map(|e| e["data"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let trace = s.get(&format!("/api/v1/traces/{id}/events")).await.expect(200).json();
    assert_eq!(names(&trace), ["span 0", "span 1", "span 2", "span 3"]);
    assert_eq!((&trace["trace_id"], &trace["n_events"], &trace["truncated"]), (&json!(id), &json!(4), &json!(false)));
    let trace = s.get(&format!("/api/v1/traces/{id}/events?dataset=a")).await.expect(200).json();
    assert_eq!(names(&trace), ["span 1", "span 3"]);
    let trace = s.get(&format!("/api/v1/traces/{id}/events?limit=2")).await.expect(200).json();
    assert_eq!((&trace["n_events"], &trace["truncated"]), (&json!(2), &json!(true)));
    s.get(&format!("/api/v1/traces/{id}/events?dataset=none")).await.expect(404);
    s.get(&format!("/api/v1/traces/{id}?dataset=none")).await.expect(404);
    s.get("/api/v1/traces/ffffffffffffffffffffffffffffffff").await.expect(404);
    s.stop().await;
}

/// A call between two services, with a span event, a link and a line of a log in it.
async fn send_trace(s: &TestServer, id: &str) {
    let span = |ms: i64, service: &str, data: Json| {
        let mut all = json!({ "trace.trace_id": id, "service.name": service });
        all.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
        json!({ "time": format!("2026-01-01T12:00:00.{ms:03}Z"), "data": all })
    };
    let events = [
        span(0, "web", json!({ "trace.span_id": "a1", "name": "GET /", "duration_ms": 100.5, "span.kind": "server", "user": "u1" })),
        span(10, "web", json!({ "trace.span_id": "b2", "trace.parent_id": "a1", "name": "pay", "duration_ms": 80, "span.kind": "client" })),
        span(
            5,
            "pay",
            json!({ "trace.span_id": 7, "trace.parent_id": "b2", "name": "POST /pay", "duration_ms": 60, "span.kind": "server", "error": true }),
        ),
        span(20, "pay", json!({ "trace.parent_id": "7", "name": "exception", "meta.annotation_type": "span_event", "error": true })),
        span(
            5,
            "pay",
            json!({ "trace.parent_id": "7", "meta.annotation_type": "link", "trace.link.trace_id": "t9", "trace.link.span_id": "s9" }),
        ),
        span(30, "pay", json!({ "trace.parent_id": "7", "meta.signal_type": "log", "body": "card\ndeclined" })),
        span(90, "db", json!({ "trace.span_id": "d4", "trace.parent_id": "gone", "name": "SELECT", "duration_ms": 1 })),
    ];
    s.post("/1/batch/trace", &events.to_vec().into()).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_a_skeleton() {
    let s = TestServer::start().await;
    send_trace(&s, "t1").await;
    let trace = s.get("/api/v1/traces/t1").await.expect(200).json();
    assert_eq!(
        (&trace["trace_id"], &trace["n_events"], &trace["n_rows"], &trace["truncated"]),
        (&json!("t1"), &json!(7), &json!(8), &json!(false))
    );
    let rows = &trace["rows"];
    assert_eq!(rows["span_id"], json!(["a1", "b2", "7", null, null, null, "gone", "d4"]));
    assert_eq!(rows["parent"], json!([-1, 0, 1, 2, 2, 2, 0, 6]));
    assert_eq!(rows["depth"], json!([0, 1, 2, 3, 3, 3, 1, 2]));
    let kinds: Vec<&str> =
        rows["kind"].as_array().unwrap().iter().map(|k| trace["kinds"][k.as_u64().unwrap() as usize].as_str().unwrap()).collect();
    assert_eq!(kinds, ["span", "span", "span", "link", "span_event", "log", "missing", "span"]);
    let named = |list: &str, dictionary: &str| -> Vec<String> {
        rows[list]
            .as_array()
            .unwrap()
            .iter()
            .map(|k| trace[dictionary][k.as_u64().unwrap() as usize].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(named("name", "names"), ["GET /", "pay", "POST /pay", "", "exception", "card declined", "", "SELECT"]);
    assert_eq!(named("service", "services"), ["web", "web", "pay", "pay", "pay", "pay", "", "db"]);
    assert_eq!(named("span_kind", "span_kinds"), ["server", "client", "server", "", "", "", "", ""]);
    assert_eq!(rows["start_ns"][1], 10_000_000);
    assert_eq!(rows["duration_ns"], json!([100_500_000, 80_000_000, 60_000_000, 0, 0, 0, 1_000_000, 1_000_000]));
    assert_eq!(trace["flags"]["error"], json!([2, 4]));
    assert_eq!(trace["flags"]["missing_parent"], json!([7]));
    assert_eq!(trace["flags"]["starts_before_parent"], json!([2]));
    assert_eq!(trace["clock_shifts"], json!({ "row": [2, 3, 4, 5], "shift_ns": [15_000_000, 15_000_000, 15_000_000, 15_000_000] }));
    assert_eq!(trace["links"], json!({ "row": [3], "trace_id": ["t9"], "span_id": ["s9"] }));
    let codes: Vec<&str> = trace["warnings"].as_array().unwrap().iter().map(|w| w["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["missing_parent", "clock_skew"]);
    let path = &trace["critical_path"];
    assert_eq!(path["row"], json!([0, 1, 2, 1, 7, 0]));
    assert_eq!((&path["start_ns"][0], path["end_ns"].as_array().unwrap().last().unwrap()), (&json!(0), &json!(100_500_000)));
    let summary = &trace["summary"];
    assert_eq!(summary["root"], json!({ "row": 0, "name": "GET /", "service": "web", "missing": false, "duration_ms": 100.5 }));
    assert_eq!(summary["start_time"], "2026-01-01T12:00:00Z");
    for (name, n) in [
        ("n_spans", 4),
        ("n_span_events", 1),
        ("n_links", 1),
        ("n_logs", 1),
        ("n_others", 0),
        ("n_missing", 1),
        ("n_roots", 1),
        ("n_errors", 1),
        ("depth_max", 3),
    ] {
        assert_eq!(summary[name], n, "{name}");
    }
    assert_eq!(trace["comparison"], Json::Null);
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_a_trace_are_asked_for() {
    let s = TestServer::start().await;
    send_trace(&s, "t1").await;
    let trace = s.get("/api/v1/traces/t1?columns=user,duration_ms,meta.dataset").await.expect(200).json();
    let columns = &trace["rows"]["columns"];
    assert_eq!(columns["user"], json!(["u1", null, null, null, null, null, null, null]));
    assert_eq!(columns["duration_ms"], json!([100.5, 80, 60, null, null, null, null, 1]));
    assert_eq!(columns["meta.dataset"][7], "trace");
    s.get("/api/v1/traces/t1?columns=nope").await.expect(400);
    let span = s.get("/api/v1/traces/t1/spans/7").await.expect(200).json();
    assert_eq!(span["spans"][0]["data"]["name"], "POST /pay");
    assert_eq!(span["spans"].as_array().unwrap().len(), 1);
    assert_eq!(span["span_events"][0]["data"]["name"], "exception");
    assert_eq!(span["links"][0]["data"]["trace.link.trace_id"], "t9");
    assert_eq!(span["logs"][0]["data"]["body"], "card\ndeclined");
    let span = s.get("/api/v1/traces/t1/spans/a1").await.expect(200).json();
    assert_eq!((&span["spans"][0]["data"]["user"], &span["n_children"]), (&json!("u1"), &json!(1)));
    s.get("/api/v1/traces/t1/spans/none").await.expect(404);
    s.get("/api/v1/traces/none/spans/a1").await.expect(404);
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_helps_to_find_a_trace_and_hides_nothing() {
    let s = TestServer::start().await;
    send_trace(&s, "t1").await;
    let found = |query: &'static str| {
        let s = &s;
        async move { s.get(&format!("/api/v1/traces/t1?{query}")).await.expect(200).json() }
    };
    let near = found("ts=2026-01-01T12:10:00Z").await;
    assert_eq!((&near["n_events"], &near["meta"]["searched_from"]), (&json!(7), &json!("2026-01-01T11:10:00Z")));
    for far in ["ts=1000000000", "ts=2026-01-01T12:50:00Z", "ts="] {
        let far = found(far).await;
        assert_eq!((&far["n_events"], &far["meta"]["searched_from"]), (&json!(7), &Json::Null));
    }
    let first = found("limit=2").await;
    assert_eq!((&first["n_events"], &first["truncated"], &first["warnings"][0]["code"]), (&json!(2), &json!(true), &json!("truncated")));
    s.get("/api/v1/traces/t1?ts=noon").await.expect(400);
    s.get("/api/v1/traces/t1/spans/a1?ts=1000000000").await.expect(200);
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn durations_are_compared_with_those_of_their_kind() {
    let s = TestServer::start().await;
    send_trace(&s, "t1").await;
    // 999 others, of which each stands for two: 1 to 999 ms.
    let others: Vec<Json> = (1..1000)
        .map(|i| json!({ "time": "2026-01-01T11:30:00Z", "samplerate": 2, "data": { "service.name": "web", "name": "pay", "duration_ms": i } }))
        .collect();
    s.post("/1/batch/trace", &others.into()).await.expect(200);
    let late = json!([{ "time": "2026-01-01T14:00:00Z", "data": { "service.name": "web", "name": "pay", "duration_ms": 1 } }]);
    s.post("/1/batch/trace", &late).await.expect(200);
    let trace = s.get("/api/v1/traces/t1?compare=true").await.expect(200).json();
    let found = &trace["comparison"];
    let kind = found["kind"][1].as_u64().unwrap() as usize;
    let pay = &found["kinds"][kind];
    assert_eq!((&pay["service"], &pay["name"], &pay["n"]), (&json!("web"), &json!("pay"), &json!(1999.0)));
    assert!((pay["p50_ms"].as_f64().unwrap() - 499.0).abs() < 10.0, "{pay}");
    assert!((found["rank"][1].as_f64().unwrap() - 0.08).abs() < 0.01, "{found}");
    assert_eq!((&found["kind"][6], &found["rank"][6]), (&json!(-1), &Json::Null), "nobody knows what is missing");
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn markers_are_those_of_the_compatible_api() {
    let s = TestServer::start().await;
    s.store("ds", &[json!({ "a": 1 })]).await;
    let path = "/api/v1/datasets/ds/markers";
    let made = s.post(path, &json!({ "message": "deploy 1", "type": "deploy", "start_time": T0 })).await.expect(201).json();
    let one = format!("{path}/{}", made["id"].as_str().unwrap());
    assert_eq!(s.get("/1/markers/ds").await.expect(200).json()[0]["id"], made["id"]);
    assert_eq!(s.json("PUT", &one, &json!({ "end_time": T0 + 60 })).await.expect(200).json()["end_time"], T0 + 60);
    assert_eq!(s.get(path).await.expect(200).json().as_array().unwrap().len(), 1);
    s.delete(&one).await.expect(204);
    s.delete(&one).await.expect(404);
    s.get("/api/v1/datasets/none/markers").await.expect(404);
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_served() {
    let s = TestServer::start().await;
    let document = s.get("/api/v1/openapi.json").await.expect(200).json();
    assert!(document["openapi"].as_str().is_some_and(|v| v.starts_with("3.")));
    assert!(document["paths"]["/api/v1/query"]["post"].is_object());
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slowest_examples_of_a_group_are_told_one_per_trace() {
    let s = TestServer::start().await;
    let event = |trace: usize, ms: f64, route: Json| {
        json!({ "time": T0, "data": { "trace.trace_id": format!("t{trace}"), "trace.span_id": format!("s{trace}-{ms}"),
        "name": "GET", "service.name": "web", "route": route, "duration_ms": ms } })
    };
    let mut events: Vec<Json> = (0..2_000).map(|i| event(i, i as f64 / 10.0, json!(if i % 2 == 0 { "/a" } else { "/b" }))).collect();
    // Of one trace a hundred are slower than all others.
    events.extend((0..100).map(|i| event(7, 1000.0 + f64::from(i), json!("/b"))));
    events.push(json!({ "time": T0, "data": { "trace.trace_id": "t9", "duration_ms": 5000 } }));
    events.push(json!({ "time": T0, "data": { "trace.trace_id": "t8", "duration_ms": "long", "route": "/b" } }));
    s.post("/1/batch/ds", &events.into()).await.expect(200);
    let found = |more: Json| {
        let s = &s;
        async move {
            let mut body = json!({ "dataset": "ds", "query": { "start_time": T0 - 10, "end_time": T0 + 10 }, "limit": 3 });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let answer = s.post("/api/v1/examples", &body).await.expect(200).json();
            let of = |e: &Json| (e["trace_id"].as_str().unwrap().to_owned(), e["value"].as_f64().unwrap());
            answer["examples"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
        }
    };
    let named = |list: &[(&str, f64)]| list.iter().map(|(t, v)| ((*t).to_owned(), *v)).collect::<Vec<_>>();
    assert_eq!(found(json!({})).await, named(&[("t9", 5000.0), ("t7", 1099.0), ("t1999", 199.9)]));
    assert_eq!(found(json!({ "group": { "route": "/a" } })).await, named(&[("t1998", 199.8), ("t1996", 199.6), ("t1994", 199.4)]));
    assert_eq!(found(json!({ "group": { "route": null } })).await, named(&[("t9", 5000.0)]));
    let either = json!([{ "column": "route", "op": "=", "value": "/a" }, { "column": "duration_ms", "op": ">", "value": 4000 }]);
    let query = json!({ "start_time": T0 - 10, "end_time": T0 + 10, "filters": either, "filter_combination": "OR" });
    assert_eq!(found(json!({ "query": query, "limit": 2 })).await, named(&[("t9", 5000.0), ("t1998", 199.8)]));
    assert_eq!(found(json!({ "query": query, "group": { "name": "GET" }, "limit": 1 })).await, named(&[("t1998", 199.8)]));
    let body = json!({ "dataset": "ds", "query": { "time_range": 10 } });
    assert_eq!(s.post("/api/v1/examples", &body).await.expect(200).json()["examples"], json!([]));
    for (name, value) in [("column", json!("nope")), ("limit", json!(0)), ("limit", json!(100_000)), ("group", json!({ "nope": 1 }))] {
        let mut wrong = body.clone();
        wrong[name] = value;
        s.post("/api/v1/examples", &wrong).await.expect(400);
    }
    s.stop().await;
}
