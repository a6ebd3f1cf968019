//! An answer to a question as text: groups, series, raw events.
//!
//! Owns: its layout. Never does: ask.

use crate::heat;
use crate::text::{Page, clip, exact, list, number, rounded, to_second};
use crate::times::Labels;
use model::query::QuerySpec;
use serde_json::{Map, Value as Json};

/// Raw events that are told field by field.
const WHOLE_EVENTS_MAX: usize = 3;
/// Calculations of a grouped series that get a table.
const SERIES_TABLES_MAX: usize = 3;
/// Columns of raw events that are told unless the question chose some.
const USUAL: [&str; 8] = ["service.name", "name", "duration_ms", "http.status_code", "error", "status_message", "trace.trace_id", "body"];

/// What the answer answers.
#[derive(Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) dataset: &'a str,
    pub(crate) spec: &'a QuerySpec,
    /// Columns of raw events.
    pub(crate) show: &'a [String],
    pub(crate) limit: usize,
    pub(crate) series: bool,
    /// Of the dataset, if nothing was found.
    pub(crate) last_written: Option<String>,
}

type Data = Map<String, Json>;

fn data(row: &Json) -> Option<&Data> {
    row["data"].as_object()
}

/// Writes the answer of `/api/v1/query`.
pub(crate) fn answer(answer: &Json, shown: &Shown<'_>, chars_max: usize) -> String {
    let mut page = Page::new(chars_max);
    let meta = &answer["meta"];
    page.line(&format!(
        "{}, {} to {}: {} events matched",
        if shown.dataset == model::ALL_DATASETS { "all datasets" } else { shown.dataset },
        to_second(answer["start_time"].as_str().unwrap_or_default()),
        to_second(answer["end_time"].as_str().unwrap_or_default()),
        exact(&meta["rows_matched"])
    ));
    let results = list(answer, "results");
    let more = results.len() > shown.limit;
    let results = &results[..results.len().min(shown.limit)];
    if results.is_empty() || meta["rows_matched"] == 0 {
        let written = shown.last_written.as_ref().map(|t| format!("; {} was last written to at {t}", shown.dataset)).unwrap_or_default();
        page.note(format!(
            "nothing matched{written}. Widen the time (`last`: 1d), use fewer filters, or look up spellings with list_values"
        ));
    } else if results[0].get("time").is_some() {
        events(&mut page, results, more, shown);
    } else {
        if shown.series {
            series(&mut page, answer, results, shown);
        }
        groups(&mut page, answer, results, more, shown);
    }
    if let Some(earlier) = answer.get("compare").filter(|c| !c.is_null()) {
        page.line(&format!(
            "\nearlier, {} to {}:",
            to_second(earlier["start_time"].as_str().unwrap_or_default()),
            to_second(earlier["end_time"].as_str().unwrap_or_default())
        ));
        let all = list(earlier, "results");
        groups(&mut page, earlier, &all[..all.len().min(shown.limit)], all.len() > shown.limit, shown);
    }
    page.trust(meta);
    page.finish()
}

fn cell(name: &str, value: &Json, answer: &Json, shown: &Shown<'_>) -> String {
    match value {
        Json::Object(_) => heat::told(value, &answer["meta"]["heatmaps"][name]),
        value if shown.spec.breakdowns.iter().any(|b| b == name) => exact(value),
        value => rounded(value),
    }
}

fn groups(page: &mut Page, answer: &Json, results: &[Json], more: bool, shown: &Shown<'_>) {
    let Some(first) = results.first().and_then(data) else {
        page.line("nothing");
        return;
    };
    let names: Vec<&str> = first.keys().map(String::as_str).collect();
    let told = results
        .iter()
        .filter_map(data)
        .map(|row| names.iter().map(|name| cell(name, row.get(*name).unwrap_or(&Json::Null), answer, shown)).collect::<Vec<String>>());
    let n = page.table(&names, told);
    if n < results.len() || more {
        let of = if more { format!("more than {}", results.len()) } else { results.len().to_string() };
        page.note(format!("{n} of {of} groups: raise `limit`, filter, or group by fewer columns to see others"));
    }
}

/// A group's value of each breakdown.
fn key(row: &Data, shown: &Shown<'_>) -> Vec<Json> {
    shown.spec.breakdowns.iter().map(|b| row.get(b).cloned().unwrap_or_default()).collect()
}

