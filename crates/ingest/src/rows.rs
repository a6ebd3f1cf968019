//! One dataset's events under construction: cells go into a `BatchBuilder`, limits are kept on the way.
//!
//! Owns: the limits of events, columns and texts, and what a refused event is told. Never does: read any wire format.

use crate::text::{display, json_float, json_string};
use crate::{Context, EventStatus};
use model::{Batch, BatchBuilder, ColumnId, Limits, NS_PER_SECOND, OVERFLOW_COLUMN, OVERFLOW_LEFT_OUT, TimeNs, Value};
use std::borrow::Cow;

/// The column that lists the fields whose text was cut.
const TRUNCATED_FIELDS: &str = "meta.truncated_fields";
/// The column that keeps a time that could not be read.
const INVALID_TIME: &str = "meta.invalid_time";

/// Room for the number of fields that were left out of the overflow.
const LEFT_OUT_BYTES: usize = 64;

#[derive(Debug)]
pub(crate) struct Rows<'c> {
    builder: BatchBuilder,
    context: Context<'c>,
    dataset: String,
    previous: Option<ColumnId>,
    truncated: Vec<ColumnId>,
    refusal: Option<EventStatus>,
    /// Cells written since they were asked for, those of refused events included.
    n_cells: usize,
}

pub(crate) fn refused(status: u16, error: impl Into<Cow<'static, str>>) -> EventStatus {
    EventStatus::Refused { status, error: error.into() }
}

/// The first `max` bytes of a text, less what would be left of a character.
fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

impl<'c> Rows<'c> {
    pub(crate) fn new(dataset: &str, context: &Context<'c>) -> Rows<'c> {
        Rows {
            builder: BatchBuilder::new(),
            context: *context,
            dataset: dataset.to_owned(),
            previous: None,
            truncated: Vec::new(),
            refusal: None,
            n_cells: 0,
        }
    }

    pub(crate) fn context(&self) -> &Context<'c> {
        &self.context
    }

    pub(crate) fn finish(self) -> (String, Batch) {
        (self.dataset, self.builder.finish())
    }

    pub(crate) fn begin(&mut self) {
        self.builder.begin();
        self.previous = None;
        self.truncated.clear();
        self.refusal = None;
    }

    pub(crate) fn abort(&mut self) {
        self.builder.abort();
        // It may have gone with the event.
        self.previous = None;
    }

    /// The event will be refused; the first reason stands.
    pub(crate) fn refuse(&mut self, status: u16, error: impl Into<Cow<'static, str>>) {
        if self.refusal.is_none() {
            self.refusal = Some(refused(status, error));
        }
    }

    /// Ends the event: it took `n_bytes` on the wire.
    pub(crate) fn end(&mut self, time: Option<TimeNs>, rate: f64, n_bytes: usize) -> EventStatus {
        let limits = self.context.limits;
        self.n_cells += self.builder.fields() + 1;
        if n_bytes > limits.event_bytes_max {
            self.refuse(413, format!("Event is too large. It has {n_bytes} bytes, the limit is {}.", limits.event_bytes_max));
        }
        if self.builder.fields() > limits.event_fields_max {
            self.refuse(400, "Event has too many columns.");
        }
        let time = time.unwrap_or(self.context.now);
        if time > self.context.now.saturating_add(limits.future_seconds_max.saturating_mul(NS_PER_SECOND)) {
            let days = limits.future_seconds_max / 86_400;
            self.refuse(400, format!("Event time lies too far in the future. The limit is {days} days from now."));
        }
        if self.refusal.is_none() && !self.truncated.is_empty() {
            self.list_truncated();
        }
        if let Some(refusal) = self.refusal.take() {
            self.abort();
            return refusal;
        }
        if self.builder.n_columns() > limits.dataset_columns_max {
            self.overflow();
        }
        self.builder.end(time, rate);
        EventStatus::Accepted
    }

    /// Keeps the fields of the event as text that would bring more columns than a dataset may have. One more than that stays, so
    /// that the store notices and tells.
    #[cold]
    fn overflow(&mut self) {
        let mut over = self.builder.take_columns_after(self.context.limits.dataset_columns_max + 1);
        if over.is_empty() {
            return;
        }
        let column = self.builder.column(OVERFLOW_COLUMN);
        if let Some(sent) = self.builder.value_of(column) {
            over.insert(0, (OVERFLOW_COLUMN.into(), sent));
        }
        let (mut json, mut n_left_out) = (String::from("{"), 0);
        for (name, value) in &over {
            let before = json.len();
            if before > 1 {
                json.push(',');
            }
            match value {
                // What overflowed when the event was exported.
                Value::Str(text) if **name == *OVERFLOW_COLUMN && text.len() > 2 && text.starts_with('{') && text.ends_with('}') => {
                    json.push_str(&text[1..text.len() - 1]);
                }
                value => {
                    json_string(&mut json, name);
                    json.push(':');
                    json_value(&mut json, value);
                }
            }
            if json.len() + LEFT_OUT_BYTES > Limits::OVERFLOW_BYTES_CEILING {
                json.truncate(before);
                n_left_out += 1;
            }
        }
        if n_left_out > 0 {
            let comma = if json.len() > 1 { "," } else { "" };
            display(&mut json, format_args!("{comma}\"{OVERFLOW_LEFT_OUT}\":{n_left_out}"));
        }
        json.push('}');
        self.builder.str(column, &json);
    }

    #[cold]
    fn list_truncated(&mut self) {
        let mut list = String::from("[");
        for column in std::mem::take(&mut self.truncated) {
            if list.len() > 1 {
                list.push(',');
            }
            json_string(&mut list, self.builder.name(column));
        }
        list.push(']');
        if let Some(column) = self.column(TRUNCATED_FIELDS) {
            self.str(column, &list);
        }
    }

