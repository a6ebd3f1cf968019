//! Answers on a terminal: tables, small charts, and what is worth knowing about how the answer came about.
//!
//! Owns: layout. Never does: compute answers.

mod chart;
mod contrast;
mod heatmap;
mod map;
mod table;
#[cfg(test)]
mod tests;
mod time;
mod waterfall;

pub(crate) use contrast::contrast;
pub(crate) use map::map;
pub(crate) use question::epoch_s;
pub(crate) use table::{Align, Table};
pub(crate) use time::clock;
pub(crate) use waterfall::{span, waterfall};

use crate::{
    error::CliError,
    term::{Out, Style, grouped, width},
};
use serde_json::{Map, Value as Json};

/// Calculations that are drawn.
const CHARTS_MAX: usize = 2;

/// Groups that get a line in the chart.
const CHART_GROUPS_MAX: usize = 8;

/// Prints an answer of `/api/v1/query`.
pub(crate) fn answer(out: &mut Out, answer: &Json, breakdowns: &[String], show: &[String], chart: bool) -> Result<(), CliError> {
    let results = list(&answer["results"]);
    if results.is_empty() {
        out.line(format_args!("no events matched"))?;
    } else if results[0].get("time").is_some() {
        raw(out, results, show)?;
    } else {
        if chart && charts(out, answer, results, breakdowns)? {
            out.line(format_args!(""))?;
        }
        groups(out, answer, results, breakdowns)?;
    }
    if let Some(earlier) = answer.get("compare").filter(|c| !c.is_null()) {
        let heading = format!("\nearlier: {} to {}", text(&earlier["start_time"]), text(&earlier["end_time"]));
        let heading = out.paint(Style::Bold, &heading);
        out.line(format_args!("{heading}"))?;
        groups(out, earlier, list(&earlier["results"]), breakdowns)?;
    }
    footer(out, answer)
}

/// Prints an answer of `/api/v1/examples`.
pub(crate) fn examples(out: &mut Out, answer: &Json) -> Result<(), CliError> {
    let rows = list(&answer["examples"]);
    let Some(first) = rows.first() else { return out.line(format_args!("no event has a number there")) };
    let heads = [
        ("time", Align::Left),
        (answer["column"].as_str().unwrap_or("value"), Align::Right),
        ("service", Align::Left),
        ("name", Align::Left),
        ("trace", Align::Left),
    ];
    let mut table = Table::new(heads.map(|(name, align)| (name.to_owned(), align)));
    for row in rows {
        let value = row["value"].as_f64().map_or_else(String::new, number);
        table.row([to_ms(&text(&row["time"])), value, text(&row["service"]), text(&row["name"]), text(&row["trace_id"])]);
    }
    table.print(out)?;
    let hint = out.paint(Style::Dim, &format!("wideye trace {} --near {}", text(&first["trace_id"]), text(&first["time"])));
    out.line(format_args!("{hint}"))
}

/// How the answer came about, and how far it can be trusted.
fn footer(out: &mut Out, answer: &Json) -> Result<(), CliError> {
    let meta = &answer["meta"];
    let number = |name: &str| meta[name].as_f64();
    let mut parts = Vec::new();
    if let (Some(matched), Some(scanned)) = (number("rows_matched"), number("rows_scanned")) {
        parts.push(format!("{} of {} events", grouped(matched as u64), grouped(scanned as u64)));
    }
    if let Some(ms) = number("elapsed_ms").or_else(|| number("engine_ms")) {
        parts.push(format!("{ms:.1} ms"));
    }
    if let Some(coverage) = number("coverage").filter(|c| *c < 1.0) {
        parts.push(format!("PARTIAL: {:.1} % of the events were looked at", coverage * 100.0));
    }
    for a in list(&meta["approximate"]) {
        parts.push(format!("{} ± {:.1} %", text(&a["key"]), a["relative_error"].as_f64().unwrap_or(0.0) * 100.0));
    }
    let line = out.paint(Style::Dim, &parts.join(" · "));
    out.line(format_args!("{line}"))?;
    for note in list(&meta["notes"]) {
        let note = out.paint(Style::Dim, &text(note));
        out.line(format_args!("{note}"))?;
    }
    Ok(())
}

