//! The tools: names, descriptions and schemas as agents see them, and the way into each.
//!
//! Owns: the list. Never does: the work of a tool (one file per family).

mod contrast;
mod lists;
mod map;
mod query;
mod trace;

use crate::args::Args;
use crate::{Api, ApiError, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;

/// What every tool needs.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) api: Arc<dyn Api>,
    /// Characters of one answer.
    pub(crate) chars_max: usize,
    pub(crate) now_s: fn() -> f64,
}

impl Context {
    pub(crate) async fn get(&self, path: String) -> Result<Json, ToolError> {
        Ok(self.api.call(Method::Get, path, None).await?)
    }

    /// Asks about a dataset; if there is none of that name, says which there are.
    pub(crate) async fn about(&self, dataset: &str, method: Method, path: String, body: Option<Json>) -> Result<Json, ToolError> {
        match self.api.call(method, path, body).await {
            Ok(answer) => Ok(answer),
            Err(ApiError::Refused { status: 404, message, .. }) if message.contains("dataset") => Err(self.which(dataset, &message).await),
            Err(e) => Err(e.into()),
        }
    }

    async fn which(&self, dataset: &str, message: &str) -> ToolError {
        const NAMES_MAX: usize = 30;
        let Ok(all) = self.get("/api/v1/datasets".to_owned()).await else { return ToolError::arguments(message.to_owned()) };
        let mut names: Vec<&str> = all.as_array().into_iter().flatten().filter_map(|d| d["name"].as_str()).collect();
        let n = names.len();
        names.sort_by_key(|name| question::distance(&name.to_lowercase(), &dataset.to_lowercase()));
        names.truncate(NAMES_MAX);
        let more = if n > names.len() { format!(" and {} more (list_datasets)", n - names.len()) } else { String::new() };
        let all = if n == 0 { "there are none yet".to_owned() } else { format!("nearest names first: {}{more}", names.join(", ")) };
        ToolError::arguments(format!("{message}; {all}; or leave `dataset` out for all together"))
    }
}

/// Why a tool has no answer, in words for the agent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    #[error("{0}")]
    Arguments(String),
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl ToolError {
    pub(crate) fn arguments(what: impl Into<String>) -> ToolError {
        ToolError::Arguments(what.into())
    }
}

/// A tool as agents see it.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    /// Name, schema and description of each argument.
    properties: fn() -> Vec<(&'static str, Json)>,
    pub(crate) required: &'static [&'static str],
}

impl Tool {
    /// JSON schema of the arguments.
    pub(crate) fn schema(&self) -> Map<String, Json> {
        let properties: Map<String, Json> = (self.properties)().into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
        let mut schema = Map::new();
        schema.insert("type".to_owned(), "object".into());
        schema.insert("properties".to_owned(), properties.into());
        if !self.required.is_empty() {
            schema.insert("required".to_owned(), json!(self.required));
        }
        schema.insert("additionalProperties".to_owned(), false.into());
        schema
    }
}

fn text(description: &str) -> Json {
    json!({ "type": "string", "description": description })
}

fn whole(description: &str) -> Json {
    json!({ "type": "integer", "description": description })
}

fn flag(description: &str) -> Json {
    json!({ "type": "boolean", "description": description })
}

fn texts(description: &str) -> Json {
    json!({ "type": "array", "items": { "type": "string" }, "description": description })
}

/// A list whose items are texts or objects.
fn items(description: &str) -> Json {
    json!({ "type": "array", "items": { "type": ["string", "object"] }, "description": description })
}

fn dataset() -> (&'static str, Json) {
    ("dataset", text("Name or slug, from list_datasets; left out: all datasets together"))
}

