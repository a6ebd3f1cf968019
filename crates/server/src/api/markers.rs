//! Markers of a dataset, or of all (`__all__`): the same ones as under `/1/markers`.
//!
//! Owns: nothing of its own but the routes. Never does: differ from `/1/markers`.

use super::schema::{ErrorBody, MarkerBody, NewMarker};
use crate::compat::documents::{self, MARKER};
use crate::route::{Answer, Call};
use axum::body::Body;
use axum::http::StatusCode;

#[utoipa::path(get, path = "/api/v1/datasets/{dataset}/markers", operation_id = "listMarkers", tag = "markers",
    params(("dataset" = String, Path, description = "Name or slug, or `__all__`")),
    responses((status = 200, description = "Markers, oldest first", body = Vec<MarkerBody>), (status = 404, description = "No such dataset", body = ErrorBody)))]
pub(crate) async fn list(call: Call, body: Body) -> Answer {
    documents::list(&MARKER, call, body).await
}

#[utoipa::path(post, path = "/api/v1/datasets/{dataset}/markers", operation_id = "createMarker", tag = "markers", request_body = NewMarker,
    params(("dataset" = String, Path, description = "Name or slug, or `__all__`")),
    responses((status = 201, description = "Made", body = MarkerBody), (status = 400, description = "Not a marker", body = ErrorBody)))]
pub(crate) async fn create(call: Call, body: Body) -> Answer {
    documents::create(&MARKER, call, body).await
}

#[utoipa::path(put, path = "/api/v1/datasets/{dataset}/markers/{id}", operation_id = "updateMarker", tag = "markers", request_body = NewMarker,
    params(("dataset" = String, Path, description = "Name or slug, or `__all__`"), ("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "As it is now", body = MarkerBody), (status = 404, description = "No such marker", body = ErrorBody)))]
pub(crate) async fn update(call: Call, body: Body) -> Answer {
    documents::update(&MARKER, call, body).await
}

#[utoipa::path(delete, path = "/api/v1/datasets/{dataset}/markers/{id}", operation_id = "deleteMarker", tag = "markers",
    params(("dataset" = String, Path, description = "Name or slug, or `__all__`"), ("id" = String, Path, description = "Its id")),
    responses((status = 204, description = "Gone"), (status = 404, description = "No such marker", body = ErrorBody)))]
pub(crate) async fn delete(call: Call, body: Body) -> Answer {
    documents::delete(&MARKER, StatusCode::NO_CONTENT, call, body).await
}
