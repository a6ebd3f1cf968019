//! How a failure is answered: one table from kind to status, one body per family of routes.
//!
//! Owns: statuses, bodies, Retry-After. Never does: decide what is a failure.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use model::ErrorKind;
use serde::Serialize;
use serde_json::json;
use std::net::SocketAddr;

/// Why the server did not start, or did not stop well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// An address in the settings means nothing.
    #[error("'{address}' is not an address to listen on; write it like 127.0.0.1:8080")]
    Address {
        /// As in the settings.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Somebody else listens there, or may not we.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Keys are needed, as the address is not a loopback one or the settings say so, and there is none.
    #[error(
        "refusing to listen on {address}: others could reach it and there is no key yet; \
         make one with `wideye keys create --data-dir {data_dir} --name first --scope ingest,query`, or listen on 127.0.0.1 with require_keys off"
    )]
    NeedsKey {
        /// The address.
        address: SocketAddr,
        /// Where the key would be made.
        data_dir: String,
    },
    /// The data directory.
    #[error("cannot open the data in '{data_dir}'")]
    Store {
        /// Directory.
        data_dir: String,
        /// Why.
        #[source]
        source: store::StoreError,
    },
    /// The keys cannot be read.
    #[error("cannot read the keys in '{data_dir}'")]
    Keys {
        /// Directory.
        data_dir: String,
        /// Why.
        #[source]
        source: crate::auth::KeyError,
    },
    /// Sealing at the end failed: the events are in the write-ahead log and will be recovered.
    #[error("the last events could not be sealed; they are safe in the write-ahead log")]
    Close(#[source] store::StoreError),
    /// No thread, no randomness, no signal handler.
    #[error("the system does not give what the server needs: {what}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl ServerError {
    /// What the caller should do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            ServerError::Address { .. } => ErrorKind::Invalid,
            ServerError::Listen { .. } => ErrorKind::Conflict,
            ServerError::NeedsKey { .. } => ErrorKind::Unauthorized,
            ServerError::Store { source, .. } | ServerError::Close(source) => source.kind(),
            ServerError::Keys { source, .. } => source.kind(),
            ServerError::System { .. } => ErrorKind::Unavailable,
        }
    }
}

/// Which body a failure gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `{"error"}`: Honeycomb's ingest.
    Legacy,
    /// RFC 7807 with `error`: Honeycomb's other resources.
    Problem,
    /// `{"message"}`: OTLP over HTTP.
    Otlp,
    /// Status in headers: gRPC.
    Grpc,
    /// `{"code","message","hint"?,"details"?}`.
    Native,
    /// `{"data": null, "errors": [{"code","msg"}]}`: Jaeger's query API.
    Jaeger,
}

/// What is wrong with one part of a request, as Honeycomb says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// Where: `panels[2].query_panel.query_id`.
    pub(crate) field: String,
    /// `invalid`, `missing`, `incorrect_type` or `already_exists`.
    pub(crate) code: &'static str,
    pub(crate) description: String,
}