    /// Keeps a time that could not be read; the event gets the time of arrival.
    #[cold]
    pub(crate) fn invalid_time(&mut self, text: &str) {
        if let Some(column) = self.column(INVALID_TIME) {
            self.str(column, text);
        }
    }

    /// The column with this name, if it is one of those likely to come next. See `BatchBuilder::predict`.
    #[inline]
    pub(crate) fn predict(&mut self, is_it: impl FnMut(&[u8]) -> bool) -> Option<ColumnId> {
        let found = self.builder.predict(self.previous, is_it)?;
        self.previous = Some(found);
        Some(found)
    }

    /// The same for a key of JSON at the start of `json`; and the bytes that it takes with its colon.
    #[inline]
    pub(crate) fn predict_key(&mut self, json: &[u8]) -> Option<(ColumnId, usize)> {
        let found = self.builder.predict_key(self.previous, json)?;
        self.previous = Some(found.0);
        Some(found)
    }

    /// The same without a prediction: one of the columns that the batch has already.
    #[inline]
    pub(crate) fn known_key(&mut self, json: &[u8]) -> Option<(ColumnId, usize)> {
        let found = self.builder.find_key(json)?;
        self.builder.follow(self.previous, found.0);
        self.previous = Some(found.0);
        Some(found)
    }

    /// The column with this name, if the batch has it already.
    pub(crate) fn known(&mut self, name: &str) -> Option<ColumnId> {
        let found = self.builder.find(name)?;
        self.builder.follow(self.previous, found);
        self.previous = Some(found);
        Some(found)
    }

    /// The column with this name, new or known. None if the name is empty, or the event is refused for it.
    pub(crate) fn column(&mut self, name: &str) -> Option<ColumnId> {
        if let Some(found) = self.known(name) {
            return Some(found);
        }
        let limits = self.context.limits;
        if name.is_empty() || self.refusal.is_some() {
            return None;
        }
        if name.len() > limits.column_name_bytes_max {
            let (n, max) = (name.len(), limits.column_name_bytes_max);
            self.refuse(400, format!("Column name is too long. '{}…' has {n} bytes, the limit is {max}.", cut(name, 40)));
            return None;
        }
        // Also checked at the end of the event; here so that a flood of names costs little.
        if self.builder.fields() >= limits.event_fields_max && name != TRUNCATED_FIELDS {
            self.refuse(400, "Event has too many columns.");
            return None;
        }
        // What the dataset has already is for the store to add; here one request is kept from having many more than any may:
        // an event's go to the overflow at its end. Only what many events share (resources of OTLP) can come to this.
        if self.builder.n_columns() > limits.dataset_columns_max + limits.event_fields_max + 2 {
            self.refuse(400, "Dataset has too many columns.");
            return None;
        }
        let column = self.builder.column(name);
        self.builder.follow(self.previous, column);
        self.previous = Some(column);
        Some(column)
    }

    /// Like [`Self::column`], trying the likely ones first.
    pub(crate) fn column_next(&mut self, name: &str) -> Option<ColumnId> {
        match self.predict(|known| known == name.as_bytes()) {
            Some(column) => Some(column),
            None => self.column(name),
        }
    }

    /// A column of ours, which no limit refuses.
    pub(crate) fn fixed(&mut self, name: &str) -> ColumnId {
        self.builder.column(name)
    }

    /// Takes the refusal of the event, as if there had been none.
    pub(crate) fn clear_refusal(&mut self) -> Option<EventStatus> {
        self.refusal.take()
    }

    /// How many cells the events since the last call had, and a row counts as one, too.
    pub(crate) fn take_cells(&mut self) -> usize {
        std::mem::take(&mut self.n_cells)
    }

    /// Distinct fields of the event under construction.
    pub(crate) fn fields(&self) -> usize {
        self.builder.fields()
    }

    pub(crate) fn name(&self, column: ColumnId) -> &str {
        self.builder.name(column)
    }

    pub(crate) fn is_set(&self, column: ColumnId) -> bool {
        self.builder.is_set(column)
    }

    pub(crate) fn unset(&mut self, column: ColumnId) {
        self.builder.unset(column);
    }

    #[inline]
    pub(crate) fn str(&mut self, column: ColumnId, text: &str) {
        if text.len() > self.context.limits.string_bytes_max {
            return self.long_str(column, text);
        }
        self.builder.str(column, text);
    }

    #[cold]
    fn long_str(&mut self, column: ColumnId, text: &str) {
        if !self.truncated.contains(&column) {
            self.truncated.push(column);
        }
        self.builder.str(column, cut(text, self.context.limits.string_bytes_max));
    }

    #[inline]
    pub(crate) fn int(&mut self, column: ColumnId, value: i64) {
        self.builder.int(column, value);
    }

    /// What is not finite is kept as text, as numbers are finite.
    #[inline]
    pub(crate) fn float(&mut self, column: ColumnId, value: f64) {
        if value.is_finite() {
            self.builder.float(column, value);
        } else {
            self.builder.str(column, not_finite(value));
        }
    }

    #[inline]
    pub(crate) fn bool(&mut self, column: ColumnId, value: bool) {
        self.builder.bool(column, value);
    }

    pub(crate) fn hex8(&mut self, column: ColumnId, id: [u8; 8]) {
        self.builder.hex8(column, id);
    }

    pub(crate) fn hex16(&mut self, column: ColumnId, id: [u8; 16]) {
        self.builder.hex16(column, id);
    }
}

fn json_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => display(out, b),
        Value::Int(i) => display(out, i),
        Value::Float(f) => json_float(out, *f),
        Value::Str(text) => json_string(out, text),
    }
}

/// The text that stands for a float that is not finite.
pub(crate) fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}
