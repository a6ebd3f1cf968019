//! The three collector services of OTLP over gRPC: unary calls on HTTP/2, framed here by hand.
//!
//! Owns: frames, compression flags, statuses in trailers. Never does: decode OTLP (`ingest`).
//! By hand, because the message then stays bytes for our own decoder and its unpacking is capped like that of HTTP bodies.

use crate::auth::Scope;
use crate::body;
use crate::budget::Lease;
use crate::error::{Failure, Form};
use crate::metrics::Way;
use crate::otlp::export;
use crate::route::{Answer, Call, Family, Routes, family};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header};
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use ingest::ContentEncoding;
use ingest::otlp::{Encoding, Signal, response};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

const FAMILY: Family = family(Form::Grpc, Some(Scope::Ingest));
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const ACCEPT: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// What may not stand in a message as it is.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');
const FRAME_HEADER_BYTES: usize = 5;
const UNAVAILABLE: u8 = 14;
const UNIMPLEMENTED: u8 = 12;

pub(crate) fn routes(mut routes: Routes) -> Routes {
    const PATHS: [(&str, Signal); 3] = [
        ("/opentelemetry.proto.collector.trace.v1.TraceService/Export", Signal::Traces),
        ("/opentelemetry.proto.collector.logs.v1.LogsService/Export", Signal::Logs),
        ("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", Signal::Metrics),
    ];
    for (pattern, signal) in PATHS {
        routes = routes.add(FAMILY, Method::POST, pattern, move |call, body| unary(signal, call, body));
    }
    routes
}

async fn unary(signal: Signal, call: Call, body: Body) -> Answer {
    if !call.header("content-type").is_some_and(|c| c.starts_with("application/grpc")) {
        return Err(Failure::unsupported("send content-type application/grpc"));
    }
    let limit = call.app.settings.limits.request_bytes_max;
    let sent = body::read(&call.app.budget, &call.parts, body, limit + FRAME_HEADER_BYTES).await?;
    let (message, packing) = unframe(sent, &call.parts.headers)?;
    let done = export(&call, signal, Way::OtlpGrpc, message, packing, Encoding::Protobuf).await?;
    Ok(success(&response(Encoding::Protobuf, signal, &done)))
}

/// The one message of a unary call, and how it is packed.
fn unframe((body, lease): (Bytes, Lease), headers: &HeaderMap) -> Result<((Bytes, Lease), ContentEncoding), Failure> {
    let bad = || Failure::invalid("the body is not one gRPC message");
    let (&[flag, a, b, c, d], rest) = body.split_first_chunk::<FRAME_HEADER_BYTES>().ok_or_else(bad)?;
    if rest.len() != u32::from_be_bytes([a, b, c, d]) as usize {
        return Err(bad());
    }
    let packing = match flag {
        0 => ContentEncoding::Identity,
        1 => match body::encoding(headers, "grpc-encoding")? {
            ContentEncoding::Identity => return Err(Failure::invalid("a packed message needs the header grpc-encoding")),
            packing => packing,
        },
        _ => return Err(bad()),
    };
    Ok(((body.slice(FRAME_HEADER_BYTES..), lease), packing))
}

fn success(message: &[u8]) -> Response<Body> {
    let mut frame = BytesMut::with_capacity(FRAME_HEADER_BYTES + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(0));
    frame.put_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    let body = Full::new(frame.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut answer = Response::new(Body::new(body));
    answer.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    answer.headers_mut().insert(ACCEPT, HeaderValue::from_static("identity,gzip,zstd"));
    answer
}

/// An answer without a message.
pub(crate) fn status(code: u8, message: &str) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, GRPC);
    headers.insert(ACCEPT, HeaderValue::from_static("identity,gzip,zstd"));
    headers.insert(STATUS, HeaderValue::from(u16::from(code)));
    let text = utf8_percent_encode(message, ESCAPED).to_string();
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(MESSAGE, value);
    }
    if code == UNAVAILABLE
        && let Ok(value) = HeaderValue::from_str(&base64(&retry_info(message)))
    {
        headers.insert(DETAILS, value);
    }
    answer
}

/// What nobody serves here.
pub(crate) fn unimplemented() -> Response<Body> {
    status(UNIMPLEMENTED, "unknown method; this is an OTLP collector: TraceService, LogsService and MetricsService are served")
}

/// A `google.rpc.Status` that holds a `RetryInfo` of one second.
fn retry_info(message: &str) -> Vec<u8> {
    fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
        out.push(number << 3 | 2);
        let mut n = bytes.len();
        while n >= 128 {
            out.push(n as u8 | 128);
            n >>= 7;
        }
        out.push(n as u8);
        out.extend_from_slice(bytes);
    }
    // Duration { seconds: 1 } within RetryInfo { retry_delay }.
    let mut info = Vec::new();
    field(&mut info, 1, &[0x08, 1]);
    let mut any = Vec::new();
    field(&mut any, 1, b"type.googleapis.com/google.rpc.RetryInfo");
    field(&mut any, 2, &info);
    let mut status = vec![0x08, UNAVAILABLE];
    field(&mut status, 2, message.as_bytes());
    field(&mut status, 3, &any);
    status
}

/// Without padding, as gRPC asks of senders.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len() * 4 / 3 + 3);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(word >> (18 - 6 * i) & 63) as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{base64, status};

    #[test]
    fn base64_of_all_remainders() {
        assert_eq!([base64(b""), base64(b"f"), base64(b"fo"), base64(b"foo"), base64(b"foob")], ["", "Zg", "Zm8", "Zm9v", "Zm9vYg"]);
    }

    #[test]
    fn a_status_is_told_in_headers() {
        let answer = status(14, "100 % full\nöha");
        let header = |name: &str| answer.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(header("grpc-status").as_deref(), Some("14"));
        assert_eq!(header("grpc-message").as_deref(), Some("100 %25 full%0A%C3%B6ha"));
        assert!(header("grpc-status-details-bin").is_some());
        assert!(status(3, "x").headers().get("grpc-status-details-bin").is_none());
    }
}
