//! The native API under `/api/v1`.
//!
//! Owns: its routes. Never does: what they do (one file per resource).

pub(crate) mod boards;
pub(crate) mod contrast;
pub(crate) mod datasets;
pub(crate) mod examples;
pub(crate) mod fields;
pub(crate) mod keys;
pub(crate) mod markers;
pub(crate) mod openapi;
pub(crate) mod query;
pub(crate) mod schema;
pub(crate) mod service_map;
pub(crate) mod stream;
pub(crate) mod trace_body;
pub(crate) mod traces;

use crate::auth::Scope;
use crate::error::Form;
use crate::route::{Family, Routes, family};
use axum::http::Method;

pub(crate) const READ: Family = family(Form::Native, Some(Scope::Query));
pub(crate) const MANAGE: Family = family(Form::Native, Some(Scope::Manage));

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .add(READ, Method::POST, "/api/v1/query", query::query)
        .add(READ, Method::DELETE, "/api/v1/query/{run}", query::cancel)
        .add(READ, Method::POST, "/api/v1/contrast", contrast::contrast)
        .add(READ, Method::POST, "/api/v1/examples", examples::examples)
        .add(READ, Method::POST, "/api/v1/service-map", service_map::service_map)
        .add(READ, Method::GET, "/api/v1/traces/{id}", traces::trace)
        .add(READ, Method::GET, "/api/v1/traces/{id}/events", traces::events)
        .add(READ, Method::GET, "/api/v1/traces/{id}/spans/{span}", traces::span)
        .add(READ, Method::GET, "/api/v1/datasets", datasets::list)
        .add(MANAGE, Method::POST, "/api/v1/datasets", datasets::create)
        .add(READ, Method::GET, "/api/v1/datasets/{dataset}", datasets::get)
        .add(MANAGE, Method::PATCH, "/api/v1/datasets/{dataset}", datasets::update)
        .add(MANAGE, Method::DELETE, "/api/v1/datasets/{dataset}", datasets::delete)
        .add(READ, Method::GET, "/api/v1/datasets/{dataset}/columns", datasets::columns)
        .add(READ, Method::GET, "/api/v1/datasets/{dataset}/values", datasets::values)
        .add(READ, Method::GET, "/api/v1/datasets/{dataset}/markers", markers::list)
        .add(MANAGE, Method::POST, "/api/v1/datasets/{dataset}/markers", markers::create)
        .add(MANAGE, Method::PUT, "/api/v1/datasets/{dataset}/markers/{id}", markers::update)
        .add(MANAGE, Method::DELETE, "/api/v1/datasets/{dataset}/markers/{id}", markers::delete)
        .add(READ, Method::GET, "/api/v1/calculated-fields", fields::list)
        .add(MANAGE, Method::POST, "/api/v1/calculated-fields", fields::create)
        .add(READ, Method::GET, "/api/v1/calculated-fields/{id}", fields::get)
        .add(MANAGE, Method::PUT, "/api/v1/calculated-fields/{id}", fields::update)
        .add(MANAGE, Method::DELETE, "/api/v1/calculated-fields/{id}", fields::delete)
        .add(READ, Method::GET, "/api/v1/boards", boards::list)
        .add(MANAGE, Method::POST, "/api/v1/boards", boards::create)
        .add(READ, Method::GET, "/api/v1/boards/{id}", boards::get)
        .add(MANAGE, Method::PUT, "/api/v1/boards/{id}", boards::update)
        .add(MANAGE, Method::DELETE, "/api/v1/boards/{id}", boards::delete)
        .add(MANAGE, Method::GET, "/api/v1/keys", keys::list)
        .add(MANAGE, Method::POST, "/api/v1/keys", keys::create)
        .add(MANAGE, Method::DELETE, "/api/v1/keys/{id}", keys::delete)
        .add(Family { open: true, ..READ }, Method::GET, "/api/v1/openapi.json", openapi::document)
}
