//! Datasets, their columns, and values to complete what is being typed.
//!
//! Owns: their JSON. Never does: change data but by retention and deletion.

use super::schema::{ColumnBody, ColumnKindCount, DatasetBody, DatasetPatch, ErrorBody, NewDataset, RetentionBody, ValueBody};
use crate::app::App;
use crate::ask::{ALL, on_engine, scope};
use crate::body;
use crate::error::Failure;
use crate::fields::Field;
use crate::route::{Answer, Call, empty, json};
use axum::body::Body;
use axum::http::StatusCode;
use model::time::rfc3339;
use model::{NS_PER_SECOND, TimeNs};
use store::{ColumnInfo, DatasetInfo, DatasetUpdate, Retention};

const VALUES_DEFAULT: usize = 50;
const VALUES_MAX: usize = 1_000;
const HOUR_NS: i64 = 3_600 * NS_PER_SECOND;

pub(crate) fn dataset_body(d: DatasetInfo) -> DatasetBody {
    DatasetBody {
        name: d.name,
        slug: d.slug,
        description: d.description,
        expand_json_depth: d.expand_json_depth,
        retention: RetentionBody { age_seconds: d.retention.age_seconds, bytes: d.retention.bytes },
        created_at: rfc3339(d.created_at),
        last_written_at: d.last_written_at.map(rfc3339),
        n_rows: d.n_rows,
        bytes: d.bytes,
        n_columns: d.n_columns as u64,
        overflow_events: d.overflow_events,
        n_segments: d.n_segments as u64,
    }
}

pub(crate) fn find(app: &App, name: &str) -> Result<DatasetInfo, Failure> {
    app.store.dataset(name).ok_or_else(|| Failure::not_found(format!("no such dataset, name='{name}'")))
}

#[utoipa::path(get, path = "/api/v1/datasets", operation_id = "listDatasets", tag = "datasets",
    responses((status = 200, description = "All datasets, by name", body = Vec<DatasetBody>)))]
pub(crate) async fn list(call: Call, _body: Body) -> Answer {
    let all: Vec<DatasetBody> = call.app.store.datasets().into_iter().map(dataset_body).collect();
    json(StatusCode::OK, &all)
}

#[utoipa::path(post, path = "/api/v1/datasets", operation_id = "createDataset", tag = "datasets", request_body = NewDataset,
    responses((status = 201, description = "Made", body = DatasetBody), (status = 200, description = "There is one of this name", body = DatasetBody), (status = 400, description = "Not a name", body = ErrorBody)))]
pub(crate) async fn create(call: Call, body: Body) -> Answer {
    let new: NewDataset = body::read_json(&call.app, &call.parts, body).await?;
    let app = call.app;
    let (dataset, is_new) = app.clone().blocking(move || app.store.create_dataset(&new.name)).await??;
    json(if is_new { StatusCode::CREATED } else { StatusCode::OK }, &dataset_body(dataset))
}

#[utoipa::path(get, path = "/api/v1/datasets/{dataset}", operation_id = "getDataset", tag = "datasets",
    params(("dataset" = String, Path, description = "Name or slug")),
    responses((status = 200, description = "The dataset", body = DatasetBody), (status = 404, description = "No such dataset", body = ErrorBody)))]
pub(crate) async fn get(call: Call, _body: Body) -> Answer {
    json(StatusCode::OK, &dataset_body(find(&call.app, call.param("dataset"))?))
}

#[utoipa::path(patch, path = "/api/v1/datasets/{dataset}", operation_id = "updateDataset", tag = "datasets", request_body = DatasetPatch,
    params(("dataset" = String, Path, description = "Name or slug")),
    responses((status = 200, description = "As it is now", body = DatasetBody), (status = 400, description = "Not possible", body = ErrorBody), (status = 404, description = "No such dataset", body = ErrorBody)))]
pub(crate) async fn update(call: Call, body: Body) -> Answer {
    let patch: DatasetPatch = body::read_json(&call.app, &call.parts, body).await?;
    if patch.expand_json_depth.is_some_and(|d| d > 10) {
        return Err(Failure::invalid("expand_json_depth is 0 to 10"));
    }
    let update = DatasetUpdate {
        description: patch.description,
        expand_json_depth: patch.expand_json_depth,
        retention: patch.retention.map(|r| Retention { age_seconds: r.age_seconds, bytes: r.bytes }),
    };
    let (app, slug) = (call.app.clone(), find(&call.app, call.param("dataset"))?.slug);
    let dataset = call.app.blocking(move || app.update_dataset(&slug, update)).await??;
    json(StatusCode::OK, &dataset_body(dataset))
}

#[utoipa::path(delete, path = "/api/v1/datasets/{dataset}", operation_id = "deleteDataset", tag = "datasets",
    params(("dataset" = String, Path, description = "Name or slug")),
    responses((status = 204, description = "It is gone with all its events and documents"), (status = 404, description = "No such dataset", body = ErrorBody), (status = 409, description = "It is protected", body = ErrorBody)))]
