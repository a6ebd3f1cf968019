//! `/1/query_results`: a question is run in the background; its answer is polled.
//!
//! Owns: the documents from which an answer is computed again after a restart or when it had to make room. Never does: answer
//! questions (engine).

use crate::app::App;
use crate::ask::{Question, ask};
use crate::body;
use crate::compat::documents::home;
use crate::compat::kept::{Kept, State, finished, located, soon};
use crate::compat::queries::{self, validation};
use crate::compat::rows;
use crate::error::Failure;
use crate::ids;
use crate::route::{Answer, Call, bytes_response, not_json};
use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use engine::SeriesMode;
use model::TimeNs;
use model::time::rfc3339;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;
use tokio::sync::watch::Receiver;

const KIND: &str = "query_result";

#[derive(Debug, Deserialize)]
struct Request {
    query_id: String,
    #[serde(default)]
    disable_series: bool,
    #[serde(default = "yes")]
    disable_total_by_aggregate: bool,
    #[serde(default = "yes")]
    disable_other_by_aggregate: bool,
    limit: Option<i64>,
}

fn yes() -> bool {
    true
}

/// What a result is computed from, kept in the catalog.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Order {
    query_id: String,
    query: Map<String, Json>,
    disable_series: bool,
    total: bool,
    other: bool,
    limit: Option<i64>,
    /// The present of the run: a relative range means the same when it is computed again.
    now_ns: TimeNs,
}

/// A finished answer, in the parts that an answer to a poll is put together from.
#[derive(Debug)]
pub(crate) struct Done {
    results: Bytes,
    series: Bytes,
    /// `"total_by_aggregate":…` and its kin, each with a comma before it.
    more: Bytes,
    finished_at: TimeNs,
}

impl Done {
    fn bytes(&self) -> usize {
        self.results.len() + self.series.len() + self.more.len()
    }
}

/// Results under way and in memory.
pub(crate) type Results = Kept<Done>;

/// Starts a run unless there is one.
fn start(app: &Arc<App>, dataset: &str, id: &str, order: Order) -> Receiver<State<Done>> {
    let (with, dataset) = (Arc::clone(app), dataset.to_owned());
    Kept::start(app, |app| &app.results, id, Done::bytes, || async move { compute(&with, &dataset, order).await })
}

async fn compute(app: &Arc<App>, dataset: &str, order: Order) -> Result<Done, Failure> {
    let mut spec = queries::parse(&order.query)?;
    if let (true, Some(limit)) = (order.disable_series, order.limit) {
        spec.limit = Some(limit);
    }
    let run = app.runs.begin();
    let question = Question {
        now: order.now_ns,
        series: if order.disable_series { SeriesMode::Never } else { SeriesMode::Auto },
        totals: order.total || order.other,
        ..Question::plain(app, super::scope(app, dataset), spec)
    };
    ask(app, &run, question, move |answer| {
        let mut more = String::new();
        let mut part = |name: &str, value: Result<String, serde_json::Error>| -> Result<(), Failure> {
            more.push_str(&format!(",\"{name}\":{}", value.map_err(not_json)?));
            Ok(())
        };
        if let (true, Some(cells)) = (order.total, &answer.totals) {
            part("total_by_aggregate", rows::row(answer.row(cells)))?;
            if !order.disable_series {
                part("total_by_aggregate_series", rows::series(answer.total_series_rows()))?;
            }
        }
        if let (true, Some(cells)) = (order.other, &answer.other) {
            part("other_by_aggregate", rows::row(answer.row(cells)))?;
        }
        let results = match &answer.raw {
            Some(events) => serde_json::to_string(events),
            None => rows::rows(answer.result_rows()),
        };
        let series = if order.disable_series { Ok("[]".to_owned()) } else { rows::series(answer.series_rows()) };
        Ok(Done {
            results: results.map_err(not_json)?.into(),
            series: series.map_err(not_json)?.into(),
            more: more.into(),
            finished_at: crate::time::now(),
        })
    })
    .await
}

pub(crate) async fn create(call: Call, body: Body) -> Answer {
    let home = home(&call.app, call.param("dataset"))?;
    let request: Request = body::read_json(&call.app, &call.parts, body).await.map_err(validation)?;
    let dataset = call.param("dataset").to_owned();
    let id = ids::random();
    let (app, result, on) = (call.app.clone(), id.clone(), dataset.clone());
    let order = call
        .app
        .blocking(move || {
            let query = queries::load(&app, &home, &request.query_id)?;
            let order = Order {
                query_id: request.query_id,
                query,
                disable_series: request.disable_series,
                total: !request.disable_total_by_aggregate,
                other: !request.disable_other_by_aggregate,
                limit: request.limit,
                now_ns: crate::time::now(),
            };
            let mut spec = queries::parse(&order.query)?;
            if request.limit.is_some() && order.disable_series {
                spec.limit = request.limit;
            }
            app.check(&super::scope(&app, &on), &spec).map_err(validation)?;
            let document = serde_json::to_value(&order).map_err(not_json)?;
            app.store.put_document(KIND, &home, &result, &document)?;
            app.results.created(&app, KIND)?;
            Ok::<_, Failure>(order)
        })
        .await??;
    let reply = envelope(&call, &dataset, &id, &order, None);
    start(&call.app, &dataset, &id, order);
    // As the client wrote the dataset, escapes and all.
    let location = format!("{}/{id}", call.parts.uri.path().trim_end_matches('/'));
    Ok(located(bytes_response(StatusCode::CREATED, "application/json", reply), &location))
}

pub(crate) async fn get(call: Call, _body: Body) -> Answer {
    let home = home(&call.app, call.param("dataset"))?;
    let (dataset, id) = (call.param("dataset").to_owned(), call.param("id").to_owned());
    let (app, result) = (call.app.clone(), id.clone());
    let stored = call.app.blocking(move || app.store.document(KIND, &home, &result)).await??;
    let Some(document) = stored else { return Err(Failure::not_found(format!("no such query result, id='{id}'"))) };
    let order: Order = serde_json::from_value(document.body).map_err(not_json)?;
    let state = soon(start(&call.app, &dataset, &id, order.clone())).await;
    let Some(done) = state else {
        return Ok(bytes_response(StatusCode::OK, "application/json", envelope(&call, &dataset, &id, &order, None)));
    };
    let done = done.map_err(validation)?;
    let answer = bytes_response(StatusCode::OK, "application/json", envelope(&call, &dataset, &id, &order, Some(&done)));
    Ok(finished(answer, done.finished_at))
}

/// The reply, put together from its parts.
fn envelope(call: &Call, dataset: &str, id: &str, order: &Order, done: Option<&Done>) -> Vec<u8> {
    let url = format!("{}/{dataset}/result/{id}", call.base_url());
    let head = json!({
        "id": id,
        "complete": done.is_some(),
        "query": queries::with_id(&order.query_id, &order.query),
        "links": { "query_url": url, "graph_image_url": format!("{url}/snapshot") },
        "created_at": rfc3339(order.now_ns),
    });
    let mut text = head.to_string().into_bytes();
    let Some(done) = done else { return text };
    text.pop();
    let with_series = !order.disable_series && call.query_flag("include_series", true);
    text.extend_from_slice(b",\"data\":{\"series\":");
    text.extend_from_slice(if with_series { &done.series } else { b"[]" });
    text.extend_from_slice(b",\"results\":");
    text.extend_from_slice(&done.results);
    text.extend_from_slice(&done.more);
    text.extend_from_slice(b"}}");
    text
}
