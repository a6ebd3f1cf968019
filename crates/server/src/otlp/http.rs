//! `POST /v1/traces`, `/v1/logs`, `/v1/metrics`, and the preflight of browsers.
//!
//! Owns: content types and CORS of OTLP/HTTP. Never does: decode OTLP (`ingest`).

use crate::auth::Scope;
use crate::body;
use crate::error::{Failure, Form};
use crate::metrics::Way;
use crate::otlp::export;
use crate::route::{Answer, Call, Family, Routes, bytes_response, empty, family};
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use ingest::otlp::{Encoding, Signal, response};

const FAMILY: Family = Family { cors: true, first: content_type, ..family(Form::Otlp, Some(Scope::Ingest)) };
/// A preflight carries no key and no content.
const PREFLIGHT: Family = Family { cors: true, open: true, ..family(Form::Otlp, None) };

pub(crate) fn routes(mut routes: Routes) -> Routes {
    const PATHS: [(&str, &str, Signal); 3] = [
        ("/v1/traces", "/v1/traces/", Signal::Traces),
        ("/v1/logs", "/v1/logs/", Signal::Logs),
        ("/v1/metrics", "/v1/metrics/", Signal::Metrics),
    ];
    for (path, with_slash, signal) in PATHS {
        for pattern in [path, with_slash] {
            routes = routes.add(FAMILY, Method::POST, pattern, move |call, body| post(signal, call, body));
            routes = routes.add(PREFLIGHT, Method::OPTIONS, pattern, preflight);
        }
    }
    routes
}

/// Said before the key is asked for, as Honeycomb does.
fn content_type(parts: &Parts) -> Result<(), Failure> {
    encoding(parts).map(drop)
}

fn encoding(parts: &Parts) -> Result<Encoding, Failure> {
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    Encoding::from_content_type(content_type).ok_or_else(|| {
        let valid = "application/json, application/x-protobuf, application/protobuf";
        Failure::unsupported(format!("unsupported content-type, valid types are: {valid}"))
    })
}

async fn post(signal: Signal, call: Call, body: Body) -> Answer {
    let encoding = encoding(&call.parts)?;
    let packing = body::encoding(&call.parts.headers, "content-encoding")?;
    let sent = body::read(&call.app.budget, &call.parts, body, call.app.settings.limits.request_bytes_max).await?;
    let done = export(&call, signal, Way::OtlpHttp, sent, packing, encoding).await?;
    let content_type = match encoding {
        Encoding::Json => "application/json",
        Encoding::Protobuf => "application/x-protobuf",
    };
    Ok(bytes_response(StatusCode::OK, content_type, response(encoding, signal, &done)))
}

async fn preflight(call: Call, _body: Body) -> Answer {
    let mut answer = empty(StatusCode::NO_CONTENT);
    let asked = call.parts.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let headers = answer.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, OPTIONS"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.unwrap_or(HeaderValue::from_static("*")));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    headers.insert(header::VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    Ok(answer)
}
