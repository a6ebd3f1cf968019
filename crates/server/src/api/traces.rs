//! `GET /api/v1/traces/{id}`: the skeleton of a trace; `…/spans/{span}`: one span with all its fields; `…/events`: all
//! events with all fields.
//!
//! Owns: parameters. Never does: look for events or put them in order (engine), name fields of the skeleton (trace_body).

use super::schema::{ErrorBody, TraceEventsBody, TraceSpanBody};
use super::trace_body::TraceBody;
use crate::ask::{ALL, scope};
use crate::error::Failure;
use crate::route::{Answer, Call, json_by_engine, json_bytes};
use axum::body::Body;
use engine::{RawEvent, Run, TraceRequest};
use model::TimeNs;
use serde::Serialize;
use std::sync::Arc;

/// Events with all their fields in one answer, unless asked for more.
const EVENTS_DEFAULT: usize = 100_000;
/// Span events, links and logs of one span in one answer.
const SPAN_EVENTS_MAX: usize = 10_000;

#[derive(Serialize)]
struct Events<'a> {
    trace_id: &'a str,
    n_events: usize,
    truncated: bool,
    events: &'a [RawEvent],
}

#[derive(Serialize)]
struct Span<'a> {
    trace_id: &'a str,
    span_id: &'a str,
    spans: &'a [RawEvent],
    span_events: &'a [RawEvent],
    links: &'a [RawEvent],
    logs: &'a [RawEvent],
    n_children: usize,
}

/// What all three have in common.
struct Asked {
    id: String,
    dataset: String,
    near: Option<TimeNs>,
}

impl Asked {
    fn of(call: &Call) -> Result<Asked, Failure> {
        let near = match call.query("ts").filter(|t| !t.is_empty()) {
            None => None,
            Some(text) => match model::time::parse_time(&text) {
                Some(time) => Some(time),
                None => return Err(Failure::invalid(format!("parameter 'ts' is neither Unix seconds nor RFC 3339, value='{text}'"))),
            },
        };
        let dataset = call.query("dataset").filter(|d| !d.is_empty()).unwrap_or_else(|| ALL.to_owned());
        Ok(Asked { id: call.param("id").to_owned(), dataset, near })
    }

    fn not_found(&self) -> Failure {
        Failure::not_found(format!("no event has this trace id, id='{}'", self.id))
    }
}

/// At most so many events, at least one.
fn limit(call: &Call, default: usize) -> Result<usize, Failure> {
    let most = call.app.settings.limits.trace_events_max;
    Ok(call.query_number::<usize>("limit")?.unwrap_or(default).min(most).max(1))
}

#[utoipa::path(get, path = "/api/v1/traces/{id}", operation_id = "getTrace", tag = "traces",
    params(
        ("id" = String, Path, description = "The value of `trace.trace_id`"),
        ("dataset" = Option<String>, Query, description = "Name or slug; default: all datasets"),
        ("ts" = Option<String>, Query, description = "A time near which the trace was, Unix seconds or RFC 3339: it is looked for there first"),
        ("columns" = Option<String>, Query, description = "Further columns, with commas between them: a value for each row"),
        ("compare" = Option<bool>, Query, description = "Whether durations are compared with those of spans of the same service and name around that time"),
        ("limit" = Option<usize>, Query, description = "At most so many events, the earliest (default and most: the limit trace_events_max)"),
    ),
    responses(
        (status = 200, description = "The trace without the fields of its events: see docs/traces.md", body = TraceBody<'_>),
        (status = 400, description = "Unknown column", body = ErrorBody),
        (status = 404, description = "No event has this trace id", body = ErrorBody),
    ))]