pub(crate) async fn delete(call: Call, _body: Body) -> Answer {
    let (app, dataset) = (call.app.clone(), find(&call.app, call.param("dataset"))?);
    call.app.blocking(move || app.delete_dataset(&dataset)).await??;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// A column's cells by the types that users see: ids are strings.
fn column_body(c: ColumnInfo) -> ColumnBody {
    let mut kinds: Vec<ColumnKindCount> = Vec::new();
    for (kind, count) in c.kinds {
        match kinds.iter_mut().find(|k| k.kind == kind.type_name()) {
            Some(known) => known.count += count,
            None => kinds.push(ColumnKindCount { kind: kind.type_name().to_owned(), count }),
        }
    }
    kinds.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.kind.cmp(&b.kind)));
    ColumnBody {
        name: c.name,
        kind: kinds.first().map(|k| k.kind.clone()).unwrap_or_default(),
        count: kinds.iter().map(|k| k.count).sum(),
        kinds,
        first_seen: rfc3339(c.first_seen),
        last_seen: rfc3339(c.last_seen),
        calculated: None,
    }
}

#[utoipa::path(get, path = "/api/v1/datasets/{dataset}/columns", operation_id = "listColumns", tag = "datasets",
    params(("dataset" = String, Path, description = "Name or slug, or `__all__`")),
    responses((status = 200, description = "Columns, by name", body = Vec<ColumnBody>), (status = 404, description = "No such dataset", body = ErrorBody)))]
pub(crate) async fn columns(call: Call, _body: Body) -> Answer {
    let (app, scope) = (call.app.clone(), scope(call.param("dataset")));
    let dataset = call.param("dataset").to_owned();
    let listed = move || {
        let mut columns: Vec<ColumnBody> = app.store.columns(&scope)?.into_iter().map(column_body).collect();
        // Fields of the dataset, then those of all that it has none of its own for.
        let own = app.fields(&dataset)?;
        let of_all = if dataset == ALL { Vec::new() } else { app.fields(ALL)? };
        let of_all: Vec<Field> = of_all.into_iter().filter(|f| own.iter().all(|o| o.name != f.name)).collect();
        for f in own.into_iter().chain(of_all) {
            columns.retain(|c| c.name != f.name);
            columns.push(ColumnBody {
                name: f.name,
                kind: "calculated".to_owned(),
                count: 0,
                kinds: Vec::new(),
                first_seen: f.created_at,
                last_seen: f.updated_at,
                calculated: Some(f.expression),
            });
        }
        columns.sort_by(|a, b| a.name.cmp(&b.name));
        Ok::<_, Failure>(columns)
    };
    json(StatusCode::OK, &call.app.blocking(listed).await??)
}

#[utoipa::path(get, path = "/api/v1/datasets/{dataset}/values", operation_id = "listValues", tag = "datasets",
    params(
        ("dataset" = String, Path, description = "Name or slug, or `__all__`"),
        ("column" = String, Query, description = "Column"),
        ("prefix" = Option<String>, Query, description = "What the values begin with"),
        ("limit" = Option<usize>, Query, description = "At most so many (default 50, at most 1000)"),
        ("start_time" = Option<f64>, Query, description = "Unix seconds; default: a day before the end"),
        ("end_time" = Option<f64>, Query, description = "Unix seconds; default: now"),
    ),
    responses((status = 200, description = "Values with about how many events have them, most frequent first", body = Vec<ValueBody>), (status = 400, description = "Unknown column", body = ErrorBody)))]
pub(crate) async fn values(call: Call, _body: Body) -> Answer {
    let Some(column) = call.query("column").filter(|c| !c.is_empty()) else {
        return Err(Failure::invalid("name the column: ?column=…&prefix=…"));
    };
    let prefix = call.query("prefix").unwrap_or_default();
    let limit = call.query_number::<usize>("limit")?.unwrap_or(VALUES_DEFAULT).clamp(1, VALUES_MAX);
    let now = crate::time::now();
    let nanoseconds = |seconds: f64| (seconds * 1e9) as TimeNs;
    // Clocks of senders may be ahead.
    let end = call.query_number("end_time")?.map_or(now + HOUR_NS, nanoseconds);
    let start = call.query_number("start_time")?.map_or(end - 24 * HOUR_NS, nanoseconds);
    let scope = scope(call.param("dataset"));
    let run = call.app.runs.begin();
    let values = on_engine(&call.app, &run, now, move |app, _run| {
        let found = app.engine.values(&scope, &column, &prefix, limit, (start, end))?;
        Ok(found.into_iter().map(|(value, count)| ValueBody { value: value.to_json(), count }).collect::<Vec<_>>())
    })
    .await?;
    json(StatusCode::OK, &values)
}
