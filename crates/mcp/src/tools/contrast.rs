//! `contrast`: arguments to a comparison, what it found to sentences.
//!
//! Owns: how the arguments join, and the layout of findings. Never does: compare.

use super::{CONDITIONS, Context, ToolError, dataset, items, text, texts, times, whole};
use crate::args::{Args, read};
use crate::text::{Page, exact, list, points, rounded};
use crate::{Method, times as ranges};
use model::query::{Filter, QuerySpec};
use serde_json::{Map, Value as Json, json};

/// Columns that are told below the findings.
const COLUMNS_TOLD: usize = 8;
/// Ids that were set aside and are named.
const SET_ASIDE_TOLD: usize = 8;

pub(super) fn properties() -> Vec<(&'static str, Json)> {
    let mut all = vec![
        dataset(),
        (
            "select",
            items(
                "The events in question, as conditions: [\"error = true\"], [\"duration_ms >= 500\", \"duration_ms < 900\"]. This or a time below",
            ),
        ),
        ("select_last", text("The events in question are the last so much of the range: 10m")),
        ("select_from", text("Start of the events in question, such as that of a marker")),
        ("select_to", text("End of the events in question")),
        ("filters", items(&format!("On all events that are looked at. {CONDITIONS}"))),
    ];
    all.extend(times());
    all.extend([
        ("against", items("Compare with events that meet these conditions; default: all others in the range")),
        ("against_earlier", text("Compare with the same so much earlier: 1d")),
        ("columns", texts("Compare these columns only; default: every column")),
        ("max_conditions", whole("Conditions that a finding may join, 1 to 4 (default 4)")),
    ]);
    all
}

pub(super) async fn run(args: &Args, context: &Context) -> Result<String, ToolError> {
    let dataset = args.dataset()?;
    let body = request(args, &dataset, (context.now_s)())?;
    let found = context.about(&dataset, Method::Post, "/api/v1/contrast".to_owned(), Some(body)).await?;
    Ok(told(&found, context.chars_max))
}

fn population(args: &Args, name: &str) -> Result<Map<String, Json>, ToolError> {
    let (filters, combination) = args.filters(name)?;
    let mut population = Map::new();
    if !filters.is_empty() {
        population.insert("filters".to_owned(), json!(filters));
    }
    if let Some(combination) = combination {
        population.insert("filter_combination".to_owned(), json!(combination));
    }
    Ok(population)
}

fn request(args: &Args, dataset: &str, now_s: f64) -> Result<Json, ToolError> {
    let mut spec = QuerySpec::default();
    (spec.filters, spec.filter_combination) = args.filters("filters")?;
    ranges::range(args, &mut spec, now_s)?;
    let mut selection = population(args, "select")?;
    for (key, name) in [("start_time", "select_from"), ("end_time", "select_to")] {
        if let Some(time) = ranges::instant(args, name, now_s)? {
            selection.insert(key.to_owned(), time);
        }
    }
    if selection.contains_key("start_time") != selection.contains_key("end_time") {
        // The other end is that of the range.
        let (start, end) = ranges::fix(&mut spec, now_s)?;
        selection.entry("start_time").or_insert(json!(start));
        selection.entry("end_time").or_insert(json!(end));
    }
    if let Some(length) = ranges::duration(args, "select_last")? {
        let (_, end) = ranges::fix(&mut spec, now_s)?;
        selection.insert("start_time".to_owned(), json!(end - length));
        selection.insert("end_time".to_owned(), json!(end));
    }
    let earlier = ranges::duration(args, "against_earlier")?;
    let mut baseline = match (args.get("against"), earlier) {
        (Some(_), _) => Some(population(args, "against")?),
        (None, Some(_)) => Some(population(args, "select")?),
        (None, None) => None,
    };
    if let (Some(earlier), Some(baseline)) = (earlier, &mut baseline) {
        let (start, end) = ranges::fix(&mut spec, now_s)?;
        let of = |name: &str, otherwise: f64| selection.get(name).and_then(question::seconds).unwrap_or(otherwise);
        baseline.insert("start_time".to_owned(), json!(of("start_time", start) - earlier));
        baseline.insert("end_time".to_owned(), json!(of("end_time", end) - earlier));
    }
    if selection.is_empty() && baseline.is_none() {
        return Err(ToolError::arguments(
            "say which events are in question: `select` such as [\"error = true\"] or [\"duration_ms > 1000\"], `select_last` such as 10m, `select_from`, or `against_earlier` such as 1d",
        ));
    }
    let mut body = json!({ "dataset": dataset, "query": spec, "selection": selection });
    if let Some(baseline) = baseline {
        body["baseline"] = baseline.into();
    }
    if args.get("columns").is_some() {
        body["columns"] = json!(args.columns("columns")?);
    }
    if let Some(n) = args.number("max_conditions")? {
        body["max_conditions"] = n.into();
    }
    Ok(body)
}

