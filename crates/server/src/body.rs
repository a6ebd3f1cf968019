//! Request bodies: read up to a limit and within the budget, then unpacked.
//!
//! Owns: limits and patience while reading. Never does: decode events.

use crate::app::App;
use crate::budget::{Budget, Lease};
use crate::error::Failure;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use model::ErrorKind;
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A sender that says nothing for so long is gone.
const SILENCE_SECONDS_MAX: u64 = 30;
/// A refused body is read on to this many times the limit, so that the sender gets to read the answer.
const DISCARD_FACTOR: usize = 4;

fn too_large(limit: usize) -> Failure {
    Failure::new(
        ErrorKind::TooLarge,
        format!("Request body is too large. The limit is {limit} bytes after decompression; send smaller batches"),
    )
}

/// Reads a body of at most `limit` bytes; the lease pays for what has come so far, so that a sender that stalls holds little.
pub(crate) async fn read(budget: &Arc<Budget>, parts: &Parts, mut body: Body, limit: usize) -> Result<(Bytes, Lease), Failure> {
    let announced: Option<usize> = parts.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    if announced.is_some_and(|n| n > limit) {
        // One who asks first is told before sending.
        if !parts.headers.contains_key(header::EXPECT) {
            discard(body, limit.saturating_mul(DISCARD_FACTOR)).await;
        }
        return Err(too_large(limit));
    }
    let mut lease = budget.lease();
    let mut first: Option<Bytes> = None;
    let mut whole: Vec<u8> = Vec::new();
    let mut len = 0;
    while let Some(chunk) = next(&mut body).await? {
        len += chunk.len();
        if len > limit {
            discard(body, limit.saturating_mul(DISCARD_FACTOR)).await;
            return Err(too_large(limit));
        }
        if !lease.grow(chunk.len()) {
            drop((whole, lease));
            discard(body, limit).await;
            return Err(overload());
        }
        // Most bodies come in one piece: no copy.
        match (&first, whole.is_empty()) {
            (None, true) => first = Some(chunk),
            (Some(piece), true) => {
                whole.reserve_exact(announced.unwrap_or(0).max(len));
                whole.extend_from_slice(piece);
                whole.extend_from_slice(&chunk);
            }
            _ => whole.extend_from_slice(&chunk),
        }
    }
    let bytes = if whole.is_empty() { first.unwrap_or_default() } else { whole.into() };
    Ok((bytes, lease))
}

fn overload() -> Failure {
    Failure::overload("too many requests are in work; send again in a second")
}

async fn next(body: &mut Body) -> Result<Option<Bytes>, Failure> {
    loop {
        match tokio::time::timeout(Duration::from_secs(SILENCE_SECONDS_MAX), body.frame()).await {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data()
                    && !data.is_empty()
                {
                    return Ok(Some(data));
                }
            }
            Ok(Some(Err(e))) => return Err(Failure::invalid(format!("Request body is malformed and cannot be read. {e}"))),
            Err(_) => {
                let message = format!("the request body did not come within {SILENCE_SECONDS_MAX} seconds");
                return Err(Failure::invalid(message).with_status(StatusCode::REQUEST_TIMEOUT, "slow_sender"));
            }
        }
    }
}

/// Reads and forgets, within bounds of size and time.
async fn discard(mut body: Body, bytes_max: usize) {
    let reading = async {
        let mut n = 0;
        while let Ok(Some(chunk)) = next(&mut body).await {
            n += chunk.len();
            if n > bytes_max {
                break;
            }
        }
    };
    // What remains unread after that ends the connection.
    drop(tokio::time::timeout(Duration::from_secs(10), reading).await);
}

/// The request's body, which a handler may leave unread: then the rest is read here before the answer goes out, or the
/// connection would end under a client that wants to use it again.
pub(crate) struct Rest(Arc<Mutex<Body>>);

/// A body for a handler, and the hold on what it leaves.
pub(crate) fn share(body: Body) -> (Body, Rest) {
    let shared = Arc::new(Mutex::new(body));
    (Body::new(Shared(Arc::clone(&shared))), Rest(shared))
}

impl Rest {
    pub(crate) async fn discard(self, bytes_max: usize) {
        let body = std::mem::take(&mut *self.0.lock());
        if !body.is_end_stream() {
            discard(body, bytes_max).await;
        }
    }
}

struct Shared(Arc<Mutex<Body>>);

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.0.lock()).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().size_hint()
    }
}

/// Reads a small body of JSON, as questions and documents are.
pub(crate) async fn read_json<T: serde::de::DeserializeOwned>(app: &App, parts: &Parts, body: Body) -> Result<T, Failure> {
    read_json_if_any(app, parts, body).await?.ok_or_else(|| Failure::invalid("the request body is empty; send JSON"))
}

/// The same where the body may be empty.
pub(crate) async fn read_json_if_any<T: serde::de::DeserializeOwned>(app: &App, parts: &Parts, body: Body) -> Result<Option<T>, Failure> {
    const LIMIT: usize = 4 << 20;
    // Questions go on while ingest has used up its budget.
    let (bytes, _lease) = read(&app.small_budget, parts, body, LIMIT).await?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let read = serde_json::from_slice(&bytes);
    read.map(Some).map_err(|e| Failure::invalid(format!("the request body is not the JSON that is expected here: {e}")))
}

/// The encoding named by a header, several of which may be there.
pub(crate) fn encoding(headers: &HeaderMap, name: &str) -> Result<ingest::ContentEncoding, Failure> {
    let text = headers.get(name).map_or(Ok(""), |v| v.to_str()).unwrap_or("(not text)");
    ingest::ContentEncoding::parse(text).map_err(Failure::from)
}
