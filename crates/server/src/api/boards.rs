//! Boards: the same ones as under `/1/boards`.
//!
//! Owns: the native form. Never does: keep boards (`boards`).

use super::schema::ErrorBody;
use crate::body;
use crate::route::{Answer, Call, empty, json};
use axum::body::Body;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;

/// A board.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Board)]
struct BoardBody {
    id: String,
    #[serde(flatten)]
    board: NewBoard,
    links: BoardLinks,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    updated_at: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct BoardLinks {
    board_url: String,
}

/// A board to keep.
#[derive(Debug, Serialize, ToSchema)]
struct NewBoard {
    /// 1 to 255 characters.
    name: String,
    /// At most 1,024 characters.
    description: Option<String>,
    /// `flexible` (default; has panels) or `classic` (has queries and slos, under /1 only).
    #[serde(rename = "type")]
    kind: Option<String>,
    /// `manual` (default) or `auto`.
    layout_generation: Option<String>,
    panels: Option<Vec<BoardPanel>>,
    /// At most 10.
    tags: Option<Vec<BoardTag>>,
    /// At most 5; absent when a board is changed: they stay.
    preset_filters: Option<Vec<BoardPresetFilter>>,
}

#[derive(Debug, Serialize, ToSchema)]
struct BoardTag {
    /// 1 to 32 lower-case letters.
    key: String,
    value: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct BoardPresetFilter {
    column: String,
    /// 1 to 50 characters.
    alias: String,
}

/// One of the three contents, which the type names.
#[derive(Debug, Serialize, ToSchema)]
struct BoardPanel {
    /// `query`, `slo` or `text`.
    #[serde(rename = "type")]
    kind: String,
    position: Option<BoardPosition>,
    query_panel: Option<BoardQueryPanel>,
    slo_panel: Option<BoardSloPanel>,
    text_panel: Option<BoardTextPanel>,
}

#[derive(Debug, Serialize, ToSchema)]
struct BoardPosition {
    x_coordinate: Option<u64>,
    y_coordinate: Option<u64>,
    height: Option<u64>,
    width: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct BoardQueryPanel {
    /// Of a query saved by `/1/queries`.
    query_id: String,
    /// Of its name and description, saved by `/1/query_annotations`.
    query_annotation_id: String,
    /// Of the query; absent: all datasets. Written by the server unless sent.
    dataset: Option<String>,
    /// `graph` (default), `table` or `combo`.
    query_style: Option<String>,
    visualization_settings: Option<BoardVisualization>,
}

#[derive(Debug, Serialize, ToSchema)]
struct BoardVisualization {
    utc_xaxis: Option<bool>,
    hide_markers: Option<bool>,
    hide_hovers: Option<bool>,
    hide_compare: Option<bool>,
    overlaid_charts: Option<bool>,
    charts: Option<Vec<BoardChart>>,
}

#[derive(Debug, Serialize, ToSchema)]
struct BoardChart {
    /// `default`, `line`, `stacked`, `stat`, `tsbar`, `cbar` or `cpie`.
    chart_type: Option<String>,
    /// Which calculation of the query, from 0.
    chart_index: Option<u64>,
    omit_missing_values: Option<bool>,
    log_scale: Option<bool>,
}

#[derive(Debug, Serialize, ToSchema)]
struct BoardSloPanel {
    slo_id: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct BoardTextPanel {
    /// Markdown, at most 10,000 characters.
    content: String,
}

#[utoipa::path(get, path = "/api/v1/boards", operation_id = "listBoards", tag = "boards",
    responses((status = 200, description = "All boards, oldest first", body = Vec<BoardBody>)))]
pub(crate) async fn list(call: Call, _body: Body) -> Answer {
    let (app, url) = (call.app.clone(), call.base_url());
    json(StatusCode::OK, &call.app.blocking(move || app.boards(&url)).await??)
}

#[utoipa::path(post, path = "/api/v1/boards", operation_id = "createBoard", tag = "boards", request_body = NewBoard,
    responses((status = 201, description = "Made", body = BoardBody), (status = 400, description = "Not a board: what is wrong and where is in the details", body = ErrorBody)))]
pub(crate) async fn create(call: Call, body: Body) -> Answer {
    let sent: Json = body::read_json(&call.app, &call.parts, body).await?;
    let (app, url) = (call.app.clone(), call.base_url());
    json(StatusCode::CREATED, &call.app.blocking(move || app.create_board(&sent, &url)).await??)
}

#[utoipa::path(get, path = "/api/v1/boards/{id}", operation_id = "getBoard", tag = "boards",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "The board", body = BoardBody), (status = 404, description = "No such board", body = ErrorBody)))]
pub(crate) async fn get(call: Call, _body: Body) -> Answer {
    let (app, id, url) = (call.app.clone(), call.param("id").to_owned(), call.base_url());
    json(StatusCode::OK, &call.app.blocking(move || app.get_board(&id, &url)).await??)
}

#[utoipa::path(put, path = "/api/v1/boards/{id}", operation_id = "updateBoard", tag = "boards", request_body = NewBoard,
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "As it is now; parts that were not sent are gone, preset filters stay", body = BoardBody), (status = 400, description = "Not a board: what is wrong and where is in the details", body = ErrorBody), (status = 404, description = "No such board", body = ErrorBody)))]
pub(crate) async fn update(call: Call, body: Body) -> Answer {
    let sent: Json = body::read_json(&call.app, &call.parts, body).await?;
    let (app, id, url) = (call.app.clone(), call.param("id").to_owned(), call.base_url());
    json(StatusCode::OK, &call.app.blocking(move || app.update_board(&id, &sent, &url)).await??)
}

#[utoipa::path(delete, path = "/api/v1/boards/{id}", operation_id = "deleteBoard", tag = "boards",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 204, description = "Gone"), (status = 404, description = "No such board", body = ErrorBody)))]
pub(crate) async fn delete(call: Call, _body: Body) -> Answer {
    let (app, id) = (call.app.clone(), call.param("id").to_owned());
    call.app.blocking(move || app.delete_board(&id)).await??;
    Ok(empty(StatusCode::NO_CONTENT))
}