/// The items of a list; none if it is none.
fn list(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn data(row: &Json) -> Option<&Map<String, Json>> {
    row.get("data").and_then(Json::as_object)
}

/// A value as people read it.
pub(crate) fn text(value: &Json) -> String {
    match value {
        Json::Null => "–".to_owned(),
        Json::String(s) => s.replace(['\n', '\r', '\t'], " "),
        other => other.to_string(),
    }
}

/// A calculated number as people read it.
fn number_text(n: &serde_json::Number) -> String {
    if let Some(i) = n.as_u64() {
        return grouped(i);
    }
    if let Some(i) = n.as_i64() {
        return format!("-{}", grouped(i.unsigned_abs()));
    }
    number(n.as_f64().unwrap_or(f64::NAN))
}

/// A float, to about four digits that matter.
pub(crate) fn number(f: f64) -> String {
    let size = f.abs();
    if f.fract() == 0.0 && size < 1e15 {
        let sign = if f < 0.0 { "-" } else { "" };
        return format!("{sign}{}", grouped(size as u64));
    }
    match size {
        s if s >= 1000.0 => {
            let sign = if f < 0.0 { "-" } else { "" };
            format!("{sign}{}", grouped(s.round() as u64))
        }
        s if s >= 100.0 => format!("{f:.1}"),
        s if s >= 10.0 => format!("{f:.2}"),
        s if s >= 0.001 => format!("{f:.3}"),
        _ => format!("{f:.2e}"),
    }
}

fn groups(out: &mut Out, answer: &Json, results: &[Json], breakdowns: &[String]) -> Result<(), CliError> {
    let Some(first) = results.first().and_then(data) else { return Ok(()) };
    let names: Vec<&String> = first.keys().collect();
    let mut table = Table::new(names.iter().map(|name| {
        let align = if breakdowns.contains(name) { Align::Left } else { Align::Right };
        ((*name).clone(), align)
    }));
    for row in results.iter().filter_map(data) {
        table.row(names.iter().map(|name| {
            let value = row.get(*name).unwrap_or(&Json::Null);
            match value {
                Json::Number(n) if !breakdowns.contains(name) => number_text(n),
                Json::Object(_) => heatmap::cell(value, &answer["meta"]["heatmaps"][*name]),
                other => text(other),
            }
        }));
    }
    table.print(out)
}

/// A time to the millisecond.
fn to_ms(time: &str) -> String {
    let (whole, fraction) = time.trim_end_matches('Z').split_once('.').unwrap_or((time.trim_end_matches('Z'), ""));
    format!("{whole}.{:0<3}Z", fraction.get(..3).unwrap_or(fraction))
}

/// Columns of raw events that are shown unless the question chose some.
const USUAL: [&str; 7] = ["service.name", "name", "duration_ms", "http.status_code", "error", "trace.trace_id", "body"];

fn raw(out: &mut Out, events: &[Json], show: &[String]) -> Result<(), CliError> {
    let has = |name: &str| events.iter().filter_map(data).any(|d| d.contains_key(name));
    let chosen: Vec<String> = if !show.is_empty() {
        show.to_vec()
    } else {
        let usual: Vec<String> = USUAL.iter().filter(|n| has(n)).map(|n| (*n).to_owned()).collect();
        if usual.is_empty() {
            events.first().and_then(data).map(|d| d.keys().take(6).cloned().collect()).unwrap_or_default()
        } else {
            usual
        }
    };
    let numeric = |name: &String| events.iter().filter_map(data).filter_map(|d| d.get(name)).all(Json::is_number);
    let head = std::iter::once(("time".to_owned(), Align::Left));
    let mut table = Table::new(head.chain(chosen.iter().map(|n| (n.clone(), if numeric(n) { Align::Right } else { Align::Left }))));
    for event in events {
        let cells = chosen.iter().map(|name| data(event).and_then(|d| d.get(name)).map_or_else(|| "–".to_owned(), text));
        table.row(std::iter::once(to_ms(&text(&event["time"]))).chain(cells));
    }
    table.print(out)?;
    if show.is_empty() {
        let most = events.iter().filter_map(data).map(Map::len).max().unwrap_or(0);
        let note = out.paint(Style::Dim, &format!("up to {most} fields each: EVENTS(column, …) chooses, --json shows all"));
        out.line(format_args!("{note}"))?;
    }
    Ok(())
}

/// Draws the series; false if there is nothing to draw.
fn charts(out: &mut Out, answer: &Json, results: &[Json], breakdowns: &[String]) -> Result<bool, CliError> {
    let points = list(&answer["series"]);
    let (Some(start), Some(end)) = (epoch_s(&text(&answer["start_time"])), epoch_s(&text(&answer["end_time"]))) else { return Ok(false) };
    let Some(step) = answer["granularity"].as_f64().filter(|g| *g > 0.0) else { return Ok(false) };
    let first = (start / step).floor() * step;
    let n = (((end - first) / step).ceil() as usize).max(1);
    if points.is_empty() || !(2..=1_000_000).contains(&n) {
        return Ok(false);
    }
    let bucket = |point: &Json| epoch_s(&text(&point["time"])).map(|t| ((t - first) / step).round() as usize).filter(|i| *i < n);
    let Some(keys) = results.first().and_then(data) else { return Ok(false) };
    let axis = chart::Axis { start, end, step };
    let mut drawn = false;
    for key in keys.keys().filter(|k| !breakdowns.contains(k)).take(CHARTS_MAX) {
        let is_heatmap = results.iter().filter_map(data).any(|d| d.get(key).is_some_and(Json::is_object));
        if is_heatmap {
            if breakdowns.is_empty() {
                let cells: Vec<(usize, &Json)> = points.iter().filter_map(|p| Some((bucket(p)?, data(p)?.get(key)?))).collect();
                heatmap::print(out, key, &cells, &answer["meta"]["heatmaps"][key], n, &axis)?;
                drawn = true;
            }
            continue;
        }
        let mut lines: Vec<(String, Vec<f64>)> = Vec::new();
        for row in results.iter().take(CHART_GROUPS_MAX).filter_map(data) {
            let same = |d: &Map<String, Json>| breakdowns.iter().all(|b| d.get(b) == row.get(b));
            let mut values = vec![f64::NAN; n];
            for point in points {
                if let (Some(d), Some(i)) = (data(point), bucket(point))
                    && same(d)
                    && let Some(v) = d.get(key).and_then(Json::as_f64)
                {
                    values[i] = v;
                }
            }
            let label = breakdowns.iter().map(|b| text(row.get(b).unwrap_or(&Json::Null))).collect::<Vec<_>>().join(", ");
            lines.push((label, values));
        }
        if lines.iter().all(|(_, v)| v.iter().all(|x| x.is_nan())) {
            continue;
        }
        if drawn {
            out.line(format_args!(""))?;
        }
        chart::print(out, key, &lines, &axis, width())?;
        drawn = true;
    }
    Ok(drawn)
}
