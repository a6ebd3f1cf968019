//! The three OTLP services over gRPC.

use crate::otlp::trace_request;
use crate::support::{Reply, TestServer, collect, gzip, zstd};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use tokio::net::TcpStream;

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

async fn call(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Reply {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method("POST").uri(format!("http://localhost{path}")).header("te", "trailers");
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/grpc");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    collect(sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap()).await
}

fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut out = vec![flag];
    out.extend_from_slice(&(message.len() as u32).to_be_bytes());
    out.extend_from_slice(message);
    out
}

/// The status, in trailers or (without a message) in headers.
fn status(reply: &Reply) -> String {
    let at = |h: &hyper::HeaderMap| h.get("grpc-status").map(|v| v.to_str().unwrap().to_owned());
    at(&reply.trailers).or_else(|| at(&reply.headers)).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_packed_in_every_way() {
    let s = TestServer::start().await;
    let message = trace_request("shop", "GET /");
    for (encoding, body) in [
        ("identity", frame(0, &message)),
        ("gzip", frame(1, &gzip(&message))),
        ("zstd", frame(1, &zstd(&message))),
        ("gzip", frame(0, &message)),
    ] {
        let reply = call(s.grpc, TRACES, &[("grpc-encoding", encoding)], body).await;
        assert_eq!((reply.status, status(&reply).as_str()), (200, "0"), "{:?}", reply.headers);
        assert_eq!(reply.header("content-type"), "application/grpc");
        assert_eq!(&reply.body[..], [0; 5], "an empty message");
    }
    for path in [LOGS, METRICS] {
        let reply = call(s.grpc, path, &[], frame(0, b"")).await;
        assert_eq!(status(&reply), "0");
    }
    assert_eq!(s.count("shop").await, 4);
    // The HTTP port takes them, too.
    assert_eq!(status(&call(s.http, TRACES, &[], frame(0, &message)).await), "0");
    assert_eq!(s.count("shop").await, 5);
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_statuses() {
    let s = TestServer::with(|s| s.limits.request_bytes_max = 50_000).await;
    let message = trace_request("shop", "x");
    let bomb = gzip(&vec![0; 1 << 20]);
    for (path, headers, body, expected) in [
        (TRACES, &[][..], frame(0, b"\x0a\x7f"), "3"),
        (TRACES, &[], vec![0, 0, 0], "3"),
        (TRACES, &[], frame(0, &message)[..10].to_vec(), "3"),
        (TRACES, &[], frame(1, &message), "3"),
        (TRACES, &[("grpc-encoding", "gzip")], frame(1, b"not gzip"), "3"),
        (TRACES, &[("grpc-encoding", "gzip")], frame(1, &bomb), "3"),
        (TRACES, &[("grpc-encoding", "snappy")], frame(1, &message), "12"),
        (TRACES, &[], frame(0, &vec![0; 100_000]), "3"),
        ("/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export", &[], frame(0, b""), "12"),
    ] {
        let reply = call(s.grpc, path, headers, body).await;
        assert_eq!((reply.status, status(&reply).as_str()), (200, expected), "{headers:?} {:?}", reply.headers);
        assert!(!reply.header("grpc-message").is_empty());
    }
    assert!(s.get("/readyz").await.status == 200);
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overload_is_unavailable_and_says_when_to_come_back() {
    let s = TestServer::with(|s| s.ingest_bytes_max = 1_000).await;
    use tokio::io::AsyncWriteExt as _;
    let head = "POST /1/batch/ds HTTP/1.1\r\nHost: localhost\r\nContent-Length: 991\r\n\r\n";
    let message = trace_request("shop", "x");
    // One that comes while a call is under way is refused itself, and holds nothing: another one does.
    let mut holders = Vec::new();
    let refused = loop {
        let mut holder = TcpStream::connect(s.http).await.unwrap();
        holder.write_all(format!("{head}{}", " ".repeat(990)).as_bytes()).await.unwrap();
        holders.push(holder);
        let reply = call(s.grpc, TRACES, &[], frame(0, &message)).await;
        if status(&reply) != "0" {
            break reply;
        }
    };
    assert_eq!(status(&refused), "14");
    assert!(!refused.header("grpc-status-details-bin").is_empty());
    drop(holders);
    s.stop().await;
}
