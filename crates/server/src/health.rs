//! `/healthz`, `/readyz`, `/metrics`, the root, and whatever is not served.
//!
//! Owns: these few answers, which need no key. Never does: work.

use crate::app::App;
use crate::body;
use crate::error::{Failure, Form};
use crate::metrics;
use crate::otlp::grpc;
use crate::route::{Answer, Call, Family, Routes, bytes_response, family};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, Response, StatusCode, header};
use model::ErrorKind;

const OPEN: Family = Family { open: true, ..family(Form::Native, None) };
const TEXT: &str = "text/plain; charset=utf-8";

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.add(OPEN, Method::GET, "/", root).add(OPEN, Method::GET, "/healthz", healthz).add(OPEN, Method::GET, "/readyz", readyz).add(
        OPEN,
        Method::GET,
        "/metrics",
        page,
    )
}

async fn root(_call: Call, _body: Body) -> Answer {
    let text = "wideye is running.\n\nSend:  POST /1/batch/{dataset}   POST /v1/traces|logs|metrics (OTLP)\n\
                Ask:   POST /api/v1/query        GET /api/v1/openapi.json describes the API\nAgents: /mcp (MCP over streamable HTTP)\nState: GET /readyz  GET /metrics\n";
    Ok(bytes_response(StatusCode::OK, TEXT, text))
}

async fn healthz(_call: Call, _body: Body) -> Answer {
    Ok(bytes_response(StatusCode::OK, TEXT, "ok\n"))
}

/// Recovered and serving: the listeners open after recovery, so only the end is left to tell.
async fn readyz(call: Call, _body: Body) -> Answer {
    if call.app.is_stopping() {
        return Err(Failure::new(ErrorKind::Unavailable, "the server is stopping"));
    }
    Ok(bytes_response(StatusCode::OK, TEXT, "ready\n"))
}

async fn page(call: Call, _body: Body) -> Answer {
    let app = call.app.clone();
    let page = call.app.blocking(move || metrics::page(&app)).await?;
    Ok(bytes_response(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page))
}

/// The form of failures on a path that no route has.
fn form(path: &str) -> Form {
    if path.starts_with("/1/") || path.starts_with("/2/") {
        Form::Problem
    } else if path.starts_with("/v1/") {
        Form::Otlp
    } else if path.starts_with("/api/") && !path.starts_with("/api/v1/") {
        Form::Jaeger
    } else {
        Form::Native
    }
}

pub(crate) async fn not_found(request: Request) -> Response<Body> {
    if request.headers().get(header::CONTENT_TYPE).is_some_and(|c| c.as_bytes().starts_with(b"application/grpc")) {
        return grpc::unimplemented();
    }
    let path = request.uri().path().to_owned();
    forget(request).await;
    Failure::not_found(format!("nothing is served here, path='{path}'")).respond(form(&path))
}

/// Reads the body of a request that nobody wants, so that its connection can go on.
async fn forget(request: Request) {
    const BYTES_MAX: usize = 32 << 20;
    body::share(request.into_body()).1.discard(BYTES_MAX).await;
}

pub(crate) async fn method_not_allowed(request: Request) -> Response<Body> {
    let (path, method) = (request.uri().path().to_owned(), request.method().clone());
    forget(request).await;
    Failure::invalid(format!("the path does not take this method, method={method} path='{path}'"))
        .with_status(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed")
        .respond(form(&path))
}

/// All routes of the server.
pub(crate) fn all() -> Routes {
    let routes = crate::events::routes(Routes::new());
    let routes = grpc::routes(crate::otlp::http::routes(routes));
    let routes = crate::compat::routes(crate::api::routes(routes));
    routes_after(crate::mcp::routes(crate::jaeger::routes(routes)))
}

fn routes_after(routes: Routes) -> Routes {
    let mut routes = self::routes(routes);
    routes.router = routes.router.fallback(not_found).method_not_allowed_fallback(method_not_allowed);
    routes
}

/// The service behind every connection.
pub(crate) fn service(app: std::sync::Arc<App>) -> axum::Router {
    all().router.with_state(app)
}
