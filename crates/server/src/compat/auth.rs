//! `GET /1/auth`: what the key may do. Refinery and honeycomb-mcp ask this first.
//!
//! Owns: our scopes in Honeycomb's flags. Never does: check keys.

use crate::auth::Scope;
use crate::route::{Answer, Call, json};
use axum::body::Body;
use axum::http::StatusCode;
use serde_json::{Map, Value as Json, json};

pub(crate) async fn auth(call: Call, _body: Body) -> Answer {
    let key = call.key.as_deref();
    let may = |scope: Scope| key.is_none_or(|k| k.allows(scope));
    let (ingest, query, manage) = (may(Scope::Ingest), may(Scope::Query), may(Scope::Manage));
    let flags = [
        ("events", ingest),
        // Two spellings are in use.
        ("createDatasets", ingest),
        ("create_datasets", ingest),
        ("queries", query),
        ("columns", query),
        ("markers", manage),
        ("triggers", manage),
        ("boards", manage),
        ("privateBoards", manage),
        ("slos", manage),
        ("recipients", manage),
    ];
    let access: Map<String, Json> = flags.into_iter().map(|(name, on)| (name.to_owned(), on.into())).collect();
    let kind = if ingest && !query && !manage { "ingest" } else { "configuration" };
    let id = key.map_or("open", |k| k.id.as_str());
    json(
        StatusCode::OK,
        &json!({
            "id": id,
            "type": kind,
            "api_key_access": access,
            "environment": { "name": "wideye", "slug": "wideye" },
            "team": { "name": "wideye", "slug": "wideye" },
        }),
    )
}
