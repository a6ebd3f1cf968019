//! Spans, their events and their links, each a row.
//!
//! Owns: the columns made from a span's own fields. Never does: sampling decisions.

use super::attributes::{Any, KeyValue, Rate, flatten, is_id, set, set_span_id, set_trace_id, text, threshold_rate};
use super::wire::{Piece, Result};
use super::{Shared, Tally};
use crate::rows::Rows;
use model::{ColumnId, TimeNs};

const NS_PER_MS: f64 = 1e6;

/// The columns that spans, their events and links fill.
#[derive(Debug)]
pub(super) struct Columns {
    trace_id: ColumnId,
    span_id: ColumnId,
    parent_id: ColumnId,
    trace_state: ColumnId,
    name: ColumnId,
    parent_name: ColumnId,
    kind: ColumnId,
    span_kind: ColumnId,
    status_code: ColumnId,
    status_message: ColumnId,
    error: ColumnId,
    duration_ms: ColumnId,
    invalid_duration: ColumnId,
    num_links: ColumnId,
    num_events: ColumnId,
    signal_type: ColumnId,
    annotation_type: ColumnId,
    since_start_ms: ColumnId,
    invalid_since_start: ColumnId,
    link_trace_id: ColumnId,
    link_span_id: ColumnId,
    dropped: [ColumnId; 3],
}

impl Columns {
    pub(super) fn new(rows: &mut Rows<'_>) -> Columns {
        Columns {
            trace_id: rows.fixed("trace.trace_id"),
            span_id: rows.fixed("trace.span_id"),
            parent_id: rows.fixed("trace.parent_id"),
            trace_state: rows.fixed("trace.trace_state"),
            name: rows.fixed("name"),
            parent_name: rows.fixed("parent_name"),
            kind: rows.fixed("type"),
            span_kind: rows.fixed("span.kind"),
            status_code: rows.fixed("status_code"),
            status_message: rows.fixed("status_message"),
            error: rows.fixed("error"),
            duration_ms: rows.fixed("duration_ms"),
            invalid_duration: rows.fixed("meta.invalid_duration"),
            num_links: rows.fixed("span.num_links"),
            num_events: rows.fixed("span.num_events"),
            signal_type: rows.fixed("meta.signal_type"),
            annotation_type: rows.fixed("meta.annotation_type"),
            since_start_ms: rows.fixed("meta.time_since_span_start_ms"),
            invalid_since_start: rows.fixed("meta.invalid_time_since_span_start"),
            link_trace_id: rows.fixed("trace.link.trace_id"),
            link_span_id: rows.fixed("trace.link.span_id"),
            dropped: [
                rows.fixed("meta.dropped_attributes_count"),
                rows.fixed("meta.dropped_events_count"),
                rows.fixed("meta.dropped_links_count"),
            ],
        }
    }
}

/// A span's fields. Kept from span to span, for its vectors.
#[derive(Debug, Default)]
pub(super) struct Span<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent_id: &'a [u8],
    trace_state: Piece<'a>,
    name: Piece<'a>,
    kind: u64,
    start: u64,
    end: u64,
    status_code: i64,
    status_message: Piece<'a>,
    /// Numbers of dropped attributes, events, links.
    dropped: [u64; 3],
    attributes: Vec<KeyValue<'a>>,
    events: Vec<Piece<'a>>,
    links: Vec<Piece<'a>>,
    rate: Rate,
    /// Attributes of the first exception.
    exception: Vec<KeyValue<'a>>,
    has_exception: bool,
    /// Bytes without events and links.
    n_bytes: usize,
}

