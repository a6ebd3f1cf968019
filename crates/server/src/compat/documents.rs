//! Small things that people write: markers, marker settings, query annotations.
//!
//! Owns: creating, listing, changing and deleting them, and which fields each may have. Never does: use them.

use super::find;
use crate::app::App;
use crate::ask::ALL;
use crate::body;
use crate::error::Failure;
use crate::ids;
use crate::route::{Answer, Call, empty, json};
use axum::body::Body;
use axum::http::StatusCode;
use model::time::rfc3339;
use model::{ErrorKind, NS_PER_SECOND};
use serde_json::{Map, Value as Json};
use store::Document;

/// What a field may hold.
#[derive(Clone, Copy, Debug)]
enum Holds {
    /// Text of so many characters at most.
    Text(usize),
    /// Unix seconds.
    Time,
    /// `#rrggbb`.
    Colour,
}

/// A kind of document.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Kind in the catalog.
    name: &'static str,
    fields: &'static [(&'static str, Holds)],
    required: &'static [&'static str],
    /// Fields that keep their first value.
    fixed: &'static [&'static str],
}

impl Kind {
    /// Its name in the catalog.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }
}

pub(crate) static MARKER: Kind = Kind {
    name: "marker",
    fields: &[
        ("start_time", Holds::Time),
        ("end_time", Holds::Time),
        ("message", Holds::Text(4_096)),
        ("type", Holds::Text(255)),
        ("url", Holds::Text(4_096)),
    ],
    required: &[],
    fixed: &[],
};

pub(crate) static MARKER_SETTING: Kind = Kind {
    name: "marker_setting",
    fields: &[("type", Holds::Text(255)), ("color", Holds::Colour)],
    required: &["type", "color"],
    fixed: &[],
};

pub(crate) static ANNOTATION: Kind = Kind {
    name: "query_annotation",
    fields: &[("name", Holds::Text(320)), ("description", Holds::Text(1_023)), ("query_id", Holds::Text(64)), ("source", Holds::Text(16))],
    required: &["name", "query_id"],
    fixed: &["query_id"],
};

/// The slug under which documents of a dataset are kept.
pub(crate) fn home(app: &App, name: &str) -> Result<String, Failure> {
    if name == ALL { Ok(String::new()) } else { Ok(find(app, name)?.slug) }
}

fn check(kind: &Kind, name: &str, value: &Json) -> Result<(), Failure> {
    let Some((_, holds)) = kind.fields.iter().find(|(n, _)| *n == name) else { return Ok(()) };
    let fits = match holds {
        _ if value.is_null() => !kind.required.contains(&name),
        Holds::Text(max) => value.as_str().is_some_and(|t| t.chars().count() <= *max && (!t.is_empty() || !kind.required.contains(&name))),
        Holds::Time => value.as_i64().is_some(),
        Holds::Colour => {
            value.as_str().is_some_and(|c| c.len() == 7 && c.starts_with('#') && c[1..].bytes().all(|b| b.is_ascii_hexdigit()))
        }
    };
    if fits {
        return Ok(());
    }
    let expected = match holds {
        Holds::Text(max) => format!("a text of at most {max} characters"),
        Holds::Time => "a whole number of Unix seconds".into(),
        Holds::Colour => "a colour like #7b1fa2".into(),
    };
    Err(Failure::invalid(format!("{name} must be {expected}")).with_status(StatusCode::UNPROCESSABLE_ENTITY, "invalid"))
}

/// The fields of a request that the kind has; others are ignored, as Honeycomb's own clients send back what they read.
fn fields(kind: &Kind, sent: &Map<String, Json>) -> Result<Map<String, Json>, Failure> {
    let mut taken = Map::new();
    for (name, _) in kind.fields {
        if let Some(value) = sent.get(*name) {
            check(kind, name, value)?;
            taken.insert((*name).to_owned(), value.clone());
        }
    }
    Ok(taken)
}

fn document_json(id: &str, body: &Json) -> Json {
    let mut all = Map::from_iter([("id".to_owned(), Json::from(id))]);
    if let Json::Object(body) = body {
        all.extend(body.clone());
    }
    Json::Object(all)
}

/// A marker has the colour of its type.
fn colour(app: &App, home: &str, documents: &mut [Json]) -> Result<(), Failure> {
    let settings = app.store.documents(MARKER_SETTING.name, home)?;
    for marker in documents {
        if let Some(setting) = settings.iter().find(|s| s.body["type"] == marker["type"] && !marker["type"].is_null()) {
            marker["color"] = setting.body["color"].clone();
        }
    }
    Ok(())
}

fn listed(app: &App, kind: &Kind, home: &str) -> Result<Vec<Json>, Failure> {
    let documents: Vec<Document> = app.store.documents(kind.name, home)?;
    let mut all: Vec<Json> = documents.iter().map(|d| document_json(&d.id, &d.body)).collect();
    if kind.name == MARKER.name {
        all.sort_by_key(|m| m["start_time"].as_i64());
        colour(app, home, &mut all)?;
    } else {
        all.sort_by(|a, b| a["created_at"].as_str().cmp(&b["created_at"].as_str()));
    }
    Ok(all)
}

