//! An answer as a stream of JSON lines: plan, progress, partial, final or error.
//!
//! Owns: the messages and the channel between the engine's threads and the connection. Never does: wait for a slow reader
//! with anything but the last message.

use super::query::{QueryRequest, note_meta};
use crate::app::App;
use crate::ask::ask;
use crate::error::Failure;
use crate::route::{Call, json_bytes};
use crate::runs::RunHandle;
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use bytes::Bytes;
use engine::Progress;
use hyper::body::{Body as HttpBody, Frame};
use serde::Serialize;
use serde_json::json;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Messages that wait for the reader; progress beyond them is left out.
const MESSAGES_MAX: usize = 8;
/// How often a partial answer is told.
pub(super) const PARTIAL_EVERY: Duration = Duration::from_millis(250);

/// A message with the fields of an answer.
#[derive(Serialize)]
pub(super) struct WithAnswer<'a, T> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    #[serde(flatten)]
    pub(super) answer: &'a T,
}

pub(super) fn line(message: &impl Serialize) -> Result<Bytes, Failure> {
    let mut bytes = json_bytes(message)?;
    bytes.push(b'\n');
    Ok(bytes.into())
}

/// Starts the run and answers at once; the messages follow.
pub(crate) fn answer(call: &Call, run: RunHandle, request: QueryRequest) -> Response<Body> {
    let (app, record) = (Arc::clone(&call.app), Arc::clone(&call.record));
    respond(call, Arc::clone(&run.cancel), move |sender| async move { drive(&app, &run, request, &sender, record).await })
}

/// Answers with the messages that `drive` sends; if it fails, an error is the last of them.
pub(super) fn respond<F, D>(call: &Call, cancel: Arc<AtomicBool>, drive: D) -> Response<Body>
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
    D: FnOnce(Sender<Bytes>) -> F,
{
    let (sender, receiver) = channel(MESSAGES_MAX);
    let record = Arc::clone(&call.record);
    let work = drive(sender.clone());
    tokio::spawn(async move {
        if let Err(failure) = work.await {
            record.failed(&failure);
            let mut message = failure.native_body();
            message["type"] = "error".into();
            if let Ok(line) = line(&message) {
                // Nobody reads on: nothing to tell.
                drop(sender.send(line).await);
            }
        }
    });
    let mut response = Response::new(Body::new(Messages { receiver, cancel }));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

async fn drive(
    app: &Arc<App>,
    run: &RunHandle,
    request: QueryRequest,
    sender: &Sender<Bytes>,
    record: Arc<crate::telemetry::Record>,
) -> Result<(), Failure> {
    let plan = line(&json!({ "type": "plan", "run": run.id, "dataset": request.dataset }))?;
    if sender.send(plan).await.is_err() {
        return Ok(());
    }
    let mut question = request.question(app);
    let to_reader = sender.clone();
    question.on_progress = Some(Box::new(move |p: Progress| {
        let message = json!({ "type": "progress", "rows_done": p.rows_done, "rows_planned": p.rows_planned });
        if let Ok(line) = line(&message) {
            // A reader that is behind gets the next one.
            drop(to_reader.try_send(line));
        }
    }));
    let to_reader = sender.clone();
    let partial_record = Arc::clone(&record);
    question.on_partial = Some((
        PARTIAL_EVERY,
        Box::new(move |mut answer| {
            if to_reader.capacity() == 0 {
                return;
            }
            answer.meta.elapsed_ms = Some(partial_record.elapsed().as_secs_f64() * 1e3);
            if let Ok(line) = line(&WithAnswer { kind: "partial", answer: &answer }) {
                drop(to_reader.try_send(line));
            }
        }),
    ));
    let last = ask(app, run, question, move |mut answer| {
        answer.meta.elapsed_ms = Some(record.elapsed().as_secs_f64() * 1e3);
        note_meta(&record, &answer.meta);
        line(&WithAnswer { kind: "final", answer: &answer })
    })
    .await?;
    drop(sender.send(last).await);
    Ok(())
}

/// The body of the answer. A reader that hangs up drops it, and that ends the run.
struct Messages {
    receiver: Receiver<Bytes>,
    cancel: Arc<AtomicBool>,
}

impl HttpBody for Messages {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.receiver.poll_recv(cx).map(|message| message.map(|bytes| Ok(Frame::data(bytes))))
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.cancel.store(true, Ordering::Relaxed);
    }
}
