//! A comparison on the terminal: both populations, findings with their shares as bars, columns.
//!
//! Owns: its layout. Never does: compute.

use super::{Align, Table, footer, list, text};
use crate::{
    error::CliError,
    term::{Out, Style, grouped, width},
};
use serde_json::Value as Json;

/// Columns that are listed below the findings.
const COLUMNS_MAX: usize = 12;
/// Width of a bar that stands for everything.
const BAR: usize = 32;

/// Prints an answer of `/api/v1/contrast`.
pub(crate) fn contrast(out: &mut Out, answer: &Json) -> Result<(), CliError> {
    let populations = &answer["populations"];
    for side in ["selection", "baseline"] {
        let population = &populations[side];
        let name = out.paint(Style::Bold, &format!("{side:9}"));
        out.line(format_args!("{name}  {} events: {}", count(&population["count"]), text(&population["words"])))?;
    }
    let findings = list(&answer["findings"]);
    let columns = list(&answer["columns"]);
    out.line(format_args!(""))?;
    if populations["selection"]["count"].as_f64() == Some(0.0) {
        return out.line(format_args!("the selection is empty"));
    }
    if findings.is_empty() {
        out.line(format_args!("nothing differs more than chance makes it"))?;
    }
    for (i, finding) in findings.iter().enumerate() {
        print(out, i + 1, finding, populations)?;
    }
    let differ: Vec<&Json> = columns.iter().filter(|c| c["significant"] == Json::Bool(true)).take(COLUMNS_MAX).collect();
    if !differ.is_empty() {
        let mut table = Table::new([
            ("column".to_owned(), Align::Left),
            ("kind".to_owned(), Align::Left),
            ("at least".to_owned(), Align::Right),
            ("most telling".to_owned(), Align::Left),
        ]);
        for c in differ {
            table.row([text(&c["column"]), text(&c["kind"]), points(&c["score"]), telling(c)]);
        }
        table.print(out)?;
    }
    footer(out, answer)
}

fn print(out: &mut Out, n: usize, finding: &Json, populations: &Json) -> Result<(), CliError> {
    let sentence = text(&finding["sentence"]);
    let sentence = out.paint(Style::Bold, &sentence);
    out.line(format_args!("{n}. {sentence}"))?;
    for (side, style) in [("selection", Style::Accent), ("baseline", Style::Dim)] {
        let share = finding[side]["share"].as_f64().unwrap_or(0.0);
        let bar = out.paint(style, &bar(share, BAR.min(width() / 3)));
        let of = count(&populations[side]["count"]);
        out.line(format_args!("   {side:9} {bar} {:>6}  {} of {of}", percent(share), count(&finding[side]["count"])))?;
    }
    let mut more = vec![format!("at least {} apart", points(&finding["lower_bound"]))];
    if let Some(trace) = finding["example"]["data"].get("trace.trace_id") {
        more.push(format!("for example trace {}", text(trace)));
    } else if let Some(time) = finding["example"].get("time") {
        more.push(format!("for example at {}", text(time)));
    }
    let more = out.paint(Style::Dim, &more.join(", "));
    out.line(format_args!("   {more}\n"))
}

/// A bar of eighths, padded to the width of everything.
fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).ceil() as usize;
    let full = (eighths / 8).min(width);
    let part = if full < width { EIGHTHS[eighths % 8] } else { "" };
    let used = full + usize::from(!part.is_empty());
    format!("{}{part}{}", "█".repeat(full), " ".repeat(width - used))
}

fn percent(share: f64) -> String {
    let p = share * 100.0;
    if p > 0.0 && p < 1.0 { format!("{p:.2} %") } else { format!("{p:.1} %") }
}

fn points(share: &Json) -> String {
    format!("{:.1} points", share.as_f64().unwrap_or(0.0) * 100.0)
}

fn count(n: &Json) -> String {
    grouped(n.as_f64().unwrap_or(0.0).round().max(0.0) as u64)
}

/// The value that explains most, or the medians of numbers.
fn telling(column: &Json) -> String {
    if let Some(quantiles) = column.get("quantiles").filter(|_| column["kind"] == "number") {
        return format!("P50 {} against {}", text(&quantiles["selection"]["P50"]), text(&quantiles["baseline"]["P50"]));
    }
    match list(&column["values"]).first() {
        Some(first) if first["value"].is_null() => "(missing)".to_owned(),
        Some(first) => text(&first["value"]),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_fill_their_width() {
        for share in [0.0, 0.001, 0.37, 0.999, 1.0] {
            assert_eq!(bar(share, 20).chars().count(), 20, "{share}");
        }
        assert_eq!(bar(0.0, 4), "    ");
        assert_eq!(bar(0.001, 4), "▏   ");
        assert_eq!(bar(1.0, 2), "██");
    }
}
