//! Who may do what, on loopback and with keys.

use crate::support::{T0, TestServer, settings};
use serde_json::json;
use server::{Scope, Server, create_key, now};
use store::{Store, StoreOptions};
use tempfile::TempDir;

/// A server that asks for keys, and a key per scope.
pub(crate) async fn with_keys() -> (TestServer, [String; 3]) {
    let dir = TempDir::new().unwrap();
    let mut settings = settings(&dir);
    settings.require_keys = true;
    let data_dir = settings.data_dir.clone();
    let keys = tokio::task::spawn_blocking(move || {
        let store = Store::open(StoreOptions::new(data_dir, now)).unwrap();
        let keys = Scope::ALL.map(|scope| create_key(&store, scope.name(), &[scope], now()).unwrap().1);
        store.close().unwrap();
        keys
    })
    .await
    .unwrap();
    (TestServer::at(dir, settings).await, keys)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_scope_opens_its_own_doors() {
    let (s, [ingest, query, manage]) = with_keys().await;
    s.send("POST", "/1/batch/ds", &[("x-honeycomb-team", &manage)], r#"[{"data":{"a":1}}]"#).await.expect(200);
    let batch = ("POST", "/1/batch/ds", r#"[{"data":{"a":1}}]"#);
    let span = ("POST", "/v1/traces", "{}");
    let ask = ("POST", "/api/v1/query", r#"{"dataset":"ds","query":{"time_range":60}}"#);
    let columns = ("GET", "/1/columns/ds", "");
    let make = ("POST", "/1/datasets", r#"{"name":"ds"}"#);
    let keys = ("GET", "/api/v1/keys", "");
    let marker = ("POST", "/1/markers/ds", r#"{"message":"x"}"#);
    for (route, allowed) in [
        (batch, [true, false, true]),
        (span, [true, false, true]),
        (make, [true, false, true]),
        (ask, [false, true, true]),
        (columns, [false, true, true]),
        (keys, [false, false, true]),
        (marker, [false, false, true]),
    ] {
        let (method, path, body) = route;
        for (key, allowed) in [&ingest, &query, &manage].into_iter().zip(allowed) {
            for header in [("x-honeycomb-team", key.clone()), ("x-hny-team", key.clone()), ("authorization", format!("Bearer {key}"))] {
                let headers = [(header.0, header.1.as_str()), ("content-type", "application/json")];
                let reply = s.send(method, path, &headers, body).await;
                assert_eq!(reply.status < 300, allowed, "{route:?} {}", reply.text());
                assert!(allowed || (reply.status == 401 && !reply.error().is_empty()));
            }
        }
        for headers in [&[("content-type", "application/json")][..], &[("x-honeycomb-team", "wrong"), ("content-type", "application/json")]]
        {
            let reply = s.send(method, path, headers, body).await.expect(401);
            let error = reply.error();
            assert!(error.contains("unknown API key") || error.contains("x-honeycomb-team"), "{error}");
        }
    }
    // The content type is looked at first.
    s.send("POST", "/v1/traces", &[("content-type", "text/plain")], "").await.expect(415);
    for path in ["/healthz", "/readyz", "/metrics", "/api/v1/openapi.json"] {
        s.get(path).await.expect(200);
    }
    s.send("OPTIONS", "/v1/traces", &[], "").await.expect(204);
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_tells_what_a_key_may_do() {
    let (s, [ingest, query, manage]) = with_keys().await;
    for (key, kind, flags) in [
        (&ingest, "ingest", [true, true, false, false]),
        (&query, "configuration", [false, false, true, false]),
        (&manage, "configuration", [true, true, true, true]),
    ] {
        let body = s.send("GET", "/1/auth", &[("x-honeycomb-team", key)], "").await.expect(200).json();
        assert_eq!(body["type"], kind);
        for (flag, on) in ["events", "create_datasets", "queries", "markers"].into_iter().zip(flags) {
            assert_eq!(body["api_key_access"][flag], on, "{kind} {flag}");
        }
        assert!(key.contains(body["id"].as_str().unwrap()));
    }
    let reply = s.get("/1/auth").await.expect(401);
    assert_eq!(reply.error(), "unknown API key - check your credentials");
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_listed_and_deleted_over_the_api() {
    let (s, [_, _, manage]) = with_keys().await;
    let headers = [("x-honeycomb-team", manage.as_str())];
    let made = s.send("POST", "/api/v1/keys", &headers, r#"{"name":"ci","scopes":["ingest"]}"#).await.expect(201).json();
    let key = made["key"].as_str().unwrap().to_owned();
    let send = || async { s.send("POST", "/1/events/ds", &[("x-honeycomb-team", key.as_str())], r#"{"a":1}"#).await.status };
    assert_eq!(send().await, 200);
    let listed = s.send("GET", "/api/v1/keys", &headers, "").await.expect(200);
    assert!(listed.text().contains("\"ci\"") && !listed.text().contains(&key) && !listed.text().contains("sha256"));
    let path = format!("/api/v1/keys/{}", made["id"].as_str().unwrap());
    s.send("DELETE", &path, &headers, "").await.expect(204);
    assert_eq!(send().await, 401);
    s.send("DELETE", &path, &headers, "").await.expect(404);
    for body in [r#"{"scopes":[]}"#, r#"{"scopes":["all"]}"#, "{}", ""] {
        s.send("POST", "/api/v1/keys", &headers, body).await.expect(400);
    }
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_only_loopback_is_served() {
    let changes: [fn(&mut server::Settings); 3] =
        [|s| s.listen = "0.0.0.0:0".into(), |s| s.otlp_grpc_listen = "0.0.0.0:0".into(), |s| s.require_keys = true];
    for change in changes {
        let dir = TempDir::new().unwrap();
        let mut settings = settings(&dir);
        change(&mut settings);
        let error = Server::bind(settings.clone()).await.unwrap_err().to_string();
        assert!(error.contains("wideye keys create --data-dir") && error.contains("--scope ingest,query"), "{error}");
        // The directory is free again, and with a key the server starts.
        let data_dir = settings.data_dir.clone();
        tokio::task::spawn_blocking(move || {
            let store = Store::open(StoreOptions::new(data_dir, now)).unwrap();
            create_key(&store, "", &[Scope::Ingest], now()).unwrap();
            store.close().unwrap();
        })
        .await
        .unwrap();
        let s = TestServer::at(dir, settings).await;
        s.get("/healthz").await.expect(200);
        s.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn loopback_takes_any_key_but_no_foreign_host() {
    let s = TestServer::start().await;
    for headers in [&[][..], &[("x-honeycomb-team", "anything")], &[("authorization", "Bearer x")]] {
        s.send("POST", "/1/batch/ds", headers, json!([{ "time": T0, "data": { "a": 1 } }]).to_string()).await.expect(200);
        assert_eq!(s.send("GET", "/1/auth", headers, "").await.expect(200).json()["environment"]["slug"], "wideye");
    }
    assert_eq!(s.count("ds").await, 3);
    for host in ["evil.example", "localhost.evil.example:8080"] {
        s.send("GET", "/1/datasets", &[("host", host)], "").await.expect(403);
    }
    for host in ["127.0.0.1:1", "localhost:5", "[::1]:1"] {
        s.send("GET", "/1/datasets", &[("host", host)], "").await.expect(200);
    }
    s.stop().await;
}
