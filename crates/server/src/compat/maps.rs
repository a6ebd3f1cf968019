//! `/1/maps/dependencies/requests`: which service calls which, worked out in the background and polled page by page.
//!
//! Owns: Honeycomb's form of it. Never does: look at spans (engine).

use super::kept::{Kept, State, finished, located, soon};
use super::queries::validation;
use crate::app::App;
use crate::ask::on_engine;
use crate::body;
use crate::error::{Failure, Problem};
use crate::ids;
use crate::route::{Answer, Call, json, not_json};
use crate::shape::{Shape, fit, may, must};
use axum::body::Body;
use axum::http::StatusCode;
use engine::ServiceMapSpec;
use model::TimeNs;
use model::query::QuerySpec;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use tokio::sync::watch::Receiver;

const KIND: &str = "map_request";
const RANGE_DEFAULT_S: u64 = 7_200;
const LIMIT_DEFAULT: i64 = 10_000;
const PAGE_DEFAULT: usize = 20;
const PAGE_MAX: usize = 100;

static REQUEST: Shape = Shape::Object(&[
    may("start_time", Shape::Count),
    may("end_time", Shape::Count),
    may("time_range", Shape::Count),
    may("filters", Shape::List { min: 0, max: 100, of: &NODE }),
]);

static NODE: Shape = Shape::Object(&[must("name", Shape::Text { min: 1, max: 1_024 }), may("type", Shape::Word(&["service"]))]);

/// What a map is worked out from, kept in the catalog.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Order {
    query: QuerySpec,
    services: Vec<String>,
    limit: i64,
    /// The present of the request: a relative range means the same when it is worked out again.
    now_ns: TimeNs,
}

/// A finished map.
#[derive(Debug)]
pub(crate) struct Done {
    /// Caller, callee, calls.
    calls: Vec<(Arc<str>, Arc<str>, u64)>,
    finished_at: TimeNs,
}

impl Done {
    fn bytes(&self) -> usize {
        self.calls.iter().map(|(a, b, _)| a.len() + b.len() + 40).sum()
    }
}

/// Maps under way and in memory.
pub(crate) type Maps = Kept<Done>;

/// The range of a request. Clients that fill in the default of `time_range` send all three: then start and end say it.
fn range(sent: &Json) -> Result<QuerySpec, Vec<Problem>> {
    let number = |name: &str| sent[name].as_u64();
    let (start, end) = (number("start_time"), number("end_time"));
    let invalid =
        |field: &str, description: &str| vec![Problem { field: field.to_owned(), code: "invalid", description: description.to_owned() }];
    let length = number("time_range").unwrap_or(RANGE_DEFAULT_S);
    if length == 0 {
        return Err(invalid("time_range", "must be at least 1 second"));
    }
    if let (Some(start), Some(end)) = (start, end)
        && start > end
    {
        return Err(invalid("start_time", "must not be after end_time"));
    }
    let time_range = if start.is_some() && end.is_some() { None } else { Some(length as f64) };
    Ok(QuerySpec { start_time: start.map(Json::from), end_time: end.map(Json::from), time_range, ..QuerySpec::default() })
}

fn order(sent: &Json, limit: Option<String>, limit_max: usize) -> Result<Order, Failure> {
    let mut problems = Vec::new();
    let sent = fit(&REQUEST, sent, "", &mut problems);
    let limit = match limit.filter(|l| !l.is_empty()) {
        None => Some(LIMIT_DEFAULT.min(i64::try_from(limit_max).unwrap_or(LIMIT_DEFAULT))),
        Some(text) => text.parse().ok().filter(|l| usize::try_from(*l).is_ok_and(|l| (1..=limit_max).contains(&l))),
    };
    if limit.is_none() {
        problems.push(Problem { field: "limit".to_owned(), code: "invalid", description: format!("must be 1 to {limit_max}") });
    }
    let query = if problems.is_empty() { range(&sent) } else { Ok(QuerySpec::default()) };
    let query = query.map_err(|found| problems.extend(found));
    let (Some(limit), Ok(query), true) = (limit, query, problems.is_empty()) else { return Err(Failure::problems(problems)) };
    let services = sent["filters"].as_array().into_iter().flatten().filter_map(|n| n["name"].as_str()).map(str::to_owned).collect();
    Ok(Order { query, services, limit, now_ns: crate::time::now() })
}

fn start(app: &Arc<App>, id: &str, order: Order) -> Receiver<State<Done>> {
    let with = Arc::clone(app);
    Kept::start(
        app,
        |app| &app.maps,
        id,
        Done::bytes,
        || async move {
            let spec = ServiceMapSpec {
                query: order.query,
                services: order.services,
                calls_only: true,
                limit: Some(order.limit),
                ..ServiceMapSpec::default()
            };
            let run = with.runs.begin();
            on_engine(&with, &run, order.now_ns, move |app, run| {
                let map = app.engine.service_map(&store::Scope::All, &spec, run)?;
                let calls = map.edges.into_iter().map(|e| (e.caller, e.callee, e.numbers.count.round() as u64)).collect();
                Ok(Done { calls, finished_at: crate::time::now() })
            })
            .await
        },
    )
}

pub(crate) async fn create(call: Call, body: Body) -> Answer {
    let sent: Json = body::read_json_if_any(&call.app, &call.parts, body).await?.unwrap_or_else(|| json!({}));
    let order = order(&sent, call.query("limit"), call.app.settings.limits.map_edges_max).map_err(validation)?;
    let id = ids::random();
    let (app, kept, document) = (call.app.clone(), id.clone(), serde_json::to_value(&order).map_err(not_json)?);
    let put = move || {
        app.store.put_document(KIND, "", &kept, &document)?;
        app.maps.created(&app, KIND)
    };
    call.app.blocking(put).await??;
    drop(start(&call.app, &id, order));
    let answer = json(StatusCode::CREATED, &json!({ "request_id": id, "status": "pending" }))?;
    Ok(located(answer, &format!("{}/1/maps/dependencies/requests/{id}", call.base_url())))
}