fn one(app: &App, kind: &Kind, home: &str, id: &str) -> Result<Json, Failure> {
    let Some(document) = app.store.document(kind.name, home, id)? else {
        return Err(Failure::not_found(format!("no such {}, id='{id}'", kind.name.replace('_', " "))));
    };
    let mut found = [document_json(id, &document.body)];
    if kind.name == MARKER.name {
        colour(app, home, &mut found)?;
    }
    let [found] = found;
    Ok(found)
}

pub(crate) async fn list(kind: &'static Kind, call: Call, _body: Body) -> Answer {
    let home = home(&call.app, call.param("dataset"))?;
    let app = call.app.clone();
    json(StatusCode::OK, &call.app.blocking(move || listed(&app, kind, &home)).await??)
}

pub(crate) async fn get(kind: &'static Kind, call: Call, _body: Body) -> Answer {
    let home = home(&call.app, call.param("dataset"))?;
    let (app, id) = (call.app.clone(), call.param("id").to_owned());
    json(StatusCode::OK, &call.app.blocking(move || one(&app, kind, &home, &id)).await??)
}

pub(crate) async fn create(kind: &'static Kind, call: Call, body: Body) -> Answer {
    let home = home(&call.app, call.param("dataset"))?;
    let sent: Map<String, Json> = body::read_json(&call.app, &call.parts, body).await?;
    let mut new = fields(kind, &sent)?;
    for name in kind.required {
        check(kind, name, new.get(*name).unwrap_or(&Json::Null))?;
    }
    let now = crate::time::now();
    if kind.name == MARKER.name && new.get("start_time").is_none_or(Json::is_null) {
        new.insert("start_time".into(), (now / NS_PER_SECOND).into());
    }
    let at = rfc3339(now);
    new.insert("created_at".into(), at.as_str().into());
    new.insert("updated_at".into(), at.into());
    let app = call.app.clone();
    let made = move || {
        if kind.name == ANNOTATION.name {
            let query = new.get("query_id").and_then(Json::as_str).unwrap_or_default();
            if app.store.document(super::queries::KIND, &home, query)?.is_none() {
                return Err(Failure::not_found(format!("no such query, query_id='{query}'")));
            }
        }
        let taken = |d: &Document| d.body["type"] == new["type"];
        if kind.name == MARKER_SETTING.name && app.store.documents(kind.name, &home)?.iter().any(taken) {
            return Err(Failure::new(ErrorKind::Conflict, "this type has a colour; change it"));
        }
        let id = ids::random();
        app.store.put_document(kind.name, &home, &id, &Json::Object(new))?;
        one(&app, kind, &home, &id)
    };
    json(StatusCode::CREATED, &call.app.blocking(made).await??)
}

pub(crate) async fn update(kind: &'static Kind, call: Call, body: Body) -> Answer {
    let home = home(&call.app, call.param("dataset"))?;
    let sent: Map<String, Json> = body::read_json(&call.app, &call.parts, body).await?;
    let changes = fields(kind, &sent)?;
    let (app, id) = (call.app.clone(), call.param("id").to_owned());
    let updated = move || {
        let before = one(&app, kind, &home, &id)?;
        let Json::Object(mut now) = before else { return Err(Failure::new(ErrorKind::Data, "the document is not an object")) };
        now.remove("id");
        if kind.name == MARKER.name {
            now.remove("color");
        }
        for (name, value) in changes {
            if kind.fixed.contains(&name.as_str()) && now.get(&name) != Some(&value) {
                let failure = Failure::invalid(format!("{name} cannot be changed"));
                return Err(failure.with_status(StatusCode::UNPROCESSABLE_ENTITY, "invalid"));
            }
            now.insert(name, value);
        }
        now.insert("updated_at".into(), rfc3339(crate::time::now()).into());
        app.store.put_document(kind.name, &home, &id, &Json::Object(now))?;
        one(&app, kind, &home, &id)
    };
    json(StatusCode::OK, &call.app.blocking(updated).await??)
}

/// Where the answer has a body, it is what was deleted.
pub(crate) async fn delete(kind: &'static Kind, status: StatusCode, call: Call, _body: Body) -> Answer {
    let home = home(&call.app, call.param("dataset"))?;
    let (app, id) = (call.app.clone(), call.param("id").to_owned());
    let deleted = move || {
        let before = one(&app, kind, &home, &id)?;
        app.store.delete_document(kind.name, &home, &id)?;
        Ok::<_, Failure>(before)
    };
    let before = call.app.blocking(deleted).await??;
    if status == StatusCode::NO_CONTENT { Ok(empty(status)) } else { json(status, &before) }
}
