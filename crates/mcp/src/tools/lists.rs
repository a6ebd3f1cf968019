//! What there is: datasets, columns, values, markers.
//!
//! Owns: which fields of the API's lists are told, and in which order. Never does: compute anything.

use super::{Context, ToolError, encoded};
use crate::args::Args;
use crate::text::{Page, exact, to_second};
use crate::{Method, times};
use model::ALL_DATASETS;
use model::query::QuerySpec;
use serde_json::Value as Json;

const COLUMNS_DEFAULT: usize = 100;
const COLUMNS_MAX: usize = 10_000;
const VALUES_DEFAULT: usize = 50;
const VALUES_MAX: usize = 1_000;
const MARKERS_DEFAULT: usize = 50;
const DAY_S: f64 = 86_400.0;

fn list(answer: Json) -> Vec<Json> {
    match answer {
        Json::Array(items) => items,
        _ => Vec::new(),
    }
}

fn time(value: &Json) -> String {
    value.as_str().map_or_else(|| "-".to_owned(), to_second)
}

pub(super) async fn datasets(args: &Args, context: &Context) -> Result<String, ToolError> {
    let all = list(context.get("/api/v1/datasets".to_owned()).await?);
    let matching = args.text("matching")?.unwrap_or_default().to_lowercase();
    let mut wanted: Vec<&Json> = all.iter().filter(|d| d["name"].as_str().is_some_and(|n| n.to_lowercase().contains(&matching))).collect();
    wanted.sort_by_key(|d| std::cmp::Reverse(d["n_rows"].as_u64()));
    let mut page = Page::new(context.chars_max);
    if wanted.is_empty() {
        let none = if all.is_empty() {
            "no datasets yet: send events (docs/sending-events.md), or try `wideye demo`"
        } else {
            "no dataset's name contains that"
        };
        page.note(none);
        return Ok(page.finish());
    }
    let shown = page.table(
        &["dataset", "events", "columns", "last written"],
        wanted.iter().map(|d| vec![exact(&d["name"]), exact(&d["n_rows"]), exact(&d["n_columns"]), time(&d["last_written_at"])]),
    );
    if shown < wanted.len() {
        page.note(format!("{} smaller ones are not shown: narrow down with `matching`", wanted.len() - shown));
    }
    Ok(page.finish())
}

pub(super) async fn columns(args: &Args, context: &Context) -> Result<String, ToolError> {
    let dataset = args.dataset()?;
    let limit = args.limit(COLUMNS_DEFAULT, COLUMNS_MAX)?;
    let matching = args.text("matching")?.unwrap_or_default();
    let path = format!("/api/v1/datasets/{}/columns", encoded(&dataset));
    let all = list(context.about(&dataset, Method::Get, path, None).await?);
    let needle = matching.to_lowercase();
    let mut wanted: Vec<&Json> = all.iter().filter(|c| c["name"].as_str().is_some_and(|n| n.to_lowercase().contains(&needle))).collect();
    wanted.sort_by_key(|c| (std::cmp::Reverse(c["count"].as_u64()), c["name"].as_str().map(str::to_owned)));
    let mut page = Page::new(context.chars_max);
    if wanted.is_empty() {
        let mut near: Vec<&str> = all.iter().filter_map(|c| c["name"].as_str()).collect();
        near.sort_by_key(|n| question::distance(&n.to_lowercase(), &needle));
        near.truncate(8);
        let near = if near.is_empty() { "; it has none".to_owned() } else { format!("; nearest names: {}", near.join(", ")) };
        page.note(format!("none of the {} columns of {dataset} contains '{matching}'{near}", all.len()));
        return Ok(page.finish());
    }
    let rows = wanted.iter().take(limit).map(|c| {
        let kinds = c["kinds"].as_array().map_or(&[][..], Vec::as_slice);
        let kind = match (c["calculated"].as_str(), kinds) {
            (Some(expression), _) => format!("calculated: {expression}"),
            (None, [] | [_]) => exact(&c["type"]),
            (None, kinds) => kinds.iter().map(|k| format!("{} {}", exact(&k["type"]), exact(&k["count"]))).collect::<Vec<_>>().join(", "),
        };
        vec![exact(&c["name"]), kind, exact(&c["count"])]
    });
    let shown = page.table(&["column", "type", "events with it"], rows);
    if shown < wanted.len() {
        page.note(format!("{shown} of {} columns, the most filled ones: narrow down with `matching`, or raise `limit`", wanted.len()));
    }
    Ok(page.finish())
}

