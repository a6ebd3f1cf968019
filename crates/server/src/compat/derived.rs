//! `/1/derived_columns`: saved calculated fields under Honeycomb's name for them.
//!
//! Owns: its forms. Never does: check expressions (`fields`, engine).

use super::queries::validation;
use crate::body;
use crate::error::Failure;
use crate::fields::Wanted;
use crate::route::{Answer, Call, empty, json};
use axum::body::Body;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value as Json;

#[derive(Debug, Deserialize)]
struct Sent {
    alias: Option<String>,
    expression: Option<String>,
    description: Option<String>,
}

impl From<Sent> for Wanted {
    fn from(sent: Sent) -> Wanted {
        Wanted { name: sent.alias, expression: sent.expression, description: sent.description }
    }
}

pub(crate) async fn list(call: Call, _body: Body) -> Answer {
    let (app, dataset, alias) = (call.app.clone(), call.param("dataset").to_owned(), call.query("alias"));
    let fields = call.app.blocking(move || app.fields(&dataset)).await??;
    match alias {
        None => json(StatusCode::OK, &fields.iter().map(|f| f.derived_column()).collect::<Vec<Json>>()),
        Some(alias) => match fields.iter().find(|f| f.name == alias) {
            Some(field) => json(StatusCode::OK, &field.derived_column()),
            None => Err(Failure::not_found(format!("no such derived column, alias='{alias}'"))),
        },
    }
}

pub(crate) async fn get(call: Call, _body: Body) -> Answer {
    let (app, dataset, id) = (call.app.clone(), call.param("dataset").to_owned(), call.param("id").to_owned());
    let field = call.app.blocking(move || app.field(&dataset, &id)).await??;
    json(StatusCode::OK, &field.derived_column())
}

pub(crate) async fn create(call: Call, body: Body) -> Answer {
    let sent: Sent = body::read_json(&call.app, &call.parts, body).await?;
    let (app, dataset) = (call.app.clone(), call.param("dataset").to_owned());
    let field = call.app.blocking(move || app.create_field(&dataset, sent.into())).await?.map_err(validation)?;
    json(StatusCode::CREATED, &field.derived_column())
}

pub(crate) async fn update(call: Call, body: Body) -> Answer {
    let sent: Sent = body::read_json(&call.app, &call.parts, body).await?;
    let (app, dataset, id) = (call.app.clone(), call.param("dataset").to_owned(), call.param("id").to_owned());
    let field = call.app.blocking(move || app.update_field(&dataset, &id, sent.into())).await?.map_err(validation)?;
    json(StatusCode::OK, &field.derived_column())
}

pub(crate) async fn delete(call: Call, _body: Body) -> Answer {
    let (app, dataset, id) = (call.app.clone(), call.param("dataset").to_owned(), call.param("id").to_owned());
    call.app.blocking(move || app.delete_field(&dataset, &id)).await??;
    Ok(empty(StatusCode::NO_CONTENT))
}
