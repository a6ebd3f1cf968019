//! `POST /api/v1/query`: ask, whole or streamed; `DELETE /api/v1/query/{run}`: end a run.
//!
//! Owns: the request's form. Never does: answer questions (engine).

use super::schema::{ErrorBody, QueryAnswer, QueryRequestSchema};
use super::stream;
use crate::app::App;
use crate::ask::{Question, ask, scope};
use crate::body;
use crate::error::Failure;
use crate::route::{Answer, Call, bytes_response, empty, not_json};
use axum::body::Body;
use axum::http::StatusCode;
use engine::SeriesMode;
use model::query::QuerySpec;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(crate) struct QueryRequest {
    pub(crate) dataset: String,
    pub(crate) query: QuerySpec,
    #[serde(default)]
    pub(crate) stream: bool,
    #[serde(default = "yes")]
    pub(crate) cache: bool,
    /// Absent: if the question names a granularity.
    #[serde(default)]
    pub(crate) series: Option<bool>,
    /// The compatible API's word for `series: false`.
    #[serde(default)]
    pub(crate) disable_series: bool,
    #[serde(default)]
    pub(crate) totals: bool,
}

fn yes() -> bool {
    true
}

impl QueryRequest {
    pub(crate) fn question(&self, app: &App) -> Question {
        let series = match self.series {
            _ if self.disable_series => SeriesMode::Never,
            None => SeriesMode::IfGranularity,
            Some(true) => SeriesMode::Auto,
            Some(false) => SeriesMode::Never,
        };
        Question { cache: self.cache, series, totals: self.totals, ..Question::plain(app, scope(&self.dataset), self.query.clone()) }
    }
}

#[utoipa::path(
    post, path = "/api/v1/query", operation_id = "query", tag = "questions",
    request_body = QueryRequestSchema,
    responses(
        (status = 200, description = "The answer; with `stream` a line of JSON per message (application/x-ndjson), see docs/asking-questions.md", body = QueryAnswer),
        (status = 400, description = "The question is wrong: what and where is in the message", body = ErrorBody),
        (status = 404, description = "No such dataset", body = ErrorBody),
        (status = 422, description = "The question needs more memory than one question may use", body = ErrorBody),
        (status = 429, description = "Too many questions run; see Retry-After", body = ErrorBody),
    )
)]
pub(crate) async fn query(call: Call, body: Body) -> Answer {
    let request: QueryRequest = body::read_json(&call.app, &call.parts, body).await?;
    call.note("wideye.dataset", request.dataset.as_str());
    if let Ok(text) = serde_json::to_string(&request.query) {
        call.note("wideye.query.spec", text.as_str());
    }
    let run = call.app.runs.begin();
    if request.stream {
        return Ok(stream::answer(&call, run, request));
    }
    let record = std::sync::Arc::clone(&call.record);
    let bytes = ask(&call.app, &run, request.question(&call.app), move |mut answer| {
        answer.meta.elapsed_ms = Some(record.elapsed().as_secs_f64() * 1e3);
        note_meta(&record, &answer.meta);
        answer.to_json().map_err(not_json)
    })
    .await?;
    Ok(bytes_response(StatusCode::OK, "application/json", bytes))
}

/// What an answer tells of itself in the server's own events.
pub(crate) fn note_meta(record: &crate::telemetry::Record, meta: &engine::Meta) {
    record.note("wideye.query.rows_scanned", meta.rows_scanned);
    record.note("wideye.query.rows_matched", meta.rows_matched);
    record.note("wideye.query.segments", meta.segments);
    record.note("wideye.query.engine_ms", meta.engine_ms);
    record.note("wideye.query.coverage", meta.coverage);
}

#[utoipa::path(
    delete, path = "/api/v1/query/{run}", operation_id = "cancelQuery", tag = "questions",
    params(("run" = String, Path, description = "The id from the first message of the stream")),
    responses((status = 204, description = "It ends"), (status = 404, description = "No such run, or it has ended", body = ErrorBody))
)]
pub(crate) async fn cancel(call: Call, _body: Body) -> Answer {
    let id = call.param("run");
    if call.app.runs.cancel(id) {
        Ok(empty(StatusCode::NO_CONTENT))
    } else {
        Err(Failure::not_found(format!("no such run, or it has ended, id='{id}'")))
    }
}
