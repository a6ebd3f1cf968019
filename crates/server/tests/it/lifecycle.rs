//! Start, stop, health, own telemetry.

use crate::support::{T0, TestServer, settings};
use serde_json::json;
use server::Server;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test(flavor = "multi_thread")]
async fn health_metrics_and_what_is_not_there() {
    let s = TestServer::start().await;
    s.store("ds", &[json!({ "a": 1 }), json!({ "a": 2 })]).await;
    s.get("/healthz").await.expect(200);
    s.get("/readyz").await.expect(200);
    assert!(s.get("/").await.expect(200).text().contains("wideye"));
    let metrics = s.get("/metrics").await.expect(200).text();
    for expected in
        ["wideye_ingest_events_total{way=\"honeycomb\"} 2", "wideye_store_append_rows_total 2", "process_resident_memory_bytes "]
    {
        assert!(metrics.contains(expected), "{expected} in {metrics}");
    }
    for line in metrics.lines().filter(|l| !l.starts_with('#')) {
        assert!(line.rsplit_once(' ').is_some_and(|(_, n)| n.parse::<f64>().is_ok()), "{line}");
    }
    for (method, path, status) in [
        ("GET", "/nothing", 404),
        ("GET", "/1/nothing", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/1/batch/ds", 405),
        ("PUT", "/v1/traces", 405),
        ("GET", "/api/v1/query", 405),
    ] {
        let reply = s.send(method, path, &[], "").await.expect(status);
        assert!(!reply.error().is_empty(), "{method} {path}");
    }
    s.stop().await;
}

/// A refusal that comes before the body is read must not cost the connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_outlives_a_refusal() {
    let s = TestServer::start().await;
    let mut stream = tokio::net::TcpStream::connect(s.http).await.unwrap();
    let body = "x".repeat(100_000);
    for (path, header, status) in [
        ("/v1/traces", "Content-Type: text/plain", "415"),
        ("/1/batch/ds", "Content-Encoding: br", "415"),
        ("/1/datasets", "Host: evil.example", "403"),
        ("/nothing", "A: b", "404"),
        ("/1/auth", "A: b", "405"),
        ("/1/batch/ds", "A: b", "400"),
    ] {
        let host = if header.starts_with("Host") { "" } else { "Host: localhost\r\n" };
        let head = format!("POST {path} HTTP/1.1\r\n{host}{header}\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "{path}: the connection ended");
        }
        assert!(answer.starts_with(format!("HTTP/1.1 {status}").as_bytes()), "{}", String::from_utf8_lossy(&answer));
    }
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_survive_a_restart() {
    let s = TestServer::start().await;
    s.store("ds", &[json!({ "a": 1 })]).await;
    let s = s.restart().await;
    assert_eq!(s.count("ds").await, 1);
    s.store("ds", &[json!({ "a": 2 })]).await;
    let s = s.restart().await;
    assert_eq!(s.count("ds").await, 2);
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_cannot_share_a_directory_or_a_port() {
    let s = TestServer::start().await;
    let mut second = settings(&s.dir);
    assert!(Server::bind(second.clone()).await.unwrap_err().to_string().contains("cannot open the data"));
    let other = TempDir::new().unwrap();
    second.data_dir = other.path().to_path_buf();
    second.listen = s.http.to_string();
    assert!(Server::bind(second.clone()).await.unwrap_err().to_string().contains("cannot listen on"));
    second.listen = "nonsense".into();
    assert!(Server::bind(second).await.unwrap_err().to_string().contains("not an address"));
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_way_is_answered_before_the_end() {
    let s = TestServer::start().await;
    s.store("ds", &[json!({ "a": 1 })]).await;
    let body = json!([{ "time": T0, "data": { "a": 2 } }]).to_string();
    let (first, rest) = body.split_at(5);
    let mut stream = tokio::net::TcpStream::connect(s.http).await.unwrap();
    let head = format!("POST /1/batch/ds HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{first}", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    // Another request was answered since: ours has been accepted.
    s.get("/metrics").await.expect(200);
    let http = s.http;
    let stopping = tokio::spawn(s.stop());
    while tokio::net::TcpStream::connect(http).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (dir, settings) = stopping.await.unwrap();
    let s = TestServer::at(dir, settings).await;
    assert_eq!(s.count("ds").await, 2);
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_stalls_does_not_stop_the_stop() {
    let s = TestServer::with(|s| s.drain_seconds_max = 0.1).await;
    let mut stream = tokio::net::TcpStream::connect(s.http).await.unwrap();
    stream.write_all(b"POST /1/batch/ds HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n[").await.unwrap();
    s.get("/metrics").await.expect(200);
    let started = Instant::now();
    s.stop().await;
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_tells_of_its_requests() {
    let s = TestServer::with(|s| s.self_telemetry = true).await;
    s.store("ds", &[json!({ "a": 1 }), json!({ "a": 2 })]).await;
    s.store("wideye", &[json!({ "not": "told of" })]).await;
    s.ask("ds", &json!({ "breakdowns": ["nope"] })).await.expect(400);
    s.get("/healthz").await.expect(200);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    s.send("GET", "/1/auth", &[("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"))], "").await.expect(200);
    let s = s.restart().await;
    let events = s.events("wideye").await;
    let find = |name: &str| -> Vec<_> { events.iter().filter(|e| e["data"]["name"] == name).collect() };
    let batches = find("POST /1/batch/{*dataset}");
    assert_eq!(batches.len(), 1, "{events:?}");
    let data = &batches[0]["data"];
    assert_eq!(
        (&data["wideye.ingest.events"], &data["http.response.status_code"], &data["wideye.dataset"]),
        (&json!(2), &json!(200), &json!("ds"))
    );
    assert!(data["duration_ms"].is_number() && data["trace.trace_id"].as_str().is_some_and(|t| t.len() == 32));
    let asked = &find("POST /api/v1/query")[0]["data"];
    assert_eq!((&asked["error"], &asked["http.response.status_code"]), (&json!(true), &json!(400)));
    assert!(asked["error.message"].as_str().is_some_and(|m| m.contains("nope")));
    let auth = &find("GET /1/auth")[0]["data"];
    assert_eq!((&auth["trace.trace_id"], &auth["trace.parent_id"]), (&json!(trace), &json!("00f067aa0ba902b7")));
    assert!(find("GET /healthz").is_empty());
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_turned_away() {
    let s = TestServer::with(|s| s.connections_max = 2).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = tokio::net::TcpStream::connect(s.http).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut text = [0; 512];
        let n = stream.read(&mut text).await.unwrap();
        assert!(text[..n].starts_with(b"HTTP/1.1 200"));
        held.push(stream);
    }
    let mut text = String::new();
    tokio::net::TcpStream::connect(s.http).await.unwrap().read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 503") && text.contains("retry-after: 1") && text.contains("connections_max"), "{text}");
    drop(held);
    // As soon as the server has seen that they are gone there is room again.
    loop {
        let mut stream = tokio::net::TcpStream::connect(s.http).await.unwrap();
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let mut text = String::new();
        if stream.write_all(request.as_bytes()).await.is_ok() && stream.read_to_string(&mut text).await.is_ok() && text.contains(" 200 ") {
            assert!(text.contains("wideye_refused_requests_total{reason=\"too_many_connections\"}"), "{text}");
            break;
        }
    }
    s.stop().await;
}
