//! A client that goes away ends the question behind its tool.

use super::Inside;
use crate::app::App;
use crate::settings::Settings;
use ::mcp::{Api, Method};
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

fn app(dir: &tempfile::TempDir) -> Arc<App> {
    let mut settings = Settings { data_dir: dir.path().join("data"), self_telemetry: false, ..Settings::default() };
    settings.limits.questions_concurrent_max = 1;
    App::open(settings, true).unwrap()
}

async fn until(what: impl Fn() -> bool) {
    let waiting = async {
        while !what() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it comes to that");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_its_question() {
    let dir = tempfile::TempDir::new().unwrap();
    let app = app(&dir);
    // The only place is taken, so that the question waits.
    let first = app.runs.begin();
    let place = app.runs.place(&first, || {}).await.unwrap();
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "query", "arguments": {} } });
    let request = Request::post("/mcp")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(Body::from(call.to_string()))
        .unwrap();
    let service = TowerToHyperService::new(crate::health::service(Arc::clone(&app)));
    let client = tokio::spawn(async move { service.call(request).await });
    until(|| app.runs.begun() == 2).await;
    client.abort();
    until(|| app.runs.begun() == 1).await;
    drop(place);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_inside_answers_what_the_api_answers() {
    let dir = tempfile::TempDir::new().unwrap();
    let inside = Inside { app: app(&dir), headers: HeaderMap::new() };
    assert_eq!(inside.call(Method::Get, "/api/v1/datasets".to_owned(), None).await.unwrap(), json!([]));
    let refused = inside.call(Method::Post, "/api/v1/query".to_owned(), Some(json!({ "dataset": "none", "query": {} }))).await.unwrap_err();
    assert!(refused.to_string().contains("dataset 'none'"), "{refused}");
    let nowhere = inside.call(Method::Get, "not a path".to_owned(), None).await.unwrap_err();
    assert!(nowhere.to_string().contains("unexpected"), "{nowhere}");
}
