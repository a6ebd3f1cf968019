//! `/1/datasets`.
//!
//! Owns: their JSON in Honeycomb's form, and the protection against deletion. Never does: retention (see the native API).

use super::find;
use crate::app::App;
use crate::body;
use crate::error::Failure;
use crate::route::{Answer, Call, empty, json};
use axum::body::Body;
use axum::http::StatusCode;
use model::ErrorKind;
use model::time::rfc3339;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use store::{DatasetInfo, DatasetUpdate};

const SETTINGS_KIND: &str = "dataset_settings";
const SETTINGS_ID: &str = "settings";
const DESCRIPTION_CHARS_MAX: usize = 1_024;

#[derive(Debug, Deserialize)]
struct NewDataset {
    name: String,
    description: Option<String>,
    expand_json_depth: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Update {
    description: Option<String>,
    expand_json_depth: Option<u32>,
    settings: Option<Settings>,
}

#[derive(Debug, Deserialize)]
struct Settings {
    delete_protected: Option<bool>,
}

fn is_protected(app: &App, slug: &str) -> Result<bool, Failure> {
    let settings = app.store.document(SETTINGS_KIND, slug, SETTINGS_ID)?;
    Ok(settings.is_some_and(|d| d.body["delete_protected"] == Json::Bool(true)))
}

fn dataset_json(app: &App, d: &DatasetInfo) -> Result<Json, Failure> {
    Ok(json!({
        "name": d.name,
        "slug": d.slug,
        "description": d.description,
        "expand_json_depth": d.expand_json_depth,
        "settings": { "delete_protected": is_protected(app, &d.slug)? },
        "regular_columns_count": d.n_columns,
        "last_written_at": d.last_written_at.map(rfc3339),
        "created_at": rfc3339(d.created_at),
    }))
}

fn check(description: Option<&str>, depth: Option<u32>) -> Result<(), Failure> {
    if description.is_some_and(|d| d.chars().count() > DESCRIPTION_CHARS_MAX) {
        return Err(Failure::invalid(format!("description has at most {DESCRIPTION_CHARS_MAX} characters")));
    }
    if depth.is_some_and(|d| d > 10) {
        return Err(Failure::invalid("expand_json_depth is 0 to 10"));
    }
    Ok(())
}

pub(crate) async fn list(call: Call, _body: Body) -> Answer {
    let app = call.app.clone();
    let all =
        call.app.blocking(move || app.store.datasets().iter().map(|d| dataset_json(&app, d)).collect::<Result<Vec<_>, _>>()).await??;
    json(StatusCode::OK, &all)
}

pub(crate) async fn create(call: Call, body: Body) -> Answer {
    let new: NewDataset = body::read_json(&call.app, &call.parts, body).await?;
    check(new.description.as_deref(), new.expand_json_depth)?;
    if new.name.trim().is_empty() {
        return Err(Failure::invalid("name is empty"));
    }
    let app = call.app.clone();
    let made = move || {
        let (dataset, is_new) = app.store.create_dataset(&new.name)?;
        let asked = new.description.is_some() || new.expand_json_depth.is_some();
        let dataset = if is_new && asked {
            let update = DatasetUpdate { description: new.description, expand_json_depth: new.expand_json_depth, retention: None };
            app.update_dataset(&dataset.slug, update)?
        } else {
            dataset
        };
        Ok::<_, Failure>((dataset_json(&app, &dataset)?, is_new))
    };
    let (made, is_new) = call.app.blocking(made).await??;
    json(if is_new { StatusCode::CREATED } else { StatusCode::OK }, &made)
}

pub(crate) async fn get(call: Call, _body: Body) -> Answer {
    let dataset = find(&call.app, call.param("dataset"))?;
    json(StatusCode::OK, &dataset_json(&call.app, &dataset)?)
}

pub(crate) async fn update(call: Call, body: Body) -> Answer {
    let dataset = find(&call.app, call.param("dataset"))?;
    let new: Update = body::read_json(&call.app, &call.parts, body).await?;
    check(new.description.as_deref(), new.expand_json_depth)?;
    let app = call.app.clone();
    let updated = move || {
        if let Some(protected) = new.settings.and_then(|s| s.delete_protected) {
            app.store.put_document(SETTINGS_KIND, &dataset.slug, SETTINGS_ID, &json!({ "delete_protected": protected }))?;
        }
        let update = DatasetUpdate { description: new.description, expand_json_depth: new.expand_json_depth, retention: None };
        dataset_json(&app, &app.update_dataset(&dataset.slug, update)?)
    };
    json(StatusCode::OK, &call.app.blocking(updated).await??)
}

pub(crate) async fn delete(call: Call, _body: Body) -> Answer {
    let (app, dataset) = (call.app.clone(), find(&call.app, call.param("dataset"))?);
    call.app.blocking(move || app.delete_dataset(&dataset)).await??;
    Ok(empty(StatusCode::ACCEPTED))
}

impl App {
    /// Changes a dataset, and what senders to it get from then on.
    pub(crate) fn update_dataset(&self, slug: &str, update: DatasetUpdate) -> Result<DatasetInfo, Failure> {
        let dataset = self.store.update_dataset(slug, update)?;
        self.depths.learn(&dataset);
        Ok(dataset)
    }

    /// Deletes a dataset unless it is protected.
    pub(crate) fn delete_dataset(&self, dataset: &DatasetInfo) -> Result<(), Failure> {
        if is_protected(self, &dataset.slug)? {
            return Err(Failure::new(
                ErrorKind::Conflict,
                "the dataset is protected from deletion; set settings.delete_protected to false first",
            ));
        }
        self.store.delete_dataset(&dataset.slug)?;
        self.depths.forget(dataset);
        // Its calculated fields went with it.
        self.tell_fields()
    }
}
