//! Distributions: one as a line in a table, a series of them as shades over time.
//!
//! Owns: the meaning of HEATMAP cells (docs/asking-questions.md) for drawing. Never does: compute them.

use super::{
    chart::{Axis, columns, sparkline},
    number,
};
use crate::{
    error::CliError,
    term::{Out, Style, width},
};
use model::heatmap_start;
use serde_json::Value as Json;

const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];
const ROWS_MAX: usize = 12;

/// Index of the first bucket and the weights from there on.
fn weights(cell: &Json) -> Option<(i64, Vec<f64>)> {
    let counts = cell.get("counts")?.as_array()?;
    Some((cell.get("from")?.as_i64()?, counts.iter().map(|c| c.as_f64().unwrap_or(0.0)).collect()))
}

/// Where a bucket of the log-linear scale starts.
fn start(bucket: i64, scale: &Json) -> f64 {
    heatmap_start(bucket, scale["buckets_per_octave"].as_i64().unwrap_or(4), scale["zero_below"].as_f64().unwrap_or(1.0))
}

/// A distribution as a line of bars and its range.
pub(crate) fn cell(cell: &Json, scale: &Json) -> String {
    let Some((from, counts)) = weights(cell) else { return cell.to_string() };
    let end = from + counts.len() as i64;
    let bars = columns(&counts, 24);
    let high = bars.iter().copied().fold(0.0, f64::max);
    format!("{} {}…{}", sparkline(&bars, 0.0, high), number(start(from, scale)), number(start(end, scale)))
}

/// Draws distributions over time: values upwards, darker where more events are.
pub(crate) fn print(out: &mut Out, title: &str, cells: &[(usize, &Json)], scale: &Json, n: usize, axis: &Axis) -> Result<(), CliError> {
    let cells: Vec<(usize, i64, Vec<f64>)> = cells.iter().filter_map(|(i, c)| weights(c).map(|(from, w)| (*i, from, w))).collect();
    let (Some(low), Some(high)) = (cells.iter().map(|c| c.1).min(), cells.iter().map(|c| c.1 + c.2.len() as i64).max()) else {
        return Ok(());
    };
    let span = ((high - low) as usize).max(1);
    let rows = span.min(ROWS_MAX);
    let edge = |row: usize| start(low + (row * span / rows) as i64, scale);
    let margin = (0..=rows).map(|r| number(edge(r)).chars().count()).max().unwrap_or(0);
    let n_columns = n.min(width().saturating_sub(margin + 3));
    let mut grid = vec![vec![0.0f64; n_columns]; rows];
    for (i, from, counts) in &cells {
        for (j, count) in counts.iter().enumerate() {
            let at = (from - low) as usize + j;
            // The row whose edges hold this bucket.
            let row = (0..rows).rev().find(|r| r * span / rows <= at).unwrap_or(0);
            grid[row][i * n_columns / n] += count;
        }
    }
    let most = grid.iter().flatten().copied().fold(0.0, f64::max);
    let heading = out.paint(Style::Bold, title);
    out.line(format_args!("{heading}"))?;
    for row in (0..rows).rev() {
        let line: String = grid[row]
            .iter()
            .map(|&c| if c <= 0.0 { ' ' } else { SHADES[1 + ((c.ln_1p() / most.ln_1p() * 4.0) as usize).min(3)] })
            .collect();
        let line = out.paint(Style::Accent, &line);
        out.line(format_args!("{:>margin$} │{line}", number(edge(row))))?;
    }
    let line = out.paint(Style::Dim, &axis.line(n_columns));
    out.line(format_args!("{:margin$}  {line}", ""))
}