fn times() -> [(&'static str, Json); 3] {
    [
        ("last", text("How far back: 30m, 2h (default), 1d")),
        ("from", text("Start instead of `last`: 2026-01-31T08:00:00Z, Unix seconds, now-2h")),
        ("to", text("End, exclusive; default now")),
    ]
}

const CONDITIONS: &str = "Conditions that all hold: \"http.status_code >= 500\", \"error = true\", \"name starts-with \\\"GET /\\\"\", \"geo in (DE, FR)\", \"user.id exists\". Signs: = != > >= < <=; words: contains, starts-with, ends-with, does-not-contain, exists, does-not-exist, in, not-in. Columns may carry root. parent. child. any. none. for other spans of the same trace. A single text may join with or. Or objects {column, op, value}";

/// All tools, in the order in which an agent is likely to want them.
pub(crate) static ALL: [Tool; 8] = [
    Tool {
        name: "list_datasets",
        title: "List datasets",
        description: "Datasets (one per service or source) with events, columns and when each was last written. Start here; then list_columns. Example: {}",
        properties: || vec![("matching", text("Only names that contain this"))],
        required: &[],
    },
    Tool {
        name: "list_columns",
        title: "List columns",
        description: "Columns of a dataset with types and how many events have each, most filled first. Good for finding exact names before query and contrast; then list_values. Example: {\"dataset\": \"frontend\", \"matching\": \"http\"}",
        properties: || {
            vec![
                dataset(),
                ("matching", text("Only names that contain this, in any case")),
                ("limit", whole("At most so many (default 100)")),
            ]
        },
        required: &[],
    },
    Tool {
        name: "list_values",
        title: "List values of a column",
        description: "Values of one column, most frequent first, with about how many events have each. Good for exact spellings to filter by; for numbers rather ask query for P50, P99 or HEATMAP. Example: {\"dataset\": \"frontend\", \"column\": \"http.route\", \"prefix\": \"/api\"}",
        properties: || {
            vec![
                dataset(),
                ("column", text("Column, from list_columns")),
                ("prefix", text("What the values begin with")),
                ("limit", whole("At most so many (default 50, at most 1000)")),
                ("last", text("How far back (default 1d)")),
                ("from", text("Start instead of `last`")),
                ("to", text("End; default now")),
            ]
        },
        required: &["column"],
    },
    Tool {
        name: "query",
        title: "Ask a question",
        description: "Counts, groups, percentiles, series and raw events, over any columns. Grouped answers are largest first. With `granularity` a series over time; calculations [\"EVENTS\"] for raw events. When something is slow or failing, go on with contrast rather than trying breakdowns one by one. Example: {\"dataset\": \"frontend\", \"calculations\": [\"COUNT\", \"P99(duration_ms)\"], \"filters\": [\"http.status_code >= 500\"], \"breakdowns\": [\"http.route\"], \"last\": \"1h\", \"limit\": 10}",
        properties: query::properties,
        required: &[],
    },
    Tool {
        name: "contrast",
        title: "What is different about these events?",
        description: "Compares selected events with all the others over every column and says in sentences what explains them: values, ranges, missing fields, and combinations, without chance findings. The best first step for \"why is this slow / failing / different since 14:00\". Each finding has filters to go on with in query, and an example trace. Example: {\"dataset\": \"frontend\", \"select\": [\"duration_ms > 1000\"], \"last\": \"2h\"}",
        properties: contrast::properties,
        required: &[],
    },
    Tool {
        name: "trace",
        title: "Show a trace",
        description: "One trace as a folded tree: where the time went (critical path), where errors began, what is odd, spans that are slower than nearly all of their kind. Good for one slow or failed request; ids come from contrast or from query with EVENTS(trace.trace_id). Then `span` for all fields of one span, `below` for what is folded. Example: {\"id\": \"7f3a1c0e5b9d4f2a8c6e1d3b5a7f9c0e\"}",
        properties: trace::properties,
        required: &["id"],
    },
    Tool {
        name: "service_map",
        title: "Show which service calls which",
        description: "Services and the calls between them, databases and queues included: how often, share of errors, P50 and P95. Good for where in a system a problem sits; then contrast in the dataset of that service. Example: {\"services\": [\"checkout\"], \"last\": \"1h\"}",
        properties: map::properties,
        required: &[],
    },
    Tool {
        name: "markers",
        title: "List markers",
        description: "Deploys and other things that happened, newest first, with their times. Good for what changed before a problem; then contrast with select_from at that time. Example: {\"dataset\": \"frontend\", \"last\": \"1d\"}",
        properties: || {
            vec![
                dataset(),
                ("last", text("How far back; default: everything")),
                ("from", text("Start instead of `last`")),
                ("to", text("End; default: none")),
                ("limit", whole("At most so many (default 50)")),
            ]
        },
        required: &[],
    },
];

pub(crate) fn find(name: &str) -> Option<&'static Tool> {
    ALL.iter().find(|t| t.name == name)
}

/// Calls a tool.
pub(crate) async fn run(tool: &'static Tool, arguments: Map<String, Json>, context: &Context) -> Result<String, ToolError> {
    let args = Args::new(tool, arguments)?;
    match tool.name {
        "list_datasets" => lists::datasets(&args, context).await,
        "list_columns" => lists::columns(&args, context).await,
        "list_values" => lists::values(&args, context).await,
        "query" => query::run(&args, context).await,
        "contrast" => contrast::run(&args, context).await,
        "trace" => trace::run(&args, context).await,
        "service_map" => map::run(&args, context).await,
        _ => lists::markers(&args, context).await,
    }
}

/// A path segment or a parameter, percent-encoded.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
