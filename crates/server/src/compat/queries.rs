//! `/1/queries`: a question is checked, kept and gets an id.
//!
//! Owns: the stored form, which is what was sent. Never does: run a question.

use crate::body;
use crate::compat::documents::home;
use crate::error::Failure;
use crate::ids;
use crate::route::{Answer, Call, json};
use axum::body::Body;
use axum::http::StatusCode;
use model::ErrorKind;
use model::query::QuerySpec;
use serde_json::{Map, Value as Json};

pub(crate) const KIND: &str = "query";

/// What is wrong with a question is a failed validation.
pub(crate) fn validation(mut failure: Failure) -> Failure {
    if failure.kind == ErrorKind::Invalid {
        failure = failure.with_status(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
    }
    failure
}

pub(crate) fn parse(sent: &Map<String, Json>) -> Result<QuerySpec, Failure> {
    serde_json::from_value(Json::Object(sent.clone())).map_err(|e| Failure::invalid(format!("the query specification is malformed: {e}")))
}

/// The question with its id, and the default of its range. A granularity that was not sent stays away: the types of
/// honeycomb-api refuse the 0 of which the documents speak.
fn query_json(id: &str, sent: &Map<String, Json>) -> Json {
    let mut all = sent.clone();
    all.insert("id".into(), id.into());
    let has = |name| sent.contains_key(name);
    let bounded = has("time_range") || (has("start_time") && has("end_time"));
    if !bounded {
        all.insert("time_range".into(), 7200.into());
    }
    Json::Object(all)
}

pub(crate) async fn create(call: Call, body: Body) -> Answer {
    let home = home(&call.app, call.param("dataset"))?;
    let mut sent: Map<String, Json> = body::read_json(&call.app, &call.parts, body).await?;
    sent.remove("id");
    // What clients read and send back: null is absent.
    sent.retain(|_, value| !value.is_null());
    let spec = parse(&sent)?;
    let (app, scope) = (call.app.clone(), super::scope(&call.app, call.param("dataset")));
    let kept = move || {
        app.check(&scope, &spec).map_err(validation)?;
        // The same question has the same id: dashboards that create theirs at every refresh do not fill the catalog.
        let id = ids::of(Json::Object(sent.clone()).to_string().as_bytes());
        if app.store.document(KIND, &home, &id)?.is_none() {
            app.store.put_document(KIND, &home, &id, &Json::Object(sent.clone()))?;
        }
        Ok::<_, Failure>(query_json(&id, &sent))
    };
    json(StatusCode::OK, &call.app.blocking(kept).await??)
}

pub(crate) async fn get(call: Call, _body: Body) -> Answer {
    let home = home(&call.app, call.param("dataset"))?;
    let (app, id) = (call.app.clone(), call.param("id").to_owned());
    let found = move || {
        let sent = load(&app, &home, &id)?;
        Ok::<_, Failure>(query_json(&id, &sent))
    };
    json(StatusCode::OK, &call.app.blocking(found).await??)
}

pub(crate) fn load(app: &crate::app::App, home: &str, id: &str) -> Result<Map<String, Json>, Failure> {
    match app.store.document(KIND, home, id)?.map(|d| d.body) {
        Some(Json::Object(sent)) => Ok(sent),
        _ => Err(Failure::not_found(format!("no such query, id='{id}'"))),
    }
}

/// As in an answer: the question with its id.
pub(crate) fn with_id(id: &str, sent: &Map<String, Json>) -> Json {
    query_json(id, sent)
}
