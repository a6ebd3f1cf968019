//! `/1/boards` and their views.
//!
//! Owns: Honeycomb's statuses. Never does: keep boards (`boards`).

use super::queries::validation;
use crate::app::App;
use crate::body;
use crate::error::Failure;
use crate::route::{Answer, Call, empty, json};
use axum::body::Body;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value as Json;
use std::sync::Arc;

/// What a route does with boards, off the threads that answer.
async fn answer<T: Serialize + Send + 'static>(
    call: &Call,
    status: StatusCode,
    work: impl FnOnce(&App) -> Result<T, Failure> + Send + 'static,
) -> Answer {
    let app = Arc::clone(&call.app);
    let done = call.app.blocking(move || work(&app)).await?.map_err(validation)?;
    if status == StatusCode::NO_CONTENT { Ok(empty(status)) } else { json(status, &done) }
}

pub(crate) async fn list(call: Call, _body: Body) -> Answer {
    let url = call.base_url();
    answer(&call, StatusCode::OK, move |app| app.boards(&url)).await
}

pub(crate) async fn get(call: Call, _body: Body) -> Answer {
    let (id, url) = (call.param("id").to_owned(), call.base_url());
    answer(&call, StatusCode::OK, move |app| app.get_board(&id, &url)).await
}

pub(crate) async fn create(call: Call, body: Body) -> Answer {
    let (sent, url): (Json, _) = (body::read_json(&call.app, &call.parts, body).await?, call.base_url());
    answer(&call, StatusCode::CREATED, move |app| app.create_board(&sent, &url)).await
}

pub(crate) async fn update(call: Call, body: Body) -> Answer {
    let (sent, url): (Json, _) = (body::read_json(&call.app, &call.parts, body).await?, call.base_url());
    let id = call.param("id").to_owned();
    answer(&call, StatusCode::OK, move |app| app.update_board(&id, &sent, &url)).await
}

pub(crate) async fn delete(call: Call, _body: Body) -> Answer {
    let id = call.param("id").to_owned();
    answer(&call, StatusCode::NO_CONTENT, move |app| app.delete_board(&id)).await
}

pub(crate) async fn list_views(call: Call, _body: Body) -> Answer {
    let board = call.param("id").to_owned();
    answer(&call, StatusCode::OK, move |app| app.board_views(&board)).await
}

pub(crate) async fn get_view(call: Call, _body: Body) -> Answer {
    let (board, id) = (call.param("id").to_owned(), call.param("view").to_owned());
    answer(&call, StatusCode::OK, move |app| app.board_view(&board, &id)).await
}

pub(crate) async fn create_view(call: Call, body: Body) -> Answer {
    let sent: Json = body::read_json(&call.app, &call.parts, body).await?;
    let board = call.param("id").to_owned();
    answer(&call, StatusCode::CREATED, move |app| app.create_board_view(&board, &sent)).await
}

pub(crate) async fn update_view(call: Call, body: Body) -> Answer {
    let sent: Json = body::read_json(&call.app, &call.parts, body).await?;
    let (board, id) = (call.param("id").to_owned(), call.param("view").to_owned());
    answer(&call, StatusCode::OK, move |app| app.update_board_view(&board, &id, &sent)).await
}

pub(crate) async fn delete_view(call: Call, _body: Body) -> Answer {
    let (board, id) = (call.param("id").to_owned(), call.param("view").to_owned());
    answer(&call, StatusCode::NO_CONTENT, move |app| app.delete_board_view(&board, &id)).await
}