fn series(page: &mut Page, answer: &Json, results: &[Json], shown: &Shown<'_>) {
    let points = list(answer, "series");
    let Some(first) = results.first().and_then(data) else { return };
    let calculations: Vec<&str> = first.keys().map(String::as_str).filter(|k| shown.spec.breakdowns.iter().all(|b| b != k)).collect();
    let mut times: Vec<&str> = points.iter().filter_map(|p| p["time"].as_str()).collect();
    times.dedup();
    let labels = Labels::between(times.first().unwrap_or(&""), times.last().unwrap_or(&""));
    let step = answer["granularity"].as_f64().map(number).unwrap_or_default();
    if shown.spec.breakdowns.is_empty() {
        let mut head = vec!["time"];
        head.extend(&calculations);
        let told = points.iter().filter_map(|p| {
            let row = data(p)?;
            let time = labels.label(p["time"].as_str()?);
            let cells = calculations.iter().map(|c| cell(c, row.get(*c).unwrap_or(&Json::Null), answer, shown));
            Some(std::iter::once(time).chain(cells).collect())
        });
        page.line(&format!("per {step} s, UTC:"));
        let n = page.table(&head, told);
        cut(page, n, points.len());
    } else {
        let keys: Vec<Vec<Json>> = results.iter().filter_map(data).map(|row| key(row, shown)).collect();
        let names: Vec<String> = keys.iter().map(|k| k.iter().map(exact).collect::<Vec<_>>().join(", ")).collect();
        for calculation in calculations.iter().take(SERIES_TABLES_MAX) {
            page.line(&format!("{calculation} per {step} s, UTC, of each {}:", shown.spec.breakdowns.join(", ")));
            let mut head = vec!["time"];
            head.extend(names.iter().map(String::as_str));
            let mut at = 0;
            let told = times.iter().map(|time| {
                let mut cells = vec!["-".to_owned(); keys.len()];
                while let Some(point) = points.get(at).filter(|p| p["time"].as_str() == Some(time)) {
                    at += 1;
                    if let Some(row) = data(point)
                        && let Some(i) = keys.iter().position(|k| *k == key(row, shown))
                    {
                        cells[i] = cell(calculation, row.get(*calculation).unwrap_or(&Json::Null), answer, shown);
                    }
                }
                std::iter::once(labels.label(time)).chain(cells).collect()
            });
            let n = page.table(&head, told);
            cut(page, n, times.len());
        }
        if calculations.len() > SERIES_TABLES_MAX {
            page.note(format!("series of {SERIES_TABLES_MAX} of {} calculations: ask for the others alone", calculations.len()));
        }
    }
    page.line("\nwhole range:");
}

fn cut(page: &mut Page, shown: usize, of: usize) {
    if shown < of {
        page.note(format!("{shown} of {of} buckets of the series: use a longer `granularity`, a shorter time, or a smaller `limit`"));
    }
}

fn events(page: &mut Page, results: &[Json], more: bool, shown: &Shown<'_>) {
    let n = if shown.show.is_empty() && results.len() <= WHOLE_EVENTS_MAX {
        results.iter().take_while(|event| whole_event(page, "event", event)).count()
    } else {
        table_of_events(page, results, shown)
    };
    if n < results.len() || more {
        let of = if more { format!("more than {}", results.len()) } else { results.len().to_string() };
        page.note(format!("{n} of {of} events, the newest: filter, choose columns with EVENTS(name, …), or raise `limit`"));
    }
}

/// An event field by field; false if there was no room for some of it.
pub(crate) fn whole_event(page: &mut Page, what: &str, event: &Json) -> bool {
    const FIELD_CHARS_MAX: usize = 400;
    let Some(fields) = data(event) else { return false };
    let mut all = page.line(&format!("{what} at {}:", event["time"].as_str().unwrap_or_default()));
    let mut left = 0;
    for (name, value) in fields.iter().filter(|(_, v)| !v.is_null()) {
        let value = match value {
            Json::String(text) => clip(&Json::from(text.as_str()).to_string(), FIELD_CHARS_MAX),
            other => exact(other),
        };
        let fits = page.line(&format!("  {name}: {value}"));
        left += usize::from(!fits);
        all &= fits;
    }
    if left > 0 {
        page.note(format!("{left} fields were left out: choose columns with EVENTS(name, …)"));
    }
    all
}

fn table_of_events(page: &mut Page, results: &[Json], shown: &Shown<'_>) -> usize {
    let has = |name: &str| results.iter().filter_map(data).any(|d| d.get(name).is_some_and(|v| !v.is_null()));
    let mut columns: Vec<String> = shown.show.to_vec();
    if columns.is_empty() {
        columns = USUAL.iter().filter(|n| has(n)).map(|n| (*n).to_owned()).collect();
        if columns.is_empty() {
            columns = results.first().and_then(data).map(|d| d.keys().take(6).cloned().collect()).unwrap_or_default();
        }
        let most = results.iter().filter_map(data).map(Map::len).max().unwrap_or(0);
        if most > columns.len() {
            page.note(format!("events have up to {most} fields: choose with EVENTS(column, …), or see all of them with `limit` 1"));
        }
    }
    let mut head = vec!["time"];
    head.extend(columns.iter().map(String::as_str));
    let told = results.iter().map(|event| {
        let time = event["time"].as_str().unwrap_or_default().to_owned();
        let cells = columns.iter().map(|name| data(event).and_then(|d| d.get(name)).map_or_else(|| "-".to_owned(), exact));
        std::iter::once(time).chain(cells).collect()
    });
    page.table(&head, told)
}
