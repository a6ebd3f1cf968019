//! Series as lines of block characters.
//!
//! Owns: scaling and drawing. Never does: read answers.

use super::{clock, number, table::fit};
use crate::{
    error::CliError,
    term::{Out, Style},
};

const EIGHTHS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Rows of the chart of a single series.
const ROWS: usize = 5;

/// What lies below a chart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub(crate) start: f64,
    pub(crate) end: f64,
    pub(crate) step: f64,
}

impl Axis {
    /// A line of so many characters: start, length of a bucket, end.
    pub(crate) fn line(&self, width: usize) -> String {
        let (start, end) = (clock(self.start), clock(self.end));
        let step = match self.step {
            s if s >= 86_400.0 => format!(" {} d each ", number(s / 86_400.0)),
            s if s >= 3600.0 => format!(" {} h each ", number(s / 3600.0)),
            s if s >= 60.0 => format!(" {} min each ", number(s / 60.0)),
            s => format!(" {} s each ", number(s)),
        };
        let taken = start.len() + end.len() + step.len() + 2;
        if width < taken {
            return format!("{start} … {end}");
        }
        let dashes = width - taken;
        format!("{start} {}{step}{} {end}", "─".repeat(dashes / 2), "─".repeat(dashes - dashes / 2))
    }
}

/// Brings values to at most `width` columns; a column shows the largest of what it stands for.
pub(crate) fn columns(values: &[f64], width: usize) -> Vec<f64> {
    let n = values.len();
    if n <= width {
        return values.to_vec();
    }
    (0..width)
        .map(|i| {
            let (from, to) = (i * n / width, ((i + 1) * n / width).max(i * n / width + 1));
            values[from..to].iter().copied().fold(f64::NAN, f64::max)
        })
        .collect()
}

/// Values as one line, each a bar between `low` and `high`; a missing value is a blank.
pub(crate) fn sparkline(values: &[f64], low: f64, high: f64) -> String {
    values
        .iter()
        .map(|&v| {
            if v.is_nan() {
                return ' ';
            }
            let share = if high > low { (v - low) / (high - low) } else { 0.0 };
            EIGHTHS[((share * 8.0) as usize).min(7)]
        })
        .collect()
}

/// Values as bars of several lines, top line first.
pub(crate) fn blocks(values: &[f64], low: f64, high: f64, rows: usize) -> Vec<String> {
    (0..rows)
        .rev()
        .map(|row| {
            values
                .iter()
                .map(|&v| {
                    if v.is_nan() {
                        return ' ';
                    }
                    let share = if high > low { (v - low) / (high - low) } else { 0.0 };
                    // The lowest bar still shows that there was something.
                    let eighths = ((share * (rows * 8) as f64).round() as usize).max(1);
                    match eighths.saturating_sub(row * 8) {
                        0 => ' ',
                        n => EIGHTHS[n.min(8) - 1],
                    }
                })
                .collect()
        })
        .collect()
}

/// Draws the series of one calculation: a single one as bars, several as lines on one scale.
pub(crate) fn print(out: &mut Out, title: &str, lines: &[(String, Vec<f64>)], axis: &Axis, width: usize) -> Result<(), CliError> {
    let all = || lines.iter().flat_map(|(_, v)| v).copied().filter(|v| !v.is_nan());
    let high = all().fold(f64::NEG_INFINITY, f64::max);
    let low = all().fold(0.0, f64::min);
    let heading = out.paint(Style::Bold, title);
    out.line(format_args!("{heading}"))?;
    if let [(label, values)] = lines
        && label.is_empty()
    {
        let margin = number(high).chars().count().max(number(low).chars().count());
        let values = columns(values, width.saturating_sub(margin + 3));
        let rows = blocks(&values, low, high, ROWS);
        for (i, row) in rows.iter().enumerate() {
            let mark = match i {
                0 => number(high),
                i if i + 1 == rows.len() => number(low),
                _ => String::new(),
            };
            let row = out.paint(Style::Accent, row);
            out.line(format_args!("{mark:>margin$} │{row}"))?;
        }
        let line = out.paint(Style::Dim, &axis.line(values.len()));
        return out.line(format_args!("{:margin$}  {line}", ""));
    }
    let label_width = lines.iter().map(|(l, _)| l.chars().count()).max().unwrap_or(0).min(width / 3);
    let mut drawn = 0;
    for (label, values) in lines {
        let values = columns(values, width.saturating_sub(label_width + 14));
        drawn = values.len();
        let last = values.iter().rev().find(|v| !v.is_nan()).copied();
        let label = fit(label, label_width);
        let line = out.paint(Style::Accent, &sparkline(&values, low, high));
        let pad = " ".repeat(label_width - label.chars().count());
        out.line(format_args!("{label}{pad}  {line}  {}", last.map_or_else(|| "–".to_owned(), number)))?;
    }
    let line = out.paint(Style::Dim, &axis.line(drawn));
    out.line(format_args!("{:label_width$}  {line}", ""))
}
