//! `/1/columns`: columns as Honeycomb lists them, with descriptions that people gave.
//!
//! Owns: their ids and types, and the documents with descriptions. Never does: hide a column from questions.

use crate::app::App;
use crate::body;
use crate::compat::documents::home;
use crate::error::Failure;
use crate::ids;
use crate::route::{Answer, Call, empty, json};
use axum::body::Body;
use axum::http::StatusCode;
use model::ErrorKind;
use model::time::rfc3339;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use store::{ColumnInfo, Document};

const KIND: &str = "column";
const TYPES: [&str; 4] = ["string", "integer", "float", "boolean"];

#[derive(Debug, Deserialize)]
struct Edit {
    key_name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    description: Option<String>,
    hidden: Option<bool>,
}

/// One type for all that a column holds: the narrowest that can say it.
fn type_of(column: &ColumnInfo) -> &'static str {
    let mut names = column.kinds.iter().map(|(kind, _)| kind.type_name());
    let Some(first) = names.next() else { return "string" };
    names.fold(first, |all, next| match (all, next) {
        (a, b) if a == b => a,
        ("integer" | "float", "integer" | "float") => "float",
        _ => "string",
    })
}

/// All columns of a dataset: those with events and those that were only described.
fn all(app: &App, dataset: &str) -> Result<BTreeMap<String, Json>, Failure> {
    let home = home(app, dataset)?;
    let mut described: BTreeMap<String, Document> = BTreeMap::new();
    for d in app.store.documents(KIND, &home)? {
        described.insert(d.body["key_name"].as_str().unwrap_or_default().to_owned(), d);
    }
    let mut columns = BTreeMap::new();
    for c in app.store.columns(&super::scope(app, dataset))? {
        let about = described.remove(&c.name);
        columns.insert(c.name.clone(), column_json(&c.name, type_of(&c), Some(&c), about.as_ref()));
    }
    for (name, about) in described {
        let kind = about.body["type"].as_str().unwrap_or("string").to_owned();
        columns.insert(name.clone(), column_json(&name, &kind, None, Some(&about)));
    }
    Ok(columns)
}

fn column_json(name: &str, kind: &str, stored: Option<&ColumnInfo>, about: Option<&Document>) -> Json {
    let text = |field: &str| about.and_then(|d| d.body[field].as_str()).map(str::to_owned);
    let created = stored.map(|c| rfc3339(c.first_seen)).or_else(|| text("created_at"));
    json!({
        "id": ids::of(name.as_bytes()),
        "key_name": name,
        "type": kind,
        "description": text("description").unwrap_or_default(),
        "hidden": about.is_some_and(|d| d.body["hidden"] == Json::Bool(true)),
        "last_written": stored.map(|c| rfc3339(c.last_seen)),
        "created_at": created,
        "updated_at": about.map(|d| rfc3339(d.updated_at)).or(created.clone()),
    })
}

async fn load(call: &Call) -> Result<BTreeMap<String, Json>, Failure> {
    let (app, dataset) = (call.app.clone(), call.param("dataset").to_owned());
    call.app.blocking(move || all(&app, &dataset)).await?
}

fn by_id<'a>(columns: &'a BTreeMap<String, Json>, id: &str) -> Result<&'a Json, Failure> {
    columns.values().find(|c| c["id"] == id).ok_or_else(|| Failure::not_found(format!("no such column, id='{id}'")))
}

pub(crate) async fn list(call: Call, _body: Body) -> Answer {
    let columns = load(&call).await?;
    match call.query("key_name") {
        None => json(StatusCode::OK, &columns.values().collect::<Vec<_>>()),
        Some(name) => match columns.get(&name) {
            Some(column) => json(StatusCode::OK, column),
            None => Err(Failure::not_found(format!("no such column, key_name='{name}'"))),
        },
    }
}

pub(crate) async fn get(call: Call, _body: Body) -> Answer {
    json(StatusCode::OK, by_id(&load(&call).await?, call.param("id"))?)
}

pub(crate) async fn create(call: Call, body: Body) -> Answer {
    let edit: Edit = body::read_json(&call.app, &call.parts, body).await?;
    let columns = load(&call).await?;
    let name = edit.key_name.clone().unwrap_or_default();
    if name.is_empty() || name.len() > call.app.settings.limits.column_name_bytes_max {
        return Err(Failure::invalid("key_name is missing or too long"));
    }
    if columns.contains_key(&name) {
        return Err(Failure::new(ErrorKind::Conflict, format!("there is a column of this name, key_name='{name}'")));
    }
    put(&call, &name, edit, &Json::Null).await?;
    let columns = load(&call).await?;
    json(StatusCode::CREATED, by_id(&columns, &ids::of(name.as_bytes()))?)
}

pub(crate) async fn update(call: Call, body: Body) -> Answer {
    let edit: Edit = body::read_json(&call.app, &call.parts, body).await?;
    let columns = load(&call).await?;
    let before = by_id(&columns, call.param("id"))?;
    let name = before["key_name"].as_str().unwrap_or_default().to_owned();
    put(&call, &name, edit, before).await?;
    json(StatusCode::OK, by_id(&load(&call).await?, call.param("id"))?)
}

async fn put(call: &Call, name: &str, edit: Edit, before: &Json) -> Result<(), Failure> {
    let kind = edit.kind.or_else(|| before["type"].as_str().map(str::to_owned)).unwrap_or_else(|| "string".into());
    if !TYPES.contains(&kind.as_str()) {
        return Err(Failure::invalid(format!("type is one of string, integer, float, boolean, not '{kind}'")));
    }
    let body = json!({
        "key_name": name,
        "type": kind,
        "description": edit.description.or_else(|| before["description"].as_str().map(str::to_owned)).unwrap_or_default(),
        "hidden": edit.hidden.unwrap_or(before["hidden"] == Json::Bool(true)),
        "created_at": before["created_at"].as_str().map_or_else(|| rfc3339(crate::time::now()), str::to_owned),
    });
    let home = home(&call.app, call.param("dataset"))?;
    let (app, id) = (call.app.clone(), ids::of(name.as_bytes()));
    Ok(call.app.blocking(move || app.store.put_document(KIND, &home, &id, &body)).await??)
}

/// A column with events stays as long as they do.
pub(crate) async fn delete(call: Call, _body: Body) -> Answer {
    let columns = load(&call).await?;
    let column = by_id(&columns, call.param("id"))?;
    if !column["last_written"].is_null() {
        return Err(Failure::new(ErrorKind::Conflict, "events have this column; it goes when they go. Hide it instead"));
    }
    let home = home(&call.app, call.param("dataset"))?;
    let (app, id) = (call.app.clone(), call.param("id").to_owned());
    call.app.blocking(move || app.store.delete_document(KIND, &home, &id)).await??;
    Ok(empty(StatusCode::NO_CONTENT))
}
