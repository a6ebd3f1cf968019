//! `GET /api/v1/traces/{id}`: the events of a trace in order of time.
//!
//! Owns: its JSON. Never does: look for events (engine).

use super::schema::{ErrorBody, TraceBody};
use crate::ask::{ALL, Question, ask, scope};
use crate::error::Failure;
use crate::route::{Answer, Call, bytes_response};
use axum::body::Body;
use axum::http::StatusCode;
use engine::RawEvent;
use model::query::{Filter, FilterOp, QuerySpec};
use serde::Serialize;

const EVENTS_DEFAULT: usize = 100_000;
const EVENTS_MAX: usize = 1_000_000;
/// From 1684 to 2255: what nanoseconds in 64 bits can say.
const ALL_TIMES_SECONDS: f64 = 9e9;

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
        ("start_time" = Option<f64>, Query, description = "Unix seconds; default: all times"),
        ("end_time" = Option<f64>, Query, description = "Unix seconds; default: all times"),
        ("limit" = Option<usize>, Query, description = "At most so many events (default 100000, at most 1000000)"),
    ),
    responses((status = 200, description = "Its events in order of time", body = TraceBody), (status = 404, description = "No event has this trace id", body = ErrorBody)))]
pub(crate) async fn trace(call: Call, _body: Body) -> Answer {
    let id = call.param("id").to_owned();
    let dataset = call.query("dataset").filter(|d| !d.is_empty()).unwrap_or_else(|| ALL.to_owned());
    let limit = call.query_number::<usize>("limit")?.unwrap_or(EVENTS_DEFAULT).clamp(1, EVENTS_MAX);
    let start: f64 = call.query_number("start_time")?.unwrap_or(-ALL_TIMES_SECONDS);
    let end: f64 = call.query_number("end_time")?.unwrap_or(ALL_TIMES_SECONDS);
    let spec = QuerySpec {
        calculations: Some(Vec::new()),
        filters: vec![Filter { column: "trace.trace_id".into(), op: FilterOp::Equal, value: Some(id.as_str().into()) }],
        limit: i64::try_from(limit + 1).ok(),
        start_time: Some(start.into()),
        end_time: Some(end.into()),
        ..QuerySpec::default()
    };
    let run = call.app.runs.begin();
    let question = Question { max_rows: limit + 1, ..Question::plain(&call.app, scope(&dataset), spec) };
    let record = call.record.clone();
    let bytes = ask(&call.app, &run, question, move |answer| {
        let mut events = answer.raw.unwrap_or_default();
        if events.is_empty() {
            return Err(unknown(&id));
        }
        let truncated = events.len() > limit;
        events.truncate(limit);
        events.sort_by_key(|e| e.time);
        record.note("wideye.trace.events", model::Value::Int(i64::try_from(events.len()).unwrap_or(i64::MAX)));
        let body = Trace { trace_id: &id, n_events: events.len(), truncated, events: &events };
        serde_json::to_vec(&body).map_err(super::query::not_json)
    })
    .await;
    match bytes {
        Ok(bytes) => Ok(bytes_response(StatusCode::OK, "application/json", bytes)),
        // No event ever had a trace id.
        Err(failure) if failure.reason == "unknown_column" => Err(unknown(call.param("id"))),
        Err(failure) => Err(failure),
    }
}

fn unknown(id: &str) -> Failure {
    Failure::not_found(format!("no event has this trace id, id='{id}'"))
}
