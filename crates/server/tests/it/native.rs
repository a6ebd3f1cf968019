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
async fn a_trace_is_its_events_in_order() {
    let s = TestServer::start().await;
    s.get("/api/v1/traces/abc").await.expect(404);
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let event = |i: i64| json!({ "time": T0 + i, "data": { "trace.trace_id": id, "name": format!("span {i}") } });
    s.post("/1/batch/a", &json!([event(3), event(1)])).await.expect(200);
    s.post("/1/batch/b", &json!([event(2), event(0), { "time": T0, "data": { "trace.trace_id": "other" } }])).await.expect(200);
    let names = |body: &Json| -> Vec<String> {
        body["events"].as_array().unwrap().iter().map(|e| e["data"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let trace = s.get(&format!("/api/v1/traces/{id}")).await.expect(200).json();
    assert_eq!(names(&trace), ["span 0", "span 1", "span 2", "span 3"]);
    assert_eq!((&trace["trace_id"], &trace["n_events"], &trace["truncated"]), (&json!(id), &json!(4), &json!(false)));
    let trace = s.get(&format!("/api/v1/traces/{id}?dataset=a")).await.expect(200).json();
    assert_eq!(names(&trace), ["span 1", "span 3"]);
    let trace = s.get(&format!("/api/v1/traces/{id}?limit=2")).await.expect(200).json();
    assert_eq!((&trace["n_events"], &trace["truncated"]), (&json!(2), &json!(true)));
    s.get(&format!("/api/v1/traces/{id}?dataset=none")).await.expect(404);
    s.get("/api/v1/traces/ffffffffffffffffffffffffffffffff").await.expect(404);
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