/// A request that was not done.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// Each thing that is wrong, where there may be several.
    problems: Vec<Problem>,
    /// Where the kind alone does not say it.
    status: Option<StatusCode>,
    /// Word for the metrics.
    pub(crate) reason: &'static str,
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Failure { kind, message: message.into(), hint: None, problems: Vec::new(), status: None, reason: code(kind) }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Failure::new(ErrorKind::Invalid, message)
    }

    /// A request whose parts are wrong; the message is about the first of them.
    pub(crate) fn problems(problems: Vec<Problem>) -> Self {
        let message = problems.first().map_or_else(String::new, |p| format!("{} {}", p.field, p.description));
        Failure { problems, ..Failure::invalid(message) }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Failure::new(ErrorKind::NotFound, message)
    }

    pub(crate) fn with_status(mut self, status: StatusCode, reason: &'static str) -> Self {
        self.status = Some(status);
        self.reason = reason;
        self
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Failure::invalid(message).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")
    }

    pub(crate) fn overload(message: impl Into<String>) -> Self {
        let mut failure = Failure::new(ErrorKind::Exhausted, message);
        failure.reason = "overload";
        failure
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status.unwrap_or_else(|| status(self.kind))
    }

    /// Seconds after which the same request may do better.
    fn retry_after(&self) -> Option<&'static str> {
        match self.kind {
            ErrorKind::Exhausted => Some("1"),
            ErrorKind::Unavailable => Some("2"),
            _ => None,
        }
    }

    /// The answer in the form of a family of routes.
    pub(crate) fn respond(&self, form: Form) -> Response<Body> {
        if form == Form::Grpc {
            return crate::otlp::grpc::status(grpc_code(self), &self.message);
        }
        let status = self.status();
        let (content_type, body) = match form {
            Form::Legacy => ("application/json", json!({ "error": self.message })),
            Form::Otlp => ("application/json", json!({ "message": self.message })),
            Form::Native => ("application/json", self.native_body()),
            Form::Jaeger => ("application/json", crate::jaeger::failure(status.as_u16(), &self.message)),
            Form::Problem | Form::Grpc => {
                let problem = match self.kind {
                    ErrorKind::NotFound => "not-found",
                    ErrorKind::Exhausted => "rate-limited",
                    ErrorKind::Invalid if status == StatusCode::UNPROCESSABLE_ENTITY => "validation-failed",
                    ErrorKind::Invalid => "unparseable",
                    _ => self.code(),
                };
                let mut body = json!({
                    "error": self.message,
                    "status": status.as_u16(),
                    "type": format!("https://api.honeycomb.io/problems/{problem}"),
                    "title": status.canonical_reason().unwrap_or("Error"),
                    "detail": self.hint.as_ref().unwrap_or(&self.message),
                });
                if !self.problems.is_empty() {
                    body["type_detail"] = json!(self.problems);
                }
                ("application/problem+json", body)
            }
        };
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        response
    }

    /// `{"code","message","hint"?,"details"?}`.
    pub(crate) fn native_body(&self) -> serde_json::Value {
        let mut body = json!({ "code": self.code(), "message": self.message });
        if let Some(hint) = &self.hint {
            body["hint"] = hint.as_str().into();
        }
        if !self.problems.is_empty() {
            body["details"] = json!(self.problems);
        }
        body
    }

    fn code(&self) -> &'static str {
        if self.status.is_some() { self.reason } else { code(self.kind) }
    }
}

impl From<store::StoreError> for Failure {
    fn from(e: store::StoreError) -> Self {
        let mut failure = Failure::new(e.kind(), chain(&e));
        failure.reason = match e {
            store::StoreError::DiskFull => "disk_full",
            store::StoreError::Overloaded { .. } => "overload",
            _ => failure.reason,
        };
        failure
    }
}

impl From<ingest::IngestError> for Failure {
    fn from(e: ingest::IngestError) -> Self {
        let failure = Failure::new(e.kind(), chain(&e));
        match (StatusCode::from_u16(e.http_status()), e.http_status()) {
            (Ok(status), 415) => failure.with_status(status, "unsupported_media_type"),
            (Ok(status), _) if status != failure.status() => failure.with_status(status, "invalid"),
            _ => failure,
        }
    }
}

impl From<crate::auth::KeyError> for Failure {
    fn from(e: crate::auth::KeyError) -> Self {
        Failure::new(e.kind(), chain(&e))
    }
}

/// The one table from kinds to statuses of HTTP.
fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::Exhausted => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        // Nobody is left to read it.
        ErrorKind::Cancelled => StatusCode::REQUEST_TIMEOUT,
        ErrorKind::Data | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Stable words for programs.
fn code(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Invalid => "invalid",
        ErrorKind::NotFound => "not_found",
        ErrorKind::Conflict => "conflict",
        ErrorKind::Unauthorized => "unauthorized",
        ErrorKind::TooLarge => "too_large",
        ErrorKind::Exhausted => "exhausted",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Data => "data",
        ErrorKind::Cancelled => "cancelled",
        ErrorKind::Internal => "internal",
    }
}

/// Statuses of gRPC. Overload is UNAVAILABLE, which every client retries.
fn grpc_code(failure: &Failure) -> u8 {
    match failure.kind {
        _ if failure.status == Some(StatusCode::UNSUPPORTED_MEDIA_TYPE) => 12,
        ErrorKind::Invalid | ErrorKind::TooLarge => 3,
        ErrorKind::NotFound => 5,
        ErrorKind::Conflict => 10,
        ErrorKind::Unauthorized => 16,
        ErrorKind::Exhausted | ErrorKind::Unavailable => 14,
        ErrorKind::Cancelled => 1,
        ErrorKind::Data => 15,
        ErrorKind::Internal => 13,
    }
}

/// An error with its causes, for people.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        text.push_str(": ");
        text.push_str(&e.to_string());
        cause = e.source();
    }
    text
}
