//! `wideye datasets`, `columns` and `trace`: what there is, as tables.
//!
//! Owns: which fields of the API's answers are shown. Never does: compute anything.

use crate::{
    cli::{ColumnsArgs, ListArgs, TraceArgs},
    client::{Client, segment},
    error::CliError,
    render::{Align, Table, epoch_s, number, text},
    term::{Out, Style, bytes, grouped},
};
use serde_json::Value as Json;

fn get(list: &ListArgs, path: &str, out: &mut Out) -> Result<Option<Json>, CliError> {
    let client = Client::new(&list.server.url, list.server.key.as_deref())?;
    let answer = client.get_json(path)?;
    if list.json {
        out.line(format_args!("{answer:#}"))?;
        return Ok(None);
    }
    Ok(Some(answer))
}

/// The list that an answer is or holds under a name.
fn items<'j>(answer: &'j Json, name: &str) -> &'j [Json] {
    answer.get(name).unwrap_or(answer).as_array().map_or(&[], Vec::as_slice)
}

fn count(value: &Json) -> String {
    value.as_u64().map_or_else(|| text(value), grouped)
}

pub(super) fn datasets(args: &ListArgs, out: &mut Out) -> Result<(), CliError> {
    let Some(answer) = get(args, "/api/v1/datasets", out)? else { return Ok(()) };
    let mut table = Table::new([
        ("dataset".to_owned(), Align::Left),
        ("slug".to_owned(), Align::Left),
        ("events".to_owned(), Align::Right),
        ("columns".to_owned(), Align::Right),
        ("bytes".to_owned(), Align::Right),
        ("last written".to_owned(), Align::Left),
    ]);
    for d in items(&answer, "datasets") {
        let size = d["bytes"].as_u64().map_or_else(|| text(&d["bytes"]), bytes);
        table.row([text(&d["name"]), text(&d["slug"]), count(&d["n_rows"]), count(&d["n_columns"]), size, text(&d["last_written_at"])]);
    }
    table.print(out)
}

pub(super) fn columns(args: &ColumnsArgs, out: &mut Out) -> Result<(), CliError> {
    let path = format!("/api/v1/datasets/{}/columns", segment(&args.dataset));
    let Some(answer) = get(&args.list, &path, out)? else { return Ok(()) };
    let mut table = Table::new([
        ("column".to_owned(), Align::Left),
        ("types and events".to_owned(), Align::Left),
        ("last seen".to_owned(), Align::Left),
    ]);
    let columns = items(&answer, "columns");
    let wanted = |c: &&Json| args.like.as_deref().is_none_or(|like| text(&c["name"]).contains(like));
    for c in columns.iter().filter(wanted) {
        let types: Vec<String> =
            c["kinds"].as_array().into_iter().flatten().map(|t| format!("{} {}", text(&t["type"]), count(&t["count"]))).collect();
        table.row([text(&c["name"]), types.join(", "), text(&c["last_seen"])]);
    }
    table.print(out)
}

pub(super) fn trace(args: &TraceArgs, out: &mut Out) -> Result<(), CliError> {
    let path = format!("/api/v1/traces/{}/events", segment(&args.id));
    let Some(answer) = get(&args.list, &path, out)? else { return Ok(()) };
    let events = items(&answer, "events");
    if events.is_empty() {
        return Err(CliError::Found(format!("no trace has the id {}", args.id)));
    }
    let first = epoch_s(&text(&events[0]["time"])).unwrap_or(0.0);
    let mut table = Table::new([
        ("at".to_owned(), Align::Right),
        ("took".to_owned(), Align::Right),
        ("service".to_owned(), Align::Left),
        ("name".to_owned(), Align::Left),
        ("status".to_owned(), Align::Left),
    ]);
    for event in events {
        let data = &event["data"];
        let at = epoch_s(&text(&event["time"])).map_or(0.0, |t| (t - first) * 1000.0);
        let depth = depth(events, data);
        let failed = data["error"] == Json::Bool(true);
        let why = data["status_message"].as_str().or(data["exception.message"].as_str()).unwrap_or_default();
        let status = if failed { format!("error {why}") } else { String::new() };
        table.row([
            format!("+{} ms", number((at * 1000.0).round() / 1000.0)),
            data["duration_ms"].as_f64().map_or_else(|| "–".to_owned(), |d| format!("{} ms", number((d * 1000.0).round() / 1000.0))),
            text(&data["service.name"]),
            format!("{}{}", "  ".repeat(depth), text(&data["name"])),
            status,
        ]);
    }
    table.print(out)?;
    let start = out.paint(Style::Dim, &format!("{} events, first at {}", events.len(), text(&events[0]["time"])));
    out.line(format_args!("{start}"))
}

/// How many ancestors of an event are in the trace.
fn depth(events: &[Json], data: &Json) -> usize {
    let mut n = 0;
    let mut parent = &data["trace.parent_id"];
    while !parent.is_null() && n < 64 {
        let Some(found) = events.iter().map(|e| &e["data"]).find(|d| d["trace.span_id"] == *parent) else { break };
        n += 1;
        parent = &found["trace.parent_id"];
    }
    n
}
