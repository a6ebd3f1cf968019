//! Honeycomb's API under `/1`: shapes, codes, methods.

use crate::support::{Reply, T0, TestServer};
use serde_json::{Value as Json, json};

#[tokio::test(flavor = "multi_thread")]
async fn auth_without_a_key() {
    let s = TestServer::start().await;
    let body = s.get("/1/auth").await.expect(200).json();
    for flag in [
        "events",
        "markers",
        "triggers",
        "boards",
        "queries",
        "columns",
        "slos",
        "recipients",
        "privateBoards",
        "createDatasets",
        "create_datasets",
    ] {
        assert_eq!(body["api_key_access"][flag], true, "{flag}");
    }
    assert!(body["id"].is_string() && body["team"]["slug"].is_string());
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn datasets() {
    let s = TestServer::start().await;
    let made = s.post("/1/datasets", &json!({ "name": "Shop", "description": "d", "expand_json_depth": 3 })).await.expect(201).json();
    assert_eq!((&made["slug"], &made["description"], &made["expand_json_depth"]), (&json!("shop"), &json!("d"), &json!(3)));
    assert_eq!((&made["last_written_at"], &made["regular_columns_count"]), (&Json::Null, &json!(0)));
    s.post("/1/datasets", &json!({ "name": "SHOP" })).await.expect(200);
    assert_eq!(s.get("/1/datasets").await.expect(200).json().as_array().unwrap().len(), 1);
    let put = json!({ "description": "e", "expand_json_depth": 1, "settings": { "delete_protected": true } });
    let changed = s.json("PUT", "/1/datasets/shop", &put).await.expect(200).json();
    assert_eq!((&changed["description"], &changed["settings"]["delete_protected"]), (&json!("e"), &json!(true)));
    s.delete("/1/datasets/shop").await.expect(409);
    s.delete("/api/v1/datasets/shop").await.expect(409);
    s.json("PUT", "/1/datasets/shop", &json!({ "settings": { "delete_protected": false } })).await.expect(200);
    s.delete("/1/datasets/shop").await.expect(202);
    let gone = s.get("/1/datasets/shop").await.expect(404);
    assert_eq!(gone.header("content-type"), "application/problem+json");
    let problem = gone.json();
    assert!(problem["error"].is_string() && problem["title"].is_string() && problem["type"].as_str().unwrap().ends_with("/not-found"));
    assert_eq!(problem["status"], 404);
    for bad in
        [json!({}), json!({ "name": "" }), json!({ "name": "x".repeat(256) }), json!({ "name": "a", "expand_json_depth": 11 }), json!([])]
    {
        let reply = s.post("/1/datasets", &bad).await;
        assert!((400..500).contains(&reply.status) && !reply.error().is_empty(), "{bad}");
    }
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns() {
    let s = TestServer::start().await;
    s.store("ds", &[json!({ "s": "x", "i": 1, "f": 0.5, "b": true, "n": 1 }), json!({ "n": 0.5 })]).await;
    let all = s.get("/1/columns/ds").await.expect(200).json();
    let types: Vec<(&str, &str)> =
        all.as_array().unwrap().iter().map(|c| (c["key_name"].as_str().unwrap(), c["type"].as_str().unwrap())).collect();
    assert_eq!(types, [("b", "boolean"), ("f", "float"), ("i", "integer"), ("n", "float"), ("s", "string")]);
    let one = s.get("/1/columns/ds?key_name=i").await.expect(200).json();
    let path = format!("/1/columns/ds/{}", one["id"].as_str().unwrap());
    assert_eq!(s.get(&path).await.expect(200).json(), one);
    let changed = s.json("PUT", &path, &json!({ "description": "count", "hidden": true })).await.expect(200).json();
    assert_eq!((&changed["description"], &changed["hidden"], &changed["type"]), (&json!("count"), &json!(true), &json!("integer")));
    s.delete(&path).await.expect(409);
    s.post("/1/columns/ds", &json!({ "key_name": "i", "type": "integer" })).await.expect(409);
    let made = s.post("/1/columns/ds", &json!({ "key_name": "later", "type": "float", "description": "d" })).await.expect(201).json();
    assert_eq!((&made["type"], &made["last_written"]), (&json!("float"), &Json::Null));
    let s = s.restart().await;
    let path = format!("/1/columns/ds/{}", made["id"].as_str().unwrap());
    s.get(&path).await.expect(200);
    s.delete(&path).await.expect(204);
    s.get(&path).await.expect(404);
    for (path, status) in [("/1/columns/none", 404), ("/1/columns/ds?key_name=zz", 404), ("/1/columns/ds/zz", 404)] {
        s.get(path).await.expect(status);
    }
    s.post("/1/columns/ds", &json!({ "key_name": "z", "type": "blob" })).await.expect(400);
    s.stop().await;
}

/// Slugs are what tools are told: a dataset that is named like another's slug does not get in the way.
#[tokio::test(flavor = "multi_thread")]
async fn a_slug_goes_before_a_name() {
    let s = TestServer::start().await;
    s.store("My.Service", &[json!({ "first": 1 })]).await;
    s.store("my-service", &[json!({ "second": 1 }), json!({ "second": 2 })]).await;
    let names = |columns: Json| columns.as_array().unwrap().iter().map(|c| c["key_name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(s.get("/1/datasets/my-service").await.expect(200).json()["name"], "My.Service");
    assert_eq!(names(s.get("/1/columns/my-service").await.expect(200).json()), ["first"]);
    assert_eq!(names(s.get("/1/columns/my-service-2").await.expect(200).json()), ["second"]);
    let spec = json!({ "calculations": [{ "op": "SUM", "column": "first" }], "start_time": T0, "end_time": T0 + 60 });
    let (_, reply) = run(&s, "my-service", &spec, json!({})).await;
    assert_eq!(reply.json()["data"]["results"], json!([{ "data": { "SUM(first)": 1 } }]));
    s.post("/1/markers/my-service", &json!({ "message": "m" })).await.expect(201);
    assert_eq!(s.get("/1/markers/my-service-2").await.expect(200).json(), json!([]));
    // The native API and senders go by the name first.
    assert_eq!(s.rows("my-service", &json!({})).await, [json!({ "COUNT": 2 })]);
    s.delete("/api/v1/datasets/my-service").await.expect(204);
    assert_eq!(s.rows("My.Service", &json!({})).await, [json!({ "COUNT": 1 })]);
    s.delete("/1/datasets/my-service").await.expect(202);
    s.get("/1/datasets/my-service").await.expect(404);
    s.stop().await;
}

async fn filled() -> TestServer {
    let s = TestServer::start().await;
    let rows: Vec<Json> = "aaaabbc".chars().map(|g| json!({ "g": g.to_string(), "v": 1 })).collect();
    s.store("ds", &rows).await;
    s
}

fn spec() -> Json {
    json!({
        "calculations": [{ "op": "COUNT" }, { "op": "SUM", "column": "v" }], "breakdowns": ["g"],
        "orders": [{ "op": "COUNT", "order": "descending" }], "limit": 2, "start_time": T0, "end_time": T0 + 60
    })
}

async fn poll(s: &TestServer, path: &str) -> Reply {
    loop {
        let reply = s.get(path).await.expect(200);
        if reply.json()["complete"] == true {
            return reply;
        }
    }
}

async fn run(s: &TestServer, dataset: &str, spec: &Json, options: Json) -> (String, Reply) {
    let query = s.post(&format!("/1/queries/{dataset}"), spec).await.expect(200).json();
    let mut body = options;
    body["query_id"] = query["id"].clone();
    let started = s.post(&format!("/1/query_results/{dataset}"), &body).await.expect(201);
    assert_eq!(started.json()["complete"], false);
    let path = started.header("location").to_owned();
    assert_eq!(path, format!("/1/query_results/{dataset}/{}", started.json()["id"].as_str().unwrap()));
    let reply = poll(s, &path).await;
    (path, reply)
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_checked_and_kept_as_sent() {
    let s = filled().await;
    let made = s.post("/1/queries/ds", &spec()).await.expect(200).json();
    for (name, value) in spec().as_object().unwrap() {
        assert_eq!(&made[name], value, "{name}");
    }
    assert!(made.get("granularity").is_none());
    assert_eq!(s.post("/1/queries/ds", &spec()).await.json()["id"], made["id"], "one question, one id");
    assert_eq!(s.post("/1/queries/ds", &json!({})).await.expect(200).json()["time_range"], 7200);
    let path = format!("/1/queries/ds/{}", made["id"].as_str().unwrap());
    assert_eq!(s.get(&path).await.expect(200).json(), made);
    let s = s.restart().await;
    assert_eq!(s.get(&path).await.expect(200).json(), made);
    for (bad, word) in [
        (json!({ "breakdowns": ["nope"] }), "nope"),
        (json!({ "calculations": [{ "op": "NOPE" }] }), "NOPE"),
        (json!({ "limit": 0 }), "limit"),
        (json!({ "calculations": 5 }), "malformed"),
    ] {
        let reply = s.post("/1/queries/ds", &bad).await;
        assert!((400..500).contains(&reply.status) && reply.error().contains(word), "{}", reply.text());
    }
    s.get("/1/queries/ds/none").await.expect(404);
    s.post("/1/queries/none", &spec()).await.expect(404);
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_polled() {
    let s = filled().await;
    let (path, reply) = run(&s, "ds", &spec(), json!({ "disable_total_by_aggregate": false, "disable_other_by_aggregate": false })).await;
    assert!(reply.header("cache-control").contains("max-age") && !reply.header("last-modified").is_empty());
    let body = reply.json();
    let expected = json!([{ "data": { "g": "a", "COUNT": 4, "SUM(v)": 4 } }, { "data": { "g": "b", "COUNT": 2, "SUM(v)": 2 } }]);
    assert_eq!(body["data"]["results"], expected);
    assert_eq!(body["data"]["total_by_aggregate"]["data"]["COUNT"], 7);
    assert_eq!(body["data"]["other_by_aggregate"]["data"]["COUNT"], 1);
    assert!(!body["data"]["series"].as_array().unwrap().is_empty());
    assert!(!body["data"]["total_by_aggregate_series"].as_array().unwrap().is_empty());
    assert!(body["links"]["query_url"].as_str().unwrap().contains("/result/"));
    assert_eq!(body["query"]["limit"], 2);
    let plain = s.get(&format!("{path}?include_series=false")).await.expect(200).json();
    assert_eq!((&plain["data"]["series"], &plain["data"]["results"]), (&json!([]), &expected));

    let (_, reply) = run(&s, "ds", &spec(), json!({ "disable_series": true, "limit": 10_000 })).await;
    let body = reply.json();
    assert_eq!(body["data"]["results"].as_array().unwrap().len(), 3);
    assert_eq!((&body["data"]["series"], &body["data"]["total_by_aggregate"]), (&json!([]), &Json::Null));

    // Clients' types know no null.
    s.store("ds", &[json!({ "v": 1 })]).await;
    let (_, reply) =
        run(&s, "ds", &json!({ "breakdowns": ["g"], "orders": [{ "column": "g" }], "start_time": T0, "end_time": T0 + 1 }), json!({}))
            .await;
    assert_eq!(reply.json()["data"]["results"], json!([{ "data": { "g": "a", "COUNT": 1 } }, { "data": { "COUNT": 1 } }]));

    // A result stays what it was, also after a restart.
    let s = s.restart().await;
    assert_eq!(poll(&s, &path).await.json()["data"]["results"], expected);
    assert_eq!(run(&s, "__all__", &spec(), json!({})).await.1.json()["data"]["results"][0], expected[0]);
    for (body, status) in [(json!({ "query_id": "none" }), 404), (json!({}), 422), (json!([]), 422)] {
        s.post("/1/query_results/ds", &body).await.expect(status);
    }
    s.get("/1/query_results/ds/none").await.expect(404);
    s.get("/1/query_results/none/none").await.expect(404);
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn markers_and_their_colours() {
    let s = filled().await;
    for dataset in ["ds", "__all__"] {
        let path = format!("/1/markers/{dataset}");
        let made = s
            .post(&path, &json!({ "message": "deploy #1", "type": "deploy", "url": "http://x", "color": "ignored" }))
            .await
            .expect(201)
            .json();
        assert!(made["start_time"].as_i64().is_some_and(|t| t > T0 - 86_400 * 3650) && made["created_at"].is_string());
        let settings = format!("/1/marker_settings/{dataset}");
        let setting = s.post(&settings, &json!({ "type": "deploy", "color": "#7b1fa2" })).await.expect(201).json();
        s.post(&settings, &json!({ "type": "deploy", "color": "#000000" })).await.expect(409);
        s.post(&settings, &json!({ "type": "other", "color": "blue" })).await.expect(422);
        assert_eq!(s.get(&path).await.expect(200).json()[0]["color"], "#7b1fa2");
        let one = format!("{path}/{}", made["id"].as_str().unwrap());
        let changed = s.json("PUT", &one, &json!({ "message": "over", "end_time": T0 })).await.expect(200).json();
        assert_eq!((&changed["message"], &changed["end_time"], &changed["type"]), (&json!("over"), &json!(T0), &json!("deploy")));
        s.json("PUT", &one, &json!({ "start_time": "soon" })).await.expect(422);
        assert_eq!(s.delete(&one).await.expect(200).json()["id"], made["id"]);
        s.delete(&one).await.expect(404);
        s.json("PUT", &one, &json!({ "message": "x" })).await.expect(404);
        let one = format!("{settings}/{}", setting["id"].as_str().unwrap());
        assert_eq!(s.json("PUT", &one, &json!({ "type": "deploy", "color": "#111111" })).await.expect(200).json()["color"], "#111111");
        s.delete(&one).await.expect(200);
    }
    s.post("/1/markers/none", &json!({ "message": "x" })).await.expect(404);
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn annotations_name_queries() {
    let s = filled().await;
    let query = s.post("/1/queries/ds", &json!({})).await.json()["id"].clone();
    let path = "/1/query_annotations/ds";
    let made = s.post(path, &json!({ "name": "Mine", "description": "d", "query_id": query })).await.expect(201).json();
    let one = format!("{path}/{}", made["id"].as_str().unwrap());
    assert_eq!(s.get(&one).await.expect(200).json(), made);
    assert_eq!(s.get(&format!("{path}?include_board_annotations=false")).await.expect(200).json(), json!([made]));
    assert_eq!(s.json("PUT", &one, &json!({ "name": "Other", "query_id": query })).await.expect(200).json()["name"], "Other");
    s.json("PUT", &one, &json!({ "name": "Other", "query_id": "another" })).await.expect(422);
    s.post(path, &json!({ "name": "", "query_id": query })).await.expect(422);
    s.post(path, &json!({ "name": "x", "query_id": "none" })).await.expect(404);
    s.delete(&one).await.expect(204);
    s.get(&one).await.expect(404);
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_bodies_are_refused_with_an_error() {
    let s = filled().await;
    for path in [
        "/1/queries/ds",
        "/1/query_results/ds",
        "/1/markers/ds",
        "/1/marker_settings/ds",
        "/1/query_annotations/ds",
        "/1/datasets",
        "/1/columns/ds",
    ] {
        for body in ["{", "[]", "", "5"] {
            let reply = s.send("POST", path, &[], body).await;
            assert!((400..500).contains(&reply.status) && !reply.error().is_empty(), "{path} {body}: {}", reply.text());
        }
    }
    s.stop().await;
}