impl<'a> Span<'a> {
    /// Keeps one attribute more than `fields_max` allows, so that the row will be refused, but not a flood of them.
    fn read(&mut self, piece: Piece<'a>, fields_max: usize) -> Result<()> {
        let empty = |mut v: Vec<KeyValue<'a>>| {
            v.clear();
            v
        };
        let (mut events, mut links) = (std::mem::take(&mut self.events), std::mem::take(&mut self.links));
        events.clear();
        links.clear();
        *self = Span {
            attributes: empty(std::mem::take(&mut self.attributes)),
            exception: empty(std::mem::take(&mut self.exception)),
            events,
            links,
            n_bytes: piece.len(),
            ..Span::default()
        };
        let mut fields = piece.fields();
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => self.trace_id = value.piece().bytes,
                2 => self.span_id = value.piece().bytes,
                3 => self.trace_state = value.piece(),
                4 => self.parent_id = value.piece().bytes,
                5 => self.name = value.piece(),
                6 => self.kind = value.number(),
                7 => self.start = value.number(),
                8 => self.end = value.number(),
                9 => {
                    let pair = KeyValue::read(value.piece())?;
                    if !self.rate.take(&pair) && self.attributes.len() <= fields_max {
                        self.attributes.push(pair);
                    }
                }
                11 => {
                    self.n_bytes -= value.piece().len();
                    self.events.push(value.piece());
                }
                13 => {
                    self.n_bytes -= value.piece().len();
                    self.links.push(value.piece());
                }
                10 | 12 | 14 => self.dropped[(number as usize - 10) / 2] = value.number(),
                15 => {
                    let mut status = value.piece().fields();
                    while let Some((number, value)) = status.next()? {
                        match number {
                            2 => self.status_message = value.piece(),
                            3 => self.status_code = value.number() as i64,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn failed(&self) -> bool {
        self.status_code == 2
    }

    /// When the span's row happened: its start, or its end if that is all there is.
    fn time(&self) -> Option<u64> {
        [self.start, self.end].into_iter().find(|&t| t > 0)
    }
}

/// Nanoseconds as a time; what 64 bits cannot hold is as late as can be, and so refused as too far in the future.
pub(super) fn time(ns: u64) -> TimeNs {
    TimeNs::try_from(ns).unwrap_or(TimeNs::MAX)
}

/// Milliseconds from one time to another; None if it is negative.
fn milliseconds(from: u64, to: u64) -> Option<f64> {
    Some(to.checked_sub(from)? as f64 / NS_PER_MS)
}

fn write_attributes<'a>(rows: &mut Rows<'_>, attributes: impl IntoIterator<Item = KeyValue<'a>>) -> Result<()> {
    for pair in attributes {
        flatten(rows, pair, &mut |rows, column, value| set(rows, column, value))?;
    }
    Ok(())
}

/// Reads a span; writes its events, its links and then itself.
pub(super) fn span<'a>(
    rows: &mut Rows<'_>,
    columns: &Columns,
    tally: &mut Tally,
    shared: &Shared<'_, 'a>,
    span: &mut Span<'a>,
    piece: Piece<'a>,
) -> Result<()> {
    if !tally.has_room(1, || "span".to_owned()) {
        return Ok(());
    }
    span.read(piece, rows.context().limits.event_fields_max)?;
    let rate = span.rate.over(shared.rate).get().or_else(|| threshold_rate(span.trace_state.bytes)).unwrap_or(1.0);
    for i in 0..span.events.len() {
        event(rows, columns, tally, shared, span, i, rate)?;
    }
    for i in 0..span.links.len() {
        link(rows, columns, tally, shared, span, i, rate)?;
    }
    rows.begin();
    set_trace_id(rows, columns.trace_id, span.trace_id);
    set_span_id(rows, columns.span_id, span.span_id);
    if is_id(span.parent_id) {
        set_span_id(rows, columns.parent_id, span.parent_id);
    }
    if !span.trace_state.is_empty() {
        rows.str(columns.trace_state, &text(span.trace_state.bytes));
    }
    rows.str(columns.name, &text(span.name.bytes));
    let kind = ["unspecified", "internal", "server", "client", "producer", "consumer"].get(span.kind as usize).unwrap_or(&"unspecified");
    rows.str(columns.kind, kind);
    rows.str(columns.span_kind, kind);
    rows.int(columns.status_code, span.status_code);
    if !span.status_message.is_empty() {
        rows.str(columns.status_message, &text(span.status_message.bytes));
    }
    if span.failed() {
        rows.bool(columns.error, true);
    }
    let duration = if span.start > 0 && span.end > 0 { milliseconds(span.start, span.end) } else { Some(0.0) };
    rows.float(columns.duration_ms, duration.unwrap_or(0.0));
    if duration.is_none() {
        rows.bool(columns.invalid_duration, true);
    }
    rows.int(columns.num_links, span.links.len() as i64);
    rows.int(columns.num_events, span.events.len() as i64);
    rows.str(columns.signal_type, "trace");
    for (column, n) in columns.dropped.into_iter().zip(span.dropped) {
        if n > 0 {
            rows.int(column, n as i64);
        }
    }
    shared.write(rows)?;
    if span.attributes.len() > rows.context().limits.event_fields_max {
        rows.refuse(400, "Event has too many columns.");
    }
    write_attributes(rows, span.attributes.iter().copied())?;
    for pair in &span.exception {
        let column = rows.column(&text(pair.key));
        if let Some(column) = column.filter(|&c| !rows.is_set(c)) {
            set(rows, column, pair.value)?;
        }
    }
    let status = rows.end(span.time().map(time), rate, span.n_bytes);
    tally.note(rows, status, 1, || format!("span '{}'", text(span.name.bytes)));
    Ok(())
}

/// What a row of a span event and of a link have in common.
fn annotation(rows: &mut Rows<'_>, columns: &Columns, span: &Span<'_>, annotation_type: &str) {
    rows.begin();
    set_trace_id(rows, columns.trace_id, span.trace_id);
    set_span_id(rows, columns.parent_id, span.span_id);
    rows.str(columns.parent_name, &text(span.name.bytes));
    rows.str(columns.annotation_type, annotation_type);
    rows.str(columns.signal_type, "trace");
    if span.failed() {
        rows.bool(columns.error, true);
    }
}

fn event<'a>(
    rows: &mut Rows<'_>,
    columns: &Columns,
    tally: &mut Tally,
    shared: &Shared<'_, 'a>,
    span: &mut Span<'a>,
    i: usize,
    rate: f64,
) -> Result<()> {
    let piece = span.events[i];
    if !tally.has_room(0, || format!("event of span '{}'", text(span.name.bytes))) {
        return Ok(());
    }
    let (mut at, mut name, mut dropped) = (0, Piece::default(), 0);
    let mut fields = piece.fields();
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => at = value.number(),
            2 => name = value.piece(),
            4 => dropped = value.number(),
            _ => {}
        }
    }
    annotation(rows, columns, span, "span_event");
    rows.str(columns.name, &text(name.bytes));
    let since = if at > 0 && span.start > 0 { milliseconds(span.start, at) } else { Some(0.0) };
    rows.float(columns.since_start_ms, since.unwrap_or(0.0));
    if since.is_none() {
        rows.bool(columns.invalid_since_start, true);
    }
    if dropped > 0 {
        rows.int(columns.dropped[0], dropped as i64);
    }
    shared.write(rows)?;
    let exception = name.bytes == b"exception" && !span.has_exception;
    span.has_exception |= exception;
    let mut fields = piece.fields();
    while let Some((number, value)) = fields.next()? {
        if number != 3 {
            continue;
        }
        let pair = KeyValue::read(value.piece())?;
        if Rate::default().take(&pair) {
            continue;
        }
        let copied = matches!(pair.key, b"exception.message" | b"exception.type" | b"exception.stacktrace" | b"exception.escaped");
        if exception && copied && !matches!(pair.value, Any::Nil) {
            span.exception.push(pair);
        }
        write_attributes(rows, [pair])?;
    }
    let at = if at > 0 { Some(at) } else { span.time() };
    let status = rows.end(at.map(time), rate, piece.len());
    tally.note(rows, status, 0, || format!("event '{}' of span '{}'", text(name.bytes), text(span.name.bytes)));
    Ok(())
}

fn link<'a>(
    rows: &mut Rows<'_>,
    columns: &Columns,
    tally: &mut Tally,
    shared: &Shared<'_, 'a>,
    span: &Span<'a>,
    i: usize,
    rate: f64,
) -> Result<()> {
    let piece = span.links[i];
    if !tally.has_room(0, || format!("link of span '{}'", text(span.name.bytes))) {
        return Ok(());
    }
    annotation(rows, columns, span, "link");
    shared.write(rows)?;
    let mut fields = piece.fields();
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => set_trace_id(rows, columns.link_trace_id, value.piece().bytes),
            2 => set_span_id(rows, columns.link_span_id, value.piece().bytes),
            4 => {
                let pair = KeyValue::read(value.piece())?;
                if !Rate::default().take(&pair) {
                    write_attributes(rows, [pair])?;
                }
            }
            5 if value.number() > 0 => rows.int(columns.dropped[0], value.number() as i64),
            _ => {}
        }
    }
    let status = rows.end(span.time().map(time), rate, piece.len());
    tally.note(rows, status, 0, || format!("link of span '{}'", text(span.name.bytes)));
    Ok(())
}
