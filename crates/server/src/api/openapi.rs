//! The OpenAPI document of the native API, collected from its handlers.
//!
//! Owns: `GET /api/v1/openapi.json`, committed as docs/reference/openapi.json. Never does: describe `/1` and `/v1`, which
//! have documents of their own.

use super::{boards, contrast, datasets, examples, fields, keys, markers, query, service_map, traces};
use crate::route::{Answer, Call, bytes_response};
use axum::body::Body;
use axum::http::StatusCode;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(title = "wideye", description = "Ask anything of wide events. Keys go into X-Honeycomb-Team or Authorization: Bearer."),
    paths(
        query::query,
        query::cancel,
        contrast::contrast,
        examples::examples,
        service_map::service_map,
        traces::trace,
        traces::events,
        traces::span,
        datasets::list,
        datasets::create,
        datasets::get,
        datasets::update,
        datasets::delete,
        datasets::columns,
        datasets::values,
        fields::list,
        fields::create,
        fields::get,
        fields::update,
        fields::delete,
        markers::list,
        markers::create,
        markers::update,
        markers::delete,
        boards::list,
        boards::create,
        boards::get,
        boards::update,
        boards::delete,
        keys::list,
        keys::create,
        keys::delete,
    )
)]
struct Document;

/// The document.
#[must_use]
pub fn openapi() -> String {
    let mut text = Document::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

pub(crate) async fn document(_call: Call, _body: Body) -> Answer {
    Ok(bytes_response(StatusCode::OK, "application/json", openapi()))
}

#[cfg(test)]
mod tests {
    use super::openapi;
    use crate::api::schema::{CalculationSchema, ExpressionSchema, FilterSchema, HavingSchema, OrderSchema, QuerySpecSchema};
    use crate::route::Routes;
    use model::query::QuerySpec;
    use serde_json::{Value as Json, json};
    use std::collections::BTreeSet;

    #[test]
    fn the_committed_document_is_up_to_date() {
        crate::docs::check("docs/reference/openapi.json", &openapi());
    }

    #[test]
    fn every_native_route_is_described_and_every_description_is_a_route() {
        let document: Json = serde_json::from_str(&openapi()).unwrap();
        let mut described = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys() {
                described.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
        let routes = crate::api::routes(Routes::new());
        let served: BTreeSet<String> =
            routes.list.iter().map(|(method, path)| format!("{method} {path}")).filter(|r| !r.ends_with("openapi.json")).collect();
        assert_eq!(described, served);
    }

    #[test]
    fn a_question_is_described_as_it_is_read() {
        let names = |v: &Json| v.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let full = json!({
            "calculations": [{ "op": "SUM", "column": "x", "name": "n", "filters": [{ "column": "a", "op": "=", "value": 1 }], "filter_combination": "OR", "exact": true }],
            "filters": [{ "column": "a", "op": "=", "value": 1 }], "filter_combination": "AND", "breakdowns": ["b"],
            "orders": [{ "op": "SUM", "column": "x", "order": "descending" }],
            "havings": [{ "calculate_op": "SUM", "column": "x", "op": ">", "value": 1 }],
            "limit": 1, "granularity": 1.0, "time_range": 1.0, "start_time": 1, "end_time": 1, "compare_time_offset_seconds": 1.0,
            "usage_mode": true, "formulas": [{ "name": "f", "expression": "$n" }], "calculated_fields": [{ "name": "c", "expression": "$a" }]
        });
        let read: QuerySpec = serde_json::from_value(full).unwrap();
        let read = serde_json::to_value(read).unwrap();
        let described = serde_json::to_value(QuerySpecSchema::default()).unwrap();
        assert_eq!(names(&read), names(&described));
        for (read, described) in [
            (&read["calculations"][0], serde_json::to_value(CalculationSchema::default()).unwrap()),
            (&read["filters"][0], serde_json::to_value(FilterSchema::default()).unwrap()),
            (&read["orders"][0], serde_json::to_value(OrderSchema::default()).unwrap()),
            (&read["havings"][0], serde_json::to_value(HavingSchema::default()).unwrap()),
            (&read["formulas"][0], serde_json::to_value(ExpressionSchema::default()).unwrap()),
            (&read["calculated_fields"][0], serde_json::to_value(ExpressionSchema::default()).unwrap()),
        ] {
            assert_eq!(names(read), names(&described));
        }
    }
}
