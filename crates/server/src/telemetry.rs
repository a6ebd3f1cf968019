//! The server's own wide events: one per request, in dataset `wideye`.
//!
//! Owns: their fields and their buffer. Never does: block a request, write while idle, tell of its own writes.

use crate::app::App;
use crate::error::Failure;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use model::{Batch, BatchBuilder, TimeNs, Value, hash64};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use store::Write;

/// Name of the dataset; requests that write to it are not told of.
pub(crate) const DATASET: &str = "wideye";
/// Events that wait to be written; more are dropped and counted.
const BUFFER_EVENTS_MAX: usize = 10_000;
/// How often they are written.
const FLUSH_SECONDS: u64 = 2;

/// The value of a field.
#[derive(Debug)]
pub(crate) struct Field(Value);

impl From<usize> for Field {
    fn from(n: usize) -> Self {
        Field(Value::Int(i64::try_from(n).unwrap_or(i64::MAX)))
    }
}

impl From<u64> for Field {
    fn from(n: u64) -> Self {
        Field(Value::Int(i64::try_from(n).unwrap_or(i64::MAX)))
    }
}

impl From<f64> for Field {
    fn from(f: f64) -> Self {
        Field(Value::Float(f))
    }
}

impl From<bool> for Field {
    fn from(b: bool) -> Self {
        Field(Value::Bool(b))
    }
}

impl From<&str> for Field {
    fn from(s: &str) -> Self {
        Field(Value::Str(s.to_owned()))
    }
}

/// The buffer.
#[derive(Debug)]
pub(crate) struct Telemetry {
    buffer: Mutex<BatchBuilder>,
    ids: AtomicU64,
}

impl Telemetry {
    pub(crate) fn new() -> Telemetry {
        let mut seed = [0u8; 8];
        // Without randomness ids only have to differ within this run.
        if getrandom::fill(&mut seed).is_err() {
            seed = crate::time::now().to_le_bytes();
        }
        Telemetry { buffer: Mutex::default(), ids: AtomicU64::new(u64::from_le_bytes(seed)) }
    }

    fn id(&self) -> u64 {
        hash64(&self.ids.fetch_add(1, Ordering::Relaxed).to_le_bytes())
    }

    fn take(&self) -> Option<Batch> {
        let mut buffer = self.buffer.lock();
        (buffer.n_rows() > 0).then(|| std::mem::take(&mut *buffer).finish())
    }
}

/// Writes what has come together; a failure loses it, as nobody waits for it.
pub(crate) async fn flush(app: &App) {
    let Some(batch) = app.telemetry.as_ref().and_then(Telemetry::take) else { return };
    let n = batch.n_rows as u64;
    if app.store.append(vec![Write { dataset: DATASET.into(), batch, fitted: false }]).await.is_err() {
        app.metrics.telemetry_dropped.fetch_add(n, Ordering::Relaxed);
    }
}

/// Flushes until the app is gone.
pub(crate) async fn flush_forever(app: Weak<App>) {
    let mut tick = tokio::time::interval(Duration::from_secs(FLUSH_SECONDS));
    loop {
        tick.tick().await;
        let Some(app) = app.upgrade() else { return };
        if app.is_stopping() {
            return;
        }
        flush(&app).await;
    }
}

