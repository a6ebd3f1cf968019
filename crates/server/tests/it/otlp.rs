//! `/v1/traces`, `/v1/logs`, `/v1/metrics`.

use crate::support::{TestServer, gzip, zstd};
use serde_json::{Value as Json, json};

const SIGNALS: [&str; 3] = ["traces", "logs", "metrics"];

/// A field of protobuf that holds bytes.
pub(crate) fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut n = bytes.len();
    while n >= 128 {
        out.push(n as u8 | 128);
        n >>= 7;
    }
    out.push(n as u8);
    out.extend_from_slice(bytes);
    out
}

/// An export request with one span `name` of service `service`.
pub(crate) fn trace_request(service: &str, name: &str) -> Vec<u8> {
    let attribute = [field(1, b"service.name"), field(2, &field(1, service.as_bytes()))].concat();
    let span = [field(1, &[7; 16]), field(2, &[8; 8]), field(5, name.as_bytes())].concat();
    let resource = field(1, &field(1, &attribute));
    let scope_spans = field(2, &field(2, &span));
    field(1, &[resource, scope_spans].concat())
}

fn trace_json(service: &str, name: &str) -> Json {
    json!({ "resourceSpans": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": service } }] },
        "scopeSpans": [{ "spans": [{ "traceId": "07070707070707070707070707070707", "spanId": "0808080808080808", "name": name, "startTimeUnixNano": "1789948800000000000" }] }]
    }]})
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_in_every_form_and_packing() {
    let s = TestServer::start().await;
    let binary = trace_request("shop", "GET /");
    let text = trace_json("shop", "GET /").to_string().into_bytes();
    let mut sent = 0;
    for (content_type, body) in [
        ("application/x-protobuf", &binary),
        ("application/protobuf", &binary),
        ("application/json", &text),
        ("application/json; charset=utf-8", &text),
    ] {
        for (encoding, packed) in [("identity", body.clone()), ("gzip", gzip(body)), ("zstd", zstd(body))] {
            for path in ["/v1/traces", "/v1/traces/"] {
                let headers = [("content-type", content_type), ("content-encoding", encoding)];
                let reply = s.send("POST", path, &headers, packed.clone()).await.expect(200);
                let form = if content_type.contains("json") { "application/json" } else { "application/x-protobuf" };
                assert_eq!(reply.header("content-type"), form);
                assert_eq!(reply.header("access-control-allow-origin"), "*");
                sent += 1;
            }
        }
    }
    assert_eq!(s.count("shop").await, sent);
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_requests_are_fine_and_wrong_ones_say_why() {
    let s = TestServer::start().await;
    for signal in SIGNALS {
        let path = format!("/v1/{signal}");
        s.send("POST", &path, &[("content-type", "application/x-protobuf")], "").await.expect(200);
        let reply = s.send("POST", &path, &[("content-type", "application/json")], "{}").await.expect(200);
        assert_eq!(reply.json(), json!({}));
        for (content_type, encoding, body, status) in [
            ("application/json", "", "{", 400),
            ("application/x-protobuf", "", "\u{a}\u{7f}", 400),
            ("text/plain", "", "{}", 415),
            ("", "", "{}", 415),
            ("application/json", "br", "{}", 415),
        ] {
            let mut headers = Vec::new();
            if !content_type.is_empty() {
                headers.push(("content-type", content_type));
            }
            if !encoding.is_empty() {
                headers.push(("content-encoding", encoding));
            }
            let reply = s.send("POST", &path, &headers, body).await.expect(status);
            assert!(reply.json()["message"].as_str().is_some_and(|m| !m.is_empty()), "{}", reply.text());
        }
    }
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_told_in_the_form_of_the_request() {
    let s = TestServer::with(|s| s.limits.event_fields_max = 20).await;
    let attributes: Vec<Json> = (0..30).map(|i| json!({ "key": format!("k{i}"), "value": { "intValue": i } })).collect();
    let mut body = trace_json("shop", "wide");
    body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"] = attributes.into();
    let reply = s.post("/v1/traces", &body).await.expect(200).json();
    assert_eq!(reply["partialSuccess"]["rejectedSpans"], "1");
    assert!(reply["partialSuccess"]["errorMessage"].as_str().is_some_and(|m| !m.is_empty()));
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_may_ask_and_send() {
    let s = TestServer::start().await;
    for signal in SIGNALS {
        let asked = [
            ("origin", "https://shop.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type,x-honeycomb-team"),
        ];
        let reply = s.send("OPTIONS", &format!("/v1/{signal}"), &asked, "").await.expect(204);
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        assert!(reply.header("access-control-allow-methods").contains("POST"));
        assert_eq!(reply.header("access-control-allow-headers"), "content-type,x-honeycomb-team");
    }
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_bodies() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let s = TestServer::start().await;
    let body = trace_request("shop", "chunked");
    let (a, b) = body.split_at(10);
    let mut stream = tokio::net::TcpStream::connect(s.http).await.unwrap();
    stream.write_all(b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n").await.unwrap();
    for piece in [a, b] {
        stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await.unwrap();
        stream.write_all(piece).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(s.count("shop").await, 1);
    s.stop().await;
}
