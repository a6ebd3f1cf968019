//! `/mcp`: tools for agents, over streamable HTTP without sessions.
//!
//! Owns: who may come in (keys as everywhere; pages of other origins may not), and the tools' way to the API inside this process.
//! Never does: what a tool does (mcp).

use crate::app::{App, name_of};
use crate::auth::Scope;
use crate::error::{Failure, Form};
use crate::route::{Answer, Call, Family, Routes, family};
use crate::{body, time};
use ::mcp::{Answered, Api, ApiError, Tools};
use axum::Router;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use model::ErrorKind;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::Value as Json;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

const MCP: Family = Family { first: own_origin, ..family(Form::Native, Some(Scope::Query)) };

/// What of a request goes on to the API: who asks, and in which trace.
const HANDED_ON: [HeaderName; 6] = [
    header::HOST,
    header::AUTHORIZATION,
    header::USER_AGENT,
    HeaderName::from_static("x-honeycomb-team"),
    HeaderName::from_static("x-hny-team"),
    HeaderName::from_static("traceparent"),
];

pub(crate) fn routes(routes: Routes) -> Routes {
    // Without sessions there is nothing to GET or to DELETE: 405, as the protocol has it.
    routes.add(MCP, Method::POST, "/mcp", answer)
}

/// A browser says which page asks. Only pages of this machine and of the server's own address may.
fn own_origin(parts: &Parts) -> Result<(), Failure> {
    let Some(origin) = parts.headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or("");
    let authority = origin.split_once("://").map_or("", |(_, a)| a);
    let host = parts.headers.get(header::HOST).and_then(|v| v.to_str().ok()).or_else(|| parts.uri.authority().map(|a| a.as_str()));
    let name = name_of(authority);
    let here = name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !authority.is_empty() && (here || host == Some(authority)) {
        return Ok(());
    }
    Err(Failure::new(ErrorKind::Unauthorized, format!("pages of other origins may not use /mcp, origin='{origin}'"))
        .with_status(StatusCode::FORBIDDEN, "foreign_origin"))
}

async fn answer(call: Call, body: Body) -> Answer {
    let limits = &call.app.settings.limits;
    let bytes_max = limits.mcp_request_bytes_max;
    // Held until the answer is there.
    let (bytes, _lease) = body::read(&call.app.small_budget, &call.parts, body, bytes_max).await?;
    note(&call, &bytes);
    let headers = HANDED_ON.iter().filter_map(|name| Some((name.clone(), call.parts.headers.get(name)?.clone()))).collect();
    let tools = Tools::new(Arc::new(Inside { app: Arc::clone(&call.app), headers }), limits, now_s);
    // Hosts and origins are checked already, keys included. An answer is one JSON document: nothing comes before the last word.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .disable_allowed_hosts()
        .with_max_request_body_bytes(bytes_max);
    let service = StreamableHttpService::new(move || Ok(tools.clone()), Arc::new(NeverSessionManager::default()), config);
    // A client that goes away drops this future, and with it the call of the tool and the question.
    let response = service.handle(Request::from_parts(call.parts, Full::new(bytes))).await;
    Ok(response.map(Body::new))
}

fn now_s() -> f64 {
    time::now() as f64 / 1e9
}

/// What the server's own events tell of a call, in the words of OpenTelemetry.
fn note(call: &Call, bytes: &[u8]) {
    let message: Json = serde_json::from_slice(bytes).unwrap_or_default();
    if let Some(method) = message["method"].as_str() {
        call.note("mcp.method.name", method);
    }
    if let Some(tool) = message["params"]["name"].as_str() {
        call.note("gen_ai.tool.name", tool);
    }
}

/// The API of this server, asked with the key of whoever called.
#[derive(Debug)]
struct Inside {
    app: Arc<App>,
    headers: HeaderMap,
}

/// The routes of the API, without the server's inside: to keep that here would keep it for ever.
fn api() -> Router<Arc<App>> {
    static ROUTES: OnceLock<Router<Arc<App>>> = OnceLock::new();
    ROUTES.get_or_init(|| crate::api::routes(Routes::new()).router).clone()
}

impl Api for Inside {
    fn call(&self, method: ::mcp::Method, path: String, body: Option<Json>) -> Answered<'_> {
        let unexpected = |what: String| ApiError::Unexpected { path: path.clone(), what };
        let method = match method {
            ::mcp::Method::Get => Method::GET,
            ::mcp::Method::Post => Method::POST,
        };
        let body = body.map_or_else(Body::empty, |json| Body::from(json.to_string()));
        let request = Request::builder().method(method).uri(&path).body(body).map_err(|e| unexpected(e.to_string()));
        let service = TowerToHyperService::new(api().with_state(Arc::clone(&self.app)));
        Box::pin(async move {
            let mut request = request?;
            request.headers_mut().clone_from(&self.headers);
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let unexpected = |what: String| ApiError::Unexpected { path: path.clone(), what };
            let response = service.call(request).await.map_err(|e| unexpected(e.to_string()))?;
            let status = response.status();
            let bytes = response.into_body().collect().await.map_err(|e| unexpected(e.to_string()))?.to_bytes();
            if !status.is_success() {
                return Err(ApiError::refused(status.as_u16(), &bytes));
            }
            serde_json::from_slice(&bytes).map_err(|e| unexpected(e.to_string()))
        })
    }
}

#[cfg(test)]
mod tests;
