//! NDJSON files in chunks of whole lines, for the command line.
//!
//! Owns: cutting at line ends and numbering lines. Never does: open files.

use crate::json::text_of;
use crate::rows::Rows;
use crate::{Context, EventStatus, honeycomb};
use model::Batch;

/// A line that could not be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// Its number, counted from 1.
    pub line: u64,
    /// Why.
    pub error: String,
}

/// Decoded lines.
#[derive(Debug)]
pub struct Imported {
    /// Their events.
    pub batch: Batch,
    /// Line feeds seen.
    pub lines: u64,
    /// Lines left out.
    pub errors: Vec<LineError>,
}

/// The length of the whole lines at the start of `chunk`; the rest belongs to the next chunk.
#[must_use]
pub fn whole_lines(chunk: &[u8]) -> usize {
    chunk.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1)
}

/// Decodes lines, each an event as in `honeycomb::Format::Ndjson`. `first_line` is the number of the first one.
#[must_use]
pub fn ndjson(lines: &[u8], first_line: u64, dataset: &str, context: &Context<'_>) -> Imported {
    let mut rows = Rows::new(dataset, context);
    let mut errors = Vec::new();
    let text = text_of(lines);
    honeycomb::each_line(&text, &mut rows, |i, status| {
        if let EventStatus::Refused { error, .. } = status {
            errors.push(LineError { line: first_line + i as u64, error: error.into_owned() });
        }
    });
    let n = text.bytes().filter(|&b| b == b'\n').count() as u64;
    Imported { batch: rows.finish().1, lines: n, errors }
}