/// The event of one request under way; written when dropped.
#[derive(Debug)]
pub(crate) struct Record {
    /// None if this request is not told of.
    app: Option<Arc<App>>,
    started: Instant,
    started_at: TimeNs,
    status: AtomicU16,
    fields: Mutex<Vec<(&'static str, Value)>>,
}

impl Record {
    pub(crate) fn begin(app: &Arc<App>, pattern: &'static str, request: &Request<Body>) -> Arc<Record> {
        let quiet = app.telemetry.is_none() || matches!(pattern, "/healthz" | "/readyz" | "/metrics");
        let record = Record {
            app: (!quiet).then(|| Arc::clone(app)),
            started: Instant::now(),
            started_at: crate::time::now(),
            status: AtomicU16::new(0),
            fields: Mutex::default(),
        };
        if !quiet {
            let text = |name| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("");
            let mut fields = record.fields.lock();
            fields.reserve(24);
            fields.push(("name", Value::Str(format!("{} {pattern}", request.method()))));
            fields.push(("http.request.method", Value::Str(request.method().to_string())));
            fields.push(("http.route", Value::Str(pattern.to_owned())));
            fields.push(("url.path", Value::Str(request.uri().path().to_owned())));
            let optional = [
                ("url.query", request.uri().query().unwrap_or("")),
                ("user_agent.original", text(header::USER_AGENT)),
                ("http.request.header.content_type", text(header::CONTENT_TYPE)),
                ("http.request.header.content_encoding", text(header::CONTENT_ENCODING)),
            ];
            for (name, value) in optional {
                if !value.is_empty() {
                    fields.push((name, Value::Str(value.to_owned())));
                }
            }
            // W3C trace context: the request becomes a span of its sender's trace.
            let mut context = request.headers().get("traceparent").and_then(|v| v.to_str().ok()).unwrap_or("").split('-').skip(1);
            if let (Some(trace), Some(parent)) = (context.next(), context.next())
                && (trace.len(), parent.len()) == (32, 16)
            {
                fields.push(("trace.trace_id", Value::Str(trace.to_owned())));
                fields.push(("trace.parent_id", Value::Str(parent.to_owned())));
            }
            drop(fields);
        }
        Arc::new(record)
    }

    pub(crate) fn note(&self, field: &'static str, value: impl Into<Field>) {
        if self.app.is_some() {
            self.fields.lock().push((field, value.into().0));
        }
    }

    pub(crate) fn status(&self, status: StatusCode) {
        // What was forgotten stays so.
        let _known = self.status.compare_exchange(0, status.as_u16(), Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self, failure: &Failure) {
        if self.app.is_some() {
            let mut fields = self.fields.lock();
            fields.push(("error", Value::Bool(true)));
            fields.push(("error.type", Value::Str(failure.reason.to_owned())));
            fields.push(("error.message", Value::Str(failure.message.clone())));
        }
    }

    /// Seconds since the request came.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Does not tell of this request.
    pub(crate) fn forget(&self) {
        self.status.store(u16::MAX, Ordering::Relaxed);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Some(app) = &self.app else { return };
        let Some(telemetry) = &app.telemetry else { return };
        let status = self.status.load(Ordering::Relaxed);
        if status == u16::MAX {
            return;
        }
        let fields = std::mem::take(self.fields.get_mut());
        let in_trace = fields.iter().any(|(name, _)| *name == "trace.trace_id");
        let mut b = telemetry.buffer.lock();
        if b.n_rows() >= BUFFER_EVENTS_MAX {
            app.metrics.telemetry_dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        b.begin();
        let mut previous = None;
        let mut set = |name: &str, value: &Value| {
            let column = b.column_after(previous, name);
            b.value(column, value);
            previous = Some(column);
        };
        set("service.name", &Value::Str(DATASET.into()));
        set("meta.signal_type", &Value::Str("trace".into()));
        set("span.kind", &Value::Str("server".into()));
        set("duration_ms", &Value::Float(self.started.elapsed().as_secs_f64() * 1e3));
        if status == 0 {
            // Dropped before it was answered.
            set("http.response.abandoned", &Value::Bool(true));
        } else {
            set("http.response.status_code", &Value::Int(i64::from(status)));
        }
        for (name, value) in &fields {
            set(name, value);
        }
        set("trace.span_id", &Value::Str(format!("{:016x}", telemetry.id())));
        if !in_trace {
            set("trace.trace_id", &Value::Str(format!("{:016x}{:016x}", telemetry.id(), telemetry.id())));
        }
        b.end(self.started_at, 1.0);
    }
}