/// A number of the query string, of which what is wrong is a failed validation.
fn parameter(call: &Call, name: &str, default: usize, allowed: std::ops::RangeInclusive<usize>) -> Result<usize, Failure> {
    match call.query(name).filter(|v| !v.is_empty()) {
        None => Ok(default),
        Some(text) => text.parse().ok().filter(|n| allowed.contains(n)).ok_or_else(|| {
            let description = format!("is not one of this list's, value='{text}'");
            validation(Failure::problems(vec![Problem { field: name.to_owned(), code: "invalid", description }]))
        }),
    }
}

pub(crate) async fn get(call: Call, _body: Body) -> Answer {
    let size = parameter(&call, "page[size]", PAGE_DEFAULT, 1..=PAGE_MAX)?;
    // The cursor is the number of those that came before.
    let after = parameter(&call, "page[after]", 0, 0..=usize::MAX)?;
    let (app, id) = (call.app.clone(), call.param("id").to_owned());
    let kept = id.clone();
    let stored = call.app.blocking(move || app.store.document(KIND, "", &kept)).await??;
    let Some(document) = stored else { return Err(Failure::not_found(format!("no such map request, id='{id}'"))) };
    let order: Order = serde_json::from_value(document.body).map_err(not_json)?;
    let done = match soon(start(&call.app, &id, order)).await {
        None => return json(StatusCode::OK, &json!({ "request_id": id, "status": "pending", "dependencies": null })),
        Some(Err(failure)) if failure.kind.retryable() => return Err(failure),
        Some(Err(failure)) => {
            let body = json!({ "request_id": id, "status": "error", "dependencies": null, "error": failure.message });
            return json(StatusCode::OK, &body);
        }
        Some(Ok(done)) => done,
    };
    Ok(finished(json(StatusCode::OK, &page(&id, &done, after, size))?, done.finished_at))
}

fn page(id: &str, done: &Done, after: usize, size: usize) -> Json {
    let node = |name: &str| json!({ "name": name, "type": "service" });
    let dependency = |(caller, callee, count): &(Arc<str>, Arc<str>, u64)| json!({ "parent_node": node(caller), "child_node": node(callee), "call_count": count });
    let dependencies: Vec<Json> = done.calls.iter().skip(after).take(size).map(dependency).collect();
    let end = after.saturating_add(size);
    let next = (end < done.calls.len()).then(|| format!("/1/maps/dependencies/requests/{id}?page%5Bafter%5D={end}&page%5Bsize%5D={size}"));
    json!({ "request_id": id, "status": "ready", "dependencies": dependencies, "links": { "next": next } })
}

#[cfg(test)]
mod tests {
    use super::{Done, order, page};
    use serde_json::{Value as Json, json};

    #[test]
    fn ranges_and_limits() {
        let of = |sent: Json| order(&sent, None, 64_000).unwrap();
        let times = |sent: Json| {
            let q = of(sent).query;
            (q.start_time.and_then(|t| t.as_u64()), q.end_time.and_then(|t| t.as_u64()), q.time_range)
        };
        assert_eq!(times(json!({})), (None, None, Some(7_200.0)));
        assert_eq!(times(json!({ "start_time": 5 })), (Some(5), None, Some(7_200.0)));
        assert_eq!(times(json!({ "end_time": 5, "time_range": 3 })), (None, Some(5), Some(3.0)));
        assert_eq!(times(json!({ "start_time": 5, "end_time": 9, "time_range": 7_200 })), (Some(5), Some(9), None));
        assert_eq!(of(json!({ "filters": [{ "name": "a", "type": "service" }, { "name": "b" }] })).services, ["a", "b"]);
        assert_eq!(order(&json!({}), Some("3".into()), 64_000).unwrap().limit, 3);
        for (sent, limit, field) in [
            (json!({ "start_time": 9, "end_time": 5 }), None, "start_time"),
            (json!({ "time_range": 0 }), None, "time_range"),
            (json!({ "start_time": "x" }), None, "start_time"),
            (json!({ "filters": [{ "type": "service" }] }), None, "filters[0].name"),
            (json!({ "filters": [{ "name": "a", "type": "host" }] }), None, "filters[0].type"),
            (json!({}), Some("0"), "limit"),
            (json!({}), Some("64001"), "limit"),
            (json!({}), Some("many"), "limit"),
        ] {
            let failure = order(&sent, limit.map(str::to_owned), 64_000).unwrap_err();
            assert!(failure.message.starts_with(field), "{sent} {}", failure.message);
        }
    }

    #[test]
    fn pages_lead_to_the_next() {
        let calls = (0..5).map(|i| (format!("a{i}").into(), "b".into(), i)).collect();
        let done = Done { calls, finished_at: 0 };
        let first = page("x", &done, 0, 2);
        assert_eq!(
            first["dependencies"][1],
            json!({ "parent_node": { "name": "a1", "type": "service" }, "child_node": { "name": "b", "type": "service" }, "call_count": 1 })
        );
        assert_eq!(first["links"]["next"], "/1/maps/dependencies/requests/x?page%5Bafter%5D=2&page%5Bsize%5D=2");
        let last = page("x", &done, 4, 2);
        assert_eq!((last["dependencies"].as_array().unwrap().len(), &last["links"]["next"]), (1, &Json::Null));
        assert_eq!(page("x", &done, usize::MAX, 2)["dependencies"], json!([]));
    }
}
