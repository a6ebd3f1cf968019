//! Keys: list, make, delete.
//!
//! Owns: their JSON. Never does: tell a secret twice.

use super::schema::{ErrorBody, KeyBody, NewKey, NewKeyBody};
use crate::auth::{Key, Scope, create_key, delete_key, list_keys};
use crate::body;
use crate::error::Failure;
use crate::route::{Answer, Call, empty, json};
use axum::body::Body;
use axum::http::StatusCode;

fn key_body(key: Key) -> KeyBody {
    KeyBody { id: key.id, name: key.name, scopes: key.scopes.iter().map(|s| s.name().to_owned()).collect(), created_at: key.created_at }
}

#[utoipa::path(get, path = "/api/v1/keys", operation_id = "listKeys", tag = "keys",
    responses((status = 200, description = "All keys, without their secrets", body = Vec<KeyBody>)))]
pub(crate) async fn list(call: Call, _body: Body) -> Answer {
    let app = call.app.clone();
    let keys = call.app.blocking(move || list_keys(&app.store)).await??;
    let keys: Vec<KeyBody> = keys.into_iter().map(key_body).collect();
    json(StatusCode::OK, &keys)
}

#[utoipa::path(post, path = "/api/v1/keys", operation_id = "createKey", tag = "keys", request_body = NewKey,
    responses((status = 201, description = "Made; the secret is told this once", body = NewKeyBody), (status = 400, description = "Unknown scope", body = ErrorBody)))]
pub(crate) async fn create(call: Call, body: Body) -> Answer {
    let new: NewKey = body::read_json(&call.app, &call.parts, body).await?;
    let scopes: Option<Vec<Scope>> = new.scopes.iter().map(|s| Scope::parse(s)).collect();
    let Some(scopes) = scopes.filter(|s| !s.is_empty()) else {
        return Err(Failure::invalid("scopes is a list of ingest, query, manage"));
    };
    let app = call.app.clone();
    let made = move || {
        let made = create_key(&app.store, &new.name.unwrap_or_default(), &scopes, crate::time::now())?;
        app.door.reload(&app.store)?;
        Ok::<_, Failure>(made)
    };
    let (key, secret) = call.app.blocking(made).await??;
    json(StatusCode::CREATED, &NewKeyBody { key: secret, id: key.id.clone(), scopes: key_body(key).scopes })
}

#[utoipa::path(delete, path = "/api/v1/keys/{id}", operation_id = "deleteKey", tag = "keys",
    params(("id" = String, Path, description = "Its id, the part between the underscores")),
    responses((status = 204, description = "It opens nothing any more"), (status = 404, description = "No such key", body = ErrorBody)))]
pub(crate) async fn delete(call: Call, _body: Body) -> Answer {
    let (app, id) = (call.app.clone(), call.param("id").to_owned());
    let deleted = move || {
        let deleted = delete_key(&app.store, &id)?;
        app.door.reload(&app.store)?;
        Ok::<_, Failure>(deleted)
    };
    if call.app.blocking(deleted).await?? { Ok(empty(StatusCode::NO_CONTENT)) } else { Err(Failure::not_found("no such key")) }
}
