//! Events as Honeycomb's senders write them: `/1/events`, `/1/batch`, and lines of the same shape.
//!
//! Owns: the entry points, and what stands around an event's fields (time, sample rate). Never does: HTTP.

mod json;
mod lines;
mod msgpack;
#[cfg(test)]
mod tests;

use crate::json::{JsonError, text_of};
use crate::rows::{Rows, refused};
use crate::text::json_string;
use crate::time::{self, When};
use crate::{Context, Decoded, EventStatus, IngestError};
use model::TimeNs;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An array of events (batch) or one object (event).
    Json,
    /// The same in msgpack.
    Msgpack,
    /// One JSON object per line: `{time, samplerate, data}`, or the flat event itself.
    Ndjson,
}

impl Format {
    /// From the value of a `Content-Type` header; unknown and missing ones are read as JSON.
    #[must_use]
    pub fn from_content_type(content_type: Option<&str>) -> Format {
        let name = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match name.as_str() {
            "application/msgpack" | "application/x-msgpack" | "application/vnd.msgpack" => Format::Msgpack,
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => Format::Ndjson,
            _ => Format::Json,
        }
    }
}

/// The headers of `/1/events` that stand for fields of a batch's events.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventHeaders<'a> {
    /// `X-Honeycomb-Event-Time`.
    pub time: Option<&'a str>,
    /// `X-Honeycomb-Samplerate`.
    pub sample_rate: Option<&'a str>,
}

/// What stands around an event's fields.
#[derive(Clone, Copy, Debug)]
struct Envelope {
    time: Option<TimeNs>,
    rate: f64,
    data: Data,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Data {
    Missing,
    NotAMap,
    Empty,
    Present,
}

impl Envelope {
    const EMPTY: Envelope = Envelope { time: None, rate: 1.0, data: Data::Missing };

    /// Notes the time that a text says.
    fn set_time(&mut self, text: &str, rows: &mut Rows<'_>) {
        match time::parse(text) {
            When::At(t) => self.time = Some(t),
            When::Missing => {}
            When::OutOfRange => rows.refuse(400, "Event time is out of range. It must lie between the years 1677 and 2262."),
            When::Unreadable => rows.invalid_time(text),
        }
    }

    fn set_rate(&mut self, text: &str) {
        self.rate = text.trim().parse().unwrap_or(1.0);
    }

    /// Ends the event.
    fn end(self, rows: &mut Rows<'_>, n_bytes: usize) -> EventStatus {
        match self.data {
            Data::Missing => rows.refuse(400, "Event has no \"data\"."),
            Data::NotAMap => rows.refuse(400, "Event \"data\" should be an object."),
            Data::Empty => rows.refuse(400, "Event \"data\" should not be empty."),
            Data::Present => {}
        }
        rows.end(self.time, self.rate, n_bytes)
    }
}

/// The statuses of a batch, and where it became unreadable.
type Outcome = Result<Vec<EventStatus>, (JsonError, usize)>;

fn not_a_map() -> EventStatus {
    refused(400, "Event should be an object with \"data\".")
}

fn check_dataset(dataset: &str, context: &Context<'_>) -> Result<(), IngestError> {
    let max = context.limits.dataset_name_bytes_max;
    if dataset.is_empty() || dataset.len() > max {
        return Err(IngestError::DatasetName { bytes: dataset.len(), max });
    }
    Ok(())
}

fn decoded(rows: Rows<'_>, statuses: Vec<EventStatus>) -> Decoded {
    let write = rows.finish();
    Decoded { writes: if write.1.n_rows > 0 { vec![write] } else { Vec::new() }, statuses }
}

/// Decodes the body of `POST /1/batch/{dataset}`. Refused events have their own status; an error refuses the whole body.
pub fn batch(body: &[u8], format: Format, dataset: &str, context: &Context<'_>) -> Result<Decoded, IngestError> {
    check_dataset(dataset, context)?;
    if body.trim_ascii().is_empty() {
        return Err(IngestError::Empty);
    }
    let mut rows = Rows::new(dataset, context);
    let outcome = match format {
        Format::Msgpack => msgpack::batch(body, &mut rows),
        Format::Ndjson if !body.trim_ascii_start().starts_with(b"[") => {
            let mut statuses = Vec::new();
            lines::each_line(&text_of(body), &mut rows, |status| statuses.push(status));
            Ok(statuses)
        }
        Format::Json | Format::Ndjson => json::batch(&text_of(body), &mut rows),
    };
    match outcome {
        Ok(statuses) => Ok(decoded(rows, statuses)),
        Err((e, event)) => Err(IngestError::Malformed { what: e.what, at: e.at, event: Some(event) }),
    }
}

/// Decodes the body of `POST /1/events/{dataset}`: one flat event. A refused event is an error.
pub fn event(body: &[u8], format: Format, dataset: &str, headers: EventHeaders<'_>, context: &Context<'_>) -> Result<Decoded, IngestError> {
    check_dataset(dataset, context)?;
    if body.trim_ascii().is_empty() {
        return Err(IngestError::Empty);
    }
    let mut rows = Rows::new(dataset, context);
    rows.begin();
    let mut envelope = Envelope::EMPTY;
    if let Some(time) = headers.time {
        envelope.set_time(time, &mut rows);
    }
    if let Some(rate) = headers.sample_rate {
        envelope.set_rate(rate);
    }
    let n_fields = match format {
        Format::Msgpack => msgpack::event(body, &mut rows),
        Format::Json | Format::Ndjson => json::event(&text_of(body), &mut rows),
    };
    match n_fields {
        Ok(0) => return Err(IngestError::Empty),
        Ok(_) => envelope.data = Data::Present,
        Err(e) => return Err(IngestError::Malformed { what: e.what, at: e.at, event: None }),
    }
    match envelope.end(&mut rows, body.len()) {
        EventStatus::Accepted => Ok(decoded(rows, vec![EventStatus::Accepted])),
        EventStatus::Refused { status, error } => Err(IngestError::Event { status, error: error.into_owned() }),
    }
}

/// The body that answers a batch: an array with one object per event, in JSON or (for `Format::Msgpack`) msgpack.
#[must_use]
pub fn reply(statuses: &[EventStatus], format: Format) -> Vec<u8> {
    if format == Format::Msgpack {
        return msgpack::reply(statuses);
    }
    let mut out = String::with_capacity(statuses.len() * 15 + 2);
    out.push('[');
    for (i, status) in statuses.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        match status {
            EventStatus::Accepted => out.push_str("{\"status\":202}"),
            EventStatus::Refused { status, error } => {
                crate::text::display(&mut out, format_args!("{{\"status\":{status},\"error\":"));
                json_string(&mut out, error);
                out.push('}');
            }
        }
    }
    out.push(']');
    out.into_bytes()
}
