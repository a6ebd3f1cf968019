//! Saved calculated fields, of one dataset or of all (`__all__`): the same ones as under `/1/derived_columns`.
//!
//! Owns: the native form. Never does: check expressions (`fields`, engine).

use super::schema::{CalculatedFieldBody, CalculatedFieldPatch, ErrorBody, NewCalculatedField};
use crate::ask::ALL;
use crate::body;
use crate::fields::Wanted;
use crate::route::{Answer, Call, empty, json};
use axum::body::Body;
use axum::http::StatusCode;
use serde_json::Value as Json;

#[utoipa::path(get, path = "/api/v1/calculated-fields", operation_id = "listCalculatedFields", tag = "calculated fields",
    params(("dataset" = Option<String>, Query, description = "Name or slug, or `__all__` (default) for those of all datasets together")),
    responses((status = 200, description = "Calculated fields, by name", body = Vec<CalculatedFieldBody>), (status = 404, description = "No such dataset", body = ErrorBody)))]
pub(crate) async fn list(call: Call, _body: Body) -> Answer {
    let dataset = call.query("dataset").unwrap_or_else(|| ALL.to_owned());
    let app = call.app.clone();
    let fields = call.app.blocking(move || app.fields(&dataset)).await??;
    json(StatusCode::OK, &fields.iter().map(|f| f.native()).collect::<Vec<Json>>())
}

#[utoipa::path(post, path = "/api/v1/calculated-fields", operation_id = "createCalculatedField", tag = "calculated fields", request_body = NewCalculatedField,
    responses((status = 201, description = "Made; any question on the dataset may use its name", body = CalculatedFieldBody), (status = 400, description = "The expression is wrong: what and where is in the message", body = ErrorBody), (status = 404, description = "No such dataset", body = ErrorBody), (status = 409, description = "The name is taken", body = ErrorBody)))]
pub(crate) async fn create(call: Call, body: Body) -> Answer {
    let new: NewCalculatedField = body::read_json(&call.app, &call.parts, body).await?;
    let dataset = new.dataset.unwrap_or_else(|| ALL.to_owned());
    let wanted = Wanted { name: Some(new.name), expression: Some(new.expression), description: new.description };
    let app = call.app.clone();
    let field = call.app.blocking(move || app.create_field(&dataset, wanted)).await??;
    json(StatusCode::CREATED, &field.native())
}

#[utoipa::path(get, path = "/api/v1/calculated-fields/{id}", operation_id = "getCalculatedField", tag = "calculated fields",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "The field", body = CalculatedFieldBody), (status = 404, description = "No such field", body = ErrorBody)))]
pub(crate) async fn get(call: Call, _body: Body) -> Answer {
    let (app, id) = (call.app.clone(), call.param("id").to_owned());
    let (field, _) = call.app.blocking(move || app.field_anywhere(&id)).await??;
    json(StatusCode::OK, &field.native())
}

#[utoipa::path(put, path = "/api/v1/calculated-fields/{id}", operation_id = "updateCalculatedField", tag = "calculated fields", request_body = CalculatedFieldPatch,
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "As it is now", body = CalculatedFieldBody), (status = 400, description = "The expression is wrong: what and where is in the message", body = ErrorBody), (status = 404, description = "No such field", body = ErrorBody), (status = 409, description = "The name is taken, or another field uses it", body = ErrorBody)))]
pub(crate) async fn update(call: Call, body: Body) -> Answer {
    let patch: CalculatedFieldPatch = body::read_json(&call.app, &call.parts, body).await?;
    let wanted = Wanted { name: patch.name, expression: patch.expression, description: patch.description };
    let (app, id) = (call.app.clone(), call.param("id").to_owned());
    let updated = move || {
        let (_, dataset) = app.field_anywhere(&id)?;
        app.update_field(&dataset, &id, wanted)
    };
    json(StatusCode::OK, &call.app.blocking(updated).await??.native())
}

#[utoipa::path(delete, path = "/api/v1/calculated-fields/{id}", operation_id = "deleteCalculatedField", tag = "calculated fields",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 204, description = "Gone"), (status = 404, description = "No such field", body = ErrorBody), (status = 409, description = "Another field uses it", body = ErrorBody)))]
pub(crate) async fn delete(call: Call, _body: Body) -> Answer {
    let (app, id) = (call.app.clone(), call.param("id").to_owned());
    let deleted = move || {
        let (_, dataset) = app.field_anywhere(&id)?;
        app.delete_field(&dataset, &id)
    };
    call.app.blocking(deleted).await??;
    Ok(empty(StatusCode::NO_CONTENT))
}
