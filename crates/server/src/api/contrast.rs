//! `POST /api/v1/contrast`: what is different about a selection.
//!
//! Owns: the request's form. Never does: compare (engine).

use super::query::{not_json, note_meta};
use super::schema::{ContrastAnswerSchema, ContrastRequestSchema, ErrorBody};
use crate::ask::{on_engine, scope};
use crate::body;
use crate::metrics::QueryEnd;
use crate::route::{Answer, Call, bytes_response};
use axum::body::Body;
use axum::http::StatusCode;
use model::ErrorKind;
use model::contrast::{ContrastSpec, Population};
use model::query::QuerySpec;
use serde::Deserialize;
use serde_json::Value as Json;
use std::time::Instant;

#[derive(Debug, Deserialize)]
pub(crate) struct ContrastRequest {
    dataset: String,
    #[serde(default)]
    query: QuerySpec,
    selection: Population,
    #[serde(default)]
    baseline: Option<Json>,
    #[serde(default)]
    columns: Option<Vec<String>>,
    #[serde(default)]
    limit: Option<i64>,
}

#[utoipa::path(
    post, path = "/api/v1/contrast", operation_id = "contrast", tag = "questions",
    request_body = ContrastRequestSchema,
    responses(
        (status = 200, description = "Columns, those that differ most first", body = ContrastAnswerSchema),
        (status = 400, description = "The comparison is wrong: what and where is in the message", body = ErrorBody),
        (status = 404, description = "No such dataset", body = ErrorBody),
        (status = 429, description = "Too many questions run; see Retry-After", body = ErrorBody),
    )
)]
pub(crate) async fn contrast(call: Call, body: Body) -> Answer {
    let request: ContrastRequest = body::read_json(&call.app, &call.parts, body).await?;
    call.note("wideye.dataset", request.dataset.as_str());
    let run = call.app.runs.begin();
    let record = std::sync::Arc::clone(&call.record);
    let ContrastRequest { dataset, query, selection, baseline, columns, limit } = request;
    let spec = ContrastSpec { query, selection, baseline, columns, limit };
    let bytes = on_engine(&call.app, &run, crate::time::now(), move |app, run| {
        let started = Instant::now();
        match app.engine.contrast(&scope(&dataset), &spec, &run) {
            Ok(mut answer) => {
                app.metrics.queried(QueryEnd::Answered, started.elapsed().as_secs_f64(), answer.meta.rows_scanned);
                answer.meta.elapsed_ms = Some(record.elapsed().as_secs_f64() * 1e3);
                note_meta(&record, &answer.meta);
                serde_json::to_vec(&answer).map_err(not_json)
            }
            Err(e) => {
                let end = if e.kind() == ErrorKind::Cancelled { QueryEnd::Cancelled } else { QueryEnd::Failed };
                app.metrics.queried(end, started.elapsed().as_secs_f64(), 0);
                Err(e.into())
            }
        }
    })
    .await?;
    Ok(bytes_response(StatusCode::OK, "application/json", bytes))
}
