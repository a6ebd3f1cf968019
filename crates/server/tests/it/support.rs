//! A server per test, and a client of a few lines.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value as Json, json};
use server::{Server, ServerError, Settings};
use std::net::SocketAddr;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// 2026-09-21T00:00:00Z.
pub(crate) const T0: i64 = 1_789_948_800;

pub(crate) struct TestServer {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) dir: TempDir,
    settings: Settings,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<Result<(), ServerError>>>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl Reply {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {} {}", self.status, self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// The text of an error in any form.
    pub(crate) fn error(&self) -> String {
        let body = self.json();
        ["error", "message"].iter().find_map(|k| body[*k].as_str()).unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Reply {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

impl TestServer {
    pub(crate) async fn start() -> TestServer {
        TestServer::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> TestServer {
        let dir = TempDir::new().unwrap();
        let mut settings = settings(&dir);
        change(&mut settings);
        TestServer::at(dir, settings).await
    }

    pub(crate) async fn at(dir: TempDir, settings: Settings) -> TestServer {
        let server = Server::bind(settings.clone()).await.unwrap();
        let addresses = server.addresses();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(server.run(async move { drop(stopped.await) }));
        let grpc = addresses.grpc.unwrap_or(addresses.http);
        TestServer { http: addresses.http, grpc, dir, settings, stop: Some(stop), running: Some(running) }
    }

    /// Stops, and answers what is needed to start again.
    pub(crate) async fn stop(mut self) -> (TempDir, Settings) {
        drop(self.stop.take());
        self.running.take().unwrap().await.unwrap().unwrap();
        (self.dir, self.settings)
    }

    pub(crate) async fn restart(self) -> TestServer {
        let (dir, settings) = self.stop().await;
        TestServer::at(dir, settings).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
        let mut all = HeaderMap::new();
        all.insert("host", HeaderValue::from_static("localhost"));
        for (name, value) in headers {
            all.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        send(self.http, method, path, all, body.into()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], "").await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Json) -> Reply {
        self.json("POST", path, body).await
    }

    pub(crate) async fn json(&self, method: &str, path: &str, body: &Json) -> Reply {
        self.send(method, path, &[("content-type", "application/json")], body.to_string()).await
    }

    /// Stores rows at T0, T0+1, …
    pub(crate) async fn store(&self, dataset: &str, rows: &[Json]) {
        let events: Vec<Json> = rows.iter().zip(T0..).map(|(row, t)| json!({ "time": t, "data": row })).collect();
        let reply = self.post(&format!("/1/batch/{dataset}"), &events.into()).await.expect(200).json();
        assert!(reply.as_array().unwrap().iter().all(|s| s["status"] == 202), "{reply}");
    }

    pub(crate) async fn ask(&self, dataset: &str, spec: &Json) -> Reply {
        self.post("/api/v1/query", &json!({ "dataset": dataset, "query": day(spec) })).await
    }

    /// The rows of an answer.
    pub(crate) async fn rows(&self, dataset: &str, spec: &Json) -> Vec<Json> {
        let answer = self.ask(dataset, spec).await.expect(200).json();
        answer["results"].as_array().unwrap().iter().map(|r| r["data"].clone()).collect()
    }

    /// The events of a dataset at any time.
    pub(crate) async fn events(&self, dataset: &str) -> Vec<Json> {
        let spec = json!({ "calculations": [], "start_time": 0, "end_time": 4_000_000_000u64, "limit": 10_000 });
        let answer = self.ask(dataset, &spec).await.expect(200).json();
        let mut events = answer["results"].as_array().unwrap().clone();
        events.sort_by_key(|e| e["time"].as_str().unwrap().to_owned());
        events
    }

    pub(crate) async fn count(&self, dataset: &str) -> i64 {
        let spec = json!({ "start_time": 0, "end_time": 4_000_000_000u64, "usage_mode": true });
        self.rows(dataset, &spec).await.first().map_or(0, |r| r["COUNT"].as_i64().unwrap())
    }
}

/// Free ports, quiet, in a directory of the test's own.
pub(crate) fn settings(dir: &TempDir) -> Settings {
    Settings {
        listen: "127.0.0.1:0".into(),
        otlp_grpc_listen: "127.0.0.1:0".into(),
        data_dir: dir.path().join("data"),
        self_telemetry: false,
        ..Settings::default()
    }
}

/// A question about the day of T0 unless it says otherwise.
pub(crate) fn day(spec: &Json) -> Json {
    let mut spec = spec.clone();
    if spec.get("start_time").is_none() && spec.get("time_range").is_none() {
        spec["start_time"] = (T0 - 3_600).into();
        spec["end_time"] = (T0 + 86_400).into();
    }
    spec
}

pub(crate) async fn send(address: SocketAddr, method: &str, path: &str, headers: HeaderMap, body: Bytes) -> Reply {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).body(Full::new(body)).unwrap();
    *request.headers_mut() = headers;
    collect(sender.send_request(request).await.unwrap()).await
}

pub(crate) async fn collect(response: hyper::Response<hyper::body::Incoming>) -> Reply {
    let (parts, body) = response.into_parts();
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Reply { status: StatusCode::as_u16(&parts.status), headers: parts.headers, body: collected.to_bytes(), trailers }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}
