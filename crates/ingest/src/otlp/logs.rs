//! Log records, each a row.
//!
//! Owns: the columns made from a record's own fields. Never does: parse log text.

use super::attributes::{Any, KeyValue, flatten, flatten_map, is_id, set, set_span_id, set_trace_id, text};
use super::wire::{Piece, Result};
use super::{Shared, Tally, traces};
use crate::rows::Rows;
use model::ColumnId;

/// The columns that log records fill.
#[derive(Debug)]
pub(super) struct Columns {
    severity: ColumnId,
    severity_code: ColumnId,
    severity_text: ColumnId,
    flags: ColumnId,
    event_name: ColumnId,
    signal_type: ColumnId,
    annotation_type: ColumnId,
    trace_id: ColumnId,
    parent_id: ColumnId,
    body: ColumnId,
    dropped_attributes: ColumnId,
}

impl Columns {
    pub(super) fn new(rows: &mut Rows<'_>) -> Columns {
        Columns {
            severity: rows.fixed("severity"),
            severity_code: rows.fixed("severity_code"),
            severity_text: rows.fixed("severity_text"),
            flags: rows.fixed("flags"),
            event_name: rows.fixed("event.name"),
            signal_type: rows.fixed("meta.signal_type"),
            annotation_type: rows.fixed("meta.annotation_type"),
            trace_id: rows.fixed("trace.trace_id"),
            parent_id: rows.fixed("trace.parent_id"),
            body: rows.fixed("body"),
            dropped_attributes: rows.fixed("meta.dropped_attributes_count"),
        }
    }
}

fn severity(number: u64) -> &'static str {
    match number {
        1..=4 => "trace",
        5..=8 => "debug",
        9..=12 => "info",
        13..=16 => "warn",
        17..=20 => "error",
        21..=24 => "fatal",
        _ => "unspecified",
    }
}

/// Reads and writes a record.
pub(super) fn record<'a>(
    rows: &mut Rows<'_>,
    columns: &Columns,
    tally: &mut Tally,
    shared: &Shared<'_, 'a>,
    piece: Piece<'a>,
) -> Result<()> {
    let (mut at, mut observed, mut number, mut flags) = (0, 0, 0, 0);
    let mut body = None;
    if !tally.has_room(1, || "log record".to_owned()) {
        return Ok(());
    }
    rows.begin();
    let mut fields = piece.fields();
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => at = value.number(),
            11 => observed = value.number(),
            2 => number = value.number(),
            3 if !value.piece().is_empty() => rows.str(columns.severity_text, &text(value.piece().bytes)),
            5 => body = Some(Any::read(value.piece())?),
            7 if value.number() > 0 => rows.int(columns.dropped_attributes, value.number() as i64),
            8 => flags = value.number(),
            9 if is_id(value.piece().bytes) => {
                set_trace_id(rows, columns.trace_id, value.piece().bytes);
                rows.str(columns.annotation_type, "span_event");
            }
            10 if is_id(value.piece().bytes) => set_span_id(rows, columns.parent_id, value.piece().bytes),
            12 if !value.piece().is_empty() => rows.str(columns.event_name, &text(value.piece().bytes)),
            _ => {}
        }
    }
    rows.str(columns.severity, severity(number));
    rows.int(columns.severity_code, number as i64);
    rows.int(columns.flags, flags as i64);
    rows.str(columns.signal_type, "log");
    if let Some(body) = body {
        if let Any::Map(_) = body {
            flatten_map(rows, &mut "body".to_owned(), body, 0, &mut |rows, column, value| set(rows, column, value))?;
        }
        // A map is also kept whole.
        set(rows, columns.body, body)?;
    }
    shared.write(rows)?;
    let mut rate = super::Rate::default();
    let mut fields = piece.fields();
    while let Some((field, value)) = fields.next()? {
        if field == 6 {
            let pair = KeyValue::read(value.piece())?;
            if !rate.take(&pair) {
                flatten(rows, pair, &mut |rows, column, value| set(rows, column, value))?;
            }
        }
    }
    let at = [at, observed].into_iter().find(|&t| t > 0).map(traces::time);
    let status = rows.end(at, rate.over(shared.rate).get().unwrap_or(1.0), piece.len());
    tally.note(rows, status, 1, || "log record".to_owned());
    Ok(())
}
