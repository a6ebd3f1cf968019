//! Honeycomb's API under `/1`, so that its senders' companions and tools work unchanged.
//!
//! Owns: its routes. Never does: what they do (one file per resource); ingest is in `events`.

pub(crate) mod auth;
mod boards;
pub(crate) mod columns;
pub(crate) mod datasets;
mod derived;
pub(crate) mod documents;
mod kept;
pub(crate) mod maps;
pub(crate) mod queries;
pub(crate) mod results;
mod rows;

use crate::app::App;
use crate::ask::ALL;
use crate::auth::Scope;
use crate::error::{Failure, Form};
use crate::route::{Family, Routes, family};
use axum::http::{Method, StatusCode};
use documents::{ANNOTATION, MARKER, MARKER_SETTING};

const READ: Family = family(Form::Problem, Some(Scope::Query));
const MANAGE: Family = family(Form::Problem, Some(Scope::Manage));
/// Senders make datasets.
const SEND: Family = family(Form::Problem, Some(Scope::Ingest));
/// Any key will do.
const ANY: Family = family(Form::Legacy, None);

/// The dataset that a path means. Honeycomb's tools send the slug that they were told, so that goes before a name.
pub(crate) fn find(app: &App, slug_or_name: &str) -> Result<store::DatasetInfo, Failure> {
    app.store.dataset_by_slug(slug_or_name).ok_or_else(|| Failure::not_found(format!("no such dataset, name='{slug_or_name}'")))
}

/// Likewise, or all datasets.
pub(crate) fn scope(app: &App, slug_or_name: &str) -> store::Scope {
    match app.store.dataset_by_slug(slug_or_name) {
        _ if slug_or_name == ALL => store::Scope::All,
        // Names are unique and found first.
        Some(dataset) => store::Scope::Dataset(dataset.name),
        None => store::Scope::Dataset(slug_or_name.to_owned()),
    }
}

pub(crate) fn routes(routes: Routes) -> Routes {
    let (get, post, put, delete) = (Method::GET, Method::POST, Method::PUT, Method::DELETE);
    let mut routes = routes
        .add(ANY, get.clone(), "/1/auth", auth::auth)
        .add(READ, get.clone(), "/1/datasets", datasets::list)
        .add(SEND, post.clone(), "/1/datasets", datasets::create)
        .add(READ, get.clone(), "/1/datasets/{dataset}", datasets::get)
        .add(MANAGE, put.clone(), "/1/datasets/{dataset}", datasets::update)
        .add(MANAGE, delete.clone(), "/1/datasets/{dataset}", datasets::delete)
        .add(READ, get.clone(), "/1/columns/{dataset}", columns::list)
        .add(MANAGE, post.clone(), "/1/columns/{dataset}", columns::create)
        .add(READ, get.clone(), "/1/columns/{dataset}/{id}", columns::get)
        .add(MANAGE, put.clone(), "/1/columns/{dataset}/{id}", columns::update)
        .add(MANAGE, delete.clone(), "/1/columns/{dataset}/{id}", columns::delete)
        .add(READ, get.clone(), "/1/derived_columns/{dataset}", derived::list)
        .add(MANAGE, post.clone(), "/1/derived_columns/{dataset}", derived::create)
        .add(READ, get.clone(), "/1/derived_columns/{dataset}/{id}", derived::get)
        .add(MANAGE, put.clone(), "/1/derived_columns/{dataset}/{id}", derived::update)
        .add(MANAGE, delete.clone(), "/1/derived_columns/{dataset}/{id}", derived::delete)
        .add(READ, post.clone(), "/1/queries/{dataset}", queries::create)
        .add(READ, get.clone(), "/1/queries/{dataset}/{id}", queries::get)
        .add(READ, post.clone(), "/1/query_results/{dataset}", results::create)
        .add(READ, get.clone(), "/1/query_results/{dataset}/{id}", results::get)
        .add(READ, post.clone(), "/1/maps/dependencies/requests", maps::create)
        .add(READ, get.clone(), "/1/maps/dependencies/requests/{id}", maps::get)
        .add(READ, get.clone(), "/1/boards", boards::list)
        .add(MANAGE, post.clone(), "/1/boards", boards::create)
        .add(READ, get.clone(), "/1/boards/{id}", boards::get)
        .add(MANAGE, put.clone(), "/1/boards/{id}", boards::update)
        .add(MANAGE, delete.clone(), "/1/boards/{id}", boards::delete)
        .add(READ, get.clone(), "/1/boards/{id}/views", boards::list_views)
        .add(MANAGE, post.clone(), "/1/boards/{id}/views", boards::create_view)
        .add(READ, get.clone(), "/1/boards/{id}/views/{view}", boards::get_view)
        .add(MANAGE, put.clone(), "/1/boards/{id}/views/{view}", boards::update_view)
        .add(MANAGE, delete.clone(), "/1/boards/{id}/views/{view}", boards::delete_view);
    let documents = [
        (&MARKER, MANAGE, "/1/markers/{dataset}", "/1/markers/{dataset}/{id}", StatusCode::OK),
        (&MARKER_SETTING, MANAGE, "/1/marker_settings/{dataset}", "/1/marker_settings/{dataset}/{id}", StatusCode::OK),
        // Whoever may ask may give a question a name.
        (&ANNOTATION, READ, "/1/query_annotations/{dataset}", "/1/query_annotations/{dataset}/{id}", StatusCode::NO_CONTENT),
    ];
    for (kind, write, all, one, deleted) in documents {
        routes = routes
            .add(READ, get.clone(), all, move |call, body| documents::list(kind, call, body))
            .add(write, post.clone(), all, move |call, body| documents::create(kind, call, body))
            .add(READ, get.clone(), one, move |call, body| documents::get(kind, call, body))
            .add(write, put.clone(), one, move |call, body| documents::update(kind, call, body))
            .add(write, delete.clone(), one, move |call, body| documents::delete(kind, deleted, call, body));
    }
    routes
}
