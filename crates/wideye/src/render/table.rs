//! A table of texts that fits the terminal.
//!
//! Owns: widths and alignment. Never does: formatting of values.

use crate::{
    error::CliError,
    term::{Out, Style, width},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows under a heading.
#[derive(Debug)]
pub(crate) struct Table {
    head: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

/// No column is narrower than this because of a full terminal.
const NARROWEST: usize = 8;

impl Table {
    pub(crate) fn new(head: impl IntoIterator<Item = (String, Align)>) -> Table {
        Table { head: head.into_iter().collect(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The width of each column: what its cells need, less where the terminal is full, from the widest first.
    fn widths(&self, room: usize) -> Vec<usize> {
        let len = |s: &String| s.chars().count();
        let mut widths: Vec<usize> = self
            .head
            .iter()
            .enumerate()
            .map(|(i, (name, _))| self.rows.iter().map(|r| len(&r[i])).max().unwrap_or(0).max(len(name)))
            .collect();
        let gaps = 2 * widths.len().saturating_sub(1);
        loop {
            let sum: usize = widths.iter().sum::<usize>() + gaps;
            let Some(widest) = widths.iter_mut().max() else { return widths };
            if sum <= room || *widest <= NARROWEST {
                return widths;
            }
            *widest = (*widest - (sum - room).min(*widest / 4).max(1)).max(NARROWEST);
        }
    }

    pub(crate) fn print(&self, out: &mut Out) -> Result<(), CliError> {
        let widths = self.widths(width());
        let head: Vec<&str> = self.head.iter().map(|(name, _)| name.as_str()).collect();
        let line = self.line(&head, &widths);
        let line = out.paint(Style::Bold, line.trim_end());
        out.line(format_args!("{line}"))?;
        for row in &self.rows {
            let cells: Vec<&str> = row.iter().map(String::as_str).collect();
            let line = self.line(&cells, &widths);
            out.line(format_args!("{}", line.trim_end()))?;
        }
        Ok(())
    }

    fn line(&self, cells: &[&str], widths: &[usize]) -> String {
        let mut line = String::new();
        for (i, (cell, &width)) in cells.iter().zip(widths).enumerate() {
            if i > 0 {
                line.push_str("  ");
            }
            let cell = fit(cell, width);
            let pad = " ".repeat(width - cell.chars().count());
            match self.head[i].1 {
                Align::Left => line.extend([cell.as_str(), &pad]),
                Align::Right => line.extend([pad.as_str(), &cell]),
            }
        }
        line
    }
}

/// A text cut to a width, with an ellipsis where something is missing.
pub(crate) fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(std::iter::once('…')).collect()
}
