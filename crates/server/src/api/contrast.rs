//! `POST /api/v1/contrast`: what is different about a selection.
//!
//! Owns: the request's form. Never does: compare (engine).

use super::query::note_meta;
use super::schema::{ContrastAnswerSchema, ContrastRequestSchema, ErrorBody};
use super::stream::{PARTIAL_EVERY, WithAnswer, line, respond};
use crate::app::App;
use crate::ask::{on_engine, scope};
use crate::body;
use crate::error::Failure;
use crate::route::{Answer, Call, bytes_response, json_bytes};
use crate::runs::RunHandle;
use crate::telemetry::Record;
use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use engine::{ContrastAnswer, OnContrast};
use model::contrast::{ContrastSpec, Population};
use model::query::QuerySpec;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc::Sender;

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
    #[serde(default)]
    max_conditions: Option<i64>,
    #[serde(default)]
    stream: bool,
}

#[utoipa::path(
    post, path = "/api/v1/contrast", operation_id = "contrast", tag = "questions",
    request_body = ContrastRequestSchema,
    responses(
        (status = 200, description = "Findings, and columns, those that differ most first; with `stream` a line of JSON per message (application/x-ndjson), see docs/contrast.md", body = ContrastAnswerSchema),
        (status = 400, description = "The comparison is wrong: what and where is in the message", body = ErrorBody),
        (status = 404, description = "No such dataset", body = ErrorBody),
        (status = 422, description = "The comparison needs more memory than one question may use", body = ErrorBody),
        (status = 429, description = "Too many questions run; see Retry-After", body = ErrorBody),
    )
)]
pub(crate) async fn contrast(call: Call, body: Body) -> Answer {
    let request: ContrastRequest = body::read_json(&call.app, &call.parts, body).await?;
    call.note("wideye.dataset", request.dataset.as_str());
    let run = call.app.runs.begin();
    let ContrastRequest { dataset, query, selection, baseline, columns, limit, max_conditions, stream } = request;
    let spec = ContrastSpec { query, selection, baseline, columns, limit, max_conditions };
    let (app, record) = (Arc::clone(&call.app), Arc::clone(&call.record));
    if !stream {
        let bytes = compare(&app, &run, dataset, spec, record, None).await?;
        return Ok(bytes_response(StatusCode::OK, "application/json", bytes));
    }
    Ok(respond(&call, Arc::clone(&run.cancel), move |sender| async move {
        let plan = line(&json!({ "type": "plan", "run": run.id, "dataset": dataset }))?;
        if sender.send(plan).await.is_err() {
            return Ok(());
        }
        let last = compare(&app, &run, dataset, spec, record, Some(sender.clone())).await?;
        drop(sender.send(last.into()).await);
        Ok(())
    }))
}

/// Runs a comparison; with somebody who reads on, the best answers so far go there, and the last one is a message, too.
async fn compare(
    app: &Arc<App>,
    run: &RunHandle,
    dataset: String,
    spec: ContrastSpec,
    record: Arc<Record>,
    reader: Option<Sender<Bytes>>,
) -> Result<Vec<u8>, Failure> {
    on_engine(app, run, crate::time::now(), move |app, run| {
        let started = Instant::now();
        let tell = |answer: ContrastAnswer| {
            let message = reader.as_ref().filter(|r| r.capacity() > 0).map(|r| (r, elapsed(answer, &record)));
            if let Some((reader, answer)) = message
                && let Ok(line) = line(&WithAnswer { kind: "partial", answer: &answer })
            {
                // A reader that is behind gets the next one.
                drop(reader.try_send(line));
            }
        };
        let on_partial: Option<OnContrast<'_>> = reader.is_some().then_some((PARTIAL_EVERY, &tell));
        let answered = app.engine.contrast(&scope(&dataset), &spec, &run, on_partial);
        app.metrics.queried(started.elapsed(), &answered, |answer| &answer.meta);
        let answer = elapsed(answered?, &record);
        note_meta(&record, &answer.meta);
        match reader {
            Some(_) => line(&WithAnswer { kind: "final", answer: &answer }).map(Into::into),
            None => json_bytes(&answer),
        }
    })
    .await
}

fn elapsed(mut answer: ContrastAnswer, record: &Record) -> ContrastAnswer {
    answer.meta.elapsed_ms = Some(record.elapsed().as_secs_f64() * 1e3);
    answer
}
