//! `wideye datasets` and `columns`: what there is, as tables.
//!
//! Owns: which fields of the API's answers are shown. Never does: compute anything.

use crate::{
    cli::{ColumnsArgs, ListArgs},
    client::{Client, segment},
    error::CliError,
    render::{Align, Table, text},
    term::{Out, bytes, grouped},
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
