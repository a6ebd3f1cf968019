//! `trace`: a trace as a folded tree, or one of its spans with all fields.
//!
//! Owns: what of a trace is told. Never does: put traces together (the API does).

use super::{Context, ToolError, dataset, encoded, text, texts};
use crate::Method;
use crate::args::Args;
use crate::text::Page;
use crate::tree::Tree;
use serde_json::Value as Json;

pub(super) fn properties() -> Vec<(&'static str, Json)> {
    vec![
        ("id", text("The value of trace.trace_id, such as of a contrast's example")),
        ("span", text("Answer this span with all its fields, span events and logs: a span id, or a row number of the tree")),
        ("below", text("Only the tree below this span: a span id or a row number")),
        ("columns", texts("Columns to show beside each row: [\"http.status_code\", \"db.statement\"]")),
        ("near", text("A time near the trace (RFC 3339 or Unix seconds): it is found faster")),
        dataset(),
    ]
}

/// Row numbers are shorter than span ids.
const ROW_DIGITS_MAX: usize = 7;

fn row_number(text: &str) -> Option<usize> {
    let text = text.trim_start_matches('#');
    (text.len() <= ROW_DIGITS_MAX).then(|| text.parse().ok()).flatten()
}

pub(super) async fn run(args: &Args, context: &Context) -> Result<String, ToolError> {
    let id = args.text("id")?.unwrap_or_default();
    let id = id.trim();
    let span = args.text("span")?;
    match span.as_deref().map(str::trim) {
        Some(span) => {
            let span = match row_number(span) {
                Some(row) => skeleton(args, context, id, false).await?.span_id(row)?,
                None => span.to_owned(),
            };
            let path = path(args, id, &format!("/spans/{}", encoded(&span)), &[])?;
            let found = context.about(&args.dataset()?, Method::Get, path, None).await.map_err(lost)?;
            Ok(span_told(&found, context.chars_max))
        }
        None => {
            let tree = skeleton(args, context, id, true).await?;
            let below = args.text("below")?;
            let below =
                below.map(|text| row_number(text.trim()).map_or_else(|| tree.row_of(text.trim()), |row| tree.known(row))).transpose()?;
            Ok(tree.told(below, context.chars_max))
        }
    }
}

fn path(args: &Args, id: &str, rest: &str, more: &[(&str, String)]) -> Result<String, ToolError> {
    let mut path = format!("/api/v1/traces/{}{rest}?dataset={}", encoded(id), encoded(&args.dataset()?));
    if let Some(near) = args.text("near")? {
        path.push_str(&format!("&ts={}", encoded(&near)));
    }
    for (name, value) in more {
        path.push_str(&format!("&{name}={}", encoded(value)));
    }
    Ok(path)
}

async fn skeleton(args: &Args, context: &Context, id: &str, whole: bool) -> Result<Tree, ToolError> {
    let columns = if whole { args.columns("columns")? } else { Vec::new() };
    let more = [("columns", columns.join(",")), ("compare", whole.to_string())];
    let found = context.about(&args.dataset()?, Method::Get, path(args, id, "", &more)?, None).await.map_err(lost)?;
    Ok(Tree::new(found))
}

/// What to do when there is no such trace.
fn lost(error: ToolError) -> ToolError {
    match error {
        ToolError::Api(crate::ApiError::Refused { status: 404, message, .. }) => ToolError::arguments(format!(
            "{message}; find ids with query: {{\"calculations\": [\"EVENTS(trace.trace_id, name, duration_ms)\"], \"filters\": [\"is_root = true\"]}}"
        )),
        other => other,
    }
}

/// A span and what happened in it, field by field.
fn span_told(found: &Json, chars_max: usize) -> String {
    let mut page = Page::new(chars_max);
    let mut left = 0;
    for (list, name) in [("spans", "span"), ("span_events", "span event"), ("logs", "log"), ("links", "link")] {
        for event in found[list].as_array().into_iter().flatten() {
            left += usize::from(!crate::render::whole_event(&mut page, name, event));
        }
    }
    page.line(&format!("children: {}", found["n_children"]));
    if left > 0 {
        page.note(format!(
            "{left} events of this span were cut or left out: ask with query and EVENTS(column, …), filtered by trace.span_id"
        ));
    }
    page.finish()
}
