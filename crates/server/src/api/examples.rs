//! `POST /api/v1/examples`: the slowest traces behind a point or a group of an answer.
//!
//! Owns: the request's form. Never does: look for them (engine).

use super::schema::{ErrorBody, ExamplesAnswer, ExamplesRequestSchema};
use crate::ask::scope;
use crate::body;
use crate::error::Failure;
use crate::route::{Answer, Call, json_by_engine, json_bytes};
use axum::body::Body;
use engine::ExamplesRequest as Request;
use model::columns::DURATION_MS;
use model::query::QuerySpec;
use model::time::rfc3339;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

const EXAMPLES_DEFAULT: usize = 10;

#[derive(Debug, Deserialize)]
pub(crate) struct ExamplesRequest {
    dataset: String,
    #[serde(default)]
    query: QuerySpec,
    #[serde(default)]
    group: Map<String, Json>,
    #[serde(default)]
    column: Option<String>,
    #[serde(default)]
    limit: Option<usize>,
}

#[utoipa::path(
    post, path = "/api/v1/examples", operation_id = "examples", tag = "traces",
    request_body = ExamplesRequestSchema,
    responses(
        (status = 200, description = "Examples, the largest value first, one per trace", body = ExamplesAnswer),
        (status = 400, description = "The question is wrong: what and where is in the message", body = ErrorBody),
        (status = 404, description = "No such dataset", body = ErrorBody),
        (status = 429, description = "Too many questions run; see Retry-After", body = ErrorBody),
    )
)]
pub(crate) async fn examples(call: Call, body: Body) -> Answer {
    let asked: ExamplesRequest = body::read_json(&call.app, &call.parts, body).await?;
    call.note("wideye.dataset", asked.dataset.as_str());
    let most = call.app.settings.limits.examples_max;
    let limit = asked.limit.unwrap_or(EXAMPLES_DEFAULT);
    if !(1..=most).contains(&limit) {
        return Err(Failure::invalid(format!("limit must be between 1 and {most}, not {limit}")));
    }
    let column = asked.column.unwrap_or_else(|| DURATION_MS.to_owned());
    let request = Request { query: asked.query, group: asked.group.into_iter().collect(), column: column.clone(), limit };
    let record = std::sync::Arc::clone(&call.record);
    json_by_engine(&call, move |app, run| {
        let found = app.engine.examples(&scope(&asked.dataset), &request, &run)?;
        let rows: Vec<Json> = found
            .iter()
            .map(|e| {
                json!({
                    "time": rfc3339(e.time), "value": e.value, "trace_id": e.trace_id.to_json(), "span_id": e.span_id.to_json(),
                    "name": e.name.to_json(), "service": e.service.to_json(), "dataset": e.dataset.as_deref(),
                })
            })
            .collect();
        let elapsed_ms = record.elapsed().as_secs_f64() * 1e3;
        json_bytes(&json!({ "column": column, "examples": rows, "meta": { "elapsed_ms": elapsed_ms } }))
    })
    .await
}
