//! What all routes have in common: the key, the form of a failure, the record of the request.
//!
//! Owns: the frame around a handler. Never does: what a single route does.

use crate::app::App;
use crate::ask::on_engine;
use crate::auth::{Key, Scope, sent_key};
use crate::body;
use crate::error::{Failure, Form};
use crate::pack::{Packing, pack};
use crate::telemetry::{Field, Record};
use axum::body::Body;
use axum::extract::{RawPathParams, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use axum::routing::{MethodFilter, on};
use axum::{RequestExt, Router};
use bytes::Bytes;
use engine::Run;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use std::sync::Arc;

pub(crate) type Answer = Result<Response<Body>, Failure>;

/// One request on its way to its handler.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) parts: Parts,
    /// The key, where one was given and known.
    pub(crate) key: Option<Arc<Key>>,
    /// The wide event that tells of this request; it is written when the last holder lets go.
    pub(crate) record: Arc<Record>,
    params: Vec<(String, String)>,
}

impl Call {
    /// A part of the path, decoded.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// A parameter of the query string, decoded.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let query = self.parts.uri.query()?;
        query.split('&').find_map(|pair| {
            let (n, v) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(n) == name).then(|| decode(v))
        })
    }

    /// A parameter that must be a number if it is there.
    pub(crate) fn query_number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        match self.query(name).filter(|v| !v.is_empty()) {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(n) => Ok(Some(n)),
                Err(_) => Err(Failure::invalid(format!("parameter '{name}' is not a number, value='{text}'"))),
            },
        }
    }

    /// A parameter that is true or false.
    pub(crate) fn query_flag(&self, name: &str, default: bool) -> bool {
        match self.query(name).as_deref() {
            Some("false" | "0") => false,
            Some(_) => true,
            None => default,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// Adds a field to the event that tells of this request.
    pub(crate) fn note(&self, field: &'static str, value: impl Into<Field>) {
        self.record.note(field, value);
    }

    /// How users reach this server.
    pub(crate) fn base_url(&self) -> String {
        if !self.app.settings.public_url.is_empty() {
            return self.app.settings.public_url.clone();
        }
        format!("http://{}", self.header("host").unwrap_or(&self.app.settings.listen))
    }
}

/// A part of a path or of a query string, decoded.
pub(crate) fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// What a family of routes has in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    pub(crate) form: Form,
    /// The scope that a key must have.
    pub(crate) scope: Option<Scope>,
    /// Whether pages of other origins may call it.
    pub(crate) cors: bool,
    /// Whether no key is needed.
    pub(crate) open: bool,
    /// What is looked at before the key.
    pub(crate) first: fn(&Parts) -> Result<(), Failure>,
}

/// Collects routes, and which there are.
#[derive(Debug)]
pub(crate) struct Routes {
    pub(crate) router: Router<Arc<App>>,
    /// Method and pattern of every route, for the check against the OpenAPI document.
    pub(crate) list: Vec<(Method, &'static str)>,
}

impl Routes {
    pub(crate) fn new() -> Routes {
        Routes { router: Router::new(), list: Vec::new() }
    }

    /// Adds a route with the frame around its handler.
    pub(crate) fn add<H, F>(mut self, family: Family, method: Method, pattern: &'static str, handler: H) -> Routes
    where
        H: Fn(Call, Body) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let Ok(filter) = MethodFilter::try_from(method.clone()) else { return self };
        let frame = move |State(app): State<Arc<App>>, request: Request<Body>| {
            let handler = handler.clone();
            async move { framed(app, family, pattern, request, handler).await }
        };
        self.router = self.router.route(pattern, on(filter, frame));
        self.list.push((method, pattern));
        self
    }
}

async fn framed<H, F>(app: Arc<App>, family: Family, pattern: &'static str, mut request: Request<Body>, handler: H) -> Response<Body>
where
    H: Fn(Call, Body) -> F,
    F: Future<Output = Answer>,
{
    let record = Record::begin(&app, pattern, &request);
    let params = match request.extract_parts::<RawPathParams>().await {
        Ok(raw) => raw.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
        Err(_) => Vec::new(),
    };
    let (parts, body) = request.into_parts();
    // Who waits to be told to send is not told to.
    let waits = parts.headers.contains_key(header::EXPECT);
    let (body, rest) = body::share(body);
    let packing = Packing::wanted(&parts.headers);
    let outcome = match app.guard(&parts).and_then(|()| enter(&app, family, &parts)) {
        Ok(key) => {
            if let Some(key) = &key {
                record.note("wideye.key.id", key.id.as_str());
            }
            let record = Arc::clone(&record);
            handler(Call { app: Arc::clone(&app), parts, key, record, params }, body).await
        }
        Err(failure) => Err(failure),
    };
    if !waits {
        rest.discard(app.settings.limits.request_bytes_max).await;
    }
    let mut response = match outcome {
        Ok(response) => response,
        Err(failure) => {
            app.metrics.refused(failure.reason);
            record.failed(&failure);
            failure.respond(family.form)
        }
    };
    record.status(response.status());
    if family.cors {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
    // Acknowledgements are short, and senders are many.
    if family.scope == Some(Scope::Ingest) {
        return response;
    }
    pack(response, packing, app.settings.limits.answer_packed_bytes_min)
}

/// A family that looks at nothing before the key.
pub(crate) const fn family(form: Form, scope: Option<Scope>) -> Family {
    Family { form, scope, cors: false, open: false, first: |_| Ok(()) }
}

fn enter(app: &App, family: Family, parts: &Parts) -> Result<Option<Arc<Key>>, Failure> {
    (family.first)(parts)?;
    if family.open {
        return Ok(None);
    }
    let mut entered = app.door.enter(&parts.headers, family.scope);
    if let Err(failure) = &mut entered
        && matches!(family.form, Form::Otlp | Form::Grpc)
        && sent_key(&parts.headers).is_none()
    {
        failure.message = "missing 'x-honeycomb-team' header".into();
    }
    entered
}

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    Ok(bytes_response(status, "application/json", json_bytes(body)?))
}

pub(crate) fn json_bytes(body: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(body).map_err(not_json)
}

pub(crate) fn not_json(e: serde_json::Error) -> Failure {
    Failure::new(model::ErrorKind::Internal, format!("the answer could not be written as JSON: {e}"))
}

/// Answers with the JSON that `work` makes with the engine, on a thread that may block.
pub(crate) async fn json_by_engine(call: &Call, work: impl FnOnce(&App, Run) -> Result<Vec<u8>, Failure> + Send + 'static) -> Answer {
    let run = call.app.runs.begin();
    let bytes = on_engine(&call.app, &run, crate::time::now(), work).await?;
    Ok(bytes_response(StatusCode::OK, "application/json", bytes))
}

pub(crate) fn bytes_response(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
