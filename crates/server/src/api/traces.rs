//! `GET /api/v1/traces/{id}`: the events of a trace in order of time.
//!
//! Owns: its JSON. Never does: look for events (engine).

use super::schema::{ErrorBody, TraceBody};
use crate::ask::{ALL, on_engine, scope};
use crate::error::Failure;
use crate::route::{Answer, Call, bytes_response};
use axum::body::Body;
use axum::http::StatusCode;
use engine::{RawEvent, Run};
use serde::Serialize;

const EVENTS_DEFAULT: usize = 100_000;
const EVENTS_MAX: usize = 1_000_000;

#[derive(Serialize)]
struct Trace<'a> {
    trace_id: &'a str,
    n_events: usize,
    truncated: bool,
    events: &'a [RawEvent],
}

#[utoipa::path(get, path = "/api/v1/traces/{id}", operation_id = "getTrace", tag = "traces",
    params(
        ("id" = String, Path, description = "The value of `trace.trace_id`"),
        ("dataset" = Option<String>, Query, description = "Name or slug; default: all datasets"),
        ("limit" = Option<usize>, Query, description = "At most so many events (default 100000, at most 1000000)"),
    ),
    responses((status = 200, description = "Its events in order of time", body = TraceBody), (status = 404, description = "No event has this trace id", body = ErrorBody)))]
pub(crate) async fn trace(call: Call, _body: Body) -> Answer {
    let id = call.param("id").to_owned();
    let dataset = call.query("dataset").filter(|d| !d.is_empty()).unwrap_or_else(|| ALL.to_owned());
    let limit = call.query_number::<usize>("limit")?.unwrap_or(EVENTS_DEFAULT).clamp(1, EVENTS_MAX);
    let scope = scope(&dataset);
    let run = call.app.runs.begin();
    let record = call.record.clone();
    let bytes = on_engine(&call.app, &run, crate::time::now(), move |app, run| {
        let run = Run { max_rows: limit + 1, ..run };
        let mut events = app.engine.trace(&scope, &id, limit + 1, &run)?;
        if events.is_empty() {
            return Err(Failure::not_found(format!("no event has this trace id, id='{id}'")));
        }
        let truncated = events.len() > limit;
        events.truncate(limit);
        record.note("wideye.trace.events", model::Value::Int(i64::try_from(events.len()).unwrap_or(i64::MAX)));
        let body = Trace { trace_id: &id, n_events: events.len(), truncated, events: &events };
        serde_json::to_vec(&body).map_err(super::query::not_json)
    })
    .await?;
    Ok(bytes_response(StatusCode::OK, "application/json", bytes))
}
