//! `POST /api/v1/service-map`: which service calls which.
//!
//! Owns: the form of request and answer. Never does: look at spans (engine).

use super::query::note_meta;
use super::schema::{ErrorBody, QuerySpecSchema};
use crate::ask::{ALL, scope};
use crate::body;
use crate::route::{Answer, Call, json_by_engine, json_bytes};
use axum::body::Body;
use engine::{CallNumbers, Meta, ServiceMap, ServiceMapSpec};
use model::query::QuerySpec;
use model::time::rfc3339;
use serde::{Deserialize, Serialize, Serializer};
use std::sync::Arc;
use std::time::Instant;
use utoipa::ToSchema;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ServiceMapRequest {
    dataset: Option<String>,
    query: QuerySpec,
    services: Vec<String>,
    inferred: Option<bool>,
    limit: Option<i64>,
}

/// What map is wanted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServiceMapRequest)]
struct ServiceMapRequestSchema {
    /// Name or slug; default `__all__`, as services usually have a dataset each.
    dataset: Option<String>,
    /// Time range, filters, calculated_fields and usage_mode. The filters are about the span that a call made in its callee.
    query: Option<QuerySpecSchema>,
    /// Only calls from or to these services.
    services: Option<Vec<String>>,
    /// Whether databases, queues and others that send no spans are told from the spans of their callers (default true).
    inferred: Option<bool>,
    /// Edges in the answer, most calls first (default and at most 64000).
    limit: Option<i64>,
}

/// Which service calls which.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServiceMap)]
struct ServiceMapBody {
    /// RFC 3339, inclusive.
    start_time: String,
    /// RFC 3339, exclusive.
    end_time: String,
    /// By number of requests, the most first.
    nodes: Vec<ServiceNodeBody>,
    /// By number of calls, the most first.
    edges: Vec<ServiceEdgeBody>,
    /// Whether there are more edges than the limit.
    truncated: bool,
    /// As of a question.
    #[schema(value_type = Object)]
    meta: Meta,
}

/// A service, or something that services call. The numbers are about the requests that it served: its spans whose parent is not one
/// of its own.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServiceNode)]
struct ServiceNodeBody {
    name: String,
    /// `service`, `database`, `messaging` or `external`.
    kind: &'static str,
    /// It sends no spans: it and its numbers are known from those of its callers.
    inferred: bool,
    #[serde(flatten)]
    numbers: CallNumbersBody,
    /// Requests that name a parent which is not there.
    #[serde(serialize_with = "number")]
    orphans: f64,
}

/// Calls of one service by another.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServiceEdge)]
struct ServiceEdgeBody {
    caller: String,
    callee: String,
    /// The calls left no span in the callee: the numbers are those of the caller's spans.
    inferred: bool,
    #[serde(flatten)]
    numbers: CallNumbersBody,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallNumbers)]
struct CallNumbersBody {
    /// How many, by sample rate.
    #[serde(serialize_with = "number")]
    count: f64,
    rate_per_second: f64,
    /// Those with `error` = true.
    #[serde(serialize_with = "number")]
    errors: f64,
    /// Their share, 0 to 1.
    error_share: f64,
    /// Of the callee's durations.
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
}

/// Whole numbers are written without a fraction.
fn number<S: Serializer>(f: &f64, s: S) -> Result<S::Ok, S::Error> {
    if f.fract() == 0.0 && f.abs() < 9_007_199_254_740_992.0 { s.serialize_i64(*f as i64) } else { s.serialize_f64(*f) }
}

impl CallNumbersBody {
    fn new(n: &CallNumbers, seconds: f64) -> CallNumbersBody {
        let per = |of: f64, all: f64| if all > 0.0 { of / all } else { 0.0 };
        CallNumbersBody {
            count: n.count,
            rate_per_second: per(n.count, seconds),
            errors: n.errors,
            error_share: per(n.errors, n.count),
            p50_ms: n.p50_ms,
            p95_ms: n.p95_ms,
        }
    }
}

impl ServiceMapBody {
    fn new(map: ServiceMap) -> ServiceMapBody {
        let seconds = map.seconds();
        let numbers = |n: &CallNumbers| CallNumbersBody::new(n, seconds);
        let nodes = map.nodes.into_iter().map(|n| ServiceNodeBody {
            numbers: numbers(&n.numbers),
            name: n.name.to_string(),
            kind: n.kind.name(),
            inferred: n.inferred,
            orphans: n.orphans,
        });
        let edges = map.edges.into_iter().map(|e| ServiceEdgeBody {
            numbers: numbers(&e.numbers),
            caller: e.caller.to_string(),
            callee: e.callee.to_string(),
            inferred: e.inferred,
        });
        ServiceMapBody {
            start_time: rfc3339(map.start_ns),
            end_time: rfc3339(map.end_ns),
            nodes: nodes.collect(),
            edges: edges.collect(),
            truncated: map.truncated,
            meta: map.meta,
        }
    }
}

#[utoipa::path(
    post, path = "/api/v1/service-map", operation_id = "serviceMap", tag = "questions",
    request_body = ServiceMapRequestSchema,
    responses(
        (status = 200, description = "Services and their calls, see docs/service-map.md", body = ServiceMapBody),
        (status = 400, description = "The request is wrong: what and where is in the message", body = ErrorBody),
        (status = 404, description = "No such dataset", body = ErrorBody),
        (status = 422, description = "The map needs more memory than one question may use", body = ErrorBody),
        (status = 429, description = "Too many questions run; see Retry-After", body = ErrorBody),
    )
)]
pub(crate) async fn service_map(call: Call, body: Body) -> Answer {
    let request: ServiceMapRequest = body::read_json_if_any(&call.app, &call.parts, body).await?.unwrap_or_default();
    let dataset = request.dataset.unwrap_or_else(|| ALL.to_owned());
    call.note("wideye.dataset", dataset.as_str());
    let spec = ServiceMapSpec {
        query: request.query,
        services: request.services,
        without_inferred: request.inferred == Some(false),
        calls_only: false,
        limit: request.limit,
    };
    let record = Arc::clone(&call.record);
    json_by_engine(&call, move |app, run| {
        let started = Instant::now();
        let answered = app.engine.service_map(&scope(&dataset), &spec, run);
        app.metrics.queried(started.elapsed(), &answered, |map| &map.meta);
        let mut map = answered?;
        map.meta.elapsed_ms = Some(record.elapsed().as_secs_f64() * 1e3);
        note_meta(&record, &map.meta);
        json_bytes(&ServiceMapBody::new(map))
    })
    .await
}