pub(super) async fn values(args: &Args, context: &Context) -> Result<String, ToolError> {
    let dataset = args.dataset()?;
    let column = args.text("column")?.unwrap_or_default();
    let limit = args.limit(VALUES_DEFAULT, VALUES_MAX)?;
    let prefix = args.text("prefix")?.unwrap_or_default();
    let mut path =
        format!("/api/v1/datasets/{}/values?column={}&prefix={}&limit={limit}", encoded(&dataset), encoded(&column), encoded(&prefix));
    let now = (context.now_s)();
    let mut range = QuerySpec { time_range: Some(DAY_S), ..QuerySpec::default() };
    if args.get("from").is_some() {
        range.time_range = None;
    }
    times::range(args, &mut range, now)?;
    // Without times the API looks a little ahead, too: clocks of senders may be.
    if ["last", "from", "to"].iter().any(|n| args.get(n).is_some()) {
        let (start, end) = times::fix(&mut range, now)?;
        path.push_str(&format!("&start_time={start}&end_time={end}"));
    }
    let all = list(context.about(&dataset, Method::Get, path, None).await?);
    let mut page = Page::new(context.chars_max);
    if all.is_empty() {
        page.note(format!(
            "no value of {column}{} in that time: widen `last` (such as 7d), or shorten `prefix`",
            if prefix.is_empty() { String::new() } else { format!(" begins with '{prefix}'") }
        ));
        return Ok(page.finish());
    }
    let shown = page.table(&[&column, "events, about"], all.iter().map(|v| vec![exact(&v["value"]), exact(&v["count"])]));
    if shown < all.len() || all.len() == limit {
        page.note(format!(
            "{shown} of {} values or more, the most frequent ones: give a `prefix`, or raise `limit` (at most {VALUES_MAX})",
            all.len()
        ));
    }
    Ok(page.finish())
}

pub(super) async fn markers(args: &Args, context: &Context) -> Result<String, ToolError> {
    let dataset = args.dataset()?;
    let limit = args.limit(MARKERS_DEFAULT, VALUES_MAX)?;
    let now = (context.now_s)();
    let mut range = QuerySpec::default();
    times::range(args, &mut range, now)?;
    let bounded = range.time_range.is_some() || range.start_time.is_some();
    let open_end = range.end_time.is_none();
    let (start, end) = times::fix(&mut range, now)?;
    let path = |dataset: &str| format!("/api/v1/datasets/{}/markers", encoded(dataset));
    let mut all: Vec<(Json, String)> = Vec::new();
    let (places, left_out) = places(&dataset, context).await?;
    for dataset in places {
        let found = list(context.about(&dataset, Method::Get, path(&dataset), None).await?);
        all.extend(found.into_iter().map(|m| (m, dataset.clone())));
    }
    all.retain(|(m, _)| {
        let from = m["start_time"].as_f64().unwrap_or(0.0);
        let to = m["end_time"].as_f64().unwrap_or(from);
        (!bounded || to >= start) && (open_end || from < end)
    });
    all.sort_by_key(|(m, _)| std::cmp::Reverse(m["start_time"].as_i64()));
    let mut page = Page::new(context.chars_max);
    if left_out > 0 {
        page.note(format!("{left_out} small datasets were left out: name a `dataset` to see its markers"));
    }
    if all.is_empty() {
        page.note("no markers; senders make them with POST /1/markers/{dataset} (docs/sending-events.md)");
        return Ok(page.finish());
    }
    let rows = all.iter().take(limit).map(|(m, place)| {
        let at = m["start_time"].as_i64().map_or_else(|| "-".to_owned(), question::utc);
        let until = m["end_time"].as_i64().map(|t| format!(" to {}", question::utc(t))).unwrap_or_default();
        let place = if place == ALL_DATASETS { "all" } else { place };
        vec![format!("{at}{until}"), exact(&m["type"]), exact(&m["message"]), place.to_owned(), exact(&m["url"])]
    });
    let shown = page.table(&["time", "type", "message", "dataset", "url"], rows);
    if shown < all.len() {
        page.note(format!("{shown} of {} markers, the newest: narrow down with `from` and `to`, or raise `limit`", all.len()));
    }
    Ok(page.finish())
}

/// Where markers that concern a dataset are kept: its own, and those of all. Asked about all, those of the largest datasets, and
/// how many others there are.
async fn places(dataset: &str, context: &Context) -> Result<(Vec<String>, usize), ToolError> {
    const DATASETS_MAX: usize = 50;
    if dataset != ALL_DATASETS {
        return Ok((vec![dataset.to_owned(), ALL_DATASETS.to_owned()], 0));
    }
    let mut all = list(context.get("/api/v1/datasets".to_owned()).await?);
    all.sort_by_key(|d| std::cmp::Reverse(d["n_rows"].as_u64()));
    let left_out = all.len().saturating_sub(DATASETS_MAX);
    let slugs = all.iter().filter_map(|d| d["slug"].as_str().map(str::to_owned)).take(DATASETS_MAX);
    Ok((std::iter::once(ALL_DATASETS.to_owned()).chain(slugs).collect(), left_out))
}