/// Filters of the API as one text of the grammar.
fn filters_text(filters: &Json) -> String {
    let filters: Vec<Filter> = serde_json::from_value(filters.clone()).unwrap_or_default();
    let texts: Vec<String> = filters.iter().map(question::condition_text).collect();
    let text = texts.join(" and ");
    // What cannot be read back is given as it is.
    match read("filters", &text, question::parse_conditions) {
        Ok((back, _)) if back == filters => text,
        _ => json!(filters).to_string(),
    }
}

fn told(answer: &Json, chars_max: usize) -> String {
    let mut page = Page::new(chars_max);
    let populations = &answer["populations"];
    for side in ["selection", "baseline"] {
        let count = rounded(&populations[side]["count"]);
        page.line(&format!("{side}: {count} events: {}", populations[side]["words"].as_str().unwrap_or_default()));
    }
    let findings = list(answer, "findings");
    if populations["selection"]["count"].as_f64() == Some(0.0) {
        page.note("the selection is empty: widen the time, or look up spellings with list_values");
        return page.finish();
    }
    if populations["baseline"]["count"].as_f64() == Some(0.0) {
        page.note("the baseline is empty: there is nothing to compare with; widen the time or the filters");
    } else if findings.is_empty() {
        page.line("Nothing differs more than chance makes it. Another selection, a longer time or more events may tell more.");
    }
    let mut n = 0;
    for (i, finding) in findings.iter().enumerate() {
        let mut text = format!("{}. {}", i + 1, finding["sentence"].as_str().unwrap_or_default());
        text.push_str(&format!(" At least {} points apart.", points(finding["lower_bound"].as_f64().unwrap_or(0.0))));
        text.push_str(&format!("\n   filters: {}", filters_text(&finding["filters"])));
        if let Some(trace) = finding["example"]["data"]["trace.trace_id"].as_str() {
            text.push_str(&format!("\n   example trace: {trace}"));
        } else if let Some(time) = finding["example"]["time"].as_str() {
            text.push_str(&format!("\n   example event at {time}"));
        }
        if !page.line(&text) {
            break;
        }
        n += 1;
    }
    if n < findings.len() {
        page.note(format!("{n} of {} findings, the best ones: name fewer `columns`, or narrow `filters`, to see others", findings.len()));
    }
    columns(&mut page, answer);
    let aside: Vec<&str> = list(answer, "set_aside").iter().filter_map(Json::as_str).collect();
    if !aside.is_empty() {
        let more = if aside.len() > SET_ASIDE_TOLD { format!(" and {} more", aside.len() - SET_ASIDE_TOLD) } else { String::new() };
        page.note(format!("ids set aside: {}{more}", aside.iter().take(SET_ASIDE_TOLD).copied().collect::<Vec<_>>().join(", ")));
    }
    page.trust(&answer["meta"]);
    page.finish()
}

/// Columns that differ, each with what tells most.
fn columns(page: &mut Page, answer: &Json) {
    let differ: Vec<&Json> = list(answer, "columns").iter().filter(|c| c["significant"] == Json::Bool(true)).collect();
    if differ.is_empty() {
        return;
    }
    let told = differ.iter().take(COLUMNS_TOLD).map(|c| {
        let telling = match (c["kind"].as_str(), c.get("quantiles"), list(c, "values").first()) {
            (Some("number"), Some(q), _) => {
                format!("median {} against {}", rounded(&q["selection"]["P50"]), rounded(&q["baseline"]["P50"]))
            }
            (_, _, Some(v)) if v["value"].is_null() => "(missing)".to_owned(),
            (_, _, Some(v)) => exact(&v["value"]),
            _ => String::new(),
        };
        vec![exact(&c["column"]), points(c["score"].as_f64().unwrap_or(0.0)), telling]
    });
    let n = page.table(&["column that differs", "points at least", "most telling"], told);
    if n < differ.len() {
        page.note(format!("{n} of {} columns that differ", differ.len()));
    }
}
