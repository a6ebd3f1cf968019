//! `service_map`: which service calls which.
//!
//! Owns: which of its numbers are told. Never does: look at spans (the API does).

use super::{CONDITIONS, Context, ToolError, dataset, items, texts, times, whole};
use crate::args::Args;
use crate::text::{Page, exact, list, points, rounded, to_second};
use crate::{Method, times as ranges};
use model::query::QuerySpec;
use serde_json::{Value as Json, json};

const EDGES_DEFAULT: usize = 50;
const EDGES_MAX: usize = 1_000;

pub(super) fn properties() -> Vec<(&'static str, Json)> {
    let mut all = vec![
        ("services", texts("Only calls from or to these services; default: all")),
        ("filters", items(&format!("On the span that a call made in its callee. {CONDITIONS}"))),
    ];
    all.extend(times());
    all.extend([dataset(), ("limit", whole("Calls (pairs of services) in the answer, the most frequent ones (default 50, at most 1000)"))]);
    all
}

pub(super) async fn run(args: &Args, context: &Context) -> Result<String, ToolError> {
    let dataset = args.dataset()?;
    let limit = args.limit(EDGES_DEFAULT, EDGES_MAX)?;
    let mut spec = QuerySpec::default();
    (spec.filters, spec.filter_combination) = args.filters("filters")?;
    ranges::range(args, &mut spec, (context.now_s)())?;
    let body = json!({ "dataset": dataset, "query": spec, "services": args.columns("services")?, "limit": limit });
    let found = context.about(&dataset, Method::Post, "/api/v1/service-map".to_owned(), Some(body)).await?;
    Ok(told(&found, context.chars_max))
}

/// How many, how often failed, how long.
fn numbers(of: &Json) -> Vec<String> {
    let failed = points(of["error_share"].as_f64().unwrap_or(0.0));
    vec![rounded(&of["count"]), failed, rounded(&of["p50_ms"]), rounded(&of["p95_ms"])]
}

fn told(answer: &Json, chars_max: usize) -> String {
    let mut page = Page::new(chars_max);
    let time = |name: &str| to_second(answer[name].as_str().unwrap_or_default());
    page.line(&format!("{} to {}", time("start_time"), time("end_time")));
    let (nodes, edges) = (list(answer, "nodes"), list(answer, "edges"));
    if nodes.is_empty() {
        page.note("no spans in that time: widen it (`last`: 1d), or use fewer filters");
        return page.finish();
    }
    let calls = edges.iter().map(|e| {
        let mark = if e["inferred"] == true { " (seen by the caller only)" } else { "" };
        let mut row = vec![format!("{} -> {}{mark}", exact(&e["caller"]), exact(&e["callee"]))];
        row.extend(numbers(e));
        row
    });
    let told = page.table(&["call", "count", "errors %", "P50 ms", "P95 ms"], calls);
    page.line("");
    let shown = page.table(
        &["served by", "count", "errors %", "P50 ms", "P95 ms"],
        nodes.iter().map(|n| {
            let kind = n["kind"].as_str().filter(|k| *k != "service").map(|k| format!(" ({k})")).unwrap_or_default();
            let mut row = vec![format!("{}{kind}", exact(&n["name"]))];
            row.extend(numbers(n));
            row
        }),
    );
    if told < edges.len() || shown < nodes.len() || answer["truncated"] == true {
        let more = if answer["truncated"] == true { "more than " } else { "" };
        page.note(format!(
            "{told} of {more}{} calls and {shown} of {} services: name `services`, or raise `limit`",
            edges.len(),
            nodes.len()
        ));
    }
    page.trust(&answer["meta"]);
    page.finish()
}