pub(crate) async fn trace(call: Call, _body: Body) -> Answer {
    let asked = Asked::of(&call)?;
    let columns = call.query("columns").unwrap_or_default();
    let columns: Vec<String> = columns.split(',').map(str::trim).filter(|c| !c.is_empty()).map(str::to_owned).collect();
    let most = call.app.settings.limits.question_items_max;
    if columns.len() > most {
        return Err(Failure::invalid(format!("parameter 'columns' names more than {most} columns, n={}", columns.len())));
    }
    let request = TraceRequest {
        id: asked.id.clone(),
        near: asked.near,
        limit: limit(&call, usize::MAX)?,
        columns,
        compare: call.query_flag("compare", false),
    };
    let record = Arc::clone(&call.record);
    json_by_engine(&call, move |app, run| {
        let trace = app.engine.skeleton(&scope(&asked.dataset), &request, &run)?;
        if trace.is_empty() {
            return Err(asked.not_found());
        }
        record.note("wideye.trace.events", trace.n_events);
        let body = TraceBody::new(&asked.id, &trace, record.elapsed().as_secs_f64() * 1e3);
        json_bytes(&body)
    })
    .await
}

#[utoipa::path(get, path = "/api/v1/traces/{id}/events", operation_id = "getTraceEvents", tag = "traces",
    params(
        ("id" = String, Path, description = "The value of `trace.trace_id`"),
        ("dataset" = Option<String>, Query, description = "Name or slug; default: all datasets"),
        ("limit" = Option<usize>, Query, description = "At most so many events, the earliest (default 100000; most: the limit trace_events_max)"),
    ),
    responses((status = 200, description = "Its events in order of time, with all their fields", body = TraceEventsBody), (status = 404, description = "No event has this trace id", body = ErrorBody)))]
pub(crate) async fn events(call: Call, _body: Body) -> Answer {
    let asked = Asked::of(&call)?;
    let limit = limit(&call, EVENTS_DEFAULT)?;
    let record = Arc::clone(&call.record);
    json_by_engine(&call, move |app, run| {
        let run = Run { max_rows: limit + 1, ..run };
        let mut events = app.engine.trace(&scope(&asked.dataset), &asked.id, limit + 1, &run)?;
        if events.is_empty() {
            return Err(asked.not_found());
        }
        let truncated = events.len() > limit;
        events.truncate(limit);
        record.note("wideye.trace.events", events.len());
        let body = Events { trace_id: &asked.id, n_events: events.len(), truncated, events: &events };
        json_bytes(&body)
    })
    .await
}

#[utoipa::path(get, path = "/api/v1/traces/{id}/spans/{span}", operation_id = "getSpan", tag = "traces",
    params(
        ("id" = String, Path, description = "The value of `trace.trace_id`"),
        ("span" = String, Path, description = "The value of `trace.span_id`"),
        ("dataset" = Option<String>, Query, description = "Name or slug; default: all datasets"),
        ("ts" = Option<String>, Query, description = "A time near which the trace was, Unix seconds or RFC 3339: it is looked for there first"),
    ),
    responses((status = 200, description = "The span with all its fields, and what happened in it", body = TraceSpanBody), (status = 404, description = "The trace has no such span", body = ErrorBody)))]
pub(crate) async fn span(call: Call, _body: Body) -> Answer {
    let asked = Asked::of(&call)?;
    let span_id = call.param("span").to_owned();
    json_by_engine(&call, move |app, run| {
        let run = Run { max_rows: SPAN_EVENTS_MAX, ..run };
        let found = app.engine.span(&scope(&asked.dataset), &asked.id, &span_id, asked.near, &run)?;
        if found.spans.is_empty() && found.events.is_empty() && found.links.is_empty() && found.logs.is_empty() {
            return Err(Failure::not_found(format!("the trace has no such span, id='{}' span='{span_id}'", asked.id)));
        }
        let body = Span {
            trace_id: &asked.id,
            span_id: &span_id,
            spans: &found.spans,
            span_events: &found.events,
            links: &found.links,
            logs: &found.logs,
            n_children: found.n_children,
        };
        json_bytes(&body)
    })
    .await
}
